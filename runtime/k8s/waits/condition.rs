//! `k8s::wait_condition`.

use super::{absent, explained};
use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        cluster::{Cluster, ClusterRef},
        lookups::{for_scripts, place},
        place::Place,
        ready::{self, State},
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Waits until a condition of an object has a status.
///
/// Use it for objects that report conditions: `Ready` of a certificate, `Available` of an APIService. The object may be
/// still to come. It changes nothing.
///
/// # Errors
/// The deadline passed: with the condition's words and the object's events.
///
/// ```rhai
/// k8s::wait_condition(#{ cluster: cluster, api_version: "cert-manager.io/v1", kind: "Certificate", namespace: "gitpod",
///                        name: "https-certificates", condition: "Ready" });
/// ```
///
/// Stands on GET of the object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Certificate`, `Deployment` …
    pub kind: String,
    /// Its namespace; `default` when left out. Not for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Type of the condition: `Ready`.
    pub condition: String,
    /// Status it must have. Default `True`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Seconds until it must be so. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

impl ConditionArgs {
    async fn place(&self, cx: &Cx) -> Result<(Arc<Cluster>, Place)> {
        place(cx, &self.cluster, &self.api_version, &self.kind, self.namespace.as_deref(), &self.name).await
    }
}

/// The wait; see [`ConditionArgs`].
pub struct Condition;

#[async_trait]
impl Wait for Condition {
    const NAME: &'static str = "k8s::wait_condition";
    type Args = ConditionArgs;
    type Output = Value;
    const POLL_S: u64 = 3;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let (cluster, place) = match args.place(cx).await {
            Err(error) if error.is_not_found() => return Ok(Polled::Pending(error.message)),
            other => other?,
        };
        let Some(object) = cluster.send_maybe(cx, &place.get()).await? else {
            return Ok(Polled::Pending(absent(&place)));
        };
        let wanted = args.status.as_deref().unwrap_or("True");
        Ok(match ready::condition_is(&object, &args.condition, wanted) {
            State::Ready => Polled::Ready(for_scripts(object)),
            State::Pending(words) | State::Failed(words) => Polled::Pending(words),
        })
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let (cluster, place) = args.place(cx).await.ok()?;
        explained(cx, &cluster, &place, |object| {
            ready::condition_is(object, &args.condition, args.status.as_deref().unwrap_or("True"))
        })
        .await
    }
}
