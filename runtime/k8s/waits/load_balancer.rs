//! `k8s::wait_load_balancer`.

use super::{absent, explained};
use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::{Error, Result},
    k8s::{
        cluster::{Cluster, ClusterRef},
        lookups::place,
        place::Place,
        ready,
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Waits until a service of type LoadBalancer has an address.
///
/// Use it before DNS records that point at the load balancer. It changes nothing.
///
/// # Errors
/// The deadline passed: with the service's events; the service is of another type.
///
/// ```rhai
/// let address = k8s::wait_load_balancer(#{ cluster: cluster, namespace: "gitpod", name: "proxy" });
/// ```
///
/// Stands on GET of the service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancerArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// The service's namespace.
    pub namespace: String,
    /// The service's name.
    pub name: String,
    /// Seconds until it must have an address. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

impl LoadBalancerArgs {
    async fn place(&self, cx: &Cx) -> Result<(Arc<Cluster>, Place)> {
        place(cx, &self.cluster, "v1", "Service", Some(&self.namespace), &self.name).await
    }
}

/// Where a load balancer is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Its host name (AWS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its IP address (GCP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// The wait; see [`LoadBalancerArgs`].
pub struct LoadBalancer;

#[async_trait]
impl Wait for LoadBalancer {
    const NAME: &'static str = "k8s::wait_load_balancer";
    type Args = LoadBalancerArgs;
    type Output = Address;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let (cluster, place) = args.place(cx).await?;
        let Some(object) = cluster.send_maybe(cx, &place.get()).await? else {
            return Ok(Polled::Pending(absent(&place)));
        };
        if object["spec"]["type"] != "LoadBalancer" {
            let is = object["spec"]["type"].as_str().unwrap_or("ClusterIP");
            return Err(Error::failed(format!(
                "service {} never gets a load balancer: its type is `{is}`",
                place.called()
            )));
        }
        Ok(match ready::load_balancer(&object) {
            Some((hostname, ip)) => Polled::Ready(Address { hostname, ip }),
            None => Polled::Pending("no address yet".to_owned()),
        })
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let (cluster, place) = args.place(cx).await.ok()?;
        explained(cx, &cluster, &place, |_| ready::State::Pending("no address yet".to_owned())).await
    }
}
