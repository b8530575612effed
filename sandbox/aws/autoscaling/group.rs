//! Auto Scaling groups: made, shown, resized, deleted.

use serde_json::{Value, json};

use super::{TABLE, document, invalid, kept, scale, tag, zones_of};
use crate::aws::fleet::{self, Machine};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due, ec2, query};

/// Name and document of the group that a call names.
pub fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = cx.p.req("AutoScalingGroupName").map_err(|_| invalid("AutoScalingGroupName must be given"))?.to_owned();
    match cx.tx.get(TABLE, &name) {
        Some(doc) => Ok((name, doc.clone())),
        None => Err(invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"))),
    }
}

fn sizes(cx: &Cx<'_>, before: &Value) -> Result<(u64, u64, u64), ApiError> {
    let size = |name: &str| -> Result<Option<u64>, ApiError> {
        let given = cx.p.int(name).map_err(|e| invalid(e.message))?;
        let number =
            given.map(|n| u64::try_from(n).map_err(|_| invalid(format!("{name} must not be negative")))).transpose()?;
        Ok(number.or(before[name].as_u64()))
    };
    let missing = |name: &str| invalid(format!("{name} must be given"));
    let min = size("MinSize")?.ok_or_else(|| missing("MinSize"))?;
    let max = size("MaxSize")?.ok_or_else(|| missing("MaxSize"))?;
    let desired = size("DesiredCapacity")?.unwrap_or(min);
    check_sizes(min, max, desired)?;
    Ok((min, max, desired))
}

fn check_sizes(min: u64, max: u64, desired: u64) -> Result<(), ApiError> {
    if min > max {
        return Err(invalid("Max bound must be greater than or equal to min bound"));
    }
    if desired < min || desired > max {
        return Err(invalid(format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
        )));
    }
    Ok(())
}

/// How the machines of a group are made that names a launch template, and what the group shows of it.
fn machine(cx: &Cx<'_>, name: &str) -> Result<Option<(Machine, Value)>, ApiError> {
    let p = cx.p.sub("LaunchTemplate");
    let id = match (p.opt("LaunchTemplateId"), p.opt("LaunchTemplateName")) {
        (None, None) => return Ok(None),
        (Some(id), _) => id.to_owned(),
        (None, Some(template)) => {
            let found = cx.tx.scan("lt").find(|(_, lt)| lt["launchTemplateName"] == json!(template));
            let missing =
                || invalid(format!("The specified launch template, with template name {template}, does not exist."));
            found.map(|(id, _)| id.clone()).ok_or_else(missing)?
        }
    };
    let version = p.or("Version", "$Default").to_owned();
    let (_, data) = ec2::version_data(&cx.tx, &id, &version)
        .map_err(|e| invalid(format!("You must use a valid fully-formed launch template. {}", e.message)))?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let groups = data["securityGroupIdSet"].as_array().into_iter().flatten().map(text).collect();
    let machine = Machine {
        instance_type: text(&data["instanceType"]),
        image_id: text(&data["imageId"]),
        groups,
        tags: vec![("aws:autoscaling:groupName".to_owned(), name.to_owned())],
        user_data: data["userData"].as_str().map(str::to_owned),
        scaling_group: name.to_owned(),
        nodegroup: None,
        profile: None,
        disk: fleet::disk(&data),
    };
    let template_name = cx.tx.get("lt", &id).map(|lt| lt["launchTemplateName"].clone());
    Ok(Some((machine, json!({"LaunchTemplateId": id, "LaunchTemplateName": template_name, "Version": version}))))
}

fn subnets(cx: &Cx<'_>) -> Result<Vec<String>, ApiError> {
    let given: Vec<String> =
        cx.p.or("VPCZoneIdentifier", "").split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    match given.iter().find(|id| cx.tx.get("subnet", id).is_none()) {
        Some(wrong) => Err(invalid(format!("The subnet ID '{wrong}' does not exist"))),
        None => Ok(given),
    }
}

/// `CreateAutoScalingGroup`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("AutoScalingGroupName").map_err(|_| invalid("AutoScalingGroupName must be given"))?.to_owned();
    if cx.tx.get(TABLE, &name).is_some() {
        let message =
            format!("AutoScalingGroup by this name already exists - A group with the name {name} already exists");
        return Err(ApiError::new("AlreadyExists", message));
    }
    if cx.tx.scan(TABLE).count() >= cx.env.quota("autoscaling", "L-CDE20ADC") {
        return Err(ApiError::new("LimitExceeded", "You have already reached your limit of Auto Scaling groups"));
    }
    let sizes = sizes(cx, &Value::Null)?;
    let Some((machine, template)) = machine(cx, &name)? else {
        return Err(invalid(
            "Valid requests must contain either launchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
        ));
    };
    let subnets = subnets(cx)?;
    let mut zones = zones_of(&cx.tx, &subnets);
    zones.extend(cx.p.list("AvailabilityZones"));
    if zones.is_empty() {
        return Err(invalid("At least one Availability Zone or VPC Subnet is required."));
    }
    let mut doc = document(cx.env, &cx.region, &name, sizes, &subnets, &zones);
    doc["LaunchTemplate"] = template;
    let tags = cx.p.items("Tags");
    doc["Tags"] = tags
        .iter()
        .map(|t| tag(&name, t.or("Key", ""), t.or("Value", ""), t.flag("PropagateAtLaunch").unwrap_or(false)))
        .collect();
    doc["_machine"] = kept(&machine);
    cx.tx.put(TABLE, &name, doc);
    resize(cx, &name, sizes.2)?;
    cx.query(&Value::Null)
}

fn resize(cx: &mut Cx<'_>, name: &str, desired: u64) -> Result<(), ApiError> {
    let (env, region) = (cx.env, cx.region.clone());
    scale(&mut cx.tx, env, &region, name, desired)?;
    // The node group that owns the machines follows.
    let doc = cx.tx.get(TABLE, name).cloned().unwrap_or_default();
    if let Some(nodegroup) = doc["_machine"]["nodegroup"].as_str() {
        cx.tx.update("eks.nodegroup", nodegroup, |ng| {
            ng["scalingConfig"] = json!({
                "minSize": doc["MinSize"], "maxSize": doc["MaxSize"], "desiredSize": doc["DesiredCapacity"],
            });
        });
    }
    Ok(())
}

fn show(cx: &Cx<'_>, doc: &Value) -> Value {
    let mut shown = doc.clone();
    let name = doc["AutoScalingGroupName"].as_str().unwrap_or_default();
    shown["Instances"] = fleet::living(&cx.tx, name).iter().map(|i| instance(doc, i)).collect();
    shown
}

fn instance(group: &Value, machine: &Value) -> Value {
    let running = machine["instanceState"]["name"] == json!("running");
    json!({
        "InstanceId": machine["instanceId"],
        "InstanceType": machine["instanceType"],
        "AvailabilityZone": machine["placement"]["availabilityZone"],
        "LifecycleState": if running { "InService" } else { "Pending" },
        "HealthStatus": "Healthy",
        "LaunchTemplate": group["LaunchTemplate"],
        "ProtectedFromScaleIn": false,
    })
}

/// `DescribeAutoScalingGroups`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let names = cx.p.list("AutoScalingGroupNames");
    let filters: Vec<(String, Vec<String>)> =
        cx.p.items("Filters").iter().map(|f| (f.or("Name", "").to_owned(), f.list("Values"))).collect();
    let fits = |doc: &Value| {
        filters.iter().all(|(name, values)| {
            let mut tags = doc["Tags"].as_array().into_iter().flatten();
            let is = |v: &Value| v.as_str().is_some_and(|text| values.iter().any(|w| w == text));
            match name.strip_prefix("tag:") {
                Some(key) => tags.any(|t| t["Key"] == json!(key) && is(&t["Value"])),
                None if name == "tag-key" => tags.any(|t| is(&t["Key"])),
                None => tags.any(|t| is(&t["Value"])),
            }
        })
    };
    let found = cx.tx.select(TABLE, |doc| {
        (names.is_empty() || names.iter().any(|n| doc["AutoScalingGroupName"] == json!(n))) && fits(doc)
    });
    let size = cx.p.int("MaxRecords")?.unwrap_or(50);
    let (page, next) = query::page(found, Some(size), cx.p.opt("NextToken"), "InvalidNextToken")?;
    let groups: Vec<Value> = page.iter().map(|doc| show(cx, doc)).collect();
    cx.query(&json!({"AutoScalingGroups": groups, "NextToken": next}))
}

/// `UpdateAutoScalingGroup`.
pub fn update(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = named(cx)?;
    let (min, max, desired) = {
        let (min, max) = (cx.p.int("MinSize")?, cx.p.int("MaxSize")?);
        let before = doc["DesiredCapacity"].as_i64().unwrap_or(0);
        let min = min.or(doc["MinSize"].as_i64()).unwrap_or(0);
        let max = max.or(doc["MaxSize"].as_i64()).unwrap_or(0);
        // The desired size is drawn along when the bounds pass it.
        let desired = cx.p.int("DesiredCapacity")?.unwrap_or(before.clamp(min, max.max(min)));
        let natural = |n: i64| u64::try_from(n).map_err(|_| invalid("sizes must not be negative"));
        (natural(min)?, natural(max)?, natural(desired)?)
    };
    check_sizes(min, max, desired)?;
    if let Some((machine, template)) = machine(cx, &name)? {
        doc["LaunchTemplate"] = template;
        doc["_machine"] = kept(&machine);
    }
    if cx.p.has("VPCZoneIdentifier") {
        let subnets = subnets(cx)?;
        doc["AvailabilityZones"] = json!(zones_of(&cx.tx, &subnets));
        doc["VPCZoneIdentifier"] = json!(subnets.join(","));
    }
    doc["MinSize"] = json!(min);
    doc["MaxSize"] = json!(max);
    cx.tx.put(TABLE, &name, doc);
    resize(cx, &name, desired)?;
    cx.query(&Value::Null)
}

/// `SetDesiredCapacity`.
pub fn set_desired(cx: &mut Cx<'_>) -> Outcome {
    let (name, doc) = named(cx)?;
    let desired =
        cx.p.int("DesiredCapacity")?
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| invalid("DesiredCapacity must be given"))?;
    let bound = |member: &str| doc[member].as_u64().unwrap_or(0);
    if desired > bound("MaxSize") || desired < bound("MinSize") {
        let message = format!(
            "New SetDesiredCapacity value {desired} is outside {} to {} of the group.",
            bound("MinSize"),
            bound("MaxSize")
        );
        return Err(invalid(message));
    }
    resize(cx, &name, desired)?;
    cx.query(&Value::Null)
}

/// `DeleteAutoScalingGroup`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = named(cx)?;
    let living = fleet::living(&cx.tx, &name);
    if !living.is_empty() && cx.p.flag("ForceDelete") != Some(true) {
        return Err(ApiError::new(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.",
        ));
    }
    let env = cx.env;
    for instance in &living {
        fleet::terminate(&mut cx.tx, env, instance["instanceId"].as_str().unwrap_or_default());
    }
    doc["Status"] = json!("Delete in progress");
    doc["DesiredCapacity"] = json!(0);
    due::begin(&mut doc, cx.clock().ready_at("autoscaling-delete"), due::GONE);
    cx.tx.put(TABLE, &name, doc);
    cx.query(&Value::Null)
}

/// `DescribeAutoScalingInstances`.
pub fn instances(cx: &mut Cx<'_>) -> Outcome {
    let ids = cx.p.list("InstanceIds");
    let mut all = Vec::new();
    for (name, doc) in cx.tx.scan(TABLE) {
        for machine in fleet::living(&cx.tx, name) {
            let mut shown = instance(doc, &machine);
            shown["AutoScalingGroupName"] = json!(name);
            if ids.is_empty() || ids.iter().any(|id| shown["InstanceId"] == json!(id)) {
                all.push(shown);
            }
        }
    }
    let size = cx.p.int("MaxRecords")?.unwrap_or(50);
    let (page, next) = query::page(all, Some(size), cx.p.opt("NextToken"), "InvalidNextToken")?;
    cx.query(&json!({"AutoScalingInstances": page, "NextToken": next}))
}

/// `TerminateInstanceInAutoScalingGroup`.
pub fn terminate(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("InstanceId").map_err(|_| invalid("InstanceId must be given"))?.to_owned();
    let group = cx.tx.get("instance", &id).and_then(|i| i["_asg"].as_str().map(str::to_owned));
    let Some((name, doc)) = group.and_then(|name| Some((name.clone(), cx.tx.get(TABLE, &name)?.clone()))) else {
        return Err(invalid(format!("Instance Id not found - No managed instance found for instance ID: {id}")));
    };
    let env = cx.env;
    fleet::terminate(&mut cx.tx, env, &id);
    let before = doc["DesiredCapacity"].as_u64().unwrap_or(0);
    let shrink = cx.p.flag("ShouldDecrementDesiredCapacity") == Some(true);
    resize(cx, &name, if shrink { before.saturating_sub(1) } else { before })?;
    cx.query(&json!({"Activity": {
        "ActivityId": uuid::Uuid::new_v4().to_string(), "AutoScalingGroupName": name, "StatusCode": "InProgress",
        "Cause": "terminated at a user's request", "Description": format!("Terminating EC2 instance: {id}"),
        "StartTime": cx.clock().iso_now(), "Progress": 0,
    }}))
}
