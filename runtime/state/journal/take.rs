//! Taking the lease: by writing the next record, which only one can.

use super::Journal;
use crate::{
    error::{Class, Error, Result},
    state::{
        event::{Event, Holder},
        lease::{AliveFile, Moment, ends},
        model::HeldLease,
        store::Sort,
    },
};

/// How often acquiring starts anew because others write meanwhile.
const ATTEMPTS: usize = 8;

impl Journal {
    /// Takes the lease, unless someone else has it.
    pub async fn acquire(&mut self, who: &Holder) -> Result<u64> {
        self.store.prepare()?;
        if self.epoch != 0 {
            return Err(Error::failed(format!("this process holds stack `{}` already", self.store.stack())));
        }
        self.tenure.end();
        self.nonce = format!("{:032x}", rand::random::<u128>());
        self.alive = self.store.alive_file(&self.nonce).and_then(AliveFile::make);
        let result = self.try_acquire(who).await;
        match &result {
            Ok(epoch) => self.epoch = *epoch,
            Err(_) => self.remove_alive_file(),
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
            tracing::info!(stack = self.store.stack(), epoch, "took the lease");
            return Ok(epoch);
        }
        Err(Error::new(Class::Conflict, format!("stack `{}` is being taken by others", self.store.stack()))
            .hint("wait a minute, then run the same command again"))
    }

    fn note_takeover(&mut self, former: Option<&HeldLease>) {
        if let Some(lease) = former.filter(|lease| !lease.released) {
            let HeldLease { holder, renewed, nonce, .. } = lease;
            if let Some(path) = self.store.alive_file(nonce) {
                // Only its own machine can see it; elsewhere there is none.
                let _ = std::fs::remove_file(path);
            }
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
        let alive_file = self.store.alive_file(&lease.nonce).filter(|_| lease.holder.host == who.host);
        if alive_file.is_some_and(|path| AliveFile::is_abandoned(&path)) {
            return Ok(());
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
}
