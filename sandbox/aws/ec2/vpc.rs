//! VPCs.

use serde_json::{Value, json};

use super::{Cidr, Kind, find, in_use, invalid, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::hex_digits;

pub(super) const KIND: Kind = Kind {
    table: "vpc",
    ids: "VpcId",
    noun: "vpc ID",
    missing: "InvalidVpcID.NotFound",
    set: "vpcSet",
    filters: &[
        ("vpc-id", "vpcId"),
        ("cidr", "cidrBlock"),
        ("cidr-block", "cidrBlock"),
        ("cidrBlock", "cidrBlock"),
        ("cidr-block-association.cidr-block", "cidrBlockAssociationSet.cidrBlock"),
        ("dhcp-options-id", "dhcpOptionsId"),
        ("is-default", "isDefault"),
        ("isDefault", "isDefault"),
        ("owner-id", "ownerId"),
        ("state", "state"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateVpc" => create(cx),
        "DescribeVpcs" => KIND.describe(cx),
        "DeleteVpc" => delete(cx),
        "ModifyVpcAttribute" => modify(cx),
        "DescribeVpcAttribute" => attribute(cx),
        "DescribeNetworkAcls" => network_acls(cx),
        _ => return None,
    })
}

/// A CIDR parameter.
pub(super) fn block(parameter: &str, value: &str) -> Result<Cidr, ApiError> {
    value.parse().map_err(|()| invalid(parameter, value, "This is not a valid CIDR block."))
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let cidr = block("cidrBlock", cx.p.req("CidrBlock")?)?;
    if !(16..=28).contains(&cidr.prefix) {
        return Err(ApiError::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
    }
    let quota = cx.env.quota("vpc", "L-F678F1CE");
    if cx.tx.scan("vpc").count() >= quota {
        return Err(ApiError::new("VpcLimitExceeded", "The maximum number of VPCs has been reached."));
    }
    let tag_set = tags::specified(cx, "vpc")?;
    let id = cx.tx.new_id("vpc");
    let vpc = json!({
        "vpcId": id,
        "state": "pending",
        "cidrBlock": cidr.to_string(),
        "cidrBlockAssociationSet": [{
            "associationId": cx.tx.new_id("vpc-cidr-assoc"),
            "cidrBlock": cidr.to_string(),
            "cidrBlockState": {"state": "associated"},
        }],
        "dhcpOptionsId": format!("dopt-{}", "0".repeat(17)),
        "instanceTenancy": cx.p.or("InstanceTenancy", "default"),
        "isDefault": false,
        "ownerId": cx.account,
        "tagSet": tag_set,
        "_enableDnsSupport": true,
        "_enableDnsHostnames": false,
        "_enableNetworkAddressUsageMetrics": false,
        "_networkAclId": format!("acl-{}", hex_digits(17)),
        "_ready_at": cx.clock().ready_at("vpc"),
        "_next": {"state": "available"},
    });
    cx.tx.put("vpc", &id, vpc.clone());
    super::route_table::create_main(cx, &id, &cidr.to_string());
    super::create_group(cx, "default", "default VPC security group", &id, &json!([]))?;
    cx.ec2(&json!({"vpc": vpc}))
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("VpcId")?.to_owned();
    find(cx, &KIND, &id)?;
    let of_vpc = |doc: &Value| doc["vpcId"] == *id;
    let main = |doc: &Value| doc["associationSet"][0]["main"] == json!(true);
    let busy = cx.tx.any("subnet", of_vpc)
        || cx.tx.any("eni", of_vpc)
        || cx.tx.any("igw", |igw| igw["attachmentSet"][0]["vpcId"] == *id)
        || cx.tx.any("vpce", |e| of_vpc(e) && e["state"] != json!("deleted"))
        || cx.tx.any("rtb", |rtb| of_vpc(rtb) && !main(rtb))
        || cx.tx.any("sg", |sg| of_vpc(sg) && text(sg, "groupName") != "default");
    if busy {
        return Err(in_use("vpc", &id));
    }
    let groups = cx.tx.select("sg", of_vpc);
    for group in &groups {
        cx.tx.delete_where("sgr", |rule| rule["groupId"] == group["groupId"]);
    }
    cx.tx.delete_where("sg", of_vpc);
    cx.tx.delete_where("rtb", of_vpc);
    cx.tx.delete("vpc", &id);
    cx.ec2_done()
}

/// Attributes that can be set: parameter and how the answer calls it.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("EnableDnsSupport", "enableDnsSupport"),
    ("EnableDnsHostnames", "enableDnsHostnames"),
    ("EnableNetworkAddressUsageMetrics", "enableNetworkAddressUsageMetrics"),
];

fn modify(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("VpcId")?.to_owned();
    find(cx, &KIND, &id)?;
    for (parameter, name) in ATTRIBUTES {
        if let Some(value) = cx.p.flag(&format!("{parameter}.Value")) {
            cx.tx.update("vpc", &id, |vpc| vpc[format!("_{name}")] = json!(value));
        }
    }
    cx.ec2_done()
}

fn attribute(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("VpcId")?.to_owned();
    let vpc = find(cx, &KIND, &id)?;
    let wanted = cx.p.req("Attribute")?;
    let Some((_, name)) = ATTRIBUTES.iter().find(|(_, name)| *name == wanted) else {
        return Err(invalid("attribute", wanted, "No such attribute."));
    };
    let mut answer = json!({"vpcId": id});
    answer[*name] = json!({"value": vpc[format!("_{name}")]});
    cx.ec2(&answer)
}

/// Each VPC has its default network ACL, with all its subnets; others cannot be made.
fn network_acls(cx: &mut Cx<'_>) -> Outcome {
    const ACLS: Kind = Kind {
        table: "",
        ids: "NetworkAclId",
        noun: "networkAcl ID",
        missing: "InvalidNetworkAclID.NotFound",
        set: "networkAclSet",
        filters: &[("vpc-id", "vpcId"), ("default", "default"), ("association.subnet-id", "associationSet.subnetId")],
    };
    let all = cx.tx.scan("vpc").map(|(id, vpc)| {
        let subnets = cx.tx.select("subnet", |subnet| subnet["vpcId"] == **id);
        let associations: Vec<Value> = subnets
            .iter()
            .map(|s| json!({"networkAclAssociationId": text(s, "subnetId").replace("subnet", "aclassoc"), "networkAclId": vpc["_networkAclId"], "subnetId": s["subnetId"]}))
            .collect();
        json!({"networkAclId": vpc["_networkAclId"], "vpcId": id, "default": true, "ownerId": vpc["ownerId"], "entrySet": [], "associationSet": associations, "tagSet": []})
    });
    let all = all.collect();
    ACLS.answer(cx, all)
}
