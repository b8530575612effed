//! Load balancers, which Kubernetes makes and the playbook looks for.

use super::clients;
use crate::{
    bind::{Lookup, Registry},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer as Newer, LoadBalancerTypeEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many load balancers one `DescribeTags` takes.
const TAGS_AT_ONCE: usize = 20;

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.lookup::<FindLoadBalancers>();
}

/// Looks up load balancers by host name or by the cluster whose services made them.
///
/// Use it to point an alias record at the load balancer of a service, and to see before a network is deleted that none is
/// left. It never changes one: Kubernetes owns them.
///
/// # Errors
/// Neither or both of `hostname` and `cluster` are given.
///
/// ```rhai
/// let found = aws::elb::find_load_balancers(#{ hostname: "a1b2-123.eu-west-1.elb.amazonaws.com" });
/// print(found[0].zone_id);
/// ```
///
/// Stands on ELB and ELBv2 `DescribeLoadBalancers`, `DescribeTags`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindLoadBalancersArgs {
    /// DNS name, as a service's status shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of the EKS cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct LoadBalancer {
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub hostname: String,
    /// The hosted zone of its DNS name, which alias records ask for.
    pub zone_id: String,
    /// Its ARN; classic ones have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// `classic`, `network`, `application` or `gateway`.
    pub kind: String,
    /// The VPC it stands in.
    pub vpc: String,
}

struct FindLoadBalancers;

#[async_trait]
impl Lookup for FindLoadBalancers {
    const NAME: &'static str = "aws::elb::find_load_balancers";
    type Args = FindLoadBalancersArgs;
    type Output = Vec<LoadBalancer>;

    async fn look(cx: &Cx, args: &FindLoadBalancersArgs) -> Result<Vec<LoadBalancer>> {
        match (&args.hostname, &args.cluster) {
            (Some(hostname), None) => {
                let mut all = all(cx).await?;
                all.retain(|one| same_host(&one.hostname, hostname));
                Ok(all)
            }
            (None, Some(cluster)) => of_cluster(cx, cluster).await,
            _ => Err(Error::new(Class::Usage, "`find_load_balancers` takes one of `hostname` and `cluster`")),
        }
    }
}

/// The load balancers that the services of `cluster` made.
pub(super) async fn of_cluster(cx: &Cx, cluster: &str) -> Result<Vec<LoadBalancer>> {
    let all = all(cx).await?;
    let (newer, classic): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.arn.is_some());
    let mut kept = Vec::new();
    for some in classic.chunks(TAGS_AT_ONCE) {
        let names = Some(some.iter().map(|one| one.name.clone()).collect());
        let told = clients(cx).await?.elb().describe_tags().set_load_balancer_names(names).send().await?;
        let ours: BTreeSet<String> = told
            .tag_descriptions()
            .iter()
            .filter(|one| {
                let pairs = one.tags().iter().map(|tag| (tag.key(), tag.value().unwrap_or_default()));
                belongs(&pairs.collect(), cluster)
            })
            .filter_map(|one| one.load_balancer_name().map(str::to_owned))
            .collect();
        kept.extend(some.iter().filter(|one| ours.contains(&one.name)).cloned());
    }
    for some in newer.chunks(TAGS_AT_ONCE) {
        let arns = Some(some.iter().filter_map(|one| one.arn.clone()).collect());
        let told = clients(cx).await?.elbv2().describe_tags().set_resource_arns(arns).send().await?;
        let ours: BTreeSet<String> = told
            .tag_descriptions()
            .iter()
            .filter(|one| {
                let pairs = one.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
                belongs(&pairs.collect(), cluster)
            })
            .filter_map(|one| one.resource_arn().map(str::to_owned))
            .collect();
        kept.extend(some.iter().filter(|one| one.arn.as_ref().is_some_and(|arn| ours.contains(arn))).cloned());
    }
    Ok(kept)
}

async fn all(cx: &Cx) -> Result<Vec<LoadBalancer>> {
    let clients = clients(cx).await?;
    let mut all = Vec::new();
    let mut pages = clients.elb().describe_load_balancers().into_paginator().items().send();
    while let Some(one) = pages.next().await {
        let one = one?;
        all.push(LoadBalancer {
            name: one.load_balancer_name.unwrap_or_default(),
            hostname: one.dns_name.unwrap_or_default(),
            zone_id: one.canonical_hosted_zone_name_id.unwrap_or_default(),
            arn: None,
            kind: "classic".to_owned(),
            vpc: one.vpc_id.unwrap_or_default(),
        });
    }
    let mut pages = clients.elbv2().describe_load_balancers().into_paginator().items().send();
    while let Some(one) = pages.next().await {
        all.push(newer(one?));
    }
    Ok(all)
}

fn newer(one: Newer) -> LoadBalancer {
    LoadBalancer {
        name: one.load_balancer_name.unwrap_or_default(),
        hostname: one.dns_name.unwrap_or_default(),
        zone_id: one.canonical_hosted_zone_id.unwrap_or_default(),
        arn: one.load_balancer_arn,
        kind: one.r#type.unwrap_or(LoadBalancerTypeEnum::Network).as_str().to_owned(),
        vpc: one.vpc_id.unwrap_or_default(),
    }
}

/// The in-tree controller tags by key, the load balancer controller by value.
fn belongs(tags: &BTreeMap<&str, &str>, cluster: &str) -> bool {
    tags.get(format!("kubernetes.io/cluster/{cluster}").as_str()) == Some(&"owned")
        || tags.get("elbv2.k8s.aws/cluster") == Some(&cluster)
}

/// DNS names know no case; consoles put `dualstack.` before them and resolvers a dot behind.
fn same_host(left: &str, right: &str) -> bool {
    let plain = |name: &str| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name.strip_prefix("dualstack.").map_or(name.clone(), str::to_owned)
    };
    plain(left) == plain(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_compared_as_dns_does() {
        assert!(same_host("Abc.eu-west-1.elb.amazonaws.com", "dualstack.abc.eu-west-1.elb.amazonaws.com."));
        assert!(!same_host("abc.eu-west-1.elb.amazonaws.com", "abd.eu-west-1.elb.amazonaws.com"));
    }

    #[test]
    fn a_cluster_owns_what_either_controller_tagged() {
        assert!(belongs(&[("kubernetes.io/cluster/gitpod", "owned")].into(), "gitpod"));
        assert!(belongs(&[("elbv2.k8s.aws/cluster", "gitpod")].into(), "gitpod"));
        assert!(!belongs(&[("kubernetes.io/cluster/gitpod", "shared")].into(), "gitpod"));
        assert!(!belongs(&[("elbv2.k8s.aws/cluster", "other")].into(), "gitpod"));
    }
}
