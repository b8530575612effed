//! A declared step, as the engine and the command line see it.

use super::Position;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// One step of a playbook.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it does: the comment above it, or the `///` of the function it names.
    pub doc: String,
    /// The steps whose outputs it takes.
    pub needs: Vec<String>,
    /// The steps it waits for without taking anything (`.after`).
    pub after: Vec<String>,
    /// Stops it when it takes longer (`.timeout`).
    pub timeout: Option<Duration>,
    /// How often it is tried again (`.retry`).
    pub retry: u32,
    /// Whether it runs at all (`.when`). A step that does not run gives `()`.
    pub when: bool,
    /// Never deleted or replaced without `--allow-delete NAME` (`.protect`).
    pub protect: bool,
    /// Where it is declared.
    pub at: Position,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// What its body returned.
    pub output: Value,
    /// The settings it read, with their values, by dotted path.
    pub settings_read: BTreeMap<String, Value>,
    /// The files it read, as the script names them, with the digest of each; empty for one that could not be read.
    pub files_read: BTreeMap<String, String>,
}
