//! What a record can say.

use super::model::Changes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who holds, or wants to hold, a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process id on it.
    pub pid: u32,
    /// The person's account name, when known.
    pub user: Option<String>,
    /// The command as it was typed.
    pub command: String,
}

impl Holder {
    /// This process. `command` is shown to whoever finds the stack in use, so it must hold no secrets.
    pub fn here(command: impl Into<String>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .or_else(|| variable("HOSTNAME"))
            .or_else(|| variable("COMPUTERNAME"))
            .unwrap_or_else(|| "localhost".into());
        Self {
            host,
            pid: std::process::id(),
            user: variable("USER").or_else(|| variable("LOGNAME")).or_else(|| variable("USERNAME")),
            command: crate::secret::hide(&command.into()),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{} (pid {})", self.host, self.pid),
            None => write!(f, "{} (pid {})", self.host, self.pid),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is as wanted.
    Done,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Interrupted,
    /// It ended without saying so. Set by the log when the next run begins.
    Killed,
}

/// One thing that happened. Secrets inside any string are encrypted on their way into a record.
///
/// A new variant, or a field without a default, raises [`super::record::FORMAT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A run began.
    RunStarted {
        /// Names the run in the history.
        run_id: String,
        /// `run`, `destroy`, `watch`, …
        verb: String,
        /// The playbook, as it was named.
        playbook: String,
        /// The clouds it talks to: account, region, endpoint.
        targets: Value,
        /// Digest of all settings and of the code of all steps.
        settings_digest: String,
        /// Version of this program.
        version: String,
        /// The machine it runs on.
        host: String,
        /// Who runs it.
        #[serde(default)]
        user: Option<String>,
    },
    /// A run ended. A run without this was killed.
    RunEnded {
        /// The run.
        run_id: String,
        /// How.
        outcome: Outcome,
        /// How many resources it changed, each counted once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<Changes>,
    },
    /// Written by [`super::Log::acquire`] only: from here on the stack is `holder`'s.
    Lease {
        /// Counts the holders; each record carries its holder's.
        epoch: u64,
        /// Who.
        holder: Holder,
        /// Names the holding process uniquely.
        nonce: String,
        /// Seconds that every record extends the lease by.
        ttl_s: u64,
        /// Numbers of torn records just before this one, which were never acknowledged and are void.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        void: Vec<u64>,
    },
    /// Nothing happened, and the holder lives.
    Heartbeat,
    /// The holder gave the stack back.
    Released,
    /// For whom secrets are encrypted from here on (`age1…`).
    Recipients {
        /// Their public keys.
        recipients: Vec<String>,
    },
    /// A step began.
    StepStarted {
        /// Its name.
        step: String,
        /// The steps it needs.
        needs: Vec<String>,
        /// Digest of its code, helpers and constants.
        code: String,
        /// What it got from the steps it needs.
        inputs: Value,
    },
    /// A step ended well.
    StepDone {
        /// Its name.
        step: String,
        /// What it returned.
        outputs: Value,
        /// Digest of what it got.
        input_digest: String,
        /// The settings it read, with their values or digests.
        settings_read: Value,
        /// The files it read, with their digests.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        files_read: Value,
        /// How long it took, in milliseconds of life.
        duration_ms: u64,
    },
    /// A step failed. Its former outputs stay.
    StepFailed {
        /// Its name.
        step: String,
        /// The error's first line.
        message: String,
    },
    /// The playbook no longer has this step, and nothing of it is left.
    StepForgotten {
        /// Its name.
        step: String,
    },
    /// A resource is about to be made.
    Intent {
        /// `aws::ec2::vpc/gitpod`.
        address: String,
        /// `aws::ec2::vpc`.
        kind: String,
        /// `gitpod`.
        name: String,
        /// The step that declares it.
        step: String,
        /// What is wanted.
        args: Value,
        /// Idempotency token of the create call; the same over retries and restarts.
        token: String,
        /// Never deleted without `--allow-delete`.
        protect: bool,
        /// Deleting it loses data.
        stateful: bool,
    },
    /// It was made; it may not be usable yet.
    Created {
        /// Which.
        address: String,
        /// What was read back.
        outputs: Value,
    },
    /// It is usable.
    Ready {
        /// Which.
        address: String,
        /// What was read back.
        outputs: Value,
    },
    /// It is about to be changed in place.
    Updating {
        /// Which.
        address: String,
        /// The fields that change.
        changes: Vec<String>,
    },
    /// It was changed and is usable.
    Updated {
        /// Which.
        address: String,
        /// What is wanted now.
        args: Value,
        /// What was read back.
        outputs: Value,
    },
    /// Its declaration changed in a way that needs no call: another step, `protect`, a field that is not compared.
    Declared {
        /// Which.
        address: String,
        /// The step that declares it now.
        step: String,
        /// What is wanted now.
        args: Value,
        /// See [`Event::Intent`].
        protect: bool,
    },
    /// It is about to be deleted.
    Deleting {
        /// Which.
        address: String,
    },
    /// It is gone.
    Deleted {
        /// Which.
        address: String,
    },
    /// It existed before, and is ours from now on.
    Adopted {
        /// See [`Event::Intent`].
        address: String,
        /// See [`Event::Intent`].
        kind: String,
        /// See [`Event::Intent`].
        name: String,
        /// See [`Event::Intent`].
        step: String,
        /// See [`Event::Intent`].
        args: Value,
        /// What was read.
        outputs: Value,
        /// See [`Event::Intent`].
        protect: bool,
        /// See [`Event::Intent`].
        stateful: bool,
    },
    /// It stays where it is, and is no longer ours (`state rm`).
    Forgotten {
        /// Which.
        address: String,
    },
    /// Something that is done once was done.
    ActionDone {
        /// The step.
        step: String,
        /// `k8s::restart`.
        binding: String,
        /// What tells it from other calls of the same binding: a digest of its arguments.
        key: String,
        /// What came of it.
        outputs: Value,
    },
}

impl Event {
    /// The resource it is about.
    pub fn address(&self) -> Option<&str> {
        match self {
            Event::Intent { address, .. }
            | Event::Created { address, .. }
            | Event::Ready { address, .. }
            | Event::Updating { address, .. }
            | Event::Updated { address, .. }
            | Event::Declared { address, .. }
            | Event::Deleting { address }
            | Event::Deleted { address }
            | Event::Adopted { address, .. }
            | Event::Forgotten { address } => Some(address),
            _ => None,
        }
    }

    /// Whether the log writes it itself; [`super::Log::append`] refuses these from others.
    pub(super) fn is_internal(&self) -> bool {
        matches!(self, Event::Lease { .. } | Event::Heartbeat | Event::Released | Event::Recipients { .. })
    }

    /// Its name in a record.
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunStarted { .. } => "run_started",
            Event::RunEnded { .. } => "run_ended",
            Event::Lease { .. } => "lease",
            Event::Heartbeat => "heartbeat",
            Event::Released => "released",
            Event::Recipients { .. } => "recipients",
            Event::StepStarted { .. } => "step_started",
            Event::StepDone { .. } => "step_done",
            Event::StepFailed { .. } => "step_failed",
            Event::StepForgotten { .. } => "step_forgotten",
            Event::Intent { .. } => "intent",
            Event::Created { .. } => "created",
            Event::Ready { .. } => "ready",
            Event::Updating { .. } => "updating",
            Event::Updated { .. } => "updated",
            Event::Declared { .. } => "declared",
            Event::Deleting { .. } => "deleting",
            Event::Deleted { .. } => "deleted",
            Event::Adopted { .. } => "adopted",
            Event::Forgotten { .. } => "forgotten",
            Event::ActionDone { .. } => "action_done",
        }
    }
}
