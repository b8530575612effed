//! A subnet: the part of a network that stands in one zone.

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
    operation::create_subnet::builders::CreateSubnetInputBuilder,
    types::{AttributeBooleanValue, ResourceType, Subnet as Described, SubnetState},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A subnet of a VPC, in one zone.
///
/// Whether it is public is decided by the route table it is associated with; `public_ips` only gives its instances public
/// addresses. It never changes routes.
///
/// # Errors
/// `InvalidSubnet.Conflict` when the range overlaps another subnet's; `InvalidSubnet.Range` when it lies outside the VPC.
///
/// ```rhai
/// let subnet = aws::ec2::subnet(#{ name: "gitpod-public-a", vpc: vpc.id, cidr: "192.168.0.0/19", zone: "eu-west-1a",
///                                  public_ips: true, tags: #{ "kubernetes.io/role/elb": "1" } });
/// ```
///
/// Stands on EC2 `CreateSubnet`, `DescribeSubnets`, `ModifySubnetAttribute`, `CreateTags`, `DeleteSubnet`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Id of the VPC. A change replaces the subnet.
    pub vpc: String,
    /// IPv4 range within the VPC's, /16 to /28. A change replaces the subnet.
    pub cidr: String,
    /// Availability zone: `eu-west-1a`. A change replaces the subnet.
    pub zone: String,
    /// Whether instances that start in it get a public address. Default: as AWS makes it, `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ips: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A subnet as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct SubnetObserved {
    /// `subnet-…`
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The tag `Name`.
    pub name: String,
    /// Id of the VPC.
    pub vpc: String,
    /// Its range.
    pub cidr: String,
    /// Availability zone.
    pub zone: String,
    /// Whether instances that start in it get a public address.
    pub public_ips: bool,
    /// `pending` or `available`.
    pub status: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct Subnet;

#[async_trait]
impl Resource for Subnet {
    const KIND: &'static str = "aws::ec2::subnet";
    type Args = SubnetArgs;
    type Observed = SubnetObserved;
    const REPLACE: &'static [&'static str] = &["vpc", "cidr", "zone"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const TIMEOUT_S: u64 = 1200;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &SubnetArgs) -> Result<()> {
        check_name(&args.name)?;
        cidr::check("cidr", &args.cidr, 16..=28)
    }

    async fn find(cx: &Cx, _args: &SubnetArgs) -> Result<Option<SubnetObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_subnets().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.subnets().first().map(shown))
    }

    async fn twins(cx: &Cx, of: &SubnetObserved) -> Result<Vec<SubnetObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_subnets().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.subnets().iter().map(shown).filter(|other| other.id != of.id).collect())
    }

    async fn read(cx: &Cx, last: &SubnetObserved) -> Result<Option<SubnetObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_subnets().subnet_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.subnets().first().map(shown)))
    }

    fn tags(observed: &SubnetObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &SubnetObserved) -> Readiness {
        match observed.status.as_str() {
            "available" => Readiness::Ready,
            "failed" => Readiness::Broken("the subnet failed".to_owned()),
            other => Readiness::Pending(format!("status {other}")),
        }
    }

    async fn create(cx: &Cx, args: &SubnetArgs, _token: &str) -> Result<SubnetObserved> {
        let clients = clients(cx).await?;
        let input = create_subnet_input(args, &tagging::wanted(cx, &args.name, &args.tags));
        made(input.send_with(clients.ec2()).await?.subnet, "subnet").map(|subnet| shown(&subnet))
    }

    async fn update(cx: &Cx, args: &SubnetArgs, observed: &SubnetObserved, changes: &[Change]) -> Result<()> {
        let clients = clients(cx).await?;
        if let Some(on) = args.public_ips.filter(|_| touches(changes, "public_ips")) {
            let switch = AttributeBooleanValue::builder().value(on).build();
            let modify = clients.ec2().modify_subnet_attribute().subnet_id(&observed.id);
            modify.map_public_ip_on_launch(switch).send().await?;
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &SubnetObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().delete_subnet().subnet_id(&observed.id).send().await).map(drop)
    }
}

fn create_subnet_input(args: &SubnetArgs, tags: &BTreeMap<String, String>) -> CreateSubnetInputBuilder {
    CreateSubnetInputBuilder::default()
        .vpc_id(&args.vpc)
        .cidr_block(&args.cidr)
        .availability_zone(&args.zone)
        .tag_specifications(tagging::on_creation(ResourceType::Subnet, tags))
}

fn shown(subnet: &Described) -> SubnetObserved {
    let tags = tagging::seen(subnet.tags());
    SubnetObserved {
        id: subnet.subnet_id.clone().unwrap_or_default(),
        arn: subnet.subnet_arn.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        vpc: subnet.vpc_id.clone().unwrap_or_default(),
        cidr: subnet.cidr_block.clone().unwrap_or_default(),
        zone: subnet.availability_zone.clone().unwrap_or_default(),
        public_ips: subnet.map_public_ip_on_launch.unwrap_or(false),
        status: subnet.state.as_ref().unwrap_or(&SubnetState::Pending).as_str().to_owned(),
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_made_in_its_zone_and_tagged_at_once() {
        let args = serde_json::json!({ "name": "n", "vpc": "vpc-1", "cidr": "192.168.0.0/19", "zone": "eu-west-1a" });
        let args: SubnetArgs = serde_json::from_value(args).unwrap();
        let input = create_subnet_input(&args, &[("k".to_owned(), "v".to_owned())].into());
        assert_eq!(input.get_availability_zone().as_deref(), Some("eu-west-1a"));
        assert_eq!(input.get_tag_specifications().as_ref().unwrap()[0].tags()[0].key(), Some("k"));
        assert!(Subnet::validate(&args).is_ok());
    }
}
