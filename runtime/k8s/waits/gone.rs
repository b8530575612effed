//! `k8s::wait_gone`.

use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        actions::Nothing,
        cluster::ClusterRef,
        lookups::{ListQuery, place},
        ready::{self, State},
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Waits until an object, or all objects with some labels, are gone.
///
/// Use it before something is taken away that they need (load balancers before the network). It deletes nothing itself.
///
/// # Errors
/// The deadline passed: with what is still there and what holds it.
///
/// ```rhai
/// k8s::wait_gone(#{ cluster: cluster, api_version: "v1", kind: "Pod", namespace: "kube-system", labels: #{ "k8s-app": "aws-node" } });
/// ```
///
/// Stands on GET of the object or the list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoneArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Pod`, `Service` …
    pub kind: String,
    /// The namespace; `default` for one object, all for a list, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name; all objects of the kind when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels of the objects, when there is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Seconds until they must be gone. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// The wait; see [`GoneArgs`].
pub struct Gone;

#[async_trait]
impl Wait for Gone {
    const NAME: &'static str = "k8s::wait_gone";
    type Args = GoneArgs;
    type Output = Nothing;
    const POLL_S: u64 = 3;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let left = match left_over(cx, args).await {
            // A kind that is no longer served has no objects.
            Err(error) if error.is_not_found() => Vec::new(),
            other => other?,
        };
        let Some(first) = left.first() else { return Ok(Polled::Ready(Nothing {})) };
        let name = first["metadata"]["name"].as_str().unwrap_or_default();
        let words = match ready::state(first, false) {
            State::Pending(words) => words,
            _ => "still there".to_owned(),
        };
        Ok(Polled::Pending(format!("{} left: `{name}` is {words}", left.len())))
    }
}

async fn left_over(cx: &Cx, args: &GoneArgs) -> Result<Vec<Value>> {
    let namespace = args.namespace.as_deref();
    if let Some(name) = &args.name {
        let (cluster, place) = place(cx, &args.cluster, &args.api_version, &args.kind, namespace, name).await?;
        return Ok(cluster.send_maybe(cx, &place.get()).await?.into_iter().collect());
    }
    let query = ListQuery {
        cluster: args.cluster.clone(),
        api_version: args.api_version.clone(),
        kind: args.kind.clone(),
        namespace: args.namespace.clone(),
        labels: args.labels.clone(),
    };
    query.all(cx).await
}
