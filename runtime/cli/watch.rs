//! `gitpod-play watch PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    ask::{Answer, ask},
    clouds::Clouds,
    guard,
    options::{Manner, Place, Reach, Script},
    run::{reporter, started, summary, wanted_digest},
    saved::Files,
    session::{self, LateHost, Session, Wanted},
    show, signals, stale, tell, tell_refused,
};
use crate::{
    cx::{Mode, Run},
    engine::{Engine, planned::Verdict, schedule, steps::Pass},
    error::Result,
    playbook::Playbook,
    report::{Event, Reporter, Silent, ending::counted, logged::Logged, plan},
    state,
};
use clap::Args;
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// Run again what an edit changed, each time a file is saved.
///
/// The steps whose code, helpers, constants, settings or files that they read changed run again, then those that depend on an output that changed;
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
    pub(super) manner: Manner,
}

impl Watch {
    pub(super) fn carry_out(self) -> Outcome {
        let session = Session::open(&self.place, &self.script.playbook)?;
        let (playbook, host) = session::load(&self.script, &session.registry, false)?;
        let lease = session.take()?;
        signals::watch(session.runtime.handle(), session.cancel.clone());
        let clouds = session.reach(&self.reach)?;
        let account = guard::same_clouds(&session, &clouds, &self.reach, &session.targets(&playbook))?;
        let mut watching = Watching { watch: &self, session: &session, clouds: &clouds, account, run: None };
        let (mut files, saved) = Files::new()?;
        let mut first = Some((playbook, host));
        while !session.cancel.is_cancelled() {
            let loaded = match first.take() {
                Some(loaded) => Ok(loaded),
                None => session::load(&self.script, &session.registry, false),
            };
            match loaded {
                Ok((playbook, host)) => {
                    if files.follow(&session.log, &playbook, &self.script)? {
                        // Something may have been saved in a folder before it was watched.
                        continue;
                    }
                    if let Err(refusal) = watching.catch_up(&playbook, &host) {
                        self.refuse(&refusal);
                    }
                    // The steps may have read others than before.
                    files.follow(&session.log, &playbook, &self.script)?;
                }
                Err(refusal) => self.refuse(&refusal),
            }
            if !self.manner.json {
                tell(&format!("\nwatching {} (Ctrl-C ends)", counted(files.count(), "file")));
            }
            if !files.wait(&saved, &session) {
                break;
            }
        }
        let _ = session.runtime.block_on(session.log.release(lease));
        Ok(Exit::Done)
    }

    /// Shows what kept a pass from being made; the next one may be.
    fn refuse(&self, refusal: &Refusal) {
        show(&refusal.0);
        if self.manner.json {
            tell_refused(&refusal.0);
        }
    }
}

struct Watching<'a> {
    watch: &'a Watch,
    session: &'a Session,
    clouds: &'a Clouds,
    /// Whose clouds these are, where it was asked for.
    account: Option<String>,
    /// Kept while the targets stay the same, so that clients and their connections are.
    run: Option<Arc<Run>>,
}

impl Watching<'_> {
    /// Runs what is stale.
    fn catch_up(&mut self, playbook: &Playbook, host: &LateHost) -> Result<(), Refusal> {
        let began = Instant::now();
        let stale = stale::steps(&self.session.log, playbook);
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
            self.session,
            &run_id,
            "watch",
            &self.watch.script.playbook,
            playbook,
            (self.clouds, self.account.as_deref()),
            wanted_digest(playbook, None),
        )]))?;
        let (reads, writes) = engine.run.wire.counts();
        let pass = Pass::over_stale(&engine, playbook, handle.clone(), usize::from(self.watch.reach.jobs), stale);
        let mut outcome = pass.run();
        let ran: BTreeSet<String> = pass.ran.into_inner().unwrap_or_default().into_keys().collect();
        outcome.done.retain(|step| ran.contains(step));
        if outcome.failed.is_empty() && outcome.left.is_empty() {
            self.delete_undeclared(&engine, &ran, &removed, &mut outcome)?;
        }
        let ok = outcome.failed.is_empty() && outcome.left.is_empty();
        let ended = if ok { state::Outcome::Done } else { state::Outcome::Failed };
        handle.block_on(log.append(vec![state::Event::RunEnded {
            run_id,
            outcome: ended,
            changes: Some(engine.changes()),
        }]))?;
        let go_on = (!ok).then(|| "save an edit, and it is tried again".to_owned());
        let mut summary = summary(&engine, self.session, &outcome, "watch", began, go_on);
        // The wire is that of all passes.
        summary.reads -= reads;
        summary.writes -= writes;
        reporter.hear(&Event::RunEnded(summary));
        Ok(())
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
            looking: false,
            reach: &self.watch.reach,
            manner: &self.watch.manner,
            clouds: self.clouds,
            targets: self.session.targets(playbook),
            playbook_folder: session::folder_of(&self.watch.script.playbook),
            allow_read: &self.watch.script.allow_read,
            protected_steps: session::protected(playbook),
            reporter: reporter.clone(),
        })?;
        let run = match &self.run {
            Some(run) if run.targets == self.session.targets(playbook) => run.clone(),
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
            looking: false,
            reach: &self.watch.reach,
            manner: &self.watch.manner,
            clouds: self.clouds,
            targets: self.session.targets(&playbook),
            playbook_folder: session::folder_of(&self.watch.script.playbook),
            allow_read: &self.watch.script.allow_read,
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
        tell(plan::text(&planned, &steps, false).trim_end());
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
        if let Some(refused) =
            handle.block_on(engine.refused_deletes(&orphans)).into_iter().map(|(_, error)| error).next()
        {
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
