//! `gitpod-play watch PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    ask::{Answer, ask},
    clouds::Clouds,
    options::{Manner, Place, Reach, Script},
    run::{reporter, started, summary},
    session::{self, LateHost, Session, Wanted},
    show, signals,
};
use crate::{
    cx::{Mode, Run},
    engine::{Engine, planned::Verdict, schedule, steps::Pass},
    error::{Error, Result},
    playbook::Playbook,
    report::{Event, Reporter, Silent, logged::Logged, plan},
    state,
};
use clap::Args;
use notify::{RecursiveMode, Watcher};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

/// After the first sign of a save, how long to wait for the rest of it. Editors write, rename and touch in one go.
const SETTLE: Duration = Duration::from_millis(8);
/// How often a stop is looked for while nothing is saved.
const LOOK: Duration = Duration::from_millis(100);

/// Run again what an edit changed, each time a file is saved.
///
/// The steps whose code, helpers, constants or settings changed run again, then those that depend on an output that changed;
/// all others keep their recorded outputs. On live clouds it asks before it creates, replaces or deletes.
#[derive(Args)]
pub struct Watch {
    #[command(flatten)]
    script: Script,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    manner: Manner,
}

impl Watch {
    pub(super) fn carry_out(self) -> Outcome {
        let session = Session::open(&self.place, &self.script.playbook)?;
        let (playbook, host) = session::load(&self.script, &session.registry, false)?;
        let lease = session.take()?;
        signals::watch(session.runtime.handle(), session.cancel.clone());
        let clouds = session.reach(&self.reach)?;
        let mut watching = Watching { watch: &self, session: &session, clouds: &clouds, run: None };
        let (files, saved) = watched(&playbook, &self.script)?;
        let mut files = files;
        let mut first = Some((playbook, host));
        while !session.cancel.is_cancelled() {
            let loaded = match first.take() {
                Some(loaded) => Ok(loaded),
                None => session::load(&self.script, &session.registry, false),
            };
            match loaded {
                Ok((playbook, host)) => {
                    files.follow(&playbook, &self.script)?;
                    match watching.catch_up(&playbook, &host) {
                        Ok(()) => {}
                        Err(refusal) => show(&refusal.0),
                    }
                }
                Err(refusal) => show(&refusal.0),
            }
            if !self.manner.json {
                eprintln!("watching {} files (Ctrl-C ends)", files.count());
            }
            if !files.wait(&saved, &session) {
                break;
            }
        }
        let _ = session.runtime.block_on(session.log.release(lease));
        Ok(Exit::Done)
    }
}

struct Watching<'a> {
    watch: &'a Watch,
    session: &'a Session,
    clouds: &'a Clouds,
    /// Kept while the targets stay the same, so that clients and their connections are.
    run: Option<Arc<Run>>,
}

impl Watching<'_> {
    /// Runs what is stale.
    fn catch_up(&mut self, playbook: &Playbook, host: &LateHost) -> Result<(), Refusal> {
        let began = Instant::now();
        let stale = self.stale(playbook);
        let removed = self.removed(playbook);
        if stale.is_empty() && removed.is_empty() {
            return Ok(());
        }
        if self.clouds.is_live() && !self.agreed(&stale)? {
            return Ok(());
        }
        let reporter = reporter(&self.watch.manner, playbook);
        let engine = self.engine(playbook, reporter.clone())?;
        host.set(engine.clone(), &self.session.runtime);
        let handle = self.session.runtime.handle();
        let run_id = crate::engine::new_run_id();
        let log = &self.session.log;
        handle.block_on(log.append(vec![started(
            &run_id,
            "watch",
            &self.watch.script.playbook,
            playbook,
            self.clouds,
        )]))?;
        let pass = Pass::over_stale(&engine, playbook, handle.clone(), usize::from(self.watch.reach.jobs), stale);
        let mut outcome = pass.run();
        let ran: BTreeSet<String> = pass.ran.into_inner().unwrap_or_default().into_keys().collect();
        outcome.done.retain(|step| ran.contains(step));
        if outcome.failed.is_empty() && outcome.left.is_empty() {
            self.delete_undeclared(&engine, &ran, &removed, &mut outcome)?;
        }
        let ok = outcome.failed.is_empty() && outcome.left.is_empty();
        let ended = if ok { state::Outcome::Done } else { state::Outcome::Failed };
        handle.block_on(log.append(vec![state::Event::RunEnded { run_id, outcome: ended }]))?;
        let go_on = (!ok).then(|| "save an edit, and it is tried again".to_owned());
        reporter.hear(&Event::RunEnded(summary(&engine, self.session, &outcome, "watch", began, go_on)));
        Ok(())
    }

    /// Steps that never ended well, or whose code or settings are not those of the record.
    fn stale(&self, playbook: &Playbook) -> BTreeSet<String> {
        self.session.log.with(|state| {
            let is_stale = |name: &str| {
                let Some(record) = state.steps.get(name) else { return true };
                let settings = record.settings_read.as_object();
                record.outputs.is_none()
                    || record.status != state::StepStatus::Done
                    || record.code.as_deref() != Some(&playbook.code_digest(name))
                    || settings
                        .into_iter()
                        .flatten()
                        .any(|(path, value)| playbook.settings.get(path).is_none_or(|setting| setting.value != *value))
            };
            let on = playbook.steps.iter().filter(|step| step.when && is_stale(&step.name));
            let off = playbook
                .steps
                .iter()
                .filter(|step| !step.when && state.resources.values().any(|resource| resource.step == step.name));
            on.chain(off).map(|step| step.name.clone()).collect()
        })
    }

    /// Steps that the log holds resources of and the playbook no longer has.
    fn removed(&self, playbook: &Playbook) -> BTreeSet<String> {
        let known: BTreeSet<&str> = playbook.steps.iter().map(|step| step.name.as_str()).collect();
        self.session.log.with(|state| {
            let steps = state.resources.values().map(|resource| resource.step.clone());
            steps.filter(|step| !known.contains(step.as_str())).collect()
        })
    }

    fn engine(&mut self, playbook: &Playbook, reporter: Arc<dyn Reporter>) -> Result<Arc<Engine>> {
        let fresh = self.session.engine(Wanted {
            mode: Mode::Run,
            reach: &self.watch.reach,
            manner: &self.watch.manner,
            clouds: self.clouds,
            targets: playbook.targets.clone(),
            playbook_folder: session::folder_of(&self.watch.script.playbook),
            protected_steps: session::protected(playbook),
            reporter: reporter.clone(),
        })?;
        let run = match &self.run {
            Some(run) if run.targets == playbook.targets => run.clone(),
            _ => fresh.run.clone(),
        };
        self.run = Some(run.clone());
        let engine = Engine::new(run, fresh.registry.clone(), fresh.log.clone(), reporter, fresh.permissions.clone());
        Ok(Arc::new(engine))
    }

    /// On live clouds: plans the stale steps, and asks when something would be made, replaced or deleted.
    fn agreed(&self, stale: &BTreeSet<String>) -> Result<bool, Refusal> {
        let (playbook, host) = session::load(&self.watch.script, &self.session.registry, true)?;
        let engine = self.session.engine(Wanted {
            mode: Mode::Plan,
            reach: &self.watch.reach,
            manner: &self.watch.manner,
            clouds: self.clouds,
            targets: playbook.targets.clone(),
            playbook_folder: session::folder_of(&self.watch.script.playbook),
            protected_steps: session::protected(&playbook),
            reporter: Logged::before(Silent),
        })?;
        host.set(engine.clone(), &self.session.runtime);
        let handle = self.session.runtime.handle().clone();
        let pass = Pass::over_stale(&engine, &playbook, handle, usize::from(self.watch.reach.jobs), stale.clone());
        if !pass.run().failed.is_empty() {
            return Err(pass.errors.into_inner().unwrap_or_default().into_values().collect::<Vec<_>>().into());
        }
        let planned = engine.planned();
        let dear = [Verdict::Create, Verdict::Adopt, Verdict::Replace, Verdict::Delete];
        if !planned.iter().any(|line| dear.contains(&line.verdict)) {
            return Ok(true);
        }
        let steps: Vec<String> = playbook.steps.iter().map(|step| step.name.clone()).collect();
        eprint!("{}", plan::text(&planned, &steps));
        Ok(ask("carry out this plan?", self.watch.manner.yes) == Answer::Yes)
    }

    /// Deletes what the steps that ran, or are gone, no longer declare.
    fn delete_undeclared(
        &self,
        engine: &Engine,
        ran: &BTreeSet<String>,
        removed: &BTreeSet<String>,
        outcome: &mut schedule::Outcome,
    ) -> Result<(), Refusal> {
        let declared = engine.declared();
        let orphans: BTreeSet<String> = self.session.log.with(|state| {
            let left = state.resources.values().filter(|it| ran.contains(&it.step) || removed.contains(&it.step));
            left.filter(|it| !declared.contains(&it.address)).map(|it| it.address.clone()).collect()
        });
        if orphans.is_empty() {
            return Ok(());
        }
        let handle = self.session.runtime.handle();
        if let Some(refused) = handle.block_on(engine.refused_deletes(&orphans)).into_iter().next() {
            return Err(refused.into());
        }
        let list: Vec<&str> = orphans.iter().map(String::as_str).collect();
        let question = format!("no longer declared: {}; delete?", list.join(", "));
        if self.clouds.is_live() && ask(&question, self.watch.manner.yes) != Answer::Yes {
            return Ok(());
        }
        let destroyed = engine.destroy(&orphans, usize::from(self.watch.reach.jobs), handle);
        outcome.failed.extend(destroyed.outcome.failed);
        Ok(())
    }
}

/// The files that matter, and the watcher of the folders they lie in.
struct Files {
    watcher: notify::RecommendedWatcher,
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

fn watched(playbook: &Playbook, script: &Script) -> Result<(Files, Receiver<Vec<PathBuf>>)> {
    let (sender, receiver) = channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && !event.kind.is_access()
        {
            let _ = sender.send(event.paths);
        }
    })
    .map_err(|error| Error::failed("cannot watch files").because(error.to_string()))?;
    let mut files = Files { watcher, files: BTreeSet::new(), folders: BTreeSet::new() };
    files.follow(playbook, script)?;
    Ok((files, receiver))
}

impl Files {
    /// Watches the folders of all files that the playbook was read from: an editor may save by renaming another file.
    fn follow(&mut self, playbook: &Playbook, script: &Script) -> Result<()> {
        self.files = playbook.files().iter().chain(&script.settings_files).map(|file| absolute(file)).collect();
        for file in &self.files {
            let Some(folder) = file.parent() else { continue };
            if self.folders.insert(folder.to_path_buf()) {
                self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| {
                    Error::failed(format!("cannot watch `{}`", folder.display())).because(error.to_string())
                })?;
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.files.len()
    }

    /// Waits for a save; false when the command is to end.
    fn wait(&self, saved: &Receiver<Vec<PathBuf>>, session: &Session) -> bool {
        let ours = |paths: &[PathBuf]| paths.iter().any(|path| self.files.contains(&absolute(path)) || is_script(path));
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
