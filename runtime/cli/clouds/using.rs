//! Who uses the simulated clouds of a folder. Each command shares a lock, so that the one that serves them sees when no
//! other does; a command that was killed lets it go like any other.

use std::{fs::File, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two looks whether others are done.
const LOOK: Duration = Duration::from_millis(50);

/// A share of the lock.
pub struct Using(File);

impl Using {
    /// Takes a share; waits while the clouds are being ended. `None` where files cannot be locked.
    pub fn begin(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).ok()?;
        let file = File::options().create(true).append(true).open(folder.join("using")).ok()?;
        file.lock_shared().ok()?;
        Some(Self(file))
    }

    /// Waits until nobody else uses the clouds, or `cancel` is set meanwhile. From then on nobody begins to, until this is
    /// dropped. Says that it waits.
    pub fn outlast_others(&self, cancel: &CancellationToken) {
        let stopped_before = cancel.is_cancelled();
        let mut told = false;
        // Our own share is not waited for.
        let _ = self.0.unlock();
        while matches!(self.0.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
            if !told {
                eprintln!(
                    "note: another command uses the simulated clouds of this one, which stay up until it is done (Ctrl-C \
                     ends them; `gitpod-play sandbox serve` keeps them up apart from both)"
                );
                told = true;
            }
            if cancel.is_cancelled() && !stopped_before {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}
