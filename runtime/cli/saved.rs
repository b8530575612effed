//! The files that `watch` follows.

use super::{options::Script, session::Session};
use crate::{
    error::{Error, Result},
    playbook::Playbook,
    state::Log,
};
use notify::{RecursiveMode, Watcher};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

/// After the first sign of a save, how long to wait for the rest of it. Editors write, rename and touch in one go.
const SETTLE: Duration = Duration::from_millis(8);
/// How often a stop is looked for while nothing is saved.
const LOOK: Duration = Duration::from_millis(100);

/// The files that matter, and the watcher of the folders they lie in.
pub(super) struct Files {
    watcher: notify::RecommendedWatcher,
    followed: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Files {
    /// Follows nothing yet; the receiver hears of each save.
    pub fn new() -> Result<(Self, Receiver<Vec<PathBuf>>)> {
        let (sender, receiver) = channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event
                && !event.kind.is_access()
            {
                let _ = sender.send(event.paths);
            }
        })
        .map_err(|error| Error::failed("cannot watch files").because(error.to_string()))?;
        Ok((Self { watcher, followed: BTreeSet::new(), folders: BTreeSet::new() }, receiver))
    }

    /// Watches the folders of all files that the playbook was read from, that its steps read, and that were not there when
    /// they wanted to: an editor may save by renaming another file. Whether further folders are watched now.
    pub fn follow(&mut self, log: &Log, playbook: &Playbook, script: &Script) -> Result<bool> {
        let watched = self.folders.len();
        let read: BTreeSet<String> = log.with(|state| {
            let records = playbook.steps.iter().filter_map(|step| state.steps.get(&step.name));
            records
                .flat_map(|record| record.files_read.as_object().into_iter().flatten())
                .map(|(name, _)| name.clone())
                .collect()
        });
        let read: Vec<PathBuf> = read.iter().filter_map(|name| playbook.file_path(name)).collect();
        let scripts = playbook.files();
        self.followed = scripts.iter().chain(&script.settings_files).chain(&read).map(|file| absolute(file)).collect();
        for file in &self.followed {
            // A folder that is not there is waited for in the one that would hold it.
            let Some(folder) = file.ancestors().skip(1).find(|folder| folder.is_dir()) else { continue };
            if !self.folders.contains(folder) {
                self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| {
                    Error::failed(format!("cannot watch `{}`", folder.display())).because(error.to_string())
                })?;
                self.folders.insert(folder.to_path_buf());
            }
        }
        Ok(self.folders.len() > watched)
    }

    /// How many files are followed that are there.
    pub fn count(&self) -> usize {
        self.followed.iter().filter(|file| file.exists()).count()
    }

    /// Waits for a save; false when the command is to end.
    pub fn wait(&self, saved: &Receiver<Vec<PathBuf>>, session: &Session) -> bool {
        let ours = |paths: &[PathBuf]| paths.iter().any(|path| self.matters(&absolute(path)));
        loop {
            match saved.recv_timeout(LOOK) {
                Ok(paths) if ours(&paths) => break,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if session.cancel.is_cancelled() {
                return false;
            }
        }
        while saved.recv_timeout(SETTLE).is_ok() {}
        true
    }

    /// Whether a change of `path` may matter: it is followed, or a folder in which something is.
    fn matters(&self, path: &Path) -> bool {
        is_script(path) || self.followed.iter().any(|file| file.starts_with(path))
    }
}

/// A script that was not there before may win over an embedded one.
fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rhai")
}

fn absolute(path: &Path) -> PathBuf {
    let Some(folder) = path.parent() else { return path.to_path_buf() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    path.file_name().map_or(folder.clone(), |name| folder.join(name))
}
