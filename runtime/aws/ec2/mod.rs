//! EC2: networks, gateways, groups, images, launch templates. One file a kind.
//!
//! Creates that know no token are tagged on creation, so that `find` recovers what a lost reply hid. Objects that take
//! several calls are made by the first one; the rest shows up as a difference and is an update.

mod cidr;
mod elastic_ip;
mod find_network;
mod image;
mod instance_types;
mod internet_gateway;
mod launch_template;
mod nat_gateway;
mod place;
mod route_table;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
mod security_group;
mod security_group_rule;
mod subnet;
mod tagging;
mod template_data;
mod vpc;

pub use elastic_ip::{ElasticIpArgs, ElasticIpObserved};
pub use find_network::{FindSubnetsArgs, FindVpcArgs, FoundSubnet, FoundVpc};
pub use image::{FindImageArgs, Image};
pub use instance_types::{InstanceTypeFound, InstanceTypesArgs, InstanceTypesOutput};
pub use internet_gateway::{InternetGatewayArgs, InternetGatewayObserved};
pub use launch_template::{LaunchTemplateArgs, LaunchTemplateObserved};
pub use nat_gateway::{NatGatewayArgs, NatGatewayObserved};
pub use place::{UsageArgs, UsageOutput, ZonesArgs, ZonesOutput};
pub use route_table::{RouteArgs, RouteTableArgs, RouteTableObserved};
pub use security_group::{SecurityGroupArgs, SecurityGroupObserved};
pub use security_group_rule::{Direction, SecurityGroupRuleArgs, SecurityGroupRuleObserved};
pub use subnet::{SubnetArgs, SubnetObserved};
pub use vpc::{VpcArgs, VpcObserved};

use crate::{
    bind::Registry,
    error::{Class, Error, Result},
};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.resource::<vpc::Vpc>();
    registry.resource::<subnet::Subnet>();
    registry.resource::<internet_gateway::InternetGateway>();
    registry.resource::<elastic_ip::ElasticIp>();
    registry.resource::<nat_gateway::NatGateway>();
    registry.resource::<route_table::RouteTable>();
    registry.resource::<security_group::SecurityGroup>();
    registry.resource::<security_group_rule::SecurityGroupRule>();
    registry.resource::<launch_template::LaunchTemplate>();
    registry.lookup::<place::Zones>();
    registry.lookup::<place::Usage>();
    registry.lookup::<find_network::FindVpc>();
    registry.lookup::<find_network::GetVpc>();
    registry.lookup::<find_network::FindSubnets>();
    registry.lookup::<image::FindImage>();
    registry.lookup::<instance_types::InstanceTypes>();
}

/// A name that fits into a `Name` tag or a group's name.
fn check_name(name: &str) -> Result<()> {
    match name.chars().count() {
        1..=255 => Ok(()),
        count => Err(Error::new(Class::Invalid, format!("`name` has {count} characters; EC2 takes 1 to 255"))),
    }
}

/// The one thing that was made, which the answer must hold.
fn made<T>(answer: Option<T>, what: &str) -> Result<T> {
    answer.ok_or_else(|| Error::new(Class::Passing, format!("AWS answered without the {what} it made")))
}
