//! Which of EC2's things still exist: their tags are shown for a while after they are gone, and so are some of themselves.

use super::{IDS_AT_ONCE, filter};
use crate::{
    aws::object::found,
    error::{Class, Result},
};
use aws_sdk_ec2::Client;

/// The states of a NAT gateway that is not gone.
const GATEWAY_STATES: [&str; 4] = ["pending", "available", "deleting", "failed"];
/// The states of an instance that is not gone.
const INSTANCE_STATES: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

/// Those of `ids` that exist; all of them where the kind is one that is not, or may not be, looked at.
pub async fn there(ec2: &Client, kind: &str, ids: &[String]) -> Result<Vec<String>> {
    let mut alive = Vec::new();
    for some in ids.chunks(IDS_AT_ONCE) {
        alive.extend(match some_there(ec2, kind, some).await {
            Err(error) if error.class == Class::Denied => some.to_vec(),
            other => other?,
        });
    }
    Ok(alive)
}

/// Looks by a filter, which gives what is there; ids that are asked for directly are an error when they are not.
async fn some_there(ec2: &Client, kind: &str, ids: &[String]) -> Result<Vec<String>> {
    let by = |name: &str| filter(name, ids.to_vec());
    let states = |name: &str, states: &[&str]| filter(name, states.iter().map(|state| (*state).to_owned()));
    Ok(match kind {
        "vpc" => {
            let told = ec2.describe_vpcs().filters(by("vpc-id")).send().await?;
            texts(told.vpcs(), aws_sdk_ec2::types::Vpc::vpc_id)
        }
        "subnet" => {
            let told = ec2.describe_subnets().filters(by("subnet-id")).send().await?;
            texts(told.subnets(), aws_sdk_ec2::types::Subnet::subnet_id)
        }
        "internet-gateway" => {
            let told = ec2.describe_internet_gateways().filters(by("internet-gateway-id")).send().await?;
            texts(told.internet_gateways(), aws_sdk_ec2::types::InternetGateway::internet_gateway_id)
        }
        "natgateway" | "nat-gateway" => {
            let ask = ec2.describe_nat_gateways().filter(by("nat-gateway-id")).filter(states("state", &GATEWAY_STATES));
            texts(ask.send().await?.nat_gateways(), aws_sdk_ec2::types::NatGateway::nat_gateway_id)
        }
        "elastic-ip" | "vpc-elastic-ip" => {
            let told = ec2.describe_addresses().filters(by("allocation-id")).send().await?;
            texts(told.addresses(), aws_sdk_ec2::types::Address::allocation_id)
        }
        "route-table" => {
            let told = ec2.describe_route_tables().filters(by("route-table-id")).send().await?;
            texts(told.route_tables(), aws_sdk_ec2::types::RouteTable::route_table_id)
        }
        "security-group" => {
            let told = ec2.describe_security_groups().filters(by("group-id")).send().await?;
            texts(told.security_groups(), aws_sdk_ec2::types::SecurityGroup::group_id)
        }
        "security-group-rule" => {
            let told = ec2.describe_security_group_rules().filters(by("security-group-rule-id")).send().await?;
            texts(told.security_group_rules(), aws_sdk_ec2::types::SecurityGroupRule::security_group_rule_id)
        }
        "launch-template" => templates(ec2, ids).await?,
        "instance" => {
            let ask = ec2.describe_instances().filters(by("instance-id"));
            let told = ask.filters(states("instance-state-name", &INSTANCE_STATES)).send().await?;
            told.reservations()
                .iter()
                .flat_map(|one| texts(one.instances(), aws_sdk_ec2::types::Instance::instance_id))
                .collect()
        }
        "volume" => {
            let told = ec2.describe_volumes().filters(by("volume-id")).send().await?;
            texts(told.volumes(), aws_sdk_ec2::types::Volume::volume_id)
        }
        "network-interface" => {
            let told = ec2.describe_network_interfaces().filters(by("network-interface-id")).send().await?;
            texts(told.network_interfaces(), aws_sdk_ec2::types::NetworkInterface::network_interface_id)
        }
        _ => ids.to_vec(),
    })
}

/// Launch templates have no filter by id.
async fn templates(ec2: &Client, ids: &[String]) -> Result<Vec<String>> {
    let mut alive = Vec::new();
    for id in ids {
        let told = found(ec2.describe_launch_templates().launch_template_ids(id).send().await)?;
        if told.is_some_and(|told| !told.launch_templates().is_empty()) {
            alive.push(id.clone());
        }
    }
    Ok(alive)
}

fn texts<T>(all: &[T], id: impl Fn(&T) -> Option<&str>) -> Vec<String> {
    all.iter().filter_map(|one| id(one).map(str::to_owned)).collect()
}
