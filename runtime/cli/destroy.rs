//! `gitpod-play destroy PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    ask::{Answer, ask},
    clouds::{self, Clouds},
    guard,
    options::{Manner, Place, Reach, Script},
    run::{command_line, exit_of, outcome_of, summary},
    session::{self, Session, Wanted},
    signals,
    slips::{nearest, unfitting},
    tell,
};
use crate::{
    cx::Mode,
    engine::Engine,
    error::{Class, Error, pasteable},
    playbook::Sources,
    report::{Event, Reporter, Summary, json::JsonLines, logged::Logged, terminal::Terminal},
    state::{self, Holder},
};
use clap::Args;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Delete everything that the stack holds, in reverse order.
///
/// What is protected or holds data stays unless it is named by `--allow-delete`; then nothing at all is deleted, and the
/// command says what to add. In the end the clouds are searched for leftovers that carry the stack's tag.
#[derive(Args)]
pub struct Destroy {
    /// The playbook, for the stack's name and for what it protects.
    playbook: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    pub(super) manner: Manner,
    /// Delete only what this step made, and what was made after it with its outputs.
    #[arg(long, value_name = "NAME", help_heading = "Stack")]
    step: Option<String>,
}

impl Destroy {
    pub(super) fn carry_out(self) -> Outcome {
        let began = Instant::now();
        let session = Session::open(&self.place, &self.playbook)?;
        let (targets, addresses) = session.log.with(|state| (targets(&state.targets), self.addresses(state)));
        clouds::check(&self.reach)?;
        self.step_is_known(&session)?;
        if addresses.is_empty() {
            self.known(&session)?;
            return self.nothing(&session, targets, began);
        }
        let lease = session.take()?;
        let stopped = signals::watch(session.runtime.handle(), session.cancel.clone());
        let clouds = session.reach(&self.reach)?;
        let steps: BTreeSet<String> =
            session.log.with(|state| state.resources.values().map(|resource| resource.step.clone()).collect());
        let reporter = self.reporter(&steps);
        self.warn_of_slips(&session, reporter.as_ref());
        guard::same_clouds(&session, &clouds, &self.reach, &reached(&targets))?;
        let engine = self.engine(&session, &clouds, Mode::Run, targets.clone(), reporter.clone())?;
        let handle = session.runtime.handle();
        self.agreed(&engine, &session, &addresses, clouds.is_live())?;
        let run_id = crate::engine::new_run_id();
        handle.block_on(session.log.append(vec![self.started(&run_id, &targets)]))?;
        reporter.hear(&Event::RunStarted {
            verb: "destroy".to_owned(),
            stack: session.stack.clone(),
            target: clouds.target.clone(),
            steps: steps.len(),
        });
        let clusters = session.log.with(clusters);
        let destroyed = engine.destroy(&addresses, usize::from(self.reach.jobs), handle);
        let exit = exit_of(&destroyed.outcome, stopped.load(Ordering::SeqCst));
        if exit == Exit::Done && self.step.is_none() {
            Self::forget_steps(&session)?;
            handle.block_on(report_leftovers(&engine, &clusters));
        }
        let ended = state::Event::RunEnded { run_id, outcome: outcome_of(exit), changes: Some(engine.changes()) };
        let written = handle.block_on(session.log.append(vec![ended]));
        let _ = handle.block_on(session.log.release(lease));
        if let Some(text) = clouds.lost().filter(|_| exit != Exit::Done) {
            reporter.hear(&Event::Warning { text });
        }
        let go_on = (exit != Exit::Done).then(command_line);
        reporter.hear(&Event::RunEnded(summary(&engine, &session, &destroyed.outcome, "destroy", began, go_on)));
        written?;
        Ok(exit)
    }

    fn reporter(&self, steps: &BTreeSet<String>) -> Arc<dyn Reporter> {
        if self.manner.json {
            Logged::before(JsonLines::new(std::io::stdout()))
        } else {
            Logged::before(Terminal::new(steps.iter().map(String::as_str)))
        }
    }

    /// The log holds nothing: the clouds may all the same, when a run was killed between the last delete and the last look, or
    /// something was forgotten. A stack that never ran is not looked for.
    fn nothing(&self, session: &Session, targets: BTreeMap<String, Value>, began: Instant) -> Outcome {
        let reporter = self.reporter(&BTreeSet::new());
        let looked = self.step.is_none() && !targets.is_empty();
        let clouds = looked.then(|| session.reach(&self.reach)).transpose()?;
        if self.manner.json {
            let target = clouds.as_ref().map(|clouds| clouds.target.clone());
            let target = target.unwrap_or_else(|| format!("{:?}", self.reach.target).to_lowercase());
            let (verb, stack) = ("destroy".to_owned(), session.stack.clone());
            reporter.hear(&Event::RunStarted { verb, stack, target, steps: 0 });
        } else {
            super::print(&format!("nothing to delete: stack `{}` holds no resources", session.stack));
        }
        let mut calls = (0, 0);
        if let Some(clouds) = &clouds {
            let engine = self.engine(session, clouds, Mode::Plan, targets, reporter.clone())?;
            session.runtime.block_on(report_leftovers(&engine, &[]));
            calls = engine.run.wire.counts();
        }
        if self.manner.json {
            reporter.hear(&Event::RunEnded(Summary {
                verb: "destroy".to_owned(),
                stack: session.stack.clone(),
                ok: true,
                resources: session.log.with(|state| state.resources.len()),
                reads: calls.0,
                writes: calls.1,
                took_s: began.elapsed().as_secs_f64(),
                ..Summary::default()
            }));
        }
        Ok(Exit::Done)
    }

    /// Refuses `--step` with a name that the stack knows no step by. Where it knows none, a slip cannot be told.
    fn step_is_known(&self, session: &Session) -> Result<(), Refusal> {
        let Some(wanted) = &self.step else { return Ok(()) };
        let known: BTreeSet<String> = session.log.with(|state| {
            let of_resources = state.resources.values().map(|resource| resource.step.clone());
            state.steps.keys().cloned().chain(of_resources).collect()
        });
        let Some(near) = nearest(wanted, known.iter().map(String::as_str)).filter(|_| !known.contains(wanted)) else {
            return Ok(());
        };
        let message = format!("there is no step `{wanted}` in stack `{}`", session.stack);
        Err(Error::usage(message).hint(format!("did you mean `--step {}`?", pasteable(near))).into())
    }

    /// Names that fit nothing are no reason to stop, but hardly what was meant. A destroy that goes on may name what is gone.
    fn warn_of_slips(&self, session: &Session, reporter: &dyn Reporter) {
        let runs = session.log.history();
        if runs.last().is_some_and(|run| run.verb == "destroy" && run.outcome != Some(state::Outcome::Done)) {
            return;
        }
        let held = session.log.with(|state| state.resources.keys().cloned().collect());
        for text in unfitting(&self.manner.allow_delete, &held, true) {
            reporter.hear(&Event::Warning { text });
        }
    }

    fn engine(
        &self,
        session: &Session,
        clouds: &Clouds,
        mode: Mode,
        targets: BTreeMap<String, Value>,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Engine>, Error> {
        session.engine(Wanted {
            mode,
            looking: false,
            reach: &self.reach,
            manner: &self.manner,
            clouds,
            targets,
            playbook_folder: PathBuf::from("."),
            allow_read: &[],
            protected_steps: self.protected(session),
            reporter,
        })
    }

    /// Steps that the playbook protects now; what it protected when it ran is recorded. A stack can be destroyed without its
    /// playbook, and with one that is broken.
    fn protected(&self, session: &Session) -> BTreeSet<String> {
        if !Path::new(&self.playbook).is_file() {
            return BTreeSet::new();
        }
        let script = Script {
            playbook: self.playbook.clone(),
            settings_files: Vec::new(),
            set: Vec::new(),
            allow_read: Vec::new(),
        };
        if let Ok((playbook, _)) = session::load(&script, &session.registry, true) {
            return session::protected(&playbook);
        }
        let known = "what it protects is known from its last run only";
        tell(&format!("note: `{}` cannot be read as it is: {known}", self.playbook));
        BTreeSet::new()
    }

    /// Refuses a name that is neither a playbook nor a stack: it is a slip.
    fn known(&self, session: &Session) -> Result<(), Refusal> {
        let is_playbook = Path::new(&self.playbook).is_file()
            || Sources::embedded().get(self.playbook.trim_start_matches("./").trim_end_matches(".rhai")).is_some();
        if is_playbook || !session.log.history().is_empty() {
            return Ok(());
        }
        Err(Error::usage(format!("there is no playbook `{}`, and no stack `{}`", self.playbook, session.stack))
            .hint(format!(
                "name the stack with `--stack NAME`; `gitpod-play state history --state {}` shows one",
                self.place.state
            ))
            .into())
    }

    fn addresses(&self, state: &state::State) -> BTreeSet<String> {
        let Some(step) = &self.step else { return state.resources.keys().cloned().collect() };
        let mut steps = BTreeSet::from([step.clone()]);
        loop {
            let more: Vec<String> = state
                .steps
                .iter()
                .filter(|(name, it)| !steps.contains(*name) && it.needs.iter().any(|need| steps.contains(need)))
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            steps.extend(more);
        }
        state.resources.values().filter(|it| steps.contains(&it.step)).map(|it| it.address.clone()).collect()
    }

    /// Nothing is deleted unless everything may be, and the person agrees.
    fn agreed(
        &self,
        engine: &Engine,
        session: &Session,
        addresses: &BTreeSet<String>,
        live: bool,
    ) -> Result<(), Refusal> {
        let refused = session.runtime.block_on(engine.refused_deletes(addresses));
        if let Some((_, unknown)) = refused.iter().find(|(_, error)| error.class != Class::Refused) {
            return Err(unknown.clone().into());
        }
        if !refused.is_empty() {
            let reasons: Vec<&str> = refused.iter().map(|(_, error)| error.message.as_str()).collect();
            let flags: Vec<&str> =
                refused.iter().filter_map(|(_, error)| error.hint.as_deref()?.split('`').nth(1)).collect();
            return Err(Error::new(Class::Refused, "nothing was deleted")
                .because(reasons.join("; "))
                .hint(format!("{} {}", command_line(), flags.join(" ")))
                .into());
        }
        let question = format!("delete {} resources of stack `{}`?", addresses.len(), session.stack);
        match ask(&question, self.manner.yes) {
            Answer::Yes => Ok(()),
            // The simulated clouds hold nothing that anyone could miss.
            Answer::Nobody if !live => Ok(()),
            Answer::Nobody => {
                Err(Error::usage("there is nobody to ask").hint(format!("{} --yes", command_line())).into())
            }
            Answer::No => Err(Error::new(Class::Interrupted, "nothing was deleted").into()),
        }
    }

    fn forget_steps(session: &Session) -> Result<(), Refusal> {
        let steps: Vec<String> = session.log.with(|state| state.steps.keys().cloned().collect());
        let events = steps.into_iter().map(|step| state::Event::StepForgotten { step }).collect();
        session.runtime.block_on(session.log.append(events))?;
        Ok(())
    }

    fn started(&self, run_id: &str, targets: &BTreeMap<String, Value>) -> state::Event {
        let holder = Holder::here("destroy");
        state::Event::RunStarted {
            run_id: run_id.to_owned(),
            verb: "destroy".to_owned(),
            playbook: self.playbook.clone(),
            targets: targets.clone().into_iter().collect(),
            settings_digest: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: holder.host,
            user: holder.user,
        }
    }
}

/// What the last run was told about the clouds.
fn reached(targets: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    targets.iter().filter(|(_, value)| value.is_object()).map(|(cloud, value)| (cloud.clone(), value.clone())).collect()
}

fn targets(recorded: &Value) -> BTreeMap<String, Value> {
    recorded.as_object().into_iter().flatten().map(|(cloud, value)| (cloud.clone(), value.clone())).collect()
}

/// Names of the clusters that the stack holds: what Kubernetes makes carries their tag, not the stack's.
fn clusters(state: &state::State) -> Vec<String> {
    let names = state.resources.keys().filter_map(|address| address.strip_prefix("aws::eks::cluster/"));
    names.map(str::to_owned).collect()
}

/// Searches the clouds for what carries the tag of the stack, or of one of its clusters, all the same.
async fn report_leftovers(engine: &Engine, clusters: &[String]) {
    const LOOK: &str = "aws::leftovers";
    if engine.registry.get(LOOK).is_none() {
        return;
    }
    let looks = if clusters.is_empty() { vec![None] } else { clusters.iter().map(Some).collect() };
    let mut left = BTreeSet::new();
    for cluster in looks {
        match engine.call("", LOOK, json!({ "stack": engine.run.stack, "cluster": cluster })).await {
            Ok(Value::Array(found)) => left.extend(found.iter().map(|it| {
                let text = |field: &str| it[field].as_str().unwrap_or("?");
                format!("{} {}", text("kind"), text("id"))
            })),
            Ok(_) => {}
            Err(error) => {
                let text = format!("could not look for leftovers: {error}");
                engine.reporter.hear(&Event::Warning { text });
            }
        }
    }
    if !left.is_empty() {
        let list: Vec<&str> = left.iter().map(String::as_str).collect();
        let text = format!("left over, with the tag of this stack or its cluster: {}", list.join(", "));
        engine.reporter.hear(&Event::Warning { text });
    }
}
