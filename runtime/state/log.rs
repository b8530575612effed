//! The log as the engine sees it: reads at once, appends that many tasks may make at the same time.

use super::{
    event::{Event, Holder},
    journal::{Ahead, Journal},
    keys::Keys,
    lease::{Clock, Lease, MachineClock, Tenure, Timing},
    model::{RunSummary, State},
    place::Place,
    store::Store,
};
use crate::error::{Class, Error, Result};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Events in one record at most.
const BATCH: usize = 512;
/// How often the writer looks at the clock: a machine that wakes up must notice soon.
const TICK: Duration = Duration::from_secs(1);
/// How long a command waits for its stack to be given back when it ends with an error.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// The log of one stack. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

pub(super) struct Inner {
    stack: String,
    state: Arc<RwLock<State>>,
    tenure: Arc<Tenure>,
    clock: Arc<dyn Clock>,
    journal: Arc<tokio::sync::Mutex<Journal>>,
    /// Where appends go while a lease is held, and its epoch.
    queue: Mutex<Option<(u64, mpsc::UnboundedSender<Request>)>>,
    notices: Mutex<Vec<String>>,
}

enum Request {
    Append(Vec<Event>, oneshot::Sender<Result<()>>),
    Rotate(Vec<String>, oneshot::Sender<Result<()>>),
    /// The lease ran out by the clock: find out at once whether it is still ours.
    Renew,
    Release(oneshot::Sender<Result<()>>),
    /// The lease was dropped.
    GiveBack(std::sync::mpsc::Sender<()>),
}

impl Log {
    /// Reads the log of `stack` and makes nothing; a stack without one is empty.
    ///
    /// # Errors
    /// A damaged record (its name, and what to do), a newer format, secrets without an identity that reads them.
    pub async fn open(place: &Place, stack: &str, keys: &Keys) -> Result<Self> {
        Self::open_with(place, stack, keys, Arc::new(MachineClock::default()), Timing::default()).await
    }

    pub(super) async fn open_with(
        place: &Place,
        stack: &str,
        keys: &Keys,
        clock: Arc<dyn Clock>,
        timing: Timing,
    ) -> Result<Self> {
        let (state, tenure) = (Arc::new(RwLock::new(State::default())), Arc::new(Tenure::new(stack)));
        let store = Store::open(place, stack)?;
        let journal = Journal::open(store, keys, clock.clone(), timing, state.clone(), tenure.clone()).await?;
        Ok(Self(Arc::new(Inner {
            stack: stack.to_owned(),
            state,
            tenure,
            clock,
            journal: Arc::new(tokio::sync::Mutex::new(journal)),
            queue: Mutex::new(None),
            notices: Mutex::new(Vec::new()),
        })))
    }

    /// The stack's name.
    pub fn stack(&self) -> &str {
        &self.0.stack
    }

    /// Looks at the state. `look` must not wait for anything.
    pub fn with<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the stack for this process; from here on [`Log::append`] works. A task on the current runtime renews the lease
    /// until it is released, dropped or lost.
    ///
    /// # Errors
    /// [`crate::error::Class::Conflict`] when someone else holds it: who, since when, until when at the latest. A holder on
    /// this machine whose process died is taken over from at once.
    pub async fn acquire(&self, who: Holder) -> Result<Lease> {
        if self.0.lock_queue().is_some() {
            return Err(Error::failed(format!("this process holds stack `{}` already", self.0.stack)));
        }
        let mut journal = self.0.journal.lock().await;
        let epoch = journal.acquire(&who).await?;
        self.0.lock_notices().append(&mut journal.notices);
        drop(journal);
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.0.lock_queue() = Some((epoch, sender));
        tokio::spawn(write(self.0.journal.clone(), receiver));
        Ok(Lease { log: self.0.clone(), epoch })
    }

    /// Records `events`, all or none; durable and visible in [`Log::with`] on return. Appends that are made at the same
    /// time share a record.
    ///
    /// # Errors
    /// An event that cannot happen to its resource: nothing is recorded, others go on. Anything else (disk full, taken
    /// over) ends the tenure: every later append fails the same way, and so does [`Log::lease_ok`]. The caller stops.
    pub async fn append(&self, events: Vec<Event>) -> Result<()> {
        self.ask(|reply| Request::Append(events, reply)).await
    }

    /// Whether a cloud may be written to right now. Cheap; asked before every write.
    ///
    /// # Errors
    /// [`crate::error::Class::Passing`] when the lease ran out by the clock and may come back (the process slept);
    /// anything else is for good.
    pub fn lease_ok(&self) -> Result<()> {
        let standing = self.0.tenure.check(self.0.clock.as_ref());
        if standing.as_ref().is_err_and(|error| error.class == Class::Passing)
            && let Some((_, sender)) = self.0.lock_queue().as_ref()
        {
            let _ = sender.send(Request::Renew);
        }
        standing
    }

    /// Gives the stack back, after everything that was appended is durable.
    pub async fn release(&self, lease: Lease) -> Result<()> {
        let result = self.ask(Request::Release).await;
        drop(lease);
        result
    }

    /// Encrypts the secrets of the whole log for `recipients` (`age1…`; none: those of a new stack) from here on, and deletes what was encrypted for
    /// others. Needs the lease.
    pub async fn rotate(&self, recipients: Vec<String>) -> Result<()> {
        self.ask(|reply| Request::Rotate(recipients, reply)).await
    }

    /// All runs, oldest first.
    pub fn history(&self) -> Vec<RunSummary> {
        self.with(|state| state.runs.clone())
    }

    /// What a person should know since the last call: a takeover, a record that was cut off.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock_notices())
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<Result<()>>) -> Request) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let sender = self.0.lock_queue().as_ref().map(|(_, sender)| sender.clone());
        let sent = sender.is_some_and(|sender| sender.send(request(reply)).is_ok());
        if !sent {
            return Err(self.not_held());
        }
        answer.await.unwrap_or_else(|_| Err(self.not_held()))
    }

    fn not_held(&self) -> Error {
        self.0
            .tenure
            .lost()
            .unwrap_or_else(|| Error::failed(format!("stack `{}` is not held by this run", self.0.stack)))
    }
}

impl Inner {
    /// Ends the writer of `epoch`, and waits a moment for it outside of the runtime, where a command may be about to end.
    pub(super) fn give_back(&self, epoch: u64) {
        let Some((_, sender)) = self.lock_queue().take_if(|(current, _)| *current == epoch) else { return };
        let (done, ended) = std::sync::mpsc::channel();
        if sender.send(Request::GiveBack(done)).is_ok() && tokio::runtime::Handle::try_current().is_err() {
            let _ = ended.recv_timeout(GIVING_BACK);
        }
    }

    /// Ends the writer at once, as a crash does.
    #[cfg(test)]
    pub(super) fn forsake(&self) {
        *self.lock_queue() = None;
    }

    fn lock_queue(&self) -> std::sync::MutexGuard<'_, Option<(u64, mpsc::UnboundedSender<Request>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_notices(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer: one record at a time, with all that was appended while the one before was written.
async fn write(journal: Arc<tokio::sync::Mutex<Journal>>, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut journal = journal.lock_owned().await;
    let mut waiting = Vec::new();
    loop {
        let received = tokio::select! {
            biased;
            count = requests.recv_many(&mut waiting, BATCH) => Some(count),
            _ = tick.tick() => None,
        };
        match received {
            None => {
                // A failure ends the tenure, which every later append and write reports.
                let _ = journal.heartbeat().await;
            }
            Some(0) => {
                journal.abandon();
                return;
            }
            Some(_) => {
                if !serve(&mut journal, std::mem::take(&mut waiting)).await {
                    return;
                }
            }
        }
    }
}

/// Serves what waits; false after the release.
async fn serve(journal: &mut Journal, waiting: Vec<Request>) -> bool {
    let mut batch = Vec::new();
    let mut replies = Vec::new();
    let mut ahead = Ahead::new();
    for request in waiting {
        match request {
            Request::Append(events, reply) => {
                let mut further = ahead.clone();
                match journal.check(&events, &mut further) {
                    Ok(()) => {
                        ahead = further;
                        batch.extend(events);
                        replies.push(reply);
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Request::Rotate(recipients, reply) => {
                flush(journal, &mut batch, &mut replies, &mut ahead).await;
                let _ = reply.send(journal.rotate(recipients).await);
            }
            Request::Renew => drop(journal.heartbeat().await),
            Request::Release(reply) => {
                flush(journal, &mut batch, &mut replies, &mut ahead).await;
                let _ = reply.send(journal.release().await);
                return false;
            }
            Request::GiveBack(done) => {
                flush(journal, &mut batch, &mut replies, &mut ahead).await;
                let _ = journal.release().await;
                let _ = done.send(());
                return false;
            }
        }
    }
    flush(journal, &mut batch, &mut replies, &mut ahead).await;
    // What is recorded is recorded: a snapshot that fails is tried again after the next record.
    let _ = journal.snapshot_if_due().await;
    true
}

async fn flush(
    journal: &mut Journal,
    batch: &mut Vec<Event>,
    replies: &mut Vec<oneshot::Sender<Result<()>>>,
    ahead: &mut Ahead,
) {
    ahead.clear();
    if replies.is_empty() {
        return;
    }
    let result = if batch.is_empty() { Ok(()) } else { journal.commit(std::mem::take(batch)).await };
    for reply in replies.drain(..) {
        let _ = reply.send(result.clone());
    }
}
