//! Reading the log and writing to it, one record at a time. [`super::Log`] queues for it.

mod compact;
mod read;
mod take;

use super::{
    event::Event,
    keys::{Keys, needs_sealing},
    lease::{AliveFile, Clock, Moment, Tenure, Timing},
    model::State,
    record::{self, Document, FORMAT},
    status::{Status, next},
    store::{Put, Sort, Store},
};
use crate::error::{Class, Error, Result};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// Longest pause between two tries to reach a bucket.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The log of one stack.
pub struct Journal {
    pub store: Store,
    keys: Keys,
    clock: Arc<dyn Clock>,
    timing: Timing,
    state: Arc<RwLock<State>>,
    tenure: Arc<Tenure>,
    /// Number of the last record that the state holds.
    pub head: u64,
    /// Torn records above `head`.
    torn: Vec<u64>,
    /// Numbers of the last two snapshots.
    snapshots: [u64; 2],
    /// Bytes of the last snapshot, and of the records since.
    snapshot_bytes: usize,
    bytes_since: usize,
    /// Our own epoch while we hold the lease.
    epoch: u64,
    nonce: String,
    alive: Option<AliveFile>,
    /// What a person should know: a takeover, a torn record.
    pub notices: Vec<String>,
}

/// Statuses as they will be after events that are checked and not yet written.
pub type Ahead = HashMap<String, Option<Status>>;

impl Journal {
    /// Reads everything and makes nothing.
    pub async fn open(
        store: Store,
        keys: &Keys,
        clock: Arc<dyn Clock>,
        timing: Timing,
        state: Arc<RwLock<State>>,
        tenure: Arc<Tenure>,
    ) -> Result<Self> {
        let mut journal = Self {
            store,
            keys: keys.clone(),
            clock,
            timing,
            state,
            tenure,
            head: 0,
            torn: Vec::new(),
            snapshots: [0, 0],
            snapshot_bytes: 0,
            bytes_since: 0,
            epoch: 0,
            nonce: format!("{:032x}", rand::random::<u128>()),
            alive: None,
            notices: Vec::new(),
        };
        journal.reload().await?;
        Ok(journal)
    }

    /// Checks that `events` can happen, after those in `ahead`.
    pub fn check(&self, events: &[Event], ahead: &mut Ahead) -> Result<()> {
        let state = self.read_state();
        for event in events {
            if event.is_internal() {
                return Err(Error::failed(format!("`{}` is written by the log itself", event.name())));
            }
            let Some(address) = event.address() else { continue };
            let before = ahead.get(address).copied().unwrap_or_else(|| state.status(address));
            let after = next(before, event)
                .map_err(|illegal| Error::failed("the state log refuses an event").because(illegal.to_string()))?;
            ahead.insert(address.to_owned(), after);
        }
        Ok(())
    }

    /// Writes one record; the events are durable and in the state when it returns. Any error ends the tenure.
    pub async fn commit(&mut self, events: Vec<Event>) -> Result<()> {
        if let Some(why) = self.tenure.lost() {
            return Err(why);
        }
        if self.epoch == 0 {
            return Err(Error::failed(format!("stack `{}` is not held by this run", self.store.stack())));
        }
        let result = self.try_commit(events).await;
        if let Err(error) = &result {
            self.tenure.lose(error.clone());
        }
        result
    }

    async fn try_commit(&mut self, mut events: Vec<Event>) -> Result<()> {
        if self.read_state().recipients.is_empty() && events.iter().any(holds_secret) {
            events.insert(0, Event::Recipients { recipients: self.keys.default_recipients()? });
        }
        let number = self.head + 1;
        let begun = Moment::now(self.clock.as_ref());
        let text = self.text(number, self.epoch, begun.at, &events)?;
        self.bytes_since += text.len();
        if !self.put(number, text).await? {
            return Err(self.fenced(number).await);
        }
        self.accept(number, &events, begun)
    }

    fn accept(&mut self, number: u64, events: &[Event], begun: Moment) -> Result<()> {
        let mut state = self.write_state();
        for event in events {
            // Checked before it was written.
            state.apply(event, begun.at).map_err(|illegal| Error::failed(illegal.to_string()))?;
        }
        drop(state);
        self.head = number;
        self.tenure.renew(begun, self.timing);
        let names = || events.iter().map(Event::name).collect::<Vec<_>>().join(", ");
        tracing::debug!(stack = self.store.stack(), number, events = names(), "recorded");
        Ok(())
    }

    /// Whether the record is ours now. What is in doubt is read back, as an answer can get lost; and a bucket that cannot be
    /// reached is tried again for a while, which is safe because the same text goes to the same number.
    async fn put(&self, number: u64, text: String) -> Result<bool> {
        let in_folder = self.store.folder().is_some();
        let begun = self.clock.elapsed();
        let mut pause = Duration::from_secs(1);
        loop {
            let result = self.store.put_new(Sort::Log, number, text.clone()).await;
            if let Ok(Put::Done) = result {
                return Ok(true);
            }
            let there = self.store.get(Sort::Log, number).await;
            let ours = matches!(&there, Ok(Some(bytes)) if bytes.as_ref() == text.as_bytes());
            let error = match result {
                Ok(_) => match there {
                    Ok(_) => return Ok(ours),
                    Err(error) => error,
                },
                // A folder that reports an error may not have made it durable.
                Err(_) if ours && !in_folder => return Ok(true),
                Err(error) => error,
            };
            let waited = self.clock.elapsed().saturating_sub(begun);
            if in_folder || error.class != Class::Passing || waited >= self.timing.patience {
                return Err(error.context(format!("cannot record in stack `{}`", self.store.stack())));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn fenced(&self, number: u64) -> Error {
        let message = format!("stack `{}` was taken over; this run stopped before its next write", self.store.stack());
        let error = Error::new(Class::Conflict, message)
            .hint("look at `gitpod-play state history`, then run the same command again");
        let Ok(Some(bytes)) = self.store.get(Sort::Log, number).await else { return error };
        let Ok(document) = record::decode(&bytes, number) else { return error };
        let at = document.at;
        match record::events(document.body).ok().and_then(|events| events.into_iter().next()) {
            Some(Event::Lease { holder, .. }) => error.because(format!("by {holder} at {at:.0}")),
            _ => error.because(format!("another writer recorded at {at:.0}")),
        }
    }

    /// Writes that we live, when nothing else did lately.
    pub async fn heartbeat(&mut self) -> Result<()> {
        let Some(renewed) = self.tenure.renewed() else { return Ok(()) };
        let quiet = self.clock.elapsed().saturating_sub(renewed.elapsed);
        if quiet < self.timing.heartbeat && self.tenure.check(self.clock.as_ref()).is_ok() {
            return Ok(());
        }
        self.commit(vec![Event::Heartbeat]).await
    }

    /// Gives the stack back.
    pub async fn release(&mut self) -> Result<()> {
        // From the moment the record is there, someone else may write; so we stop before.
        if self.tenure.lost().is_none() {
            self.tenure.end();
        }
        let result = if self.epoch == 0 { Ok(()) } else { self.commit(vec![Event::Released]).await };
        if result.is_ok() {
            self.remove_alive_file();
        }
        self.abandon();
        result
    }

    fn remove_alive_file(&mut self) {
        if let Some(file) = self.alive.take() {
            file.remove();
        }
    }

    /// Stops holding without saying so, as a crash does.
    pub fn abandon(&mut self) {
        self.epoch = 0;
        self.alive = None;
        if self.tenure.lost().is_none() {
            self.tenure.end();
        }
    }

    fn text(&self, number: u64, epoch: u64, at: Timestamp, events: &[Event]) -> Result<String> {
        let body = serde_json::to_value(events).map_err(|error| Error::failed(error.to_string()))?;
        let recipients = events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Recipients { recipients } => Some(recipients.clone()),
                _ => None,
            })
            .unwrap_or_else(|| self.read_state().recipients.clone());
        let body = self.keys.seal(&body, &recipients)?;
        Ok(record::encode(&Document { format: FORMAT, number, epoch, writer: self.nonce.clone(), at, body }))
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds_secret(event: &Event) -> bool {
    serde_json::to_value(event).is_ok_and(|value: Value| needs_sealing(&value))
}
