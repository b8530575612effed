//! Snapshots, and the deletion of what they make superfluous.

use super::{Journal, read::READ_AT_ONCE};
use crate::{
    error::{Error, Result},
    state::{
        event::Event,
        keys::Keys,
        record::{self, Document, FORMAT, Flaw},
        store::Sort,
    },
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::ops::RangeInclusive;

impl Journal {
    /// Encrypts all secrets for `recipients` (none: those that a new stack would have) and deletes every text that was
    /// encrypted for others.
    pub async fn rotate(&mut self, mut recipients: Vec<String>) -> Result<()> {
        if recipients.is_empty() {
            recipients = self.keys.default_recipients()?;
        }
        Keys::check_recipients(&recipients)?;
        self.keys.forget_sealed();
        self.commit(vec![Event::Recipients { recipients }]).await?;
        self.snapshot().await?;
        self.delete_covered(1..=self.head).await?;
        self.empty_torn().await
    }

    /// Empties the torn records up to the head: what is left of a text in them was encrypted for others. The lease after them
    /// has declared them void, and their numbers stay taken.
    async fn empty_torn(&self) -> Result<()> {
        for number in self.store.list(Sort::Log, 0).await?.into_iter().filter(|number| *number <= self.head) {
            let Some(bytes) = self.store.get(Sort::Log, number).await? else { continue };
            if !bytes.is_empty() && record::decode(&bytes, number) == Err(Flaw::Torn) {
                self.store.empty(Sort::Log, number).await?;
            }
        }
        Ok(())
    }

    /// Makes a snapshot when it is time. Snapshots grow with the state, so that their cost stays in proportion.
    pub async fn snapshot_if_due(&mut self) -> Result<()> {
        let due =
            self.head >= self.snapshots[1] + self.timing.snapshot_every && self.bytes_since >= self.snapshot_bytes;
        if !due || self.tenure.check(self.clock.as_ref()).is_err() {
            return Ok(());
        }
        let [before, last] = self.snapshots;
        self.snapshot().await?;
        // The former snapshot and what follows it stay, for the case that the new one is damaged.
        self.delete_covered(before + 1..=last).await
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

    /// Deletes the records and snapshots in `range`, which a newer snapshot makes superfluous. Records that begin with a
    /// lease, and torn ones, stay for ever: their numbers are the only ones at which someone who was taken over may still
    /// try to write.
    async fn delete_covered(&self, range: RangeInclusive<u64>) -> Result<()> {
        let after = range.start().saturating_sub(1);
        let records = self.store.list(Sort::Log, after).await?;
        futures::stream::iter(records.into_iter().filter(|number| range.contains(number)))
            .map(|number| self.delete_unless_lease(number))
            .buffer_unordered(READ_AT_ONCE)
            .try_collect::<()>()
            .await?;
        for number in self.store.list(Sort::Snapshot, 0).await?.into_iter().filter(|number| number < range.end()) {
            self.store.delete(Sort::Snapshot, number).await?;
        }
        Ok(())
    }

    async fn delete_unless_lease(&self, number: u64) -> Result<()> {
        let Some(bytes) = self.store.get(Sort::Log, number).await? else { return Ok(()) };
        match record::decode(&bytes, number) {
            Ok(document) if document.body[0]["event"] != "lease" => self.store.delete(Sort::Log, number).await,
            _ => Ok(()),
        }
    }
}
