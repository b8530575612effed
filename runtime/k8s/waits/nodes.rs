//! `k8s::wait_nodes`.

use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        cluster::ClusterRef,
        nodes::{Node, nodes},
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Waits until enough nodes are ready.
///
/// Use it after node groups, and after what nodes need to become ready (the network plugin). It changes nothing.
///
/// # Errors
/// The deadline passed: with the nodes that are not ready and why.
///
/// ```rhai
/// let nodes = k8s::wait_nodes(#{ cluster: cluster, labels: #{ "gitpod.io/workload_meta": "true" }, count: 2 });
/// ```
///
/// Stands on GET of the nodes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// Labels that the nodes have; all nodes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// How many must be ready at least.
    pub count: u32,
    /// Seconds until they must be. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// The wait; see [`NodesArgs`].
pub struct Nodes;

#[async_trait]
impl Wait for Nodes {
    const NAME: &'static str = "k8s::wait_nodes";
    type Args = NodesArgs;
    type Output = Vec<Node>;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let found = nodes(cx, &args.cluster, args.labels.as_ref()).await?;
        let ready = found.iter().filter(|node| node.ready).count();
        if ready >= args.count as usize {
            return Ok(Polled::Ready(found.into_iter().filter(|node| node.ready).collect()));
        }
        Ok(Polled::Pending(format!("{ready} of {} nodes are ready", args.count)))
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let found = nodes(cx, &args.cluster, args.labels.as_ref()).await.ok()?;
        if found.is_empty() {
            return Some("there is no such node".to_owned());
        }
        let not_ready = found.iter().filter(|node| !node.ready);
        Some(not_ready.map(|node| format!("node `{}`: {}", node.name, node.reason)).collect::<Vec<_>>().join("\n"))
    }
}
