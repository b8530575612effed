//! Runs a playbook's steps: which ones, in which order, with what, and what is written down about them.

use super::{
    Engine,
    planned::{Planned, Verdict},
    schedule::{Outcome, Task, run_all},
};
use crate::{
    error::{Class, Error},
    playbook::{Diagnostic, Host, Playbook, Position, Step, StepOutcome},
    report::{Event, terminal::SWITCHED_OFF},
    state,
    value::unknown,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::runtime::Handle;

/// Answers the bindings of a playbook by the engine.
pub struct EngineHost {
    engine: Arc<Engine>,
    runtime: Handle,
}

impl EngineHost {
    /// A host that runs the engine's futures on `runtime`.
    pub fn new(engine: Arc<Engine>, runtime: Handle) -> Self {
        Self { engine, runtime }
    }
}

impl Host for EngineHost {
    fn call(&self, step: &str, binding: &str, args: Value, _at: &Position) -> Result<Value, Error> {
        self.runtime.block_on(self.engine.call(step, binding, args))
    }

    fn say(&self, step: &str, text: &str) {
        self.engine.reporter.hear(&Event::Printed { step: step.to_owned(), text: text.to_owned() });
    }
}

/// One pass over a playbook's steps.
pub struct Pass<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The playbook.
    pub playbook: &'a Playbook,
    /// For the records, which are written from worker threads.
    pub runtime: Handle,
    /// How many steps may run at once.
    pub jobs: usize,
    /// The steps to run; all others keep their recorded outputs.
    pub chosen: BTreeSet<String>,
    /// Outputs by step: recorded ones of steps that are not chosen, then those of this pass.
    pub outputs: Mutex<BTreeMap<String, Value>>,
    /// The first error of each failed step.
    pub errors: Mutex<BTreeMap<String, Diagnostic>>,
    /// When given, only these steps run, and those that need one whose output changed; all others keep what is recorded.
    pub stale: Option<BTreeSet<String>>,
    /// Steps that ran, and whether their output changed by it.
    pub ran: Mutex<BTreeMap<String, bool>>,
}

impl<'a> Pass<'a> {
    /// A pass over `chosen`.
    pub fn new(
        engine: &'a Engine,
        playbook: &'a Playbook,
        runtime: Handle,
        jobs: usize,
        chosen: BTreeSet<String>,
    ) -> Self {
        let recorded = engine.log.with(|state| {
            let steps = state.steps.iter().filter(|(step, _)| !chosen.contains(*step));
            steps.filter_map(|(step, it)| Some((step.clone(), it.outputs.clone()?))).collect()
        });
        Self {
            engine,
            playbook,
            runtime,
            jobs,
            chosen,
            outputs: Mutex::new(recorded),
            errors: Mutex::default(),
            stale: None,
            ran: Mutex::default(),
        }
    }

    /// A pass over what is stale and what depends on it.
    pub fn over_stale(
        engine: &'a Engine,
        playbook: &'a Playbook,
        runtime: Handle,
        jobs: usize,
        stale: BTreeSet<String>,
    ) -> Self {
        let all = playbook.steps.iter().map(|step| step.name.clone()).collect();
        let recorded = engine.log.with(|state| {
            state.steps.iter().filter_map(|(step, it)| Some((step.clone(), it.outputs.clone()?))).collect()
        });
        let pass = Self::new(engine, playbook, runtime, jobs, all);
        Self { stale: Some(stale), outputs: Mutex::new(recorded), ..pass }
    }

    /// Whether the recorded output of `step` still holds.
    fn keeps(&self, step: &Step) -> bool {
        let Some(stale) = &self.stale else { return false };
        let ran = super::locked(&self.ran);
        !stale.contains(&step.name) && !step.needs.iter().any(|need| ran.get(need) == Some(&true))
    }

    /// Runs the chosen steps. Blocks; call it from outside the async runtime.
    pub fn run(&self) -> Outcome {
        let steps: BTreeMap<&str, &Step> = self.playbook.steps.iter().map(|step| (step.name.as_str(), step)).collect();
        let tasks: Vec<Task> =
            self.playbook.steps.iter().filter(|it| self.chosen.contains(&it.name)).map(|it| self.task(it)).collect();
        let stopped = || self.engine.run.cancel.is_cancelled();
        let outcome = run_all(&tasks, self.jobs, &stopped, &|task| {
            steps.get(task.name.as_str()).is_some_and(|step| self.run_step(step))
        });
        if !stopped() {
            self.runtime.block_on(self.engine.delete_late_twins());
        }
        for step in &outcome.left {
            let why =
                if stopped() { "the run was stopped".to_owned() } else { why_left(step, &tasks, &outcome.failed) };
            self.engine.reporter.hear(&Event::StepSkipped { step: step.clone(), why });
        }
        outcome
    }

    fn task(&self, step: &Step) -> Task {
        let expected_ms = self.engine.log.with(|state| state.expected_ms(&step.name)).unwrap_or(1000);
        #[expect(clippy::cast_precision_loss, reason = "durations in milliseconds are far below 2^52")]
        let expected_s = expected_ms as f64 / 1000.0;
        Task { name: step.name.clone(), needs: all_needs(step), expected_s }
    }

    /// Whether the step was done.
    fn run_step(&self, step: &Step) -> bool {
        let began = Instant::now();
        let name = step.name.as_str();
        let reporter = &self.engine.reporter;
        if self.keeps(step) {
            return true;
        }
        if !step.when {
            let former = super::locked(&self.outputs).insert(name.to_owned(), Value::Null);
            super::locked(&self.ran).insert(name.to_owned(), former.is_some_and(|former| !former.is_null()));
            reporter.hear(&Event::StepSkipped { step: name.to_owned(), why: SWITCHED_OFF.to_owned() });
            return true;
        }
        let expected = self.engine.log.with(|state| state.expected_ms(name));
        #[expect(clippy::cast_precision_loss, reason = "durations in milliseconds are far below 2^52")]
        let expected_s = expected.map(|ms| ms as f64 / 1000.0);
        reporter.hear(&Event::StepStarted { step: name.to_owned(), expected_s });
        let before = self.engine.changed().len();
        match self.tried(step, began) {
            Ok(outcome) => {
                let changed = self.engine.changed().iter().skip(before).filter(|(by, _, _)| by == name).count();
                let former = super::locked(&self.outputs).insert(name.to_owned(), outcome.output.clone());
                super::locked(&self.ran).insert(name.to_owned(), former.as_ref() != Some(&outcome.output));
                reporter.hear(&Event::StepDone {
                    step: name.to_owned(),
                    took_s: began.elapsed().as_secs_f64(),
                    changed,
                });
                true
            }
            Err(diagnostic) if self.waits_for_the_plan(step, &diagnostic) => {
                self.engine.note_planned(Planned {
                    address: name.to_owned(),
                    step: name.to_owned(),
                    verdict: Verdict::Unknown,
                    changes: Vec::new(),
                    note: Some(format!(
                        "as things are: {}; what is planned before it may change that",
                        diagnostic.message
                    )),
                    needs_allow_delete: Vec::new(),
                });
                super::locked(&self.outputs).insert(name.to_owned(), unknown(name));
                true
            }
            Err(diagnostic) => {
                self.engine.tell_failed(name, &diagnostic, began);
                super::locked(&self.errors).insert(name.to_owned(), diagnostic);
                false
            }
        }
    }

    fn tried(&self, step: &Step, began: Instant) -> Result<StepOutcome, Diagnostic> {
        let inputs: BTreeMap<String, Value> = {
            let outputs = super::locked(&self.outputs);
            step.needs
                .iter()
                .map(|need| (need.clone(), outputs.get(need).cloned().unwrap_or_else(|| self.missing(need))))
                .collect()
        };
        self.write(vec![self.started(step, &inputs)])?;
        let deadline =
            step.timeout.map(|life| began + self.engine.run.pace.scaled(life).max(std::time::Duration::from_secs(30)));
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            self.engine.forget_declarations(&step.name);
            match self.playbook.run_step(&step.name, &inputs, &self.engine.run.cancel, deadline) {
                Ok(outcome) => break outcome,
                Err(diagnostic)
                    if tries <= step.retry && may_pass(diagnostic.class) && !self.engine.run.cancel.is_cancelled() =>
                {
                    let text = format!(
                        "step `{}` is tried again ({tries} of {}): {}",
                        step.name, step.retry, diagnostic.message
                    );
                    self.engine.reporter.hear(&Event::Warning { text });
                }
                Err(diagnostic) => {
                    let message = diagnostic.message.clone();
                    let failed = state::Event::StepFailed { step: step.name.clone(), message };
                    // The step's own error is the one to show, even when the log cannot take it.
                    let _ = self.write(vec![failed]);
                    return Err(diagnostic);
                }
            }
        };
        self.engine.run.wire.before_record(&step.name);
        self.write(vec![state::Event::StepDone {
            step: step.name.clone(),
            outputs: outcome.output.clone(),
            input_digest: digest(&inputs),
            settings_read: outcome.settings_read.clone().into_iter().collect(),
            files_read: files_read(&outcome.files_read),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }])?;
        Ok(outcome)
    }

    /// Whether a step fails in a plan for what a run would have made by then: it looked into something of the stack, and
    /// something before it is planned. Mistakes and refusals stay what they are.
    fn waits_for_the_plan(&self, step: &Step, diagnostic: &Diagnostic) -> bool {
        let planning = self.engine.run.mode == crate::cx::Mode::Plan;
        let looked = super::locked(&self.engine.looked).contains(&step.name);
        if !planning || !looked || !matches!(diagnostic.class, Class::Failed | Class::NotFound) {
            return false;
        }
        let steps: BTreeMap<&str, &Step> = self.playbook.steps.iter().map(|step| (step.name.as_str(), step)).collect();
        let mut before = BTreeSet::new();
        let mut queue = all_needs(step);
        while let Some(need) = queue.pop() {
            queue.extend(
                steps
                    .get(need.as_str())
                    .filter(|_| before.insert(need.clone()))
                    .into_iter()
                    .flat_map(|it| all_needs(it)),
            );
        }
        self.engine
            .planned()
            .iter()
            .any(|line| line.writes() && (before.contains(&line.step) || line.step == step.name))
    }

    /// What stands for the output of a step that was never run.
    fn missing(&self, step: &str) -> Value {
        if self.engine.run.mode == crate::cx::Mode::Plan { unknown(step) } else { Value::Null }
    }

    fn started(&self, step: &Step, inputs: &BTreeMap<String, Value>) -> state::Event {
        state::Event::StepStarted {
            step: step.name.clone(),
            needs: all_needs(step),
            code: self.playbook.code_digest(&step.name),
            inputs: Value::String(digest(inputs)),
        }
    }

    /// A plan writes nothing down.
    fn write(&self, events: Vec<state::Event>) -> Result<(), Diagnostic> {
        if self.engine.run.mode == crate::cx::Mode::Plan {
            return Ok(());
        }
        self.runtime.block_on(self.engine.log.append(events)).map_err(|error| diagnostic(&error))
    }
}

/// All steps that must be done before `step`.
pub fn all_needs(step: &Step) -> Vec<String> {
    let mut needs: Vec<String> = step.needs.iter().chain(&step.after).cloned().collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// Why `step` was never started: the failed steps that it needs, directly or through others.
fn why_left(step: &str, tasks: &[Task], failed: &[String]) -> String {
    let needs: BTreeMap<&str, &[String]> = tasks.iter().map(|it| (it.name.as_str(), it.needs.as_slice())).collect();
    let (mut queue, mut seen) = (vec![step], BTreeSet::new());
    while let Some(name) = queue.pop() {
        let more = needs.get(name).into_iter().copied().flatten().map(String::as_str);
        queue.extend(more.filter(|need| seen.insert(*need)));
    }
    let broken: Vec<String> =
        failed.iter().filter(|name| seen.contains(name.as_str())).map(|name| format!("`{name}`")).collect();
    format!("{} failed", broken.join(" and "))
}

/// As a record has it: nothing for a step that read no file.
fn files_read(files: &BTreeMap<String, String>) -> Value {
    if files.is_empty() {
        Value::Null
    } else {
        files.iter().map(|(name, digest)| (name.clone(), digest.as_str())).collect()
    }
}

/// A digest of what a step got, the same in every process.
pub fn digest(inputs: &BTreeMap<String, Value>) -> String {
    let text = serde_json::to_string(inputs).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..12])
}

fn may_pass(class: Class) -> bool {
    matches!(class, Class::Passing | Class::TimedOut | Class::Failed | Class::InUse | Class::NotFound)
}

/// An error without a place in the script.
pub fn diagnostic(error: &Error) -> Diagnostic {
    let diagnostic =
        Diagnostic::usage(error.message.clone()).class(error.class).hint(error.hint.clone().unwrap_or_default());
    match &error.cause {
        Some(cause) => diagnostic.because(cause.clone()),
        None => diagnostic,
    }
}
