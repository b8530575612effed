//! Instances. The world starts them for node groups; here they are shown and ended.

use serde_json::{Value, json};

use super::{Kind, find, text};
use crate::aws::Cx;
use crate::aws::http::Outcome;
use crate::core::store::Tx;

pub(super) const KIND: Kind = Kind {
    table: "instance",
    ids: "InstanceId",
    noun: "instance ID",
    missing: "InvalidInstanceID.NotFound",
    set: "reservationSet",
    filters: &[
        ("instance-id", "instanceId"),
        ("instance-state-name", "instanceState.name"),
        ("instance-type", "instanceType"),
        ("vpc-id", "vpcId"),
        ("subnet-id", "subnetId"),
        ("availability-zone", "placement.availabilityZone"),
        ("private-dns-name", "privateDnsName"),
        ("private-ip-address", "privateIpAddress"),
        ("image-id", "imageId"),
        ("instance.group-id", "groupSet.groupId"),
        ("network-interface.group-id", "groupSet.groupId"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "DescribeInstances" => describe(cx),
        "DescribeInstanceStatus" => status(cx),
        "TerminateInstances" => terminate(cx),
        _ => return None,
    })
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let all = cx.tx.select("instance", |_| true);
    let (page, next) = cx.page(KIND.select(cx, all)?)?;
    let reservations: Vec<Value> = page
        .into_iter()
        .map(|instance| {
            let own = || json!(text(&instance, "instanceId").replacen("i-", "r-", 1));
            let reservation =
                if instance["_reservation"].is_string() { instance["_reservation"].clone() } else { own() };
            json!({"reservationId": reservation, "ownerId": cx.account, "groupSet": [], "instancesSet": [instance]})
        })
        .collect();
    cx.ec2(&json!({"reservationSet": reservations, "nextToken": next}))
}

fn status(cx: &mut Cx<'_>) -> Outcome {
    let every = cx.p.flag("IncludeAllInstances") == Some(true);
    let all = cx.tx.select("instance", |i| every || i["instanceState"]["name"] == json!("running"));
    let (page, next) = cx.page(KIND.select(cx, all)?)?;
    let ok = json!({"status": "ok", "details": [{"name": "reachability", "status": "passed"}]});
    let set: Vec<Value> = page
        .iter()
        .map(|i| json!({"instanceId": i["instanceId"], "availabilityZone": i["placement"]["availabilityZone"], "instanceState": i["instanceState"], "systemStatus": ok, "instanceStatus": ok}))
        .collect();
    cx.ec2(&json!({"instanceStatusSet": set, "nextToken": next}))
}

fn terminate(cx: &mut Cx<'_>) -> Outcome {
    let mut set = Vec::new();
    for id in cx.p.list("InstanceId") {
        let before = find(cx, &KIND, &id)?["instanceState"].clone();
        let gone_at = cx.clock().ready_at("nat-gateway-gone");
        end(&mut cx.tx, &id, gone_at);
        let current = cx.tx.get("instance", &id).map(|i| i["instanceState"].clone());
        set.push(json!({"instanceId": id, "currentState": current, "previousState": before}));
    }
    cx.ec2(&json!({"instancesSet": set}))
}

/// Ends an instance: its interface and volume go with it, its record stays until `gone_at_ms`.
pub(crate) fn end(tx: &mut Tx<'_>, id: &str, gone_at_ms: i64) {
    tx.delete_where("eni", |eni| eni["attachment"]["instanceId"] == *id);
    tx.delete_where("volume", |volume| {
        volume["attachmentSet"][0]["instanceId"] == *id && volume["_root"] == json!(true)
    });
    tx.update("instance", id, |instance| {
        instance["instanceState"] = json!({"code": 48, "name": "terminated"});
        instance["groupSet"] = json!([]);
        instance["_ready_at"] = json!(gone_at_ms);
        instance["_next"] = Value::Null;
    });
}
