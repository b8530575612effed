//! Subnets.

use serde_json::{Value, json};

use super::vpc::block;
use super::{Cidr, Kind, find, in_use, invalid, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) const KIND: Kind = Kind {
    table: "subnet",
    ids: "SubnetId",
    noun: "subnet ID",
    missing: "InvalidSubnetID.NotFound",
    set: "subnetSet",
    filters: &[
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
        ("availability-zone", "availabilityZone"),
        ("availabilityZone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("cidr-block", "cidrBlock"),
        ("cidr", "cidrBlock"),
        ("cidrBlock", "cidrBlock"),
        ("default-for-az", "defaultForAz"),
        ("map-public-ip-on-launch", "mapPublicIpOnLaunch"),
        ("owner-id", "ownerId"),
        ("state", "state"),
        ("subnet-arn", "subnetArn"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateSubnet" => create(cx),
        "DescribeSubnets" => describe(cx),
        "DeleteSubnet" => delete(cx),
        "ModifySubnetAttribute" => modify(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let vpc = find(cx, &super::vpc::KIND, cx.p.req("VpcId")?)?;
    let vpc_id = text(&vpc, "vpcId").to_owned();
    let cidr = block("cidrBlock", cx.p.req("CidrBlock")?)?;
    let whole = block("cidrBlock", text(&vpc, "cidrBlock"))?;
    if !whole.contains(cidr) || !(16..=28).contains(&cidr.prefix) {
        return Err(ApiError::new("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid.")));
    }
    let clash = |subnet: &Value| {
        subnet["vpcId"] == *vpc_id && text(subnet, "cidrBlock").parse().is_ok_and(|other: Cidr| other.overlaps(cidr))
    };
    if cx.tx.any("subnet", clash) {
        return Err(ApiError::new(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{cidr}' conflicts with another subnet"),
        ));
    }
    let zones = super::zones(&cx.region);
    let by_id = cx.p.opt("AvailabilityZoneId");
    let by_name = cx.p.opt("AvailabilityZone");
    let zone = zones.iter().find(|(name, id)| by_name.is_none_or(|n| n == name) && by_id.is_none_or(|i| i == id));
    let Some((zone, zone_id)) = zone else {
        let wrong = by_name.or(by_id).unwrap_or_default();
        let names: Vec<&str> = zones.iter().map(|(name, _)| name.as_str()).collect();
        let why =
            format!("Subnets can currently only be created in the following availability zones: {}.", names.join(", "));
        return Err(invalid("availabilityZone", wrong, &why));
    };
    let tag_set = tags::specified(cx, "subnet")?;
    let id = cx.tx.new_id("subnet");
    let subnet = json!({
        "subnetId": id,
        "subnetArn": cx.arn("ec2", &format!("subnet/{id}")),
        "state": "available",
        "vpcId": vpc_id,
        "cidrBlock": cidr.to_string(),
        "availabilityZone": zone,
        "availabilityZoneId": zone_id,
        "defaultForAz": false,
        "mapPublicIpOnLaunch": false,
        "assignIpv6AddressOnCreation": false,
        "enableDns64": false,
        "ipv6Native": false,
        "ownerId": cx.account,
        "tagSet": tag_set,
    });
    cx.tx.put("subnet", &id, subnet.clone());
    cx.ec2(&json!({"subnet": with_free(cx, subnet)}))
}

/// The subnet with its count of free addresses: five are AWS's own, one goes per interface.
fn with_free(cx: &Cx<'_>, mut subnet: Value) -> Value {
    let size = text(&subnet, "cidrBlock").parse().map_or(0, Cidr::size);
    let used = cx.tx.scan("eni").filter(|(_, eni)| eni["subnetId"] == subnet["subnetId"]).count() as u64;
    subnet["availableIpAddressCount"] = json!(size.saturating_sub(5 + used));
    subnet
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let all = cx.tx.select("subnet", |_| true).into_iter().map(|subnet| with_free(cx, subnet)).collect();
    KIND.answer(cx, all)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("SubnetId")?.to_owned();
    find(cx, &KIND, &id)?;
    if cx.tx.any("eni", |eni| eni["subnetId"] == *id) {
        return Err(in_use("subnet", &id));
    }
    super::route_table::forget_subnet(cx, &id);
    cx.tx.delete("subnet", &id);
    cx.ec2_done()
}

fn modify(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("SubnetId")?.to_owned();
    find(cx, &KIND, &id)?;
    for (parameter, name) in [
        ("MapPublicIpOnLaunch", "mapPublicIpOnLaunch"),
        ("AssignIpv6AddressOnCreation", "assignIpv6AddressOnCreation"),
        ("EnableDns64", "enableDns64"),
    ] {
        if let Some(value) = cx.p.flag(&format!("{parameter}.Value")) {
            cx.tx.update("subnet", &id, |subnet| subnet[name] = json!(value));
        }
    }
    cx.ec2_done()
}
