//! The engine: runs steps in parallel and converges what they declare.
//!
//! - [`graph`](crate::graph) says which step may run when, [`schedule`] runs them;
//! - [`converge`] is what a declaration does, [`planning`] what it does in a plan, [`replace`] and [`destroy`] take away;
//! - [`doubt`] looks for what may have been made or changed although nobody said so;
//! - [`settle`] reads an object and waits until it can be used;
//! - [`calls`] is everything that is no resource: look-ups, waits, actions, composites;
//! - [`retry`] decides which failures pass.
//!
//! It knows no cloud. What it reads and writes goes through the traits of [`crate::bind`]; what it did goes into the
//! [`Log`] before and after.

pub mod calls;
pub mod converge;
pub mod destroy;
pub mod doubt;
pub mod planned;
pub mod planning;
pub mod remove;
pub mod retry;
pub mod schedule;
pub mod settle;
pub mod steps;

use crate::{
    bind::{Binding, Registry},
    cx::{Cx, Run},
    error::{Class, Error, Result},
    playbook::Diagnostic,
    report::{self, Reporter},
    state::{self, Changes, Log},
    wire::{ASKED_BY, Asker},
};
use planned::{Planned, Verdict};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// What the caller decided about dangerous deletes.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// `--allow-delete NAME`: names or addresses that may be deleted although they are protected or hold data.
    pub allow_delete: BTreeSet<String>,
    /// Steps declared with `.protect()`.
    pub protected_steps: BTreeSet<String>,
}

/// One run's engine. Share it by `Arc`.
pub struct Engine {
    /// What all calls have in common.
    pub run: Arc<Run>,
    /// All bindings.
    pub registry: Arc<Registry>,
    /// The state log.
    pub log: Arc<Log>,
    /// Who hears what happens.
    pub reporter: Arc<dyn Reporter>,
    /// What may be deleted.
    pub permissions: Permissions,
    declared: Mutex<BTreeMap<String, String>>,
    changed: Mutex<Vec<(String, String, Verdict)>>,
    stopped: Mutex<BTreeSet<String>>,
    /// What a plan deletes because it stands on something that is replaced, and on what.
    goes_with: Mutex<BTreeMap<String, String>>,
    planned: Mutex<Vec<Planned>>,
    /// Steps that looked into something of the stack in this pass.
    looked: Mutex<BTreeSet<String>>,
    /// Addresses of what was made after a create whose reply was lost, and that may be there twice.
    doubtful: Mutex<BTreeSet<String>>,
}

impl Engine {
    /// An engine for one run.
    pub fn new(
        run: Arc<Run>,
        registry: Arc<Registry>,
        log: Arc<Log>,
        reporter: Arc<dyn Reporter>,
        permissions: Permissions,
    ) -> Self {
        Self {
            run,
            registry,
            log,
            reporter,
            permissions,
            declared: Mutex::default(),
            changed: Mutex::default(),
            stopped: Mutex::default(),
            goes_with: Mutex::default(),
            planned: Mutex::default(),
            looked: Mutex::default(),
            doubtful: Mutex::default(),
        }
    }

    /// What a script's call of a binding does.
    pub async fn call(&self, step: &str, binding: &str, args: Value) -> Result<Value> {
        let entry = self.registry.get(binding).ok_or_else(|| Error::usage(format!("no binding `{binding}`")))?.clone();
        self.stop_if_cancelled()?;
        match entry.binding {
            Binding::Resource(kind) => self.declare(step, kind, args).await,
            Binding::Lookup(lookup) => self.look(step, binding, lookup.as_ref(), &args).await,
            Binding::Wait(wait) => self.wait(step, binding, wait.as_ref(), &args).await,
            Binding::Action(action) => self.act(step, binding, action.as_ref(), &args).await,
            Binding::Composite(composite) => self.expand(step, composite.as_ref(), &args).await,
        }
    }

    /// The plan so far, in the order of declaration.
    pub fn planned(&self) -> Vec<Planned> {
        locked(&self.planned).clone()
    }

    /// What was changed so far: (step, address, how).
    pub fn changed(&self) -> Vec<(String, String, Verdict)> {
        locked(&self.changed).clone()
    }

    /// Steps that failed only because the run was stopped.
    pub fn stopped(&self) -> BTreeSet<String> {
        locked(&self.stopped).clone()
    }

    /// How many resources were changed so far.
    pub fn changes(&self) -> Changes {
        let changed = locked(&self.changed);
        let count = |verdicts: &[Verdict]| changed.iter().filter(|(_, _, how)| verdicts.contains(how)).count() as u64;
        Changes {
            created: count(&[Verdict::Create, Verdict::Replace]),
            updated: count(&[Verdict::Update, Verdict::Do]),
            deleted: count(&[Verdict::Delete, Verdict::Replace]),
            adopted: count(&[Verdict::Adopt]),
            forgotten: 0,
        }
    }

    /// Tells that a step failed, or was stopped.
    fn tell_failed(&self, step: &str, found: &Diagnostic, began: Instant) {
        let in_step = Diagnostic { step: Some(step.to_owned()), ..found.clone() };
        let stopped = found.class == Class::Interrupted;
        if stopped {
            locked(&self.stopped).insert(step.to_owned());
        }
        self.reporter.hear(&report::Event::StepFailed {
            step: step.to_owned(),
            error: in_step.render(false),
            message: found.message.clone(),
            stopped,
            took_s: began.elapsed().as_secs_f64(),
        });
    }

    /// Addresses that were declared so far.
    pub fn declared(&self) -> BTreeSet<String> {
        locked(&self.declared).keys().cloned().collect()
    }

    /// Forgets what `step` declared, because it is about to run again.
    pub fn forget_declarations(&self, step: &str) {
        locked(&self.declared).retain(|_, by| by != step);
    }

    fn cx(&self, step: &str, address: &str) -> Cx {
        Cx { run: self.run.clone(), step: step.into(), address: address.into() }
    }

    fn note_declared(&self, step: &str, address: &str) -> Result<()> {
        let mut declared = locked(&self.declared);
        if let Some(by) = declared.get(address) {
            let place = if by == step { "twice in this step".to_owned() } else { format!("in step `{by}` as well") };
            return Err(Error::usage(format!("`{address}` is declared {place}"))
                .hint("give one of the two another `name`, or declare it once and pass it on"));
        }
        declared.insert(address.to_owned(), step.to_owned());
        Ok(())
    }

    fn note_goes_with<'a>(&self, addresses: impl Iterator<Item = &'a str>, under: &str) {
        let mut goes = locked(&self.goes_with);
        for address in addresses {
            goes.entry(address.to_owned()).or_insert_with(|| under.to_owned());
        }
    }

    fn goes_with(&self, address: &str) -> Option<String> {
        locked(&self.goes_with).get(address).cloned()
    }

    fn note_changed(&self, step: &str, address: &str, verdict: Verdict) {
        locked(&self.changed).push((step.to_owned(), address.to_owned(), verdict));
        let how = match verdict {
            Verdict::Create => "created",
            Verdict::Update => "updated",
            Verdict::Replace => "replaced",
            Verdict::Delete => "deleted",
            Verdict::Adopt => "adopted",
            Verdict::Do | Verdict::Keep | Verdict::Unknown => "done",
        };
        self.reporter.hear(&report::Event::Changed {
            step: step.to_owned(),
            resource: address.to_owned(),
            how: how.to_owned(),
        });
    }

    /// Remembers that `step` looks into what the stack holds, when `args` name something of it.
    fn note_look(&self, step: &str, args: &Value) {
        let into_ours = |state: &crate::state::State| {
            state.resources.values().flat_map(remove::identities).any(|id| remove::holds(args, &id))
        };
        if self.run.mode == crate::cx::Mode::Plan && self.log.with(into_ours) {
            locked(&self.looked).insert(step.to_owned());
        }
    }

    fn note_planned(&self, planned: Planned) {
        self.reporter.hear(&report::Event::Planned(planned.clone()));
        locked(&self.planned).push(planned);
    }

    /// Appends to the log; between an answer and its record a test may make the process die.
    async fn record(&self, events: Vec<state::Event>) -> Result<()> {
        self.run.wire.before_record(&ASKED_BY.try_with(|asker| asker.step.clone()).unwrap_or_default());
        self.log.append(events).await
    }

    fn resource(&self, address: &str) -> Option<state::Resource> {
        self.log.with(|state| state.resources.get(address).cloned())
    }

    fn stop_if_cancelled(&self) -> Result<()> {
        if self.run.cancel.is_cancelled() {
            return Err(Error::new(crate::error::Class::Interrupted, "the run was stopped"));
        }
        Ok(())
    }
}

/// Runs `work` so that the calls it makes are recorded as asked for by `cx`.
async fn asked_by<T>(cx: &Cx, work: impl Future<Output = T>) -> T {
    ASKED_BY.scope(Asker { step: cx.step.clone(), resource: cx.address.clone() }, work).await
}

/// A panic in another step must not hide what this one did.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names a run in the history.
pub fn new_run_id() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}
