//! Playbooks: scripts in Rhai that declare steps. This module reads them, checks them and runs their steps; what the
//! bindings do is the business of whoever implements [`Host`].

// A diagnostic is made once, when everything stops: its size does not matter.
#![allow(clippy::result_large_err)]
// The script engine's functions return boxed errors.
#![allow(clippy::unnecessary_box_returns)]

mod bindings;
mod book;
mod call;
mod check;
mod convert;
mod current;
mod declare;
mod diagnostic;
mod digest;
mod duration;
mod explain;
mod fault;
mod functions;
#[doc(hidden)]
pub mod fuzzed;
mod guard;
mod language;
mod limits;
mod load;
mod manual;
mod memory;
mod network;
mod run;
mod schema;
mod settings;
mod settings_value;
mod sources;
mod step;
pub(crate) mod suggest;
mod syntax;
mod taint;
mod tainted;
#[cfg(test)]
mod tests;
mod units;

pub use diagnostic::{Diagnostic, Position, Severity};
pub use limits::Limits;
pub use manual::{FUNCTIONS, Function};
pub use settings::{Setting, Settings, SettingsLayer};
pub use sources::Sources;
pub use step::{Step, StepOutcome};

use crate::{bind::Registry, error::Error};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Who answers the bindings that a step calls.
pub trait Host: Send + Sync {
    /// Does what `binding` stands for, and gives its output. Blocks; called on the step's own thread.
    fn call(&self, step: &str, binding: &str, args: Value, at: &Position) -> Result<Value, Error>;

    /// Hears `print` and `warn` of the script; `step` is empty while the playbook is read. Secrets are hidden already.
    fn say(&self, step: &str, text: &str);
}

/// What is needed to read a playbook.
pub struct Load<'a> {
    /// A file, or the name of an embedded playbook: `playbooks/aws.rhai`.
    pub path: &'a str,
    /// Settings over the playbook's defaults; later ones win.
    pub layers: Vec<SettingsLayer>,
    /// Whether this is a plan, in which outputs may be unknown.
    pub planning: bool,
    /// The bindings.
    pub registry: Arc<Registry>,
    /// Who answers them.
    pub host: Arc<dyn Host>,
    /// How far the script may go.
    pub limits: Limits,
    /// Folders outside the playbook's own that `read_file` may read (`--allow-read`).
    pub allow_read: Vec<PathBuf>,
    /// The embedded scripts.
    pub sources: Arc<Sources>,
}

/// A playbook that was read and whose declarations were run.
pub struct Playbook {
    /// The first line of its `//!` comment.
    pub title: String,
    /// The whole `//!` comment.
    pub doc: String,
    /// The steps, in the order of declaration.
    pub steps: Vec<Step>,
    /// The settings that hold.
    pub settings: Settings,
    /// What the playbook said about each cloud: `target("aws", #{ region: … })`.
    pub targets: BTreeMap<String, Value>,
    planning: bool,
    limits: Limits,
    allow_read: Vec<PathBuf>,
    registry: Arc<Registry>,
    loaded: current::Deep<load::Loaded>,
}

impl Playbook {
    /// Reads a playbook, runs its declarations, and checks what must hold before any step may run.
    #[allow(clippy::needless_pass_by_value)] // The caller has no more use for it.
    pub fn load(load: Load<'_>) -> Result<Self, Vec<Diagnostic>> {
        load::playbook(&load)
    }

    /// Runs the body of the step called `name` with the outputs of the steps it needs. Blocks; may be called for several
    /// steps at once from several threads.
    pub fn run_step(
        &self,
        name: &str,
        outputs: &BTreeMap<String, Value>,
        cancel: &CancellationToken,
        deadline: Option<Instant>,
    ) -> Result<StepOutcome, Diagnostic> {
        run::step(self, name, outputs, cancel, deadline)
    }

    /// A digest of all code that the step runs: its body, what it captured, the functions and constants it uses in any
    /// module. Comments and blank lines change nothing; it is the same in every process.
    /// Empty when there is no such step.
    pub fn code_digest(&self, step: &str) -> String {
        let step = self.loaded.book.step(step);
        step.map(|step| digest::of_step(&self.loaded.units, step)).unwrap_or_default()
    }

    /// Everything that can be found wrong without running a step.
    pub fn check(&self) -> Vec<Diagnostic> {
        check::all(&self.loaded, &self.registry)
    }

    /// Stands for what is in the file that scripts call `name`; empty when it cannot be read.
    pub fn file_digest(&self, name: &str) -> String {
        let allowed = crate::allowed::Allowed { read: self.allow_read.clone(), ..Default::default() };
        functions::digest_of(&self.loaded.units.data_file(name, &allowed))
    }

    /// Where the file lies that scripts call `name`.
    pub fn file_path(&self, name: &str) -> Option<PathBuf> {
        self.loaded.units.data_path(name)
    }

    /// All files of the user that were read, and those that would win over a built-in one if they were there; for `watch`.
    pub fn files(&self) -> Vec<PathBuf> {
        self.loaded.units.files()
    }

    /// Names of the functions that scripts have beside the bindings and the standard library of the language.
    pub fn functions(&self) -> BTreeSet<String> {
        let names = |engine: &rhai::Engine| -> BTreeSet<String> {
            let found = engine.collect_fn_metadata(
                None,
                |found| found.namespace.is_empty().then(|| found.metadata.name.to_string()),
                true,
            );
            found.into_iter().collect()
        };
        let (mut own, standard) = (names(&self.loaded.engine), names(&rhai::Engine::new()));
        own.retain(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()) && !standard.contains(name));
        own.retain(|name| !name.contains('$'));
        own
    }

    /// Whether outputs may be unknown.
    pub fn planning(&self) -> bool {
        self.planning
    }
}
