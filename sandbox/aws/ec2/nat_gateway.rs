//! NAT gateways.

use serde_json::{Value, json};

use super::{Kind, find, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::Tx;

pub(super) const KIND: Kind = Kind {
    table: "natgw",
    ids: "NatGatewayId",
    noun: "NAT gateway ID",
    missing: "NatGatewayNotFound",
    set: "natGatewaySet",
    filters: &[("nat-gateway-id", "natGatewayId"), ("state", "state"), ("subnet-id", "subnetId"), ("vpc-id", "vpcId")],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateNatGateway" => create(cx),
        "DescribeNatGateways" => KIND.describe(cx),
        "DeleteNatGateway" => delete(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let token = cx.p.opt("ClientToken").map(str::to_owned);
    let wanted = cx.wanted_without(&["ClientToken", "Action", "Version"]);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "IdempotentParameterMismatch")?
        && let Some(gateway) = cx.tx.get("natgw", &id).cloned()
    {
        return cx.ec2(&json!({"natGateway": gateway, "clientToken": token}));
    }
    let subnet = find(cx, &super::subnet::KIND, cx.p.req("SubnetId")?)?;
    let public = cx.p.or("ConnectivityType", "public") == "public";
    let id = cx.tx.new_id("nat");
    let tag_set = tags::specified(cx, "natgateway")?;
    let vpc = text(&subnet, "vpcId").to_owned();
    if public && !cx.tx.any("igw", |igw| igw["attachmentSet"][0]["vpcId"] == *vpc) {
        let message = format!("Network {vpc} has no Internet gateway attached");
        return Err(ApiError::new("Gateway.NotAttached", message));
    }
    let address = if public { Some(free_address(cx)?) } else { None };
    let description = format!("Interface for NAT Gateway {id}");
    let eni = super::new_interface(cx, text(&subnet, "subnetId"), &[], &description, "nat_gateway")?;
    let (eni_id, private_ip) = (text(&eni, "networkInterfaceId").to_owned(), eni["privateIpAddress"].clone());
    let mut entry =
        json!({"networkInterfaceId": eni_id, "privateIp": private_ip, "isPrimary": true, "status": "succeeded"});
    if let Some(address) = &address {
        let association = cx.tx.new_id("eipassoc");
        entry["allocationId"] = address["allocationId"].clone();
        entry["publicIp"] = address["publicIp"].clone();
        entry["associationId"] = json!(association);
        let owner = cx.account.clone();
        cx.tx.update("eip", text(address, "allocationId"), |eip| {
            eip["associationId"] = json!(association);
            eip["networkInterfaceId"] = json!(eni_id);
            eip["networkInterfaceOwnerId"] = json!(owner);
            eip["privateIpAddress"] = private_ip;
            eip["_natGatewayId"] = json!(id);
        });
        cx.tx.update("eni", &eni_id, |eni| {
            eni["association"] = json!({"publicIp": address["publicIp"], "allocationId": address["allocationId"], "associationId": association});
        });
    }
    let gateway = json!({
        "natGatewayId": id,
        "subnetId": subnet["subnetId"],
        "vpcId": vpc,
        "state": "pending",
        "createTime": cx.clock().iso_now(),
        "connectivityType": if public { "public" } else { "private" },
        "natGatewayAddressSet": [entry],
        "tagSet": tag_set,
        "_ready_at": cx.clock().ready_at("nat-gateway"),
        "_next": match &cx.fails {
            Some(reason) => json!({"state": "failed", "failureCode": "InternalError", "failureMessage": reason}),
            None => json!({"state": "available"}),
        },
    });
    cx.tx.put("natgw", &id, gateway.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.ec2(&json!({"natGateway": gateway, "clientToken": token}))
}

fn free_address(cx: &Cx<'_>) -> Result<Value, ApiError> {
    let id = cx.p.req("AllocationId")?;
    let address = find(cx, &super::address::KIND, id)?;
    if address["associationId"].is_string() {
        let message = format!("resource {id} is already associated with {}", address["associationId"]);
        return Err(ApiError::new("Resource.AlreadyAssociated", message));
    }
    Ok(address)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("NatGatewayId")?.to_owned();
    let gateway = find(cx, &KIND, &id)?;
    if !["deleting", "deleted"].contains(&text(&gateway, "state")) {
        let (ready_at, gone_at) = (cx.clock().ready_at("nat-gateway-delete"), cx.clock().ready_at("nat-gateway-gone"));
        cx.tx.update("natgw", &id, |gateway| {
            gateway["state"] = json!("deleting");
            gateway["deleteTime"] = json!(crate::core::clock::iso(ready_at));
            gateway["_ready_at"] = json!(ready_at);
            // The record of a deleted gateway stays for about an hour, then goes.
            gateway["_next"] = json!({"state": "deleted", "_ready_at": gone_at.max(ready_at + 2000), "_next": null});
        });
    }
    cx.ec2(&json!({"natGatewayId": id}))
}

/// Frees what a gateway held, when it is deleted at last.
pub(super) fn let_go(tx: &mut Tx<'_>, id: &str) {
    let gateway = tx.get("natgw", id).cloned().unwrap_or_default();
    for entry in gateway["natGatewayAddressSet"].as_array().into_iter().flatten() {
        super::address::unbind(tx, text(entry, "allocationId"));
        tx.delete("eni", text(entry, "networkInterfaceId"));
    }
}
