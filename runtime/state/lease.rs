//! The lease: how long it lasts, whether it is still ours, and whether its holder on this machine is alive.

use super::{log::Inner, model::HeldLease};
use crate::error::{Class, Error, Result};
use jiff::Timestamp;
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Environment variable by which a test shortens the lease, in seconds. Only builds with debug assertions look at it.
pub const LEASE_VARIABLE: &str = "GITPOD_PLAY_LEASE_S";

/// How long a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Each record extends the lease by this.
    pub ttl: Duration,
    /// A holder that has nothing to record writes a heartbeat this often.
    pub heartbeat: Duration,
    /// The holder stops this much before the end, and another takes over this much after it: the clocks of two machines
    /// may differ by twice as much.
    pub margin: Duration,
    /// How long a bucket that cannot be reached is tried again before the run stops.
    pub patience: Duration,
    /// Fewest records between two snapshots.
    pub snapshot_every: u64,
}

impl Default for Timing {
    fn default() -> Self {
        let asked = if cfg!(debug_assertions) { std::env::var(LEASE_VARIABLE).ok() } else { None };
        let ttl_s = asked.and_then(|text| text.parse().ok()).unwrap_or(60_u64).max(1);
        let ttl = Duration::from_secs(ttl_s);
        let patience = Duration::from_mins(10);
        Self { ttl, heartbeat: ttl / 3, margin: ttl / 12, patience, snapshot_every: 256 }
    }
}

/// The two clocks that a lease needs: one that all machines share, and one that nobody can set.
pub trait Clock: Send + Sync {
    /// The time of day. Goes on while the machine sleeps; can jump.
    fn now(&self) -> Timestamp;
    /// Time since some start. Never jumps; may stand still while the machine sleeps.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
pub struct MachineClock(Instant);

impl Default for MachineClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// See [`Clock::now`].
    pub at: Timestamp,
    /// See [`Clock::elapsed`].
    pub elapsed: Duration,
}

impl Moment {
    /// Now.
    pub fn now(clock: &dyn Clock) -> Self {
        Self { at: clock.now(), elapsed: clock.elapsed() }
    }
}

enum Standing {
    Never,
    Held { renewed: Moment, timing: Timing },
    Lost(Error),
}

/// Whether this process holds the lease; shared between the writer and those who ask before each call.
pub struct Tenure {
    stack: String,
    standing: Mutex<Standing>,
}

impl Tenure {
    /// Nothing is held.
    pub fn new(stack: &str) -> Self {
        Self { stack: stack.to_owned(), standing: Mutex::new(Standing::Never) }
    }

    /// A record that was begun at `renewed` is durable.
    pub fn renew(&self, renewed: Moment, timing: Timing) {
        let mut standing = self.lock();
        if !matches!(*standing, Standing::Lost(_)) {
            *standing = Standing::Held { renewed, timing };
        }
    }

    /// It is lost for good; the first reason stays.
    pub fn lose(&self, why: Error) {
        let mut standing = self.lock();
        if !matches!(*standing, Standing::Lost(_)) {
            tracing::warn!(stack = self.stack, %why, "lost the lease");
            *standing = Standing::Lost(why);
        }
    }

    /// It was given back; another one may be acquired.
    pub fn end(&self) {
        tracing::debug!(stack = self.stack, "holds no lease");
        *self.lock() = Standing::Never;
    }

    /// Why nothing may be written any more, when that is so for good.
    pub fn lost(&self) -> Option<Error> {
        match &*self.lock() {
            Standing::Lost(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// When the last record was begun.
    pub fn renewed(&self) -> Option<Moment> {
        match &*self.lock() {
            Standing::Held { renewed, .. } => Some(*renewed),
            _ => None,
        }
    }

    /// Whether something may be written to a cloud right now.
    pub fn check(&self, clock: &dyn Clock) -> Result<()> {
        let (renewed, timing) = match &*self.lock() {
            Standing::Held { renewed, timing } => (*renewed, *timing),
            Standing::Lost(why) => return Err(why.clone()),
            Standing::Never => {
                let message = format!("stack `{}` is not held by this run", self.stack);
                return Err(Error::new(Class::Refused, message));
            }
        };
        // The machine may have slept, for which one clock stands still; or someone set the other one.
        let by_machine = clock.elapsed().saturating_sub(renewed.elapsed);
        let by_day = Duration::try_from(clock.now().duration_since(renewed.at)).unwrap_or_default();
        if by_machine.max(by_day) + timing.margin < timing.ttl {
            return Ok(());
        }
        let message = format!("the lease on stack `{}` ran out while nothing could be recorded", self.stack);
        Err(Error::new(Class::Passing, message)
            .because("this process slept, or its state cannot be reached; it goes on once a record is accepted"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease that [`super::Log::acquire`] gives. Dropping it gives the stack back as [`super::Log::release`] does, but errors
/// stay unseen. Only a process that dies keeps it: then the next run on this machine takes over at once, others when it has
/// run out.
pub struct Lease {
    pub(super) log: Arc<Inner>,
    /// Counts the holders of the stack.
    pub epoch: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.log.give_back(self.epoch);
    }
}

#[cfg(test)]
impl Lease {
    /// Does what a crash does.
    pub fn forsake(self) {
        self.log.forsake();
    }
}

/// When the lease is over at the latest, unless it is renewed.
pub fn ends(lease: &HeldLease, margin: Duration) -> Timestamp {
    let life = Duration::from_secs(lease.ttl_s) + margin;
    lease.renewed.checked_add(life).unwrap_or(Timestamp::MAX)
}

/// A file that is locked as long as the holder lives: the system unlocks it when a process dies, however it dies.
pub struct AliveFile {
    /// Locked until it is closed.
    file: File,
    path: PathBuf,
}

impl AliveFile {
    /// Makes and locks it; `None` on file systems without locks, where a dead holder is known by time only.
    pub fn make(path: PathBuf) -> Option<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path).ok()?;
        let made = Self { file, path };
        match made.file.try_lock() {
            Ok(()) => Some(made),
            Err(_) => None,
        }
    }

    /// Takes it away, when the lease is given back or was never had. A holder that dies leaves its file behind, unlocked.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Whether the holder is known to be dead.
    pub fn is_abandoned(path: &Path) -> bool {
        let Ok(file) = OpenOptions::new().write(true).open(path) else { return false };
        match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Mutex<(i64, u64)>);

    impl Clock for Fake {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.lock().unwrap().0).unwrap()
        }
        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    fn timing() -> Timing {
        let seconds = Duration::from_secs;
        Timing { ttl: seconds(60), heartbeat: seconds(20), margin: seconds(5), ..Timing::default() }
    }

    #[test]
    fn it_runs_out_by_either_clock() {
        let clock = Fake(Mutex::new((1000, 0)));
        let tenure = Tenure::new("x");
        assert_eq!(tenure.check(&clock).unwrap_err().class, Class::Refused);
        tenure.renew(Moment::now(&clock), timing());
        for (moved, held) in [((1054, 54), true), ((1056, 0), false), ((1000, 56), false), ((900, 10), true)] {
            *clock.0.lock().unwrap() = moved;
            assert_eq!(tenure.check(&clock).is_ok(), held, "{moved:?}");
        }
        *clock.0.lock().unwrap() = (5000, 4000);
        assert_eq!(tenure.check(&clock).unwrap_err().class, Class::Passing);
        tenure.renew(Moment::now(&clock), timing());
        assert!(tenure.check(&clock).is_ok());
        tenure.lose(Error::failed("taken over"));
        tenure.renew(Moment::now(&clock), timing());
        assert_eq!(tenure.check(&clock).unwrap_err().message, "taken over");
    }

    #[test]
    fn a_holder_is_abandoned_when_its_file_can_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holder-n.lock");
        assert!(!AliveFile::is_abandoned(&path));
        let alive = AliveFile::make(path.clone()).unwrap();
        assert!(!AliveFile::is_abandoned(&path));
        drop(alive);
        assert!(AliveFile::is_abandoned(&path));
        let other = folder.path().join("holder-o.lock");
        AliveFile::make(other.clone()).unwrap().remove();
        assert!(!AliveFile::is_abandoned(&other));
    }
}
