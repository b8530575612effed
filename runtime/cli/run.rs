//! `gitpod-play run PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    ask::{Answer, ask},
    clouds::Clouds,
    guard,
    options::{Manner, Place, Reach, Script},
    plan::{self, Planning},
    preflight,
    session::{self, Session, Wanted},
    signals,
    slips::unfitting,
    tell,
};
use crate::{
    cx::Mode,
    engine::{Engine, planned::Verdict, schedule, steps::Pass},
    error::{Class, Error, pasteable},
    playbook::Playbook,
    report::{Event, Reporter, Summary, json::JsonLines, logged::Logged, terminal::Terminal},
    state::{self, Holder},
};
use clap::Args;
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Make everything as the playbook says.
///
/// Steps run in parallel, as their needs allow. Whatever is as wanted already is left alone, so that running again goes on
/// where a run stopped. On live clouds the plan is shown first, and nothing is done before you agreed.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    script: Script,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    pub(super) manner: Manner,
    /// Run this step and what it needs, nothing else.
    #[arg(long, value_name = "NAME", help_heading = "Playbook")]
    step: Option<String>,
    /// Show every field of what the plan of a live run would create.
    #[arg(long, short, help_heading = "Consent and output")]
    verbose: bool,
}

impl Run {
    pub(super) fn carry_out(self) -> Outcome {
        let began = Instant::now();
        let session = Session::open(&self.place, &self.script.playbook)?;
        let (playbook, host) = session::load(&self.script, &session.registry, false)?;
        let chosen = session::chosen(&playbook, self.step.as_deref())?;
        let lease = session.take()?;
        let stopped = signals::watch(session.runtime.handle(), session.cancel.clone());
        let clouds = session.reach(&self.reach)?;
        let account = match guard::same_clouds(&session, &clouds, &self.reach, &session.targets(&playbook)) {
            Ok(account) => account,
            Err(refusal) => {
                let _ = session.runtime.block_on(session.log.release(lease));
                return Err(refusal);
            }
        };
        let wanted = wanted_digest(&playbook, self.step.as_deref());
        let agreed = if clouds.is_live() {
            self.agreed_to_plan(&session, &clouds)
        } else {
            preflight::refusals(&self.planning(&session, &clouds), &playbook, &chosen, &wanted).map(|()| true)
        };
        if !matches!(agreed, Ok(true)) {
            let _ = session.runtime.block_on(session.log.release(lease));
            let exit = if stopped.load(Ordering::SeqCst) { Exit::Interrupted } else { Exit::Failed };
            return agreed.map(|_| exit);
        }
        let reporter = reporter(&self.manner, &playbook);
        let engine = session.engine(Wanted {
            mode: Mode::Run,
            looking: false,
            reach: &self.reach,
            manner: &self.manner,
            clouds: &clouds,
            targets: session.targets(&playbook),
            playbook_folder: session::folder_of(&self.script.playbook),
            allow_read: &self.script.allow_read,
            protected_steps: session::protected(&playbook),
            reporter: reporter.clone(),
        })?;
        host.set(engine.clone(), &session.runtime);
        let run_id = crate::engine::new_run_id();
        let handle = session.runtime.handle();
        handle.block_on(session.log.append(vec![started(
            &session,
            &run_id,
            "run",
            &self.script.playbook,
            &playbook,
            (&clouds, account.as_deref()),
            wanted,
        )]))?;
        reporter.hear(&Event::RunStarted {
            verb: "run".to_owned(),
            stack: session.stack.clone(),
            target: clouds.target.clone(),
            steps: chosen.len(),
        });
        let pass = Pass::new(&engine, &playbook, handle.clone(), usize::from(self.reach.jobs), chosen);
        let mut outcome = pass.run();
        let whole = self.step.is_none() && outcome.failed.is_empty() && outcome.left.is_empty();
        if whole {
            self.delete_orphans(&engine, &session, &mut outcome);
        }
        let exit = exit_of(&outcome, stopped.load(Ordering::SeqCst));
        self.warn(&engine, &clouds, whole, exit);
        let ended = state::Event::RunEnded { run_id, outcome: outcome_of(exit), changes: Some(engine.changes()) };
        // The run's own outcome counts, even when its end cannot be written down.
        let written = handle.block_on(session.log.append(vec![ended]));
        let _ = handle.block_on(session.log.release(lease));
        let go_on = (exit != Exit::Done).then(command_line);
        reporter.hear(&Event::RunEnded(summary(&engine, &session, &outcome, "run", began, go_on)));
        if let Err(error) = written
            && exit == Exit::Done
        {
            return Err(error.into());
        }
        Ok(exit)
    }

    fn planning<'a>(&'a self, session: &'a Session, clouds: &'a Clouds) -> Planning<'a> {
        Planning {
            session,
            clouds,
            script: &self.script,
            reach: &self.reach,
            manner: &self.manner,
            step: self.step.as_deref(),
            verbose: self.verbose,
        }
    }

    /// Shows the plan of a live run and asks.
    fn agreed_to_plan(&self, session: &Session, clouds: &Clouds) -> Result<bool, Refusal> {
        let planned = self.planning(session, clouds).make()?;
        tell(planned.text.trim_end());
        if !planned.counts.any() {
            return Ok(true);
        }
        match ask("carry out this plan?", self.manner.yes) {
            Answer::Yes => Ok(true),
            Answer::No => {
                tell("nothing was changed");
                Ok(false)
            }
            Answer::Nobody => Err(Error::new(Class::Usage, "there is nobody to ask whether to carry out this plan")
                .hint(format!("{} --yes", command_line()))
                .into()),
        }
    }

    /// Tells which names on the command line fit nothing, and that the clouds are gone.
    fn warn(&self, engine: &Engine, clouds: &Clouds, whole: bool, exit: Exit) {
        let slips = unfitting(&self.manner.allow_delete, &plan::fitting(engine), whole);
        for text in slips.into_iter().chain(clouds.lost().filter(|_| exit != Exit::Done)) {
            engine.reporter.hear(&Event::Warning { text });
        }
    }

    /// Deletes what the log holds and the playbook no longer declares.
    fn delete_orphans(&self, engine: &Engine, session: &Session, outcome: &mut schedule::Outcome) {
        let orphans = plan::orphans(engine);
        if orphans.is_empty() {
            return;
        }
        let handle = session.runtime.handle();
        let refused = handle.block_on(engine.refused_deletes(&orphans));
        for (address, error) in &refused {
            let hint = error.hint.as_deref().unwrap_or_default();
            let text = match error.class {
                Class::Refused => format!("{}: no longer declared, kept ({hint})", error.message),
                _ => format!("`{address}` is not deleted: no longer declared, kept ({error})"),
            };
            engine.reporter.hear(&Event::Warning { text });
        }
        let kept = |address: &String| refused.iter().any(|(refused, _)| refused == address);
        let orphans: BTreeSet<String> = orphans.into_iter().filter(|address| !kept(address)).collect();
        if orphans.is_empty() {
            return;
        }
        let list: Vec<&str> = orphans.iter().map(String::as_str).collect();
        let question = format!("no longer declared:\n  - {}\ndelete them?", list.join("\n  - "));
        match ask(&question, self.manner.yes) {
            Answer::Yes => {
                let destroyed = engine.destroy(&orphans, usize::from(self.reach.jobs), handle);
                outcome.failed.extend(destroyed.outcome.failed);
            }
            Answer::No | Answer::Nobody => {
                let text = format!("no longer declared, kept (add `--yes` to delete): {}", list.join(", "));
                engine.reporter.hear(&Event::Warning { text });
            }
        }
    }
}

/// Who hears what happens: a person, or a program.
pub(super) fn reporter(manner: &Manner, playbook: &Playbook) -> Arc<dyn Reporter> {
    if manner.json {
        Logged::before(JsonLines::new(std::io::stdout()))
    } else {
        Logged::before(Terminal::new(playbook.steps.iter().map(|step| step.name.as_str())))
    }
}

/// The command as it was given, for the hint that goes on from here.
pub(super) fn command_line() -> String {
    let quoted = |arg: String| pasteable(&arg);
    std::iter::once("gitpod-play".to_owned()).chain(std::env::args().skip(1).map(quoted)).collect::<Vec<_>>().join(" ")
}

pub(super) fn started(
    session: &Session,
    run_id: &str,
    verb: &str,
    name: &str,
    playbook: &Playbook,
    (clouds, account): (&Clouds, Option<&str>),
    wanted: String,
) -> state::Event {
    let mut targets: serde_json::Map<String, serde_json::Value> = session.targets(playbook).into_iter().collect();
    targets.insert(guard::TARGET.to_owned(), clouds.target.clone().into());
    targets.extend(account.map(|account| (guard::ACCOUNT.to_owned(), account.into())));
    let holder = Holder::here(verb);
    state::Event::RunStarted {
        run_id: run_id.to_owned(),
        verb: verb.to_owned(),
        playbook: name.to_owned(),
        targets: serde_json::Value::Object(targets),
        settings_digest: wanted,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: holder.host,
        user: holder.user,
    }
}

/// Stands for everything that a run of `playbook`, or of one step and its needs, is to make.
pub(super) fn wanted_digest(playbook: &Playbook, step: Option<&str>) -> String {
    let settings = playbook.settings.entries.iter().map(|it| (format!("setting {}", it.path), it.value.clone()));
    let code = playbook.steps.iter().map(|it| (format!("step {}", it.name), playbook.code_digest(&it.name).into()));
    let chosen = step.map(|step| ("--step".to_owned(), step.into()));
    crate::engine::steps::digest(&settings.chain(code).chain(chosen).collect())
}

pub(super) fn exit_of(outcome: &schedule::Outcome, interrupted: bool) -> Exit {
    match (outcome.failed.is_empty() && outcome.left.is_empty(), interrupted) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Interrupted,
        (false, false) => Exit::Failed,
    }
}

pub(super) fn outcome_of(exit: Exit) -> state::Outcome {
    match exit {
        Exit::Done | Exit::Changes => state::Outcome::Done,
        Exit::Interrupted => state::Outcome::Interrupted,
        Exit::Failed | Exit::Usage => state::Outcome::Failed,
    }
}

pub(super) fn summary(
    engine: &Engine,
    session: &Session,
    outcome: &schedule::Outcome,
    verb: &str,
    began: Instant,
    go_on: Option<String>,
) -> Summary {
    let (changed, stopped) = (engine.changed(), engine.stopped());
    let count = |verdict: Verdict| changed.iter().filter(|(_, _, how)| *how == verdict).count();
    let (reads, writes) = engine.run.wire.counts();
    Summary {
        verb: verb.to_owned(),
        stack: session.stack.clone(),
        ok: go_on.is_none(),
        steps_done: outcome.done.len(),
        steps_failed: outcome.failed.iter().filter(|step| !stopped.contains(*step)).cloned().collect(),
        steps_stopped: stopped.into_iter().collect(),
        steps_left: outcome.left.clone(),
        resources: session.log.with(|state| state.resources.len()),
        created: count(Verdict::Create) + count(Verdict::Adopt),
        updated: count(Verdict::Update) + count(Verdict::Do),
        replaced: count(Verdict::Replace),
        deleted: count(Verdict::Delete),
        reads: reads + session.looked.load(Ordering::Relaxed),
        writes,
        took_s: began.elapsed().as_secs_f64(),
        go_on,
    }
}
