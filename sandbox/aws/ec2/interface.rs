//! Network interfaces: what gateways, load balancers, clusters and databases put into subnets.

use serde_json::{Value, json};

use super::{Cidr, Kind, find, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::Tx;

pub(super) const KIND: Kind = Kind {
    table: "eni",
    ids: "NetworkInterfaceId",
    noun: "networkInterface ID",
    missing: "InvalidNetworkInterfaceID.NotFound",
    set: "networkInterfaceSet",
    filters: &[
        ("network-interface-id", "networkInterfaceId"),
        ("vpc-id", "vpcId"),
        ("subnet-id", "subnetId"),
        ("group-id", "groupSet.groupId"),
        ("group-name", "groupSet.groupName"),
        ("description", "description"),
        ("interface-type", "interfaceType"),
        ("requester-managed", "requesterManaged"),
        ("status", "status"),
        ("availability-zone", "availabilityZone"),
        ("attachment.instance-id", "attachment.instanceId"),
        ("private-ip-address", "privateIpAddress"),
        ("association.public-ip", "association.publicIp"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateNetworkInterface" => create(cx),
        "DescribeNetworkInterfaces" => KIND.describe(cx),
        "DeleteNetworkInterface" => delete(cx),
        _ => return None,
    })
}

/// Puts an interface of type `interface_type` (`interface`, `nat_gateway`, `network_load_balancer`, …) into a
/// subnet. Everything but `interface` counts as attached and managed by AWS. Returns its document.
///
/// # Errors
/// When the subnet or a group does not exist, or the subnet is full.
pub fn new_interface(
    cx: &mut Cx<'_>,
    subnet_id: &str,
    groups: &[String],
    description: &str,
    interface_type: &str,
) -> Result<Value, ApiError> {
    let subnet = find(cx, &super::subnet::KIND, subnet_id)?;
    for group in groups {
        find(cx, &super::security_group::KIND, group)?;
    }
    interface_in(&mut cx.tx, &subnet, groups, description, interface_type)
}

/// The same in a subnet that is at hand, without a call: for services that work by themselves.
///
/// # Errors
/// `InsufficientFreeAddressesInSubnet`.
pub fn interface_in(
    tx: &mut Tx<'_>,
    subnet: &Value,
    groups: &[String],
    description: &str,
    interface_type: &str,
) -> Result<Value, ApiError> {
    let block: Cidr = text(subnet, "cidrBlock").parse().map_err(|()| ApiError::new("InternalError", "bad block"))?;
    let used: std::collections::BTreeSet<String> = tx
        .scan("eni")
        .filter(|(_, eni)| eni["subnetId"] == subnet["subnetId"])
        .map(|(_, eni)| text(eni, "privateIpAddress").to_owned())
        .collect();
    // The first four addresses and the last are AWS's own.
    let last = u32::try_from(block.size() - 1).unwrap_or(u32::MAX);
    let Some(ip) = (4..last).map(|n| block.address(n).to_string()).find(|ip| !used.contains(ip)) else {
        let message = format!("The specified subnet {} does not have enough free addresses.", text(subnet, "subnetId"));
        return Err(ApiError::new("InsufficientFreeAddressesInSubnet", message));
    };
    let group_set: Vec<Value> = groups
        .iter()
        .map(|id| json!({"groupId": id, "groupName": tx.get("sg", id).map(|g| g["groupName"].clone())}))
        .collect();
    let id = tx.new_id("eni");
    let managed = interface_type != "interface";
    let eni = json!({
        "networkInterfaceId": id,
        "subnetId": subnet["subnetId"],
        "vpcId": subnet["vpcId"],
        "availabilityZone": subnet["availabilityZone"],
        "description": description,
        "ownerId": subnet["ownerId"],
        "interfaceType": interface_type,
        "requesterManaged": managed,
        "status": if managed { "in-use" } else { "available" },
        "privateIpAddress": ip,
        "privateIpAddressesSet": [{"privateIpAddress": ip, "primary": true}],
        "sourceDestCheck": true,
        "groupSet": group_set,
        "tagSet": [],
    });
    tx.put("eni", &id, eni.clone());
    Ok(eni)
}

/// Takes an interface away; one that is not there is fine.
pub fn delete_interface(tx: &mut Tx<'_>, id: &str) {
    tx.delete("eni", id);
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let subnet = cx.p.req("SubnetId")?.to_owned();
    let (groups, description) = (cx.p.list("SecurityGroupId"), cx.p.or("Description", "").to_owned());
    let tag_set = tags::specified(cx, "network-interface")?;
    let mut eni = new_interface(cx, &subnet, &groups, &description, "interface")?;
    eni["tagSet"] = tag_set;
    let id = text(&eni, "networkInterfaceId").to_owned();
    cx.tx.put("eni", &id, eni.clone());
    cx.ec2(&json!({"networkInterface": eni}))
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("NetworkInterfaceId")?.to_owned();
    let eni = find(cx, &KIND, &id)?;
    if eni["status"] == json!("in-use") {
        let message = format!("Network interface '{id}' is currently in use.");
        return Err(ApiError::new("InvalidNetworkInterface.InUse", message));
    }
    cx.tx.delete("eni", &id);
    cx.ec2_done()
}
