//! `k8s::nodes`: the nodes of a cluster.

use super::{
    cluster::{ClusterRef, cluster},
    lookups::{list_all, selector},
    ready::condition,
};
use crate::{bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The nodes of a cluster.
///
/// Use it to verify what node groups brought up. It never changes anything.
///
/// # Errors
/// The cluster cannot be reached or refuses.
///
/// ```rhai
/// for node in k8s::nodes(#{ cluster: cluster }) {
///     if !node.ready { throw `node ${node.name} is not ready`; }
/// }
/// ```
///
/// Stands on GET of the nodes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesQuery {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// Labels that the nodes have; all nodes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A node as scripts see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Kernel release: `6.8.0-1024-aws`.
    pub kernel: String,
    /// Container runtime and version: `containerd://1.7.24`.
    pub container_runtime: String,
    /// Version of the kubelet: `v1.33.4`.
    pub kubelet: String,
    /// Pods that fit on it.
    pub max_pods: i64,
    /// Operating system: `Ubuntu 22.04.5 LTS`.
    pub os_image: String,
    /// Availability zone; empty where there is none.
    pub zone: String,
    /// Why it is not ready; empty when it is.
    pub reason: String,
}

/// What scripts see of a node.
pub fn node(object: &Value) -> Node {
    let info = |field: &str| object["status"]["nodeInfo"][field].as_str().unwrap_or_default().to_owned();
    let labels: BTreeMap<String, String> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let (status, words) = condition(object, "Ready").unwrap_or(("Unknown", "no condition yet".to_owned()));
    let max_pods = &object["status"]["allocatable"]["pods"];
    Node {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        ready: status == "True",
        kernel: info("kernelVersion"),
        container_runtime: info("containerRuntimeVersion"),
        kubelet: info("kubeletVersion"),
        max_pods: max_pods.as_i64().or_else(|| max_pods.as_str()?.parse().ok()).unwrap_or(0),
        os_image: info("osImage"),
        zone: labels.get("topology.kubernetes.io/zone").cloned().unwrap_or_default(),
        reason: if status == "True" { String::new() } else { words },
        labels,
    }
}

/// The nodes with these labels.
pub async fn nodes(cx: &Cx, reference: &ClusterRef, labels: Option<&BTreeMap<String, String>>) -> Result<Vec<Node>> {
    let cluster = cluster(cx, reference).await?;
    let labels = labels.map(selector).unwrap_or_default();
    let found = list_all(cx, &cluster, "nodes", "/api/v1/nodes", &labels).await?;
    Ok(found.iter().map(node).collect())
}

/// The look-up; see [`NodesQuery`].
pub struct Nodes;

#[async_trait]
impl Lookup for Nodes {
    const NAME: &'static str = "k8s::nodes";
    type Args = NodesQuery;
    type Output = Vec<Node>;

    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        nodes(cx, &args.cluster, args.labels.as_ref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_in_few_words() {
        let seen = node(
            &json!({ "metadata": { "name": "n", "labels": { "topology.kubernetes.io/zone": "eu-west-1a" } },
            "status": { "allocatable": { "pods": "110" }, "nodeInfo": { "kernelVersion": "6.8" },
                "conditions": [{ "type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni" }] } }),
        );
        assert_eq!(
            (seen.ready, seen.max_pods, seen.zone.as_str(), seen.kernel.as_str()),
            (false, 110, "eu-west-1a", "6.8")
        );
        assert_eq!(seen.reason, "KubeletNotReady: cni");
    }
}
