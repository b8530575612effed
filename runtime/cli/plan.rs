//! `gitpod-play plan PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    clouds::Clouds,
    guard,
    options::{Manner, Place, Reach, Script},
    session::{self, Session, Wanted},
    slips::unfitting,
};
use crate::{
    cx::Mode,
    engine::{
        Engine,
        planned::{Planned, Verdict},
        steps::Pass,
    },
    playbook::{Diagnostic, Playbook},
    report::{Event, Reporter, json::JsonLines, logged::Logged, looking::Looking, plan},
};
use clap::Args;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Show what `run` would do: what it would create, and field by field what it would change.
///
/// Nothing is written, neither to a cloud nor to the state. Of what would be created the most telling fields are shown. What cannot be known before the run is shown as the place that
/// it will come from: `<network.vpc>`.
#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    script: Script,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    reach: Reach,
    /// Plan this step and what it needs, nothing else.
    #[arg(long, value_name = "NAME", help_heading = "Playbook")]
    step: Option<String>,
    /// Show events as JSON lines on standard output.
    #[arg(long, help_heading = "Consent and output")]
    pub(super) json: bool,
    /// Show every field of what would be created.
    #[arg(long, short, help_heading = "Consent and output")]
    verbose: bool,
    /// Exit with 3 when there is something to do.
    #[arg(long, help_heading = "Consent and output")]
    detailed_exitcode: bool,
    /// Plan as if this were given to `run`. May be given several times.
    #[arg(long, value_name = "NAME", help_heading = "Consent and output")]
    allow_delete: Vec<String>,
}

impl Plan {
    pub(super) fn carry_out(self) -> Outcome {
        let session = Session::open(&self.place, &self.script.playbook)?;
        let clouds = session.reach(&self.reach)?;
        let (playbook, _) = session::load(&self.script, &session.registry, true)?;
        guard::same_clouds(&session, &clouds, &self.reach, &session.targets(&playbook))?;
        let manner = Manner { json: self.json, yes: false, allow_delete: self.allow_delete.clone() };
        let planning = Planning {
            session: &session,
            clouds: &clouds,
            script: &self.script,
            reach: &self.reach,
            manner: &manner,
            step: self.step.as_deref(),
            verbose: self.verbose,
        };
        let made = planning.make()?;
        if !self.json {
            super::print(made.text.trim_end());
        }
        Ok(if self.detailed_exitcode && made.counts.any() { Exit::Changes } else { Exit::Done })
    }
}

/// What a plan is made from.
pub(super) struct Planning<'a> {
    pub session: &'a Session,
    pub clouds: &'a Clouds,
    pub script: &'a Script,
    pub reach: &'a Reach,
    pub manner: &'a Manner,
    pub step: Option<&'a str>,
    /// Show every field of what would be created.
    pub verbose: bool,
}

/// A plan.
pub(super) struct Made {
    pub text: String,
    pub counts: plan::Counts,
}

/// What became of a pass that writes nothing.
pub(super) struct Passed {
    pub playbook: Playbook,
    pub engine: Arc<Engine>,
    /// The errors of the steps that failed.
    pub errors: BTreeMap<String, Diagnostic>,
}

impl Planning<'_> {
    /// Reads everything and compares.
    pub fn make(&self) -> Result<Made, Refusal> {
        let began = Instant::now();
        let reporter: Arc<dyn Reporter> = if self.manner.json {
            Logged::before(JsonLines::new(std::io::stdout()))
        } else {
            Logged::before(Looking::for_a_plan())
        };
        let Passed { playbook, engine, errors } = self.pass(&reporter, false)?;
        if !errors.is_empty() {
            return Err(errors.into_values().collect::<Vec<Diagnostic>>().into());
        }
        let mut planned = engine.planned();
        if self.step.is_none() {
            let deletes = self.session.runtime.block_on(planned_deletes(&engine, &planned));
            for delete in &deletes {
                reporter.hear(&Event::Planned(delete.clone()));
            }
            planned.extend(deletes);
        }
        for text in unfitting(&self.manner.allow_delete, &fitting(&engine), self.step.is_none()) {
            reporter.hear(&Event::Warning { text });
        }
        let steps: Vec<String> = playbook.steps.iter().map(|step| step.name.clone()).collect();
        let text = plan::text(&planned, &steps, self.verbose);
        let counts = plan::Counts::of(&planned);
        let took_s = began.elapsed().as_secs_f64();
        reporter.hear(&Event::PlanEnded { stack: self.session.stack.clone(), counts, took_s });
        Ok(Made { text, counts })
    }

    /// Runs the steps without a write; without any program, too, when it is only to be seen whether a run can begin.
    pub fn pass(&self, reporter: &Arc<dyn Reporter>, looking: bool) -> Result<Passed, Refusal> {
        let (playbook, host) = session::load(self.script, &self.session.registry, true)?;
        let chosen = session::chosen(&playbook, self.step)?;
        let engine = self.session.engine(Wanted {
            mode: Mode::Plan,
            looking,
            reach: self.reach,
            manner: self.manner,
            clouds: self.clouds,
            targets: self.session.targets(&playbook),
            playbook_folder: session::folder_of(&self.script.playbook),
            allow_read: &self.script.allow_read,
            protected_steps: session::protected(&playbook),
            reporter: reporter.clone(),
        })?;
        host.set(engine.clone(), &self.session.runtime);
        if !looking {
            reporter.hear(&Event::RunStarted {
                verb: "plan".to_owned(),
                stack: self.session.stack.clone(),
                target: self.clouds.target.clone(),
                steps: chosen.len(),
            });
        }
        let handle = self.session.runtime.handle().clone();
        let pass = Pass::new(&engine, &playbook, handle, usize::from(self.reach.jobs), chosen);
        pass.run();
        self.session.looked.fetch_add(engine.run.wire.counts().0, Ordering::Relaxed);
        let errors = pass.errors.into_inner().unwrap_or_default();
        Ok(Passed { playbook, engine, errors })
    }
}

/// Addresses that a name of `--allow-delete` may mean: what the log holds, what this pass declared, what it changed.
pub(super) fn fitting(engine: &Engine) -> BTreeSet<String> {
    let mut addresses = engine.declared();
    addresses.extend(engine.changed().into_iter().map(|(_, address, _)| address));
    addresses.extend(engine.log.with(|state| state.resources.keys().cloned().collect::<Vec<_>>()));
    addresses
}

/// Resources that the log holds and this pass did not declare.
pub(super) fn orphans(engine: &Engine) -> BTreeSet<String> {
    let declared = engine.declared();
    engine.log.with(|state| state.resources.keys().filter(|address| !declared.contains(*address)).cloned().collect())
}

async fn planned_deletes(engine: &Engine, planned: &[Planned]) -> Vec<Planned> {
    let mut deletes = Vec::new();
    // What a step declares that cannot be planned to its end is not known.
    let unknown: BTreeSet<&str> =
        planned.iter().filter(|line| line.verdict == Verdict::Unknown).map(|line| line.step.as_str()).collect();
    for address in orphans(engine) {
        let Some(resource) = engine.log.with(|state| state.resources.get(&address).cloned()) else { continue };
        if unknown.contains(resource.step.as_str()) {
            continue;
        }
        let refused = engine.may_delete(&resource).await.err();
        deletes.push(Planned {
            address,
            step: resource.step.clone(),
            verdict: Verdict::Delete,
            changes: Vec::new(),
            note: Some("no longer declared".to_owned()),
            needs_allow_delete: refused.map(|_| resource.name.clone()).into_iter().collect(),
        });
    }
    deletes
}
