//! Look-ups of networks that exist already.

use super::tagging::{self, filter};
use crate::{
    aws::{clients, object::found},
    bind::Lookup,
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, Subnet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Looks up a VPC by id, name or tags.
///
/// `aws::ec2::find_vpc` gives `()` when there is none, `aws::ec2::get_vpc` fails. Use it to build in a network that exists.
/// It never changes the VPC.
///
/// # Errors
/// More than one VPC fits; nothing to look for is given.
///
/// ```rhai
/// let vpc = aws::ec2::get_vpc(#{ name: "shared" });
/// let subnets = aws::ec2::find_subnets(#{ vpc: vpc.id, tags: #{ tier: "private" } });
/// ```
///
/// Stands on EC2 `DescribeVpcs`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindVpcArgs {
    /// `vpc-…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tags that it carries, among others.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A VPC that was found.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct FoundVpc {
    /// `vpc-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Its first IPv4 range.
    pub cidr: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct FindVpc;

#[async_trait]
impl Lookup for FindVpc {
    const NAME: &'static str = "aws::ec2::find_vpc";
    type Args = FindVpcArgs;
    type Output = Option<FoundVpc>;

    async fn look(cx: &Cx, args: &FindVpcArgs) -> Result<Option<FoundVpc>> {
        find_vpc(cx, args).await
    }
}

pub(super) struct GetVpc;

#[async_trait]
impl Lookup for GetVpc {
    const NAME: &'static str = "aws::ec2::get_vpc";
    type Args = FindVpcArgs;
    type Output = FoundVpc;

    async fn look(cx: &Cx, args: &FindVpcArgs) -> Result<FoundVpc> {
        let missing = || {
            let wanted = serde_json::to_string(args).unwrap_or_default();
            Error::new(Class::NotFound, format!("no VPC fits {wanted}"))
                .hint("look at the region of the target, or list them with `aws ec2 describe-vpcs`")
        };
        find_vpc(cx, args).await?.ok_or_else(missing)
    }
}

async fn find_vpc(cx: &Cx, args: &FindVpcArgs) -> Result<Option<FoundVpc>> {
    let filters = filters(args.name.as_deref(), &args.tags);
    if args.id.is_none() && filters.is_empty() {
        return Err(Error::new(Class::Usage, "look for a VPC by one of `id`, `name` and `tags`"));
    }
    let clients = clients(cx).await?;
    let ask = clients.ec2().describe_vpcs().set_filters(Some(filters).filter(|list| !list.is_empty()));
    let told = found(ask.set_vpc_ids(args.id.clone().map(|id| vec![id])).send().await)?;
    let vpcs = told.and_then(|told| told.vpcs).unwrap_or_default();
    if let [_, _, ..] = vpcs.as_slice() {
        let ids: Vec<&str> = vpcs.iter().filter_map(|vpc| vpc.vpc_id()).collect();
        return Err(Error::new(Class::Usage, format!("{} VPCs fit: `{}`", ids.len(), ids.join("`, `")))
            .hint("look for one by its `id`"));
    }
    Ok(vpcs.into_iter().next().map(|vpc| {
        let tags = tagging::seen(vpc.tags());
        FoundVpc {
            id: vpc.vpc_id.unwrap_or_default(),
            name: tagging::name(&tags),
            cidr: vpc.cidr_block.unwrap_or_default(),
            tags,
        }
    }))
}

/// Looks up subnets by VPC, ids or tags.
///
/// # Errors
/// One of `ids` does not exist; nothing to look for is given.
///
/// ```rhai
/// let subnets = aws::ec2::find_subnets(#{ vpc: "vpc-0a1b", tags: #{ "kubernetes.io/role/internal-elb": "1" } });
/// ```
///
/// Stands on EC2 `DescribeSubnets`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindSubnetsArgs {
    /// Id of the VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// Ids of the subnets; each must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// Tags that they carry, among others.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A subnet that was found.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct FoundSubnet {
    /// `subnet-…`
    pub id: String,
    /// Availability zone.
    pub zone: String,
    /// Its range.
    pub cidr: String,
    /// Id of the VPC.
    pub vpc: String,
    /// Whether instances that start in it get a public address.
    pub public: bool,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct FindSubnets;

#[async_trait]
impl Lookup for FindSubnets {
    const NAME: &'static str = "aws::ec2::find_subnets";
    type Args = FindSubnetsArgs;
    type Output = Vec<FoundSubnet>;

    async fn look(cx: &Cx, args: &FindSubnetsArgs) -> Result<Vec<FoundSubnet>> {
        let mut filters = filters(None, &args.tags);
        filters.extend(args.vpc.iter().map(|vpc| filter("vpc-id", vpc)));
        if args.ids.is_none() && filters.is_empty() {
            return Err(Error::new(Class::Usage, "look for subnets by one of `vpc`, `ids` and `tags`"));
        }
        if args.ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let clients = clients(cx).await?;
        let ask = clients.ec2().describe_subnets().set_filters(Some(filters).filter(|list| !list.is_empty()));
        // With ids, all come in one page, and AWS refuses to be asked for pages.
        let mut subnets: Vec<FoundSubnet> = Vec::new();
        if args.ids.is_some() {
            let told = ask.set_subnet_ids(args.ids.clone()).send().await?;
            subnets.extend(told.subnets.unwrap_or_default().into_iter().map(shown));
        } else {
            let mut pages = ask.into_paginator().items().send();
            while let Some(subnet) = pages.next().await {
                subnets.push(shown(subnet?));
            }
        }
        subnets.sort_by(|left, right| (&left.zone, &left.cidr).cmp(&(&right.zone, &right.cidr)));
        Ok(subnets)
    }
}

fn filters(name: Option<&str>, tags: &BTreeMap<String, String>) -> Vec<Filter> {
    let name = name.map(|name| filter("tag:Name", name));
    name.into_iter().chain(tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), value))).collect()
}

fn shown(subnet: Subnet) -> FoundSubnet {
    let tags = tagging::seen(subnet.tags());
    FoundSubnet {
        id: subnet.subnet_id.unwrap_or_default(),
        zone: subnet.availability_zone.unwrap_or_default(),
        cidr: subnet.cidr_block.unwrap_or_default(),
        vpc: subnet.vpc_id.unwrap_or_default(),
        public: subnet.map_public_ip_on_launch.unwrap_or(false),
        tags,
    }
}
