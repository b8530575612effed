//! What carries the stack's tag outside EC2: clusters, databases, buckets, zones, as the tagging service lists them.

use super::Leftover;
use crate::{
    aws::{clients, object::found},
    cx::{Cx, TAG_RESOURCE},
    error::{Class, Result},
};
use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};

/// Services without regions keep their tags here.
const GLOBAL: &str = "us-east-1";

/// An ARN's parts that matter: `arn:aws:eks:eu-west-1:1:cluster/gitpod` is of `eks`, a `cluster`, called `gitpod`.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    service: &'a str,
    sort: &'a str,
    name: &'a str,
}

impl<'a> Named<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, _, service, _, _, resource] = parts[..] else { return None };
        let cut = resource.trim_start_matches('/').split_once(['/', ':']);
        let (sort, name) = cut.unwrap_or((if service == "s3" { "bucket" } else { "" }, resource));
        Some(Self { service, sort, name })
    }

    /// EC2 is looked at by itself, and a database's last snapshot was asked for.
    fn counts(&self) -> bool {
        self.service != "ec2" && (self.service, self.sort) != ("rds", "snapshot")
    }
}

/// What exists and carries the tag.
///
/// Without the right `tag:GetResources` nothing is found; the rest of the look goes on.
pub async fn elsewhere(cx: &Cx, key: &str, value: &str) -> Result<Vec<Leftover>> {
    let clients = clients(cx).await?;
    let mut left = Vec::new();
    let here = clients.region().to_owned();
    for region in [here.as_str(), GLOBAL] {
        let listed = match listed(cx, region, key, value).await {
            Err(error) if error.class == Class::Denied => continue,
            other => other?,
        };
        for mapping in listed {
            let Some(arn) = mapping.resource_arn() else { continue };
            let Some(named) = Named::of(arn).filter(Named::counts) else { continue };
            if exists(cx, &named).await? {
                left.push(Leftover { kind: kind(&named), id: named.name.to_owned(), name: address(&mapping) });
            }
        }
        if here == GLOBAL {
            break;
        }
    }
    Ok(left)
}

async fn listed(cx: &Cx, region: &str, key: &str, value: &str) -> Result<Vec<ResourceTagMapping>> {
    let filter = TagFilter::builder().key(key).values(value).build();
    let tagging = clients(cx).await?.tagging_in(region);
    let mut pages = tagging.get_resources().tag_filters(filter).into_paginator().items().send();
    let mut all = Vec::new();
    while let Some(mapping) = pages.next().await {
        all.push(mapping?);
    }
    Ok(all)
}

fn kind(named: &Named<'_>) -> String {
    format!("{} {}", named.service, named.sort).trim_end().to_owned()
}

fn address(mapping: &ResourceTagMapping) -> String {
    let tag = mapping.tags().iter().find(|tag| tag.key() == TAG_RESOURCE);
    tag.map(|tag| tag.value().to_owned()).unwrap_or_default()
}

/// The tagging service goes on listing what is gone for a while: what costs money is looked at itself.
async fn exists(cx: &Cx, named: &Named<'_>) -> Result<bool> {
    let clients = clients(cx).await?;
    let name = named.name;
    let there = match (named.service, named.sort) {
        ("eks", "cluster") => found(clients.eks().describe_cluster().name(name).send().await)?.is_some(),
        // `CLUSTER/NAME/UUID`: none of these outlives its cluster.
        ("eks", _) => {
            let cluster = name.split('/').next().unwrap_or(name);
            found(clients.eks().describe_cluster().name(cluster).send().await)?.is_some()
        }
        ("rds", "db") => {
            found(clients.rds().describe_db_instances().db_instance_identifier(name).send().await)?.is_some()
        }
        ("rds", "subgrp") => {
            found(clients.rds().describe_db_subnet_groups().db_subnet_group_name(name).send().await)?.is_some()
        }
        ("s3", _) => found(clients.s3().head_bucket().bucket(name).send().await)?.is_some(),
        ("route53", "hostedzone") => found(clients.route53().get_hosted_zone().id(name).send().await)?.is_some(),
        _ => true,
    };
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_taken_apart() {
        let named = |service, sort, name| Some(Named { service, sort, name });
        assert_eq!(Named::of("arn:aws:eks:eu-west-1:1:cluster/gitpod"), named("eks", "cluster", "gitpod"));
        assert_eq!(Named::of("arn:aws:rds:eu-west-1:1:db:gitpod"), named("rds", "db", "gitpod"));
        assert_eq!(Named::of("arn:aws:s3:::acme-gitpod"), named("s3", "bucket", "acme-gitpod"));
        assert_eq!(Named::of("arn:aws:route53:::hostedzone/Z1"), named("route53", "hostedzone", "Z1"));
        assert_eq!(Named::of("gitpod"), None);
        assert!(!Named::of("arn:aws:rds:eu-west-1:1:snapshot:last").unwrap().counts());
    }
}
