//! Auto Scaling: groups of machines. Those of node groups are made by EKS.

mod group;
mod tags;

use serde_json::{Value, json};

use super::fleet::{self, Machine};
use super::http::{ApiError, Outcome};
use super::{Cx, Env, Protocol, Service, due};
use crate::core::clock::iso;
use crate::core::store::Tx;

/// Auto Scaling.
pub const SERVICE: Service = Service {
    name: "autoscaling",
    protocol: Protocol::Query("http://autoscaling.amazonaws.com/doc/2011-01-01/"),
    version: None,
    routes: &[],
    handle,
};

const TABLE: &str = "asg";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateAutoScalingGroup" => group::create(cx),
        "DescribeAutoScalingGroups" => group::describe(cx),
        "UpdateAutoScalingGroup" => group::update(cx),
        "SetDesiredCapacity" => group::set_desired(cx),
        "DeleteAutoScalingGroup" => group::delete(cx),
        "DescribeAutoScalingInstances" => group::instances(cx),
        "TerminateInstanceInAutoScalingGroup" => group::terminate(cx),
        "DescribeScalingActivities" => cx.query(&json!({"Activities": []})),
        "SuspendProcesses" | "ResumeProcesses" => {
            group::named(cx)?;
            cx.query(&Value::Null)
        }
        "CreateOrUpdateTags" => tags::put(cx),
        "DeleteTags" => tags::delete(cx),
        "DescribeTags" => tags::describe(cx),
        _ => cx.unknown_operation(),
    }
}

/// Groups whose deletion is over go; those that lost machines get others.
pub fn settle(tx: &mut Tx<'_>, env: &Env, region: &str) {
    due::pass(tx, &env.clock, TABLE);
    let wanted: Vec<(String, u64)> = tx
        .scan(TABLE)
        .filter(|(_, doc)| doc["_stalled"].is_null())
        .filter_map(|(name, doc)| Some((name.clone(), doc["DesiredCapacity"].as_u64()?)))
        .collect();
    for (name, desired) in wanted {
        // What cannot be started now is tried again at the next look, as on AWS.
        let _ = scale(tx, env, region, &name, desired);
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

fn tag(group: &str, key: &str, value: &str, propagate: bool) -> Value {
    json!({
        "ResourceId": group, "ResourceType": "auto-scaling-group", "Key": key, "Value": value, "PropagateAtLaunch": propagate,
    })
}

/// A group's document, as Auto Scaling shows it but for its instances.
fn document(
    env: &Env,
    region: &str,
    name: &str,
    sizes: (u64, u64, u64),
    subnets: &[String],
    zones: &[String],
) -> Value {
    let account = &env.options.account_id;
    let id = uuid::Uuid::new_v4();
    json!({
        "AutoScalingGroupName": name,
        "AutoScalingGroupARN": format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{id}:autoScalingGroupName/{name}"),
        "MinSize": sizes.0,
        "MaxSize": sizes.1,
        "DesiredCapacity": sizes.2,
        "DefaultCooldown": 300,
        "AvailabilityZones": zones,
        "LoadBalancerNames": [],
        "TargetGroupARNs": [],
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 0,
        "CreatedTime": iso(env.clock.now()),
        "SuspendedProcesses": [],
        "VPCZoneIdentifier": subnets.join(","),
        "EnabledMetrics": [],
        "Tags": [],
        "TerminationPolicies": ["Default"],
        "NewInstancesProtectedFromScaleIn": false,
        "ServiceLinkedRoleARN": format!(
            "arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
        ),
    })
}

/// The zones of subnets, each once, in order.
fn zones_of(tx: &Tx<'_>, subnets: &[String]) -> Vec<String> {
    let zones = subnets.iter().filter_map(|id| Some(tx.get("subnet", id)?["availabilityZone"].as_str()?.to_owned()));
    zones.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn kept(machine: &Machine) -> Value {
    json!({
        "type": machine.instance_type, "image": machine.image_id, "groups": machine.groups, "user_data": machine.user_data,
        "nodegroup": machine.nodegroup, "profile": machine.profile, "tags": machine.tags, "disk": machine.disk,
    })
}

fn restored(name: &str, doc: &Value) -> Machine {
    let kept = &doc["_machine"];
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let mut tags: Vec<(String, String)> = serde_json::from_value(kept["tags"].clone()).unwrap_or_default();
    for tag in doc["Tags"].as_array().into_iter().flatten().filter(|t| t["PropagateAtLaunch"] == json!(true)) {
        if let (Some(key), Some(value)) = (text(&tag["Key"]), text(&tag["Value"])) {
            tags.retain(|(k, _)| *k != key);
            tags.push((key, value));
        }
    }
    Machine {
        instance_type: text(&kept["type"]).unwrap_or_default(),
        image_id: text(&kept["image"]).unwrap_or_default(),
        groups: serde_json::from_value(kept["groups"].clone()).unwrap_or_default(),
        tags,
        user_data: text(&kept["user_data"]),
        scaling_group: name.to_owned(),
        nodegroup: text(&kept["nodegroup"]),
        profile: text(&kept["profile"]),
        disk: kept["disk"].clone(),
    }
}

/// Makes the group of a node group, without machines yet.
pub fn make_for_nodegroup(
    tx: &mut Tx<'_>,
    env: &Env,
    region: &str,
    machine: &Machine,
    subnets: &[String],
    nodegroup: &Value,
) {
    let name = &machine.scaling_group;
    let size = |member: &str| nodegroup["scalingConfig"][member].as_u64().unwrap_or(0);
    let zones = zones_of(tx, subnets);
    let sizes = (size("minSize"), size("maxSize"), size("desiredSize"));
    let mut doc = document(env, region, name, sizes, subnets, &zones);
    let cluster = nodegroup["clusterName"].as_str().unwrap_or_default();
    let own = [
        ("eks:cluster-name".to_owned(), cluster.to_owned()),
        ("eks:nodegroup-name".to_owned(), nodegroup["nodegroupName"].as_str().unwrap_or_default().to_owned()),
        (format!("kubernetes.io/cluster/{cluster}"), "owned".to_owned()),
        ("k8s.io/cluster-autoscaler/enabled".to_owned(), "true".to_owned()),
        (format!("k8s.io/cluster-autoscaler/{cluster}"), "owned".to_owned()),
    ];
    doc["Tags"] = own.iter().map(|(key, value)| tag(name, key, value, true)).collect();
    // EKS makes a launch template of its own out of the one that it was given.
    doc["MixedInstancesPolicy"] = json!({
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {
                "LaunchTemplateId": nodegroup["launchTemplate"]["id"],
                "LaunchTemplateName": nodegroup["launchTemplate"]["name"],
                "Version": nodegroup["launchTemplate"]["version"],
            },
            "Overrides": [{"InstanceType": machine.instance_type}],
        },
    });
    doc["_machine"] = kept(machine);
    tx.put(TABLE, name, doc);
}

/// Keeps a group from starting machines: it met a quota.
pub fn stall(tx: &mut Tx<'_>, name: &str) {
    tx.update(TABLE, name, |doc| doc["_stalled"] = json!(true));
}

/// Machines that start from now on are made another way.
pub fn remake_for_nodegroup(tx: &mut Tx<'_>, machine: &Machine, nodegroup: &Value) {
    let template = &nodegroup["launchTemplate"];
    tx.update(TABLE, &machine.scaling_group, |doc| {
        doc["_machine"] = kept(machine);
        let at = &mut doc["MixedInstancesPolicy"]["LaunchTemplate"];
        at["LaunchTemplateSpecification"]["Version"] = template["version"].clone();
        at["Overrides"] = json!([{"InstanceType": machine.instance_type}]);
    });
}

/// Starts or ends machines until the group has `desired`.
///
/// # Errors
/// When a subnet or security group is gone, or a subnet is full.
pub fn scale(tx: &mut Tx<'_>, env: &Env, region: &str, name: &str, desired: u64) -> Result<(), ApiError> {
    let Some(doc) = tx.get(TABLE, name).cloned() else { return Ok(()) };
    tx.update(TABLE, name, |doc| doc["DesiredCapacity"] = json!(desired));
    let machine = restored(name, &doc);
    let subnets: Vec<&str> =
        doc["VPCZoneIdentifier"].as_str().unwrap_or_default().split(',').filter(|s| !s.is_empty()).collect();
    let living = fleet::living(tx, name);
    let (have, desired) = (living.len(), usize::try_from(desired).unwrap_or(usize::MAX));
    for instance in living.iter().skip(desired) {
        fleet::terminate(tx, env, instance["instanceId"].as_str().unwrap_or_default());
    }
    if subnets.is_empty() {
        return Ok(());
    }
    // Balanced over the subnets: each machine goes where there are fewest.
    let mut counts: Vec<(usize, &str)> = subnets
        .iter()
        .map(|id| (living.iter().take(desired).filter(|i| i["subnetId"] == json!(id)).count(), *id))
        .collect();
    for _ in have..desired {
        let Some(fewest) = counts.iter_mut().min_by_key(|(count, _)| *count) else { break };
        fleet::launch(tx, env, region, &machine, fewest.1)?;
        fewest.0 += 1;
    }
    Ok(())
}

/// Replaces every machine of the group.
pub fn replace_all(tx: &mut Tx<'_>, env: &Env, region: &str, name: &str) {
    let desired = tx.get(TABLE, name).and_then(|doc| doc["DesiredCapacity"].as_u64()).unwrap_or(0);
    for instance in fleet::living(tx, name) {
        fleet::terminate(tx, env, instance["instanceId"].as_str().unwrap_or_default());
    }
    // A subnet that cannot take a machine any more leaves the group smaller, as it does on AWS.
    let _ = scale(tx, env, region, name, desired);
}

/// Ends a group with its machines.
pub fn remove(tx: &mut Tx<'_>, env: &Env, name: &str) {
    for instance in fleet::living(tx, name) {
        fleet::terminate(tx, env, instance["instanceId"].as_str().unwrap_or_default());
    }
    tx.delete(TABLE, name);
}
