//! What is left of a stack after it was destroyed.

mod elsewhere;
mod there;

use super::{clients, elb};
use crate::{
    bind::{Lookup, Registry},
    cx::{Cx, TAG_RESOURCE, TAG_STACK},
    error::Result,
};
use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, TagDescription};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many ids one filter takes.
const IDS_AT_ONCE: usize = 200;

/// Registers the bindings of this file.
pub fn register(registry: &mut Registry) {
    registry.lookup::<Leftovers>();
}

/// Looks up what still exists of a stack: by our tag, and by the tag that Kubernetes puts on what it makes.
///
/// Use it after `destroy`, and before a network is deleted. It sees what EC2 tags (networks, gateways, groups, instances,
/// volumes, network interfaces), load balancers, and what the tagging service lists (clusters, databases, buckets, zones);
/// it does not see IAM's users and roles, nor the last snapshot of a database, and never deletes anything.
///
/// # Errors
/// None of its own.
///
/// ```rhai
/// for left in aws::leftovers(#{ stack: "gitpod", cluster: "gitpod" }) {
///     print(`${left.kind} ${left.id} ${left.name}`);
/// }
/// ```
///
/// Stands on EC2 `DescribeTags` and the `Describe…` calls of the kinds found; ELB and ELBv2 `DescribeLoadBalancers`,
/// `DescribeTags`; Resource Groups Tagging `GetResources`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftoversArgs {
    /// Name of the stack.
    pub stack: String,
    /// Name of the EKS cluster whose load balancers, volumes and groups count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// One thing that is left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub struct Leftover {
    /// EC2's name for its type (`vpc`, `natgateway`, `volume`), `load-balancer`, or service and sort (`rds db`).
    pub kind: String,
    /// Its id; the name of a load balancer.
    pub id: String,
    /// The resource's address in the stack, else its `Name`, else empty.
    pub name: String,
}

struct Leftovers;

#[async_trait]
impl Lookup for Leftovers {
    const NAME: &'static str = "aws::leftovers";
    type Args = LeftoversArgs;
    type Output = Vec<Leftover>;

    async fn look(cx: &Cx, args: &LeftoversArgs) -> Result<Vec<Leftover>> {
        let mut kinds = tagged(cx, TAG_STACK, &args.stack).await?;
        if let Some(cluster) = &args.cluster {
            kinds.extend(tagged(cx, &format!("kubernetes.io/cluster/{cluster}"), "owned").await?);
        }
        drop_ghosts(cx, &mut kinds).await?;
        let mut left = named(cx, &kinds).await?;
        left.extend(elsewhere::elsewhere(cx, TAG_STACK, &args.stack).await?);
        if let Some(cluster) = &args.cluster {
            let balancers = elb::of_cluster(cx, cluster).await?;
            left.extend(balancers.into_iter().map(|one| Leftover {
                kind: "load-balancer".to_owned(),
                id: one.name,
                name: one.hostname,
            }));
        }
        left.sort();
        Ok(left)
    }
}

/// Kinds by id of what carries the tag.
async fn tagged(cx: &Cx, key: &str, value: &str) -> Result<BTreeMap<String, String>> {
    let filters = vec![filter("key", [key.to_owned()]), filter("value", [value.to_owned()])];
    let tags = tags(cx, filters).await?;
    Ok(tags.into_iter().filter_map(|tag| Some((tag.resource_id?, tag.resource_type?.as_str().to_owned()))).collect())
}

/// EC2 goes on showing the tags of what is gone for a while: deleted NAT gateways and terminated instances for an hour.
async fn drop_ghosts(cx: &Cx, kinds: &mut BTreeMap<String, String>) -> Result<()> {
    let ec2 = clients(cx).await?;
    let mut by_kind: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, kind) in kinds.iter() {
        by_kind.entry(kind.clone()).or_default().push(id.clone());
    }
    let looks = by_kind.iter().map(|(kind, ids)| there::there(ec2.ec2(), kind, ids));
    let alive = futures::future::try_join_all(looks).await?.concat();
    kinds.retain(|id, _| alive.contains(id));
    Ok(())
}

async fn named(cx: &Cx, kinds: &BTreeMap<String, String>) -> Result<Vec<Leftover>> {
    let ids: Vec<String> = kinds.keys().cloned().collect();
    let mut names: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for some in ids.chunks(IDS_AT_ONCE) {
        let filters =
            vec![filter("resource-id", some.to_vec()), filter("key", [TAG_RESOURCE.to_owned(), "Name".to_owned()])];
        for tag in tags(cx, filters).await? {
            if let (Some(id), Some(key)) = (tag.resource_id, tag.key) {
                names.entry(id).or_default().insert(key, tag.value.unwrap_or_default());
            }
        }
    }
    let name = |id: &str| {
        let tags = names.get(id)?;
        tags.get(TAG_RESOURCE).or_else(|| tags.get("Name")).cloned()
    };
    Ok(kinds
        .iter()
        .map(|(id, kind)| Leftover { kind: kind.clone(), id: id.clone(), name: name(id).unwrap_or_default() })
        .collect())
}

async fn tags(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<TagDescription>> {
    let clients = clients(cx).await?;
    let mut pages = clients.ec2().describe_tags().set_filters(Some(filters)).into_paginator().items().send();
    let mut tags = Vec::new();
    while let Some(tag) = pages.next().await {
        tags.push(tag?);
    }
    Ok(tags)
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}
