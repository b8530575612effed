//! `k8s::wait_rollouts`.

use super::Rollout;
use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        actions::Workload,
        cluster::{ClusterRef, cluster},
        lookups::ListQuery,
        ready::{self, State},
        waits::rollout::RolloutArgs,
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Waits until several workloads of one namespace run as their present templates say.
///
/// The same as `k8s::wait_rollout` for each name, by one read for all. It fails at once when Kubernetes gives one of the
/// rollouts up. It changes nothing.
///
/// # Errors
/// The deadline passed or a rollout failed: with events, states of containers and last lines of logs.
///
/// ```rhai
/// k8s::wait_rollouts(#{ cluster: cluster, kind: "deployment", namespace: "gitpod", names: ["server", "proxy"] });
/// ```
///
/// Stands on LIST of the workloads; for reasons on GET of events, pods and logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutsArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `deployment`, `daemonset` or `statefulset`.
    pub kind: Workload,
    /// Their namespace.
    pub namespace: String,
    /// Their names.
    pub names: Vec<String>,
    /// Seconds until it must be so. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// Workloads that run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Running {
    /// Their names.
    pub names: Vec<String>,
}

impl RolloutsArgs {
    fn one(&self, name: &str) -> RolloutArgs {
        RolloutArgs {
            cluster: self.cluster.clone(),
            kind: self.kind,
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            timeout_s: None,
        }
    }

    async fn found(&self, cx: &Cx) -> Result<Vec<Value>> {
        let query = ListQuery {
            cluster: self.cluster.clone(),
            api_version: "apps/v1".to_owned(),
            kind: self.kind.kind().to_owned(),
            namespace: Some(self.namespace.clone()),
            labels: None,
        };
        query.all(cx).await
    }
}

/// How far each of `names` is among `found`: the first that is not ready, in words, and whether it never will be.
fn first_unready(names: &[String], found: &[Value]) -> Option<(String, Option<String>)> {
    names.iter().find_map(|name| {
        let object = found.iter().find(|object| object["metadata"]["name"] == name.as_str());
        match object.map(ready::rollout) {
            None => Some((name.clone(), Some(format!("`{name}` does not exist yet")))),
            Some(State::Ready) => None,
            Some(State::Pending(words)) => Some((name.clone(), Some(format!("`{name}`: {words}")))),
            Some(State::Failed(_)) => Some((name.clone(), None)),
        }
    })
}

/// The wait; see [`RolloutsArgs`].
pub struct Rollouts;

#[async_trait]
impl Wait for Rollouts {
    const NAME: &'static str = "k8s::wait_rollouts";
    type Args = RolloutsArgs;
    type Output = Running;
    const POLL_S: u64 = 3;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        cluster(cx, &args.cluster).await?;
        let found = args.found(cx).await?;
        match first_unready(&args.names, &found) {
            None => Ok(Polled::Ready(Running { names: args.names.clone() })),
            Some((_, Some(words))) => Ok(Polled::Pending(words)),
            // The wait for one knows how to find the reasons.
            Some((name, None)) => match Rollout::poll(cx, &args.one(&name)).await? {
                Polled::Ready(_) => Ok(Polled::Pending(format!("`{name}` came up this moment"))),
                Polled::Pending(words) => Ok(Polled::Pending(words)),
            },
        }
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let found = args.found(cx).await.ok()?;
        let (name, _) = first_unready(&args.names, &found)?;
        Rollout::explain(cx, &args.one(&name)).await.or_else(|| Some(format!("`{name}` does not exist")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, ready: i64) -> Value {
        json!({
            "kind": "Deployment", "metadata": { "name": name, "generation": 1 }, "spec": { "replicas": 1 },
            "status": { "observedGeneration": 1, "replicas": ready, "updatedReplicas": ready,
                        "readyReplicas": ready, "availableReplicas": ready },
        })
    }

    #[test]
    fn the_first_that_is_not_ready_is_named() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(first_unready(&names, &[deployment("a", 1), deployment("b", 1)]), None);
        let (name, words) = first_unready(&names, &[deployment("a", 1)]).unwrap();
        assert_eq!((name.as_str(), words.unwrap().as_str()), ("b", "`b` does not exist yet"));
        assert_eq!(first_unready(&names, &[deployment("a", 0), deployment("b", 1)]).unwrap().0, "a");
    }
}
