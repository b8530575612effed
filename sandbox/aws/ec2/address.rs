//! Elastic IP addresses.

use serde_json::json;

use super::{Kind, find, tags};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) const KIND: Kind = Kind {
    table: "eip",
    ids: "AllocationId",
    noun: "allocation ID",
    missing: "InvalidAllocationID.NotFound",
    set: "addressesSet",
    filters: &[
        ("allocation-id", "allocationId"),
        ("association-id", "associationId"),
        ("domain", "domain"),
        ("network-interface-id", "networkInterfaceId"),
        ("public-ip", "publicIp"),
        ("instance-id", "instanceId"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "AllocateAddress" => allocate(cx),
        "DescribeAddresses" => KIND.describe(cx),
        "ReleaseAddress" => release(cx),
        "DisassociateAddress" => disassociate(cx),
        _ => return None,
    })
}

fn allocate(cx: &mut Cx<'_>) -> Outcome {
    if cx.tx.scan("eip").count() >= cx.env.quota("ec2", "L-0263D0A3") {
        return Err(ApiError::new("AddressLimitExceeded", "The maximum number of addresses has been reached."));
    }
    let tag_set = tags::specified(cx, "elastic-ip")?;
    let id = cx.tx.new_id("eipalloc");
    let address = json!({
        "publicIp": public_ip(&id),
        "allocationId": id,
        "domain": "vpc",
        "publicIpv4Pool": "amazon",
        "networkBorderGroup": cx.region,
        "tagSet": tag_set,
    });
    cx.tx.put("eip", &id, address.clone());
    cx.ec2(&address)
}

/// A public address that follows from an id, out of a range of documentation and one of benchmarks.
pub fn public_ip(id: &str) -> String {
    let sum = id.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("198.{}.{}.{}", 18 + (sum >> 16) % 2, (sum >> 8) % 256, 1 + sum % 254)
}

fn release(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("AllocationId")?.to_owned();
    let address = find(cx, &KIND, &id)?;
    if address["associationId"].is_string() {
        let message = format!("Address {} is in use.", address["publicIp"]);
        return Err(ApiError::new("InvalidIPAddress.InUse", message));
    }
    cx.tx.delete("eip", &id);
    cx.ec2_done()
}

fn disassociate(cx: &mut Cx<'_>) -> Outcome {
    let association = cx.p.req("AssociationId")?.to_owned();
    let found = cx.tx.select("eip", |eip| eip["associationId"] == *association);
    let Some(address) = found.first() else {
        let message = format!("The association ID '{association}' does not exist");
        return Err(ApiError::new("InvalidAssociationID.NotFound", message));
    };
    if address["_natGatewayId"].is_string() {
        let message = "You do not have permission to access the specified resource.";
        return Err(ApiError::new("AuthFailure", message));
    }
    let id = super::text(address, "allocationId").to_owned();
    unbind(&mut cx.tx, &id);
    cx.ec2_done()
}

/// Takes the association off an address.
pub(super) fn unbind(tx: &mut crate::core::store::Tx<'_>, id: &str) {
    tx.update("eip", id, |eip| {
        if let Some(members) = eip.as_object_mut() {
            for name in
                ["associationId", "networkInterfaceId", "networkInterfaceOwnerId", "privateIpAddress", "_natGatewayId"]
            {
                members.remove(name);
            }
        }
    });
}
