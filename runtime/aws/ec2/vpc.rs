//! A network.

use super::{check_name, cidr, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Readiness, Resource},
    cx::Cx,
    error::Result,
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::create_vpc::builders::CreateVpcInputBuilder,
    types::{AttributeBooleanValue, ResourceType, Vpc as Described, VpcAttributeName, VpcState},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A network of your own (VPC).
///
/// Use one VPC for a Gitpod installation. It never touches an existing VPC; `aws::ec2::find_vpc`
/// finds one to build in.
///
/// # Errors
/// `VpcLimitExceeded` when the account's VPCs are used up; a range that is no VPC range.
///
/// ```rhai
/// let vpc = aws::ec2::vpc(#{ name: "gitpod", cidr: "192.168.0.0/16", dns_hostnames: true });
/// ```
///
/// Stands on EC2 `CreateVpc`, `DescribeVpcs`, `DescribeVpcAttribute`, `ModifyVpcAttribute`, `CreateTags`, `DeleteVpc`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VpcArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// IPv4 range, /16 to /28: `192.168.0.0/16`. A change replaces the VPC.
    pub cidr: String,
    /// Whether Amazon's DNS server answers in it. Default: as AWS makes it, `true`. EKS needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_support: Option<bool>,
    /// Whether instances get DNS names. Default: as AWS makes it, `false`. EKS needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_hostnames: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A VPC as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct VpcObserved {
    /// `vpc-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Its range.
    pub cidr: String,
    /// Whether Amazon's DNS server answers in it.
    pub dns_support: bool,
    /// Whether instances get DNS names.
    pub dns_hostnames: bool,
    /// `pending` or `available`.
    pub status: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct Vpc;

#[async_trait]
impl Resource for Vpc {
    const KIND: &'static str = "aws::ec2::vpc";
    type Args = VpcArgs;
    type Observed = VpcObserved;
    const REPLACE: &'static [&'static str] = &["cidr"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &VpcArgs) -> Result<()> {
        check_name(&args.name)?;
        cidr::check("cidr", &args.cidr, 16..=28)
    }

    async fn find(cx: &Cx, args: &VpcArgs) -> Result<Option<VpcObserved>> {
        let clients = clients(cx).await?;
        let ask = |filters| clients.ec2().describe_vpcs().set_filters(Some(filters)).send();
        let ours = ask(tagging::ours(cx)).await?;
        if let Some(vpc) = ours.vpcs().first() {
            return observed(cx, Some(vpc)).await;
        }
        // Someone else's of our name: not ours to use unless the playbook says so, and no second one beside it.
        let named = ask(vec![tagging::filter("tag:Name", &args.name)]).await?;
        observed(cx, named.vpcs().first()).await
    }

    async fn twins(cx: &Cx, of: &VpcObserved) -> Result<Vec<VpcObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_vpcs().set_filters(Some(tagging::ours(cx))).send().await?;
        let others = told.vpcs().iter().filter(|other| other.vpc_id() != Some(of.id.as_str()));
        Ok(others.map(|other| shown(other, true, false)).collect())
    }

    async fn read(cx: &Cx, last: &VpcObserved) -> Result<Option<VpcObserved>> {
        let clients = clients(cx).await?;
        let Some(told) = found(clients.ec2().describe_vpcs().vpc_ids(&last.id).send().await)? else { return Ok(None) };
        observed(cx, told.vpcs().first()).await
    }

    fn tags(observed: &VpcObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &VpcObserved) -> Readiness {
        match observed.status.as_str() {
            "available" => Readiness::Ready,
            other => Readiness::Pending(format!("status {other}")),
        }
    }

    async fn create(cx: &Cx, args: &VpcArgs, _token: &str) -> Result<VpcObserved> {
        let clients = clients(cx).await?;
        let input = create_vpc_input(args, &tagging::wanted(cx, &args.name, &args.tags));
        let vpc = made(input.send_with(clients.ec2()).await?.vpc, "VPC")?;
        // What AWS gives every new VPC; the engine reads it again.
        Ok(shown(&vpc, true, false))
    }

    async fn update(cx: &Cx, args: &VpcArgs, observed: &VpcObserved, changes: &[Change]) -> Result<()> {
        let clients = clients(cx).await?;
        let modify = || clients.ec2().modify_vpc_attribute().vpc_id(&observed.id);
        let switch = |on: bool| AttributeBooleanValue::builder().value(on).build();
        // Names need the server: it is switched on before them, and off after them.
        let support = args.dns_support.filter(|_| touches(changes, "dns_support"));
        let hostnames = args.dns_hostnames.filter(|_| touches(changes, "dns_hostnames"));
        if support == Some(true) {
            modify().enable_dns_support(switch(true)).send().await?;
        }
        if let Some(on) = hostnames {
            modify().enable_dns_hostnames(switch(on)).send().await?;
        }
        if support == Some(false) {
            modify().enable_dns_support(switch(false)).send().await?;
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &VpcObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().delete_vpc().vpc_id(&observed.id).send().await).map(drop)
    }
}

fn create_vpc_input(args: &VpcArgs, tags: &BTreeMap<String, String>) -> CreateVpcInputBuilder {
    CreateVpcInputBuilder::default()
        .cidr_block(&args.cidr)
        .tag_specifications(tagging::on_creation(ResourceType::Vpc, tags))
}

async fn observed(cx: &Cx, vpc: Option<&Described>) -> Result<Option<VpcObserved>> {
    let Some(vpc) = vpc else { return Ok(None) };
    let clients = clients(cx).await?;
    let ask = |name: VpcAttributeName| {
        clients.ec2().describe_vpc_attribute().set_vpc_id(vpc.vpc_id.clone()).attribute(name).send()
    };
    let (support, hostnames) =
        tokio::join!(ask(VpcAttributeName::EnableDnsSupport), ask(VpcAttributeName::EnableDnsHostnames));
    let (Some(support), Some(hostnames)) = (found(support)?, found(hostnames)?) else { return Ok(None) };
    let support = support.enable_dns_support.and_then(|told| told.value).unwrap_or(true);
    let hostnames = hostnames.enable_dns_hostnames.and_then(|told| told.value).unwrap_or(false);
    Ok(Some(shown(vpc, support, hostnames)))
}

fn shown(vpc: &Described, dns_support: bool, dns_hostnames: bool) -> VpcObserved {
    let tags = tagging::seen(vpc.tags());
    VpcObserved {
        id: vpc.vpc_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        cidr: vpc.cidr_block.clone().unwrap_or_default(),
        dns_support,
        dns_hostnames,
        status: vpc.state.as_ref().unwrap_or(&VpcState::Pending).as_str().to_owned(),
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vpc_is_tagged_on_creation() {
        let args: VpcArgs =
            serde_json::from_value(serde_json::json!({ "name": "n", "cidr": "192.168.0.0/16" })).unwrap();
        let tags = [("gitpod-play/stack".to_owned(), "s".to_owned())].into();
        let input = create_vpc_input(&args, &tags);
        assert_eq!(input.get_cidr_block().as_deref(), Some("192.168.0.0/16"));
        let sent = &input.get_tag_specifications().as_ref().unwrap()[0];
        assert_eq!(sent.resource_type(), Some(&ResourceType::Vpc));
        assert_eq!(sent.tags()[0].value(), Some("s"));
        assert!(Vpc::validate(&VpcArgs { cidr: "10.0.0.0/8".into(), ..args }).is_err());
    }
}
