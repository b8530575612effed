//! Reading the log: the newest snapshot, then every record after it, each checked.

use super::Journal;
use crate::{
    error::{Error, Result},
    state::{
        event::Event,
        model::State,
        record::{self, Document, FORMAT, Flaw},
        store::Sort,
    },
};
use futures::{StreamExt as _, TryStreamExt as _};

/// Records that are read at once.
pub(super) const READ_AT_ONCE: usize = 16;
/// How often reading starts anew because others write meanwhile.
const ATTEMPTS: usize = 8;

impl Journal {
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
        State::read(self.keys.open(document.body)?)
            .map_err(|mistake| self.damaged(Sort::Snapshot, number, &mistake.to_string()))
    }

    /// Reads what others wrote since.
    pub(super) async fn refresh(&mut self) -> Result<()> {
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
}
