//! Waits: `k8s::wait_rollout`, `wait_condition`, `wait_job`, `wait_nodes`, `wait_gone`, `wait_load_balancer`.
//!
//! Each look is one read. What can never come true fails at once, with the reasons that [`super::reasons`] collects.

mod condition;
mod gone;
mod job;
mod load_balancer;
mod nodes;
mod rollout;
mod rollouts;

pub use condition::Condition;
pub use gone::Gone;
pub use job::Job;
pub use load_balancer::LoadBalancer;
pub use nodes::Nodes;
pub use rollout::Rollout;
pub use rollouts::Rollouts;

use super::{cluster::Cluster, place::Place, ready::State, reasons};
use crate::{cx::Cx, error::Error};
use serde_json::Value;

/// What to say of an object that is waited for and absent.
fn absent(place: &Place) -> String {
    format!("{} does not exist yet", place.called())
}

/// An error with all reasons that can be found.
async fn failed(cx: &Cx, cluster: &Cluster, place: &Place, object: &Value, what: String, words: String) -> Error {
    let reasons = reasons::of(cx, cluster, place, object).await;
    let cause = if reasons.is_empty() { words } else { format!("{words}\n{reasons}") };
    Error::failed(what).because(cause)
}

/// The reasons for a wait that ended at its deadline: how far the object is, and all that can be found.
async fn explained(cx: &Cx, cluster: &Cluster, place: &Place, how_far: impl Fn(&Value) -> State) -> Option<String> {
    let object = cluster.send_maybe(cx, &place.get()).await.ok()??;
    let words = match how_far(&object) {
        State::Ready => return None,
        State::Pending(words) | State::Failed(words) => words,
    };
    let reasons = reasons::of(cx, cluster, place, &object).await;
    Some(if reasons.is_empty() { words } else { format!("{words}\n{reasons}") })
}
