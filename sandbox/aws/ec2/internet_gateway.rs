//! Internet gateways.

use serde_json::json;

use super::{Kind, find, in_use, tags};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) const KIND: Kind = Kind {
    table: "igw",
    ids: "InternetGatewayId",
    noun: "internetGateway ID",
    missing: "InvalidInternetGatewayID.NotFound",
    set: "internetGatewaySet",
    filters: &[
        ("internet-gateway-id", "internetGatewayId"),
        ("attachment.vpc-id", "attachmentSet.vpcId"),
        ("attachment.state", "attachmentSet.state"),
        ("owner-id", "ownerId"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateInternetGateway" => create(cx),
        "DescribeInternetGateways" => KIND.describe(cx),
        "AttachInternetGateway" => attach(cx),
        "DetachInternetGateway" => detach(cx),
        "DeleteInternetGateway" => delete(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let tag_set = tags::specified(cx, "internet-gateway")?;
    let id = cx.tx.new_id("igw");
    let gateway = json!({"internetGatewayId": id, "attachmentSet": [], "ownerId": cx.account, "tagSet": tag_set});
    cx.tx.put("igw", &id, gateway.clone());
    cx.ec2(&json!({"internetGateway": gateway}))
}

fn attach(cx: &mut Cx<'_>) -> Outcome {
    let (id, vpc) = (cx.p.req("InternetGatewayId")?.to_owned(), cx.p.req("VpcId")?.to_owned());
    let gateway = find(cx, &KIND, &id)?;
    find(cx, &super::vpc::KIND, &vpc)?;
    if gateway["attachmentSet"][0].is_object() {
        let message = format!("resource {id} is already attached to network {}", gateway["attachmentSet"][0]["vpcId"]);
        return Err(ApiError::new("Resource.AlreadyAssociated", message));
    }
    if cx.tx.any("igw", |other| other["attachmentSet"][0]["vpcId"] == *vpc) {
        let message = format!("Network {vpc} already has an internet gateway attached");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    cx.tx.update("igw", &id, |gateway| gateway["attachmentSet"] = json!([{"vpcId": vpc, "state": "available"}]));
    cx.ec2_done()
}

fn detach(cx: &mut Cx<'_>) -> Outcome {
    let (id, vpc) = (cx.p.req("InternetGatewayId")?.to_owned(), cx.p.req("VpcId")?.to_owned());
    let gateway = find(cx, &KIND, &id)?;
    if gateway["attachmentSet"][0]["vpcId"] != *vpc {
        let message = format!("resource {id} is not attached to network {vpc}");
        return Err(ApiError::new("Gateway.NotAttached", message));
    }
    if cx.tx.any("eni", |eni| eni["vpcId"] == *vpc && eni["association"]["publicIp"].is_string()) {
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those before detaching the gateway."
        );
        return Err(ApiError::new("DependencyViolation", message));
    }
    cx.tx.update("igw", &id, |gateway| gateway["attachmentSet"] = json!([]));
    cx.ec2_done()
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("InternetGatewayId")?.to_owned();
    let gateway = find(cx, &KIND, &id)?;
    if gateway["attachmentSet"][0].is_object() {
        return Err(in_use("internetGateway", &id));
    }
    cx.tx.delete("igw", &id);
    cx.ec2_done()
}
