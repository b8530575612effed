//! Machine images: a catalogue of Ubuntu's and Amazon's, and those that the account registers.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Kind, tags};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

const KIND: Kind = Kind {
    table: "image",
    ids: "ImageId",
    noun: "image id",
    missing: "InvalidAMIID.NotFound",
    set: "imagesSet",
    filters: &[
        ("image-id", "imageId"),
        ("name", "name"),
        ("owner-id", "imageOwnerId"),
        ("owner-alias", "imageOwnerAlias"),
        ("architecture", "architecture"),
        ("state", "imageState"),
        ("is-public", "isPublic"),
        ("image-type", "imageType"),
        ("root-device-type", "rootDeviceType"),
        ("root-device-name", "rootDeviceName"),
        ("virtualization-type", "virtualizationType"),
        ("hypervisor", "hypervisor"),
        ("description", "description"),
        ("creation-date", "creationDate"),
        ("ena-support", "enaSupport"),
        ("platform-details", "platformDetails"),
    ],
};

/// Canonical's account.
const UBUNTU: &str = "099720109477";
/// The account of Amazon's EKS images.
const AMAZON_EKS: &str = "602401143452";

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "DescribeImages" => describe(cx),
        "RegisterImage" => register(cx),
        "DeregisterImage" => deregister(cx),
        _ => return None,
    })
}

/// Release days of the Ubuntu images of each Kubernetes version.
const UBUNTU_EKS: &[(&str, &[&str])] = &[
    ("1.29", &["20240411", "20241018", "20250603"]),
    ("1.30", &["20240715", "20250112", "20250805"]),
    ("1.31", &["20241101", "20250314", "20250922"]),
    ("1.32", &["20250131", "20250610", "20251003"]),
    ("1.33", &["20250612", "20250828", "20251105"]),
    ("1.34", &["20251007", "20251119"]),
];

fn catalogue(region: &str) -> Vec<Value> {
    let mut images = Vec::new();
    for (version, days) in UBUNTU_EKS {
        for day in *days {
            for (arch, label) in [("x86_64", "amd64"), ("arm64", "arm64")] {
                let name = format!("ubuntu-eks/k8s_{version}/images/hvm-ssd/ubuntu-jammy-22.04-{label}-server-{day}");
                images.push(published(region, UBUNTU, &name, arch, day, "/dev/sda1"));
            }
            let name = format!("amazon-eks-node-al2023-x86_64-standard-{version}-v{day}");
            images.push(published(region, AMAZON_EKS, &name, "x86_64", day, "/dev/xvda"));
        }
    }
    for day in ["20240701", "20250305", "20251015"] {
        let name = format!("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-{day}");
        images.push(published(region, UBUNTU, &name, "x86_64", day, "/dev/sda1"));
    }
    images
}

fn published(region: &str, owner: &str, name: &str, arch: &str, day: &str, root: &str) -> Value {
    let digest = Sha256::digest(format!("{region}/{name}"));
    let hex: String = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(17)
        .map(|n| char::from_digit(n.into(), 16).unwrap_or('0'))
        .collect();
    let date = format!("{}-{}-{}T06:12:00.000Z", &day[..4], &day[4..6], &day[6..]);
    let mut image = image(&format!("ami-{hex}"), owner, name, arch, &date, root);
    image["isPublic"] = json!(true);
    if owner == AMAZON_EKS {
        image["imageOwnerAlias"] = json!("amazon");
    }
    image
}

fn image(id: &str, owner: &str, name: &str, arch: &str, date: &str, root: &str) -> Value {
    json!({
        "imageId": id,
        "imageLocation": format!("{owner}/{name}"),
        "imageState": "available",
        "imageOwnerId": owner,
        "creationDate": date,
        "isPublic": false,
        "architecture": arch,
        "imageType": "machine",
        "name": name,
        "description": name.rsplit('/').next(),
        "rootDeviceType": "ebs",
        "rootDeviceName": root,
        "blockDeviceMapping": [{"deviceName": root, "ebs": {"volumeSize": 8, "volumeType": "gp2", "deleteOnTermination": true, "encrypted": false}}],
        "virtualizationType": "hvm",
        "hypervisor": "xen",
        "enaSupport": true,
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "tagSet": [],
    })
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let owners = cx.p.list("Owner");
    let mut all = catalogue(&cx.region);
    all.extend(cx.tx.select("image", |_| true));
    let owned = |image: &Value| {
        owners.iter().any(|owner| match owner.as_str() {
            "self" => image["imageOwnerId"] == *cx.account,
            owner => image["imageOwnerId"] == *owner || image["imageOwnerAlias"] == *owner,
        })
    };
    if !owners.is_empty() {
        all.retain(owned);
    }
    KIND.answer(cx, all)
}

fn register(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("Name")?.to_owned();
    if !(3..=128).contains(&name.len()) {
        return Err(ApiError::new("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long"));
    }
    if let Some((id, _)) = cx.tx.scan("image").find(|(_, image)| image["name"] == *name) {
        let message = format!("AMI name {name} is already in use by AMI {id}");
        return Err(ApiError::new("InvalidAMIName.Duplicate", message));
    }
    let tag_set = tags::specified(cx, "image")?;
    let (arch, root) =
        (cx.p.or("Architecture", "x86_64").to_owned(), cx.p.or("RootDeviceName", "/dev/sda1").to_owned());
    let id = cx.tx.new_id("ami");
    let mut image = image(&id, &cx.account, &name, &arch, &cx.clock().iso_now(), &root);
    image["tagSet"] = tag_set;
    cx.tx.put("image", &id, image);
    cx.ec2(&json!({"imageId": id}))
}

fn deregister(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("ImageId")?.to_owned();
    if cx.tx.delete("image", &id).is_none() {
        return Err(ApiError::new("InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available")));
    }
    cx.ec2_done()
}
