//! Reading the log and writing to it, one record at a time. [`super::Log`] queues for it.

use super::{
    event::{Event, Holder},
    keys::{Keys, needs_sealing},
    lease::{AliveFile, Clock, Moment, Tenure, Timing, ends},
    model::{HeldLease, State},
    record::{self, Document, FORMAT, Flaw},
    status::{Status, next},
    store::{Put, Sort, Store},
};
use crate::error::{Class, Error, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

/// Records that are read at once.
const READ_AT_ONCE: usize = 16;
/// How often reading or acquiring starts anew because others write meanwhile.
const ATTEMPTS: usize = 8;
/// Fewest records between two snapshots.
pub const SNAPSHOT_EVERY: u64 = 256;

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

    /// Reads the newest snapshot and all records after it.
    pub async fn reload(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_reload().await? {
                Ok(()) => return Ok(()),
                Err(missing) => last = Some(missing),
            }
        }
        // It is missing every time: nobody deletes it under our eyes, it is lost.
        Err(self.damaged(Sort::Log, last.unwrap_or_default(), "it is missing"))
    }

    /// The inner error is the number of a record that is not there, or no longer.
    async fn try_reload(&mut self) -> Result<Result<(), u64>> {
        let snapshots = self.store.list(Sort::Snapshot, 0).await?;
        let base = snapshots.last().copied().unwrap_or(0);
        let mut state = State::default();
        self.snapshot_bytes = 0;
        if base > 0 {
            let Some(bytes) = self.store.get(Sort::Snapshot, base).await? else { return Ok(Err(base)) };
            self.snapshot_bytes = bytes.len();
            state = self.read_snapshot(&bytes, base)?;
        }
        let before = snapshots.len().checked_sub(2).map_or(0, |place| snapshots[place]);
        self.snapshots = [before, base];
        self.bytes_since = 0;
        (self.head, self.torn) = (base, Vec::new());
        self.replay(&mut state).await.map(|result| result.map(|()| *self.write_state() = state))
    }

    /// Reads the records above `head` into `state`.
    async fn replay(&mut self, state: &mut State) -> Result<Result<(), u64>> {
        let numbers = self.store.list(Sort::Log, self.head).await?;
        let first = self.head + 1;
        if let Some((wanted, _)) = (first..).zip(&numbers).find(|(wanted, number)| wanted != *number) {
            return Ok(Err(wanted));
        }
        let mut texts = futures::stream::iter(numbers)
            .map(|number| {
                let store = &self.store;
                async move { store.get(Sort::Log, number).await.map(|bytes| (number, bytes)) }
            })
            .buffered(READ_AT_ONCE);
        let (mut head, mut torn, mut bytes_read) = (self.head, Vec::new(), 0);
        while let Some((number, bytes)) = texts.try_next().await? {
            let Some(bytes) = bytes else { return Ok(Err(number)) };
            bytes_read += bytes.len();
            match record::decode(&bytes, number) {
                Ok(document) => {
                    self.take_in(state, document, &torn)?;
                    head = number;
                    torn.clear();
                }
                Err(Flaw::Torn) => torn.push(number),
                Err(flaw) => return Err(self.flawed(Sort::Log, number, &flaw)),
            }
        }
        drop(texts);
        if let [first, .., _] = torn[..] {
            // A writer stops at its first torn record, so a second one was no accident of writing.
            return Err(self.damaged(Sort::Log, first, "it is cut off, and so is what follows"));
        }
        self.bytes_since += bytes_read;
        (self.head, self.torn) = (head, torn);
        Ok(Ok(()))
    }

    fn take_in(&self, state: &mut State, document: Document, torn: &[u64]) -> Result<()> {
        let number = document.number;
        let events =
            record::events(self.keys.open(document.body)?).map_err(|flaw| self.flawed(Sort::Log, number, &flaw))?;
        let void = match events.first() {
            Some(Event::Lease { void, .. }) => void.as_slice(),
            _ => &[],
        };
        if let Some(cut) = torn.iter().find(|cut| !void.contains(cut)) {
            return Err(self.damaged(Sort::Log, *cut, "it is cut off"));
        }
        for event in &events {
            state.apply(event, document.at).map_err(|illegal| self.damaged(Sort::Log, number, &illegal.to_string()))?;
        }
        if state.lease.as_ref().is_none_or(|lease| lease.epoch != document.epoch) {
            return Err(self.damaged(Sort::Log, number, "it was written without the lease"));
        }
        Ok(())
    }

    fn read_snapshot(&self, bytes: &[u8], number: u64) -> Result<State> {
        let document = record::decode(bytes, number).map_err(|flaw| self.flawed(Sort::Snapshot, number, &flaw))?;
        serde_json::from_value(self.keys.open(document.body)?)
            .map_err(|mistake| self.damaged(Sort::Snapshot, number, &mistake.to_string()))
    }

    /// Reads what others wrote since.
    async fn refresh(&mut self) -> Result<()> {
        let newest = self.store.list(Sort::Snapshot, self.head).await?;
        if !newest.is_empty() {
            return self.reload().await;
        }
        let mut state = self.read_state().clone();
        match self.replay(&mut state).await? {
            Ok(()) => {
                *self.write_state() = state;
                Ok(())
            }
            Err(_) => self.reload().await,
        }
    }

    /// Takes the lease, unless someone else has it.
    pub async fn acquire(&mut self, who: &Holder) -> Result<u64> {
        self.store.prepare()?;
        if self.epoch != 0 {
            return Err(Error::failed(format!("this process holds stack `{}` already", self.store.stack())));
        }
        self.tenure.end();
        self.nonce = format!("{:032x}", rand::random::<u128>());
        self.alive = AliveFile::make(AliveFile::path(self.store.folder().as_deref(), &self.nonce));
        let result = self.try_acquire(who).await;
        match &result {
            Ok(epoch) => self.epoch = *epoch,
            Err(_) => self.alive = None,
        }
        result
    }

    async fn try_acquire(&mut self, who: &Holder) -> Result<u64> {
        for _ in 0..ATTEMPTS {
            self.refresh().await?;
            let former = self.read_state().lease.clone();
            if let Some(lease) = &former {
                self.check_free(lease, who)?;
            }
            let epoch = former.as_ref().map_or(0, |lease| lease.epoch) + 1;
            let number = self.head + 1 + self.torn.len() as u64;
            let events = vec![Event::Lease {
                epoch,
                holder: who.clone(),
                nonce: self.nonce.clone(),
                ttl_s: self.timing.ttl.as_secs().max(1),
                void: self.torn.clone(),
            }];
            let begun = Moment::now(self.clock.as_ref());
            let text = self.text(number, epoch, begun.at, &events)?;
            if !self.put(number, text).await? {
                continue;
            }
            // A snapshot may have covered the number, and its record may have been deleted, between our look and our put:
            // then what we wrote is void.
            let later = self.store.list(Sort::Snapshot, number - 1).await?;
            if !later.is_empty() || !self.store.list(Sort::Log, number).await?.is_empty() {
                self.reload().await?;
                continue;
            }
            self.note_takeover(former.as_ref());
            self.accept(number, &events, begun)?;
            return Ok(epoch);
        }
        Err(Error::new(Class::Conflict, format!("stack `{}` is being taken by others", self.store.stack()))
            .hint("wait a minute, then run the same command again"))
    }

    fn note_takeover(&mut self, former: Option<&HeldLease>) {
        if let Some(lease) = former.filter(|lease| !lease.released) {
            let HeldLease { holder, renewed, .. } = lease;
            self.notices.push(format!("took over from {holder}, which ended without saying so after {renewed}"));
        }
        for number in std::mem::take(&mut self.torn) {
            let shown = self.store.shown(Sort::Log, number);
            self.notices.push(format!("`{shown}` is cut off: it was never acknowledged and is void"));
        }
    }

    /// An error when the lease is someone's who may be alive.
    fn check_free(&self, lease: &HeldLease, who: &Holder) -> Result<()> {
        if lease.released {
            return Ok(());
        }
        let folder = self.store.folder();
        if lease.holder.host == who.host {
            let path = AliveFile::path(folder.as_deref(), &lease.nonce);
            if AliveFile::is_abandoned(&path) {
                let _ = std::fs::remove_file(path);
                return Ok(());
            }
        }
        let end = ends(lease, self.timing.margin);
        if self.clock.now() >= end {
            return Ok(());
        }
        let HeldLease { holder, since, .. } = lease;
        let message = format!("stack `{}` is in use by {holder} since {since:.0}", self.store.stack());
        let cause = format!("it runs `{}`; unless it renews its lease, that ends at {end:.0}", holder.command);
        Err(Error::new(Class::Conflict, message)
            .because(cause)
            .hint("wait until it is done; if it died, run the same command again after that time"))
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
        Ok(())
    }

    /// Whether the record is ours now. What is in doubt is read back: an answer can get lost.
    async fn put(&self, number: u64, text: String) -> Result<bool> {
        let result = self.store.put_new(Sort::Log, number, text.clone()).await;
        if let Ok(Put::Done) = result {
            return Ok(true);
        }
        let there = self.store.get(Sort::Log, number).await;
        let ours = matches!(&there, Ok(Some(bytes)) if bytes.as_ref() == text.as_bytes());
        match result {
            Ok(_) => Ok(ours),
            // A folder that reports an error may not have made it durable.
            Err(error) if !ours || self.store.folder().is_some() => {
                Err(error.context(format!("cannot record in stack `{}`", self.store.stack())))
            }
            Err(_) => Ok(true),
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
        let result = if self.epoch == 0 { Ok(()) } else { self.commit(vec![Event::Released]).await };
        self.abandon();
        result
    }

    /// Stops holding without saying so, as a crash does.
    pub fn abandon(&mut self) {
        self.epoch = 0;
        self.alive = None;
        if self.tenure.lost().is_none() {
            self.tenure.end();
        }
    }

    /// Encrypts all secrets for `recipients` and deletes every text that was encrypted for others.
    pub async fn rotate(&mut self, recipients: Vec<String>) -> Result<()> {
        Keys::check_recipients(&recipients)?;
        self.commit(vec![Event::Recipients { recipients }]).await?;
        self.snapshot().await?;
        self.delete_covered(self.head).await
    }

    /// Makes a snapshot when it is time. Snapshots grow with the state, so that their cost stays in proportion.
    pub async fn snapshot_if_due(&mut self) -> Result<()> {
        let due = self.head >= self.snapshots[1] + SNAPSHOT_EVERY && self.bytes_since >= self.snapshot_bytes;
        if !due || self.tenure.check(self.clock.as_ref()).is_err() {
            return Ok(());
        }
        self.snapshot().await?;
        // The former snapshot and what follows it stay, for the case that the new one is damaged.
        self.delete_covered(self.snapshots[0]).await
    }

    async fn snapshot(&mut self) -> Result<()> {
        let (body, recipients) = {
            let state = self.read_state();
            let body = serde_json::to_value(&*state).map_err(|error| Error::failed(error.to_string()))?;
            (body, state.recipients.clone())
        };
        let document = Document {
            format: FORMAT,
            number: self.head,
            epoch: self.epoch,
            writer: self.nonce.clone(),
            at: self.clock.now(),
            body: self.keys.seal(&body, &recipients)?,
        };
        let text = record::encode(&document);
        let bytes = text.len();
        self.store.put_new(Sort::Snapshot, self.head, text).await?;
        self.snapshots = [self.snapshots[1], self.head];
        (self.snapshot_bytes, self.bytes_since) = (bytes, 0);
        Ok(())
    }

    /// Deletes what the snapshot `covered` makes superfluous. Records that begin with a lease, and torn ones, stay for
    /// ever: their numbers are the only ones at which someone who was taken over may still try to write.
    async fn delete_covered(&self, covered: u64) -> Result<()> {
        for number in self.store.list(Sort::Log, 0).await?.into_iter().take_while(|number| *number <= covered) {
            let Some(bytes) = self.store.get(Sort::Log, number).await? else { continue };
            let Ok(document) = record::decode(&bytes, number) else { continue };
            if document.body[0]["event"] != "lease" {
                self.store.delete(Sort::Log, number).await?;
            }
        }
        for number in self.store.list(Sort::Snapshot, 0).await?.into_iter().filter(|number| *number < covered) {
            self.store.delete(Sort::Snapshot, number).await?;
        }
        Ok(())
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

    fn flawed(&self, sort: Sort, number: u64, flaw: &Flaw) -> Error {
        match flaw {
            Flaw::Torn => self.damaged(sort, number, "it is cut off"),
            Flaw::Damaged(why) => self.damaged(sort, number, why),
            Flaw::Newer(format) => {
                let stack = self.store.stack();
                Error::failed(format!("the state of stack `{stack}` was made by a newer version of gitpod-play"))
                    .because(format!(
                        "`{}` has format {format}, this version knows up to {FORMAT}",
                        self.store.shown(sort, number)
                    ))
                    .hint("use the version that made it, or a newer one")
            }
        }
    }

    fn damaged(&self, sort: Sort, number: u64, why: &str) -> Error {
        let shown = self.store.shown(sort, number);
        let hint = match sort {
            Sort::Log => format!(
                "put `{shown}` back from a copy of the state; nothing was written, all other records are as they were"
            ),
            Sort::Snapshot => format!(
                "put `{shown}` back from a copy, or move it away: the snapshot before it and its records are still there; nothing was written"
            ),
        };
        let what = if sort == Sort::Log { "record" } else { "snapshot" };
        Error::failed(format!("the state of stack `{}` is damaged: {what} `{shown}`", self.store.stack()))
            .because(why)
            .hint(hint)
    }

    fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds_secret(event: &Event) -> bool {
    serde_json::to_value(event).is_ok_and(|value: Value| needs_sealing(&value))
}
