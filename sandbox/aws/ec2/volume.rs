//! EBS volumes: those of nodes and of Kubernetes claims.

use serde_json::{Value, json};

use super::{Kind, find, invalid, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

const KIND: Kind = Kind {
    table: "volume",
    ids: "VolumeId",
    noun: "volume",
    missing: "InvalidVolume.NotFound",
    set: "volumeSet",
    filters: &[
        ("volume-id", "volumeId"),
        ("status", "status"),
        ("availability-zone", "availabilityZone"),
        ("size", "size"),
        ("volume-type", "volumeType"),
        ("encrypted", "encrypted"),
        ("attachment.instance-id", "attachmentSet.instanceId"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateVolume" => create(cx),
        "DescribeVolumes" => KIND.describe(cx),
        "DeleteVolume" => delete(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let zone = cx.p.req("AvailabilityZone")?.to_owned();
    if !super::zones(&cx.region).iter().any(|(name, _)| *name == zone) {
        let message = format!("The zone '{zone}' does not exist.");
        return Err(ApiError::new("InvalidZone.NotFound", message));
    }
    let (size, kind) = (cx.p.int("Size")?.unwrap_or(0), cx.p.or("VolumeType", "gp2").to_owned());
    if !(1..=16_384).contains(&size) {
        return Err(invalid("size", &size.to_string(), "Volume sizes are 1 to 16384 GiB."));
    }
    let tag_set = tags::specified(cx, "volume")?;
    let volume = new_volume(&cx.tx.new_id("vol"), &zone, size, &kind, &cx.clock().iso_now(), &tag_set);
    let mut volume = volume;
    volume["status"] = json!("creating");
    volume["_ready_at"] = json!(cx.clock().ready_at("volume"));
    volume["_next"] = json!({"status": "available"});
    if let Some(iops) = cx.p.int("Iops")? {
        volume["iops"] = json!(iops);
    }
    cx.tx.put("volume", text(&volume, "volumeId"), volume.clone());
    cx.ec2(&volume)
}

/// A volume's document.
pub fn new_volume(id: &str, zone: &str, size_gib: i64, kind: &str, created: &str, tag_set: &Value) -> Value {
    json!({
        "volumeId": id,
        "size": size_gib,
        "volumeType": kind,
        "iops": if kind == "gp3" { 3000 } else { (size_gib * 3).clamp(100, 16_000) },
        "availabilityZone": zone,
        "status": "available",
        "createTime": created,
        "encrypted": false,
        "multiAttachEnabled": false,
        "attachmentSet": [],
        "tagSet": tag_set,
    })
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("VolumeId")?.to_owned();
    let volume = find(cx, &KIND, &id)?;
    if volume["status"] == json!("in-use") {
        let message = format!("Volume {id} is currently attached to {}", volume["attachmentSet"][0]["instanceId"]);
        return Err(ApiError::new("VolumeInUse", message));
    }
    cx.tx.delete("volume", &id);
    cx.ec2_done()
}
