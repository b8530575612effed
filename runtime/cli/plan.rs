//! `gitpod-play plan PLAYBOOK`.

use super::{
    Exit, Outcome, Refusal,
    clouds::Clouds,
    options::{Manner, Place, Reach, Script},
    session::{self, Session, Wanted},
};
use crate::{
    cx::Mode,
    engine::{
        Engine,
        planned::{Planned, Verdict},
        steps::Pass,
    },
    playbook::Diagnostic,
    report::{Event, Reporter, Silent, json::JsonLines, logged::Logged, plan},
};
use clap::Args;
use std::{collections::BTreeSet, sync::Arc};

/// Show what `run` would do, field by field.
///
/// Nothing is written, neither to a cloud nor to the state. What cannot be known before the run is shown as the place that
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
    json: bool,
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
        let manner = Manner { json: self.json, yes: false, allow_delete: self.allow_delete.clone() };
        let planning = Planning {
            session: &session,
            clouds: &clouds,
            script: &self.script,
            reach: &self.reach,
            manner: &manner,
            step: self.step.as_deref(),
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
}

/// A plan.
pub(super) struct Made {
    pub text: String,
    pub counts: plan::Counts,
}

impl Planning<'_> {
    /// Reads everything and compares.
    pub fn make(&self) -> Result<Made, Refusal> {
        let (playbook, host) = session::load(self.script, &self.session.registry, true)?;
        let chosen = session::chosen(&playbook, self.step)?;
        let reporter: Arc<dyn Reporter> =
            if self.manner.json { Logged::before(JsonLines::new(std::io::stdout())) } else { Logged::before(Silent) };
        let engine = self.session.engine(Wanted {
            mode: Mode::Plan,
            reach: self.reach,
            manner: self.manner,
            clouds: self.clouds,
            targets: playbook.targets.clone(),
            playbook_folder: session::folder_of(&self.script.playbook),
            protected_steps: session::protected(&playbook),
            reporter: reporter.clone(),
        })?;
        host.set(engine.clone(), &self.session.runtime);
        let handle = self.session.runtime.handle().clone();
        let pass = Pass::new(&engine, &playbook, handle.clone(), usize::from(self.reach.jobs), chosen);
        let outcome = pass.run();
        let errors = pass.errors.into_inner().unwrap_or_default();
        if !outcome.failed.is_empty() {
            return Err(errors.into_values().collect::<Vec<Diagnostic>>().into());
        }
        let mut planned = engine.planned();
        if self.step.is_none() {
            let deletes = handle.block_on(planned_deletes(&engine));
            for delete in &deletes {
                reporter.hear(&Event::Planned(delete.clone()));
            }
            planned.extend(deletes);
        }
        let steps: Vec<String> = playbook.steps.iter().map(|step| step.name.clone()).collect();
        Ok(Made { text: plan::text(&planned, &steps), counts: plan::Counts::of(&planned) })
    }
}

/// Resources that the log holds and this pass did not declare.
pub(super) fn orphans(engine: &Engine) -> BTreeSet<String> {
    let declared = engine.declared();
    engine.log.with(|state| state.resources.keys().filter(|address| !declared.contains(*address)).cloned().collect())
}

async fn planned_deletes(engine: &Engine) -> Vec<Planned> {
    let mut deletes = Vec::new();
    for address in orphans(engine) {
        let Some(resource) = engine.log.with(|state| state.resources.get(&address).cloned()) else { continue };
        let refused = engine.may_delete(&resource).await.err();
        deletes.push(Planned {
            address,
            step: resource.step.clone(),
            verdict: Verdict::Delete,
            changes: Vec::new(),
            note: Some("no longer declared".to_owned()),
            needs_allow_delete: refused.is_some(),
        });
    }
    deletes
}
