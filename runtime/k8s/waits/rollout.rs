//! `k8s::wait_rollout`.

use super::{absent, explained, failed};
use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        actions::Workload,
        cluster::{Cluster, ClusterRef},
        lookups::place,
        place::Place,
        ready::{self, State},
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Waits until a deployment, daemonset or statefulset runs as its present template says.
///
/// Use it after what makes or changes the workload; it may also come before the workload exists. It fails at once when
/// Kubernetes gives the rollout up. It changes nothing.
///
/// # Errors
/// The deadline passed or the rollout failed: with events, states of containers and last lines of logs.
///
/// ```rhai
/// k8s::wait_rollout(#{ cluster: cluster, kind: "deployment", namespace: "gitpod", name: "server", timeout_s: 600 });
/// ```
///
/// Stands on GET of the workload; for reasons on GET of events, pods and logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `deployment`, `daemonset` or `statefulset`.
    pub kind: Workload,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Seconds until it must be so. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

impl RolloutArgs {
    async fn place(&self, cx: &Cx) -> Result<(Arc<Cluster>, Place)> {
        place(cx, &self.cluster, "apps/v1", self.kind.kind(), Some(&self.namespace), &self.name).await
    }
}

/// Pods of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replicas {
    /// Pods that are wanted.
    pub replicas: i64,
    /// Pods that are ready.
    pub ready: i64,
}

/// The wait; see [`RolloutArgs`].
pub struct Rollout;

#[async_trait]
impl Wait for Rollout {
    const NAME: &'static str = "k8s::wait_rollout";
    type Args = RolloutArgs;
    type Output = Replicas;
    const POLL_S: u64 = 3;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let (cluster, place) = args.place(cx).await?;
        let Some(object) = cluster.send_maybe(cx, &place.get()).await? else {
            return Ok(Polled::Pending(absent(&place)));
        };
        match ready::rollout(&object) {
            State::Ready => Ok(Polled::Ready(replicas(&object))),
            State::Pending(words) => Ok(Polled::Pending(words)),
            State::Failed(words) => {
                let what = format!("the rollout of {} failed", place.called());
                Err(failed(cx, &cluster, &place, &object, what, words).await)
            }
        }
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let (cluster, place) = args.place(cx).await.ok()?;
        explained(cx, &cluster, &place, ready::rollout).await
    }
}

fn replicas(object: &Value) -> Replicas {
    let status = &object["status"];
    let first = |fields: [&Value; 2]| fields.into_iter().find_map(Value::as_i64).unwrap_or(0);
    Replicas {
        replicas: first([&object["spec"]["replicas"], &status["desiredNumberScheduled"]]),
        ready: first([&status["readyReplicas"], &status["numberReady"]]),
    }
}
