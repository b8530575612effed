//! What a run tells the outside: events, and those who hear them.

mod bars;
pub mod ending;
pub mod json;
pub mod logged;
pub mod looking;
pub mod plan;
pub mod terminal;

use crate::engine::planned::Planned;
use serde::Serialize;

/// Something that happened. Serialised, it is a line of `--json`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A verb began.
    RunStarted {
        /// The verb.
        verb: String,
        /// The stack.
        stack: String,
        /// `sandbox` or `live`.
        target: String,
        /// How many steps there are.
        steps: usize,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: String,
        /// How long it took last time, in seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected_s: Option<f64>,
    },
    /// What a step is doing or waiting for right now.
    Working {
        /// The step.
        step: String,
        /// The resource, or empty.
        resource: String,
        /// In words.
        text: String,
    },
    /// A resource was changed.
    Changed {
        /// The step.
        step: String,
        /// The resource.
        resource: String,
        /// `created`, `updated`, `replaced`, `deleted`, `adopted`, `done`.
        how: String,
    },
    /// A step ended well.
    StepDone {
        /// The step.
        step: String,
        /// How long it took, in seconds.
        took_s: f64,
        /// Resources changed in it.
        changed: usize,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        step: String,
        /// The error as text, after the template.
        error: String,
        /// Its first line, without the word.
        message: String,
        /// Whether it failed only because the run was stopped.
        stopped: bool,
        /// How long it took, in seconds.
        took_s: f64,
    },
    /// A step was not run.
    StepSkipped {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// Something the reader should know that is no failure.
    Warning {
        /// In words.
        text: String,
    },
    /// Something worth knowing that is as it should be; told once a command.
    Note {
        /// The step, or empty.
        step: String,
        /// In words.
        text: String,
    },
    /// Something that a delete leaves in the cloud on purpose.
    Kept {
        /// The step.
        step: String,
        /// What, in words.
        text: String,
    },
    /// Text that the playbook printed.
    Printed {
        /// The step.
        step: String,
        /// The text.
        text: String,
    },
    /// A line of a plan.
    Planned(Planned),
    /// A plan was made.
    PlanEnded {
        /// The stack.
        stack: String,
        /// How many resources meet each verdict.
        #[serde(flatten)]
        counts: plan::Counts,
        /// Wall time in seconds.
        took_s: f64,
    },
    /// The verb ended.
    RunEnded(Summary),
    /// The verb was not carried out, or not to its end.
    Refused {
        /// The error as text, after the template.
        error: String,
        /// Its first line, without the word.
        message: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// How a verb ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The verb.
    pub verb: String,
    /// The stack.
    pub stack: String,
    /// Whether everything was done.
    pub ok: bool,
    /// Steps that are done.
    pub steps_done: usize,
    /// Steps that failed.
    pub steps_failed: Vec<String>,
    /// Steps that were stopped with the run.
    pub steps_stopped: Vec<String>,
    /// Steps that were not run.
    pub steps_left: Vec<String>,
    /// Resources that exist now.
    pub resources: usize,
    /// Created in this run.
    pub created: usize,
    /// Updated in this run.
    pub updated: usize,
    /// Replaced in this run.
    pub replaced: usize,
    /// Deleted in this run.
    pub deleted: usize,
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Wall time in seconds.
    pub took_s: f64,
    /// The command that goes on from here, when something is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_on: Option<String>,
}

/// Hears events. Implementations must not block for long.
pub trait Reporter: Send + Sync {
    /// Hears one.
    fn hear(&self, event: &Event);
}

/// Hears nothing, for tests and quiet verbs.
pub struct Silent;

impl Reporter for Silent {
    fn hear(&self, _: &Event) {}
}
