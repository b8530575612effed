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
    Error::failed(what).because(with_reasons(cx, cluster, place, object, words).await)
}

/// The reasons for a wait that ended at its deadline: how far the object is, and all that can be found.
async fn explained(cx: &Cx, cluster: &Cluster, place: &Place, how_far: impl Fn(&Value) -> State) -> Option<String> {
    let object = cluster.send_maybe(cx, &place.get()).await.ok()??;
    let words = match how_far(&object) {
        State::Ready => return None,
        State::Pending(words) | State::Failed(words) => words,
    };
    Some(with_reasons(cx, cluster, place, &object, words).await)
}

/// `words`, followed by the reasons that do not only repeat them.
async fn with_reasons(cx: &Cx, cluster: &Cluster, place: &Place, object: &Value, words: String) -> String {
    let reasons = reasons::of(cx, cluster, place, object).await;
    let plain = words.replace(": ", " ");
    let more: Vec<&str> = reasons.lines().filter(|line| plain.is_empty() || !line.contains(&plain)).collect();
    if more.is_empty() { words } else { format!("{words}\n{}", more.join("\n")) }
}
