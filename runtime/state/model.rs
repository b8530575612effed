//! What the log's records add up to.

use super::{
    event::{Holder, Outcome},
    status::Status,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A resource that is ours, or may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// `aws::ec2::vpc/gitpod`.
    pub address: String,
    /// `aws::ec2::vpc`.
    pub kind: String,
    /// `gitpod`.
    pub name: String,
    /// The step that declares it.
    pub step: String,
    /// What was wanted last.
    pub args: Value,
    /// What was read last; null before anything was.
    pub outputs: Value,
    /// Where it is in its life.
    pub status: Status,
    /// Idempotency token of its create call; empty when it was adopted.
    pub token: String,
    /// Position of its first intent among those of all resources: what is made later is deleted earlier.
    pub order: u64,
    /// Never deleted without `--allow-delete`.
    pub protect: bool,
    /// Deleting it loses data.
    pub stateful: bool,
    /// When its last record was written.
    pub changed: Timestamp,
}

/// How a step's last start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It has not ended: it runs, or its run was killed.
    Running,
    /// Well.
    Done,
    /// With this error.
    Failed(String),
}

/// What is known about a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// What it returned when it last ended well, whatever happened since. Null is an output, too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    pub outputs: Option<Value>,
    /// What it got when it was last started.
    pub inputs: Value,
    /// Digest of what it got when it last ended well.
    pub input_digest: Option<String>,
    /// Digest of its code when it last ended well.
    pub code: Option<String>,
    /// Digest of its code when it was last started.
    pub code_started: String,
    /// The settings it read when it last ended well.
    pub settings_read: Value,
    /// The files it read when it last ended well, with their digests.
    #[serde(default)]
    pub files_read: Value,
    /// The steps it needs.
    pub needs: Vec<String>,
    /// How its last start ended.
    pub status: StepStatus,
    /// How long it took when it ended well, newest last, in milliseconds of life.
    pub durations_ms: Vec<u64>,
    /// When its last record was written.
    pub changed: Timestamp,
}

/// Something that is done once, and was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionState {
    /// `k8s::restart`.
    pub binding: String,
    /// See [`super::Event::ActionDone`].
    pub key: String,
    /// What came of it.
    pub outputs: Value,
    /// When.
    pub at: Timestamp,
}

/// How many resources a run changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Made.
    pub created: u64,
    /// Changed in place.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
    /// Adopted.
    pub adopted: u64,
    /// Given up without deleting.
    pub forgotten: u64,
}

/// One run in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Names the run.
    pub run_id: String,
    /// `run`, `destroy`, …
    pub verb: String,
    /// The playbook, as it was named.
    pub playbook: String,
    /// Digest of all settings and of the code of all steps.
    pub settings_digest: String,
    /// Version of the program.
    pub version: String,
    /// The machine.
    pub host: String,
    /// Who.
    pub user: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended, or when its last record was written.
    pub ended: Timestamp,
    /// How it ended; `None` while it runs, and after it was killed until the next one begins.
    pub outcome: Option<Outcome>,
    /// What it changed.
    pub changes: Changes,
    /// Steps that ended well, and that failed.
    pub steps_done: u64,
    /// Steps that failed.
    pub steps_failed: u64,
}

/// The lease that the log shows last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Counts the holders.
    pub epoch: u64,
    /// Who.
    pub holder: Holder,
    /// Names the holding process uniquely.
    pub nonce: String,
    /// Seconds that every record extends it by.
    pub ttl_s: u64,
    /// Since when.
    pub since: Timestamp,
    /// When its last record was written.
    pub renewed: Timestamp,
    /// Whether it was given back.
    pub released: bool,
}

/// Everything the log says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By address.
    pub resources: BTreeMap<String, Resource>,
    /// By name.
    pub steps: BTreeMap<String, StepState>,
    /// Of each step, by [`State::action_key`].
    pub actions: BTreeMap<String, BTreeMap<String, ActionState>>,
    /// Oldest first.
    pub runs: Vec<RunSummary>,
    /// The clouds that the last run talked to; null before the first.
    pub targets: Value,
    /// For whom secrets are encrypted; empty before the first secret.
    pub recipients: Vec<String>,
    /// The last lease.
    pub lease: Option<HeldLease>,
    /// What [`Resource::order`] the next resource gets.
    pub next_order: u64,
}

/// A field that stands there, be it null.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl State {
    /// The state in the body of a snapshot.
    pub fn read(body: Value) -> serde_json::Result<Self> {
        let mut state: Self = serde_json::from_value(body)?;
        for step in state.steps.values_mut() {
            // Former versions wrote null for a step that never ended well.
            if step.input_digest.is_none() && step.outputs == Some(Value::Null) {
                step.outputs = None;
            }
        }
        Ok(state)
    }

    /// What the action of that step left behind.
    pub fn action(&self, step: &str, binding: &str, key: &str) -> Option<&ActionState> {
        self.actions.get(step)?.get(&Self::action_key(binding, key))
    }

    /// The key of [`State::actions`] within a step.
    pub fn action_key(binding: &str, key: &str) -> String {
        format!("{binding} {key}")
    }

    /// All resources, in the order in which they were first intended. Deleting goes the other way.
    pub fn in_order(&self) -> Vec<&Resource> {
        let mut resources: Vec<&Resource> = self.resources.values().collect();
        resources.sort_by_key(|resource| resource.order);
        resources
    }

    /// How long the step takes, by its last runs, in milliseconds of life.
    pub fn expected_ms(&self, step: &str) -> Option<u64> {
        let durations = &self.steps.get(step)?.durations_ms;
        let mut sorted = durations.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// The status of a resource.
    pub fn status(&self, address: &str) -> Option<Status> {
        self.resources.get(address).map(|resource| resource.status)
    }
}
