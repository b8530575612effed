//! What services put into a network on behalf of the account: interfaces, security groups, machines.

use serde_json::{Value, json};

use super::http::ApiError;
use super::{Env, due};
use crate::core::clock::iso;
use crate::core::store::Tx;

/// Puts an interface into a subnet for a service; returns its id. It keeps the subnet and the groups.
///
/// # Errors
/// `InvalidSubnetID.NotFound`, `InsufficientFreeAddressesInSubnet`.
pub fn interface(
    tx: &mut Tx<'_>,
    subnet_id: &str,
    groups: &[String],
    description: &str,
    sort: &str,
) -> Result<String, ApiError> {
    let Some(subnet) = tx.get("subnet", subnet_id).cloned() else {
        let message = format!("The subnet ID '{subnet_id}' does not exist");
        return Err(ApiError::new("InvalidSubnetID.NotFound", message));
    };
    let eni = super::ec2::interface_in(tx, &subnet, groups, description, sort)?;
    Ok(eni["networkInterfaceId"].as_str().unwrap_or_default().to_owned())
}

/// Tags as EC2 keeps them.
pub fn tag_set<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// How the machines of a group are made.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Instance type.
    pub instance_type: String,
    /// Image.
    pub image_id: String,
    /// Security groups.
    pub groups: Vec<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Base64, as in the launch template.
    pub user_data: Option<String>,
    /// Auto Scaling group that it belongs to.
    pub scaling_group: String,
    /// `CLUSTER/NODEGROUP`, for machines of EKS.
    pub nodegroup: Option<String>,
    /// Name of the instance profile.
    pub profile: Option<String>,
    /// Root volume: `size` in GiB, `type`, `iops`, `throughput`.
    pub disk: Value,
}

/// The root volume that launch template data asks for.
pub fn disk(data: &Value) -> Value {
    let first = &data["blockDeviceMappingSet"][0]["ebs"];
    // The data keep the texts of the request.
    let number = |v: &Value| v.as_i64().or_else(|| v.as_str()?.parse().ok());
    json!({
        "size": number(&first["volumeSize"]).unwrap_or(20),
        "type": first["volumeType"].as_str().unwrap_or("gp3"),
        "iops": number(&first["iops"]),
        "throughput": number(&first["throughput"]),
    })
}

/// Starts a machine in a subnet; returns its id.
///
/// # Errors
/// Those of [`interface`].
pub fn launch(
    tx: &mut Tx<'_>,
    env: &Env,
    region: &str,
    machine: &Machine,
    subnet_id: &str,
) -> Result<String, ApiError> {
    let account = &env.options.account_id;
    let eni_id = interface(tx, subnet_id, &machine.groups, "", "interface")?;
    let id = tx.new_id("i");
    let eni = tx.get("eni", &eni_id).cloned().unwrap_or_default();
    let subnet = tx.get("subnet", subnet_id).cloned().unwrap_or_default();
    let ip = eni["privateIpAddress"].as_str().unwrap_or_default().to_owned();
    let domain = if region == "us-east-1" { "ec2.internal".to_owned() } else { format!("{region}.compute.internal") };
    let zone = subnet["availabilityZone"].as_str().unwrap_or_default();
    let now = env.clock.now();
    let tags = tag_set(machine.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let attachment = json!({"attachmentId": tx.new_id("eni-attach"), "deviceIndex": 0, "status": "attached", "attachTime": iso(now), "deleteOnTermination": true});
    tx.update("eni", &eni_id, |eni| {
        eni["status"] = json!("in-use");
        eni["attachment"] = attachment.clone();
        eni["attachment"]["instanceId"] = json!(id);
        eni["attachment"]["instanceOwnerId"] = json!(account);
        eni["tagSet"] = tags.clone();
    });
    let volume = root_volume(tx, &id, zone, &machine.disk, &iso(now), &tags);
    let mut instance = json!({
        "instanceId": id,
        "imageId": machine.image_id,
        "privateDnsName": format!("ip-{}.{domain}", ip.replace('.', "-")),
        "instanceType": machine.instance_type,
        "launchTime": iso(now),
        "placement": {"availabilityZone": zone, "groupName": "", "tenancy": "default"},
        "subnetId": subnet_id,
        "vpcId": subnet["vpcId"],
        "privateIpAddress": ip,
        "groupSet": eni["groupSet"],
        "blockDeviceMapping": [{"deviceName": "/dev/sda1", "ebs": {
            "volumeId": volume, "status": "attached", "attachTime": iso(now), "deleteOnTermination": true,
        }}],
        "tagSet": tags,
        "networkInterfaceSet": [{
            "networkInterfaceId": eni_id, "subnetId": subnet_id, "vpcId": subnet["vpcId"], "status": "in-use",
            "privateIpAddress": ip, "groupSet": eni["groupSet"], "attachment": attachment,
        }],
        "iamInstanceProfile": machine.profile.as_ref().map(|name| json!({
            "arn": format!("arn:aws:iam::{account}:instance-profile/{name}"), "id": format!("AIPA{}", name.to_uppercase()),
        })),
        "_reservation": tx.new_id("r"),
        "_eni": eni_id,
        "_asg": machine.scaling_group,
        "_nodegroup": machine.nodegroup,
        "_user_data": machine.user_data,
        "_node_ready_at": env.clock.ready_at("node-join"),
    });
    if let (Some(members), Value::Object(fresh)) = (instance.as_object_mut(), fresh()) {
        members.extend(fresh);
    }
    due::begin(
        &mut instance,
        env.clock.ready_at("instance"),
        json!({"instanceState": {"code": 16, "name": "running"}}),
    );
    tx.put("instance", &id, instance);
    Ok(id)
}

/// What every machine shows that has just been started.
fn fresh() -> Value {
    json!({
        "instanceState": {"code": 0, "name": "pending"},
        "dnsName": "",
        "reason": "",
        "amiLaunchIndex": 0,
        "productCodes": [],
        "monitoring": {"state": "disabled"},
        "sourceDestCheck": true,
        "architecture": "x86_64",
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/sda1",
        "virtualizationType": "hvm",
        "hypervisor": "xen",
        "ebsOptimized": true,
    })
}

fn root_volume(tx: &mut Tx<'_>, instance: &str, zone: &str, disk: &Value, created: &str, tags: &Value) -> String {
    let id = tx.new_id("vol");
    let (size_gib, kind) = (disk["size"].as_i64().unwrap_or(20), disk["type"].as_str().unwrap_or("gp3"));
    let mut volume = super::ec2::new_volume(&id, zone, size_gib, kind, created, tags);
    for member in ["iops", "throughput"] {
        if !disk[member].is_null() {
            volume[member] = disk[member].clone();
        }
    }
    volume["status"] = json!("in-use");
    volume["attachmentSet"] = json!([{
        "volumeId": id, "instanceId": instance, "device": "/dev/sda1", "status": "attached", "attachTime": created,
        "deleteOnTermination": true,
    }]);
    volume["_root"] = json!(true);
    tx.put("volume", &id, volume);
    id
}

/// Ends a machine: its interface and volume go at once, its record lingers.
pub fn terminate(tx: &mut Tx<'_>, env: &Env, id: &str) {
    if tx.get("instance", id).is_some_and(lives) {
        super::ec2::end_instance(tx, id, env.clock.after(std::time::Duration::from_hours(1)));
    }
}

/// Whether a machine is starting or running.
pub fn lives(instance: &Value) -> bool {
    matches!(instance["instanceState"]["name"].as_str(), Some("pending" | "running"))
}

/// Ids of the machines of an Auto Scaling group that live, oldest first.
pub fn living(tx: &Tx<'_>, scaling_group: &str) -> Vec<Value> {
    let mut found = tx.select("instance", |i| i["_asg"] == json!(scaling_group) && lives(i));
    found.sort_by_key(|i| i["launchTime"].as_str().unwrap_or_default().to_owned());
    found
}

/// Virtual processors of an instance type, from its size.
pub fn vcpus(instance_type: &str) -> u64 {
    let size = instance_type.split('.').nth(1).unwrap_or_default();
    match size {
        "nano" | "micro" | "small" | "medium" | "large" => 2,
        "xlarge" => 4,
        "metal" => 96,
        other => other.strip_suffix("xlarge").and_then(|n| n.parse::<u64>().ok()).map_or(2, |n| n * 4),
    }
}

/// Virtual processors of all machines that live.
pub fn vcpus_running(tx: &Tx<'_>) -> u64 {
    tx.scan("instance")
        .filter(|(_, i)| lives(i))
        .map(|(_, i)| vcpus(i["instanceType"].as_str().unwrap_or_default()))
        .sum()
}
