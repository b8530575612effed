//! A record of every call, for tests that count them and for people who look around.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Number, counted from 1.
    pub number: u64,
    /// Unix milliseconds when it was answered.
    pub at_ms: i64,
    /// Service as its signing name.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// Region.
    pub region: String,
    /// HTTP status; 0 when the connection was dropped.
    pub status: u16,
    /// Error code, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the operation is one that changes things.
    pub write: bool,
    /// Access key id of the caller.
    pub access_key: String,
}

/// The calls of one simulation; the oldest go when there are too many.
#[derive(Default)]
pub struct Calls {
    inner: Mutex<(u64, std::collections::VecDeque<Call>)>,
}

const KEPT: usize = 50_000;

impl Calls {
    /// Adds a call; its number is given here.
    pub fn add(&self, mut call: Call) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        call.number = inner.0;
        if inner.1.len() == KEPT {
            inner.1.pop_front();
        }
        inner.1.push_back(call);
    }

    /// All calls since the start or the last [`Calls::clear`].
    pub fn list(&self) -> Vec<Call> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.iter().cloned().collect()
    }

    /// Forgets all calls; numbers go on.
    pub fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.clear();
    }
}

/// Whether an operation of this name only reads. Credentials of a role are no change to the account.
pub fn reads(operation: &str) -> bool {
    ["Describe", "Get", "List", "Head", "Simulate", "BatchGet", "Lookup", "Decode", "AssumeRole"]
        .iter()
        .any(|p| operation.starts_with(p))
}
