//! Managed node groups: made with their Auto Scaling group and machines, shown, listed, deleted.

use serde_json::{Value, json};

use super::launch::{self, Template};
use super::{
    active_cluster_of, cluster, cluster_of, given_tags, in_use, invalid, need, not_found, now, paged, role_exists,
    versions,
};
use crate::aws::due::Passed;
use crate::aws::fleet::Machine;
use crate::aws::http::{ApiError, Outcome};
use crate::aws::params::Params;
use crate::aws::signature::hex;
use crate::aws::{Cx, Env, autoscaling, due, fleet};
use crate::core::store::Tx;

/// `CreateNodegroup`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")?
        && let Some(doc) = cx.tx.get("eks.nodegroup", &id)
    {
        return cx.json(&json!({"nodegroup": doc}));
    }
    let (cluster_name, cluster_doc) = active_cluster_of(cx)?;
    let name = nodegroup_name(&cx.p)?;
    let id = format!("{cluster_name}/{name}");
    if cx.tx.get("eks.nodegroup", &id).is_some() {
        let message = format!("NodeGroup already exists with name {name} and cluster name {cluster_name}");
        return Err(in_use(message).field("clusterName", cluster_name).field("nodegroupName", name));
    }
    let count = cx.tx.scan("eks.nodegroup").filter(|(_, ng)| ng["clusterName"] == json!(cluster_name)).count();
    if count >= cx.env.quota("eks", "L-6D54EA21") {
        return Err(ApiError::new(
            "ResourceLimitExceededException",
            format!("Nodegroup limit exceeded for cluster {cluster_name}"),
        ));
    }
    let (mut doc, template) = wanted_nodegroup(cx, &name, &cluster_doc)?;
    let problem = begin_machines(cx, &id, &mut doc, template.as_ref(), &cluster_doc)?;
    let problem = cx.fails.clone().map(|reason| ("NodeCreationFailure", reason)).or(problem);
    let next = match &problem {
        Some((code, message)) => json!({
            "status": "CREATE_FAILED",
            "health": {"issues": [{"code": code, "message": message, "resourceIds": doc["_failed"]}]},
        }),
        None => json!({"status": "ACTIVE"}),
    };
    due::begin(&mut doc, cx.clock().ready_at("eks-nodegroup"), next);
    cx.tx.put("eks.nodegroup", &id, doc.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.json(&json!({"nodegroup": doc}))
}

fn nodegroup_name(p: &Params) -> Result<String, ApiError> {
    let name = need(p, "nodegroupName")?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !plain || name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(invalid(format!(
            "Nodegroup name '{name}' is invalid: at most 63 letters, digits, hyphens and underscores"
        )));
    }
    Ok(name)
}

/// The document of a node group as asked for, and its launch template.
fn wanted_nodegroup(cx: &Cx<'_>, name: &str, cluster: &Value) -> Result<(Value, Option<Template>), ApiError> {
    let cluster_name = cluster["name"].as_str().unwrap_or_default();
    let role = need(&cx.p, "nodeRole")?;
    if !role_exists(&cx.tx, &cx.account, &role) {
        return Err(invalid(format!(
            "The role with name {} cannot be found.",
            role.rsplit('/').next().unwrap_or(&role)
        )));
    }
    let subnets = cx.p.list("subnets");
    if subnets.is_empty() {
        return Err(invalid("Subnets can't be empty"));
    }
    if json!(cluster::check_subnets(&cx.tx, &subnets, 1)?) != cluster["resourcesVpcConfig"]["vpcId"] {
        return Err(invalid("Subnets are not part of the VPC of the cluster"));
    }
    let scaling = scaling(&cx.p.sub("scalingConfig"), &json!({"minSize": 1, "maxSize": 2, "desiredSize": 2}))?;
    let template =
        if cx.p.has("launchTemplate") { Some(launch::find(&cx.tx, &cx.p.sub("launchTemplate"))?) } else { None };
    if let Some(template) = &template {
        launch::check(template, &cx.p)?;
        let vpc = cluster["resourcesVpcConfig"]["vpcId"].as_str().unwrap_or_default();
        cluster::check_groups(&cx.tx, &template.groups(), vpc)?;
    }
    let custom = template.as_ref().is_some_and(|t| t.text("imageId").is_some());
    let (version, release) = node_version(&cx.p, cluster, template.as_ref())?;
    let types = instance_types(&cx.p, template.as_ref())?;
    let capacity = cx.p.or("capacityType", "ON_DEMAND");
    if !["ON_DEMAND", "SPOT", "CAPACITY_BLOCK"].contains(&capacity) {
        return Err(invalid(format!("'{capacity}' is not a capacity type")));
    }
    let in_template = template.as_ref().is_some_and(|t| t.text("instanceType").is_some());
    let unique = uuid::Uuid::new_v4();
    let doc = json!({
        "nodegroupName": name,
        "nodegroupArn": cx.arn("eks", &format!("nodegroup/{cluster_name}/{name}/{unique}")),
        "clusterName": cluster_name,
        "version": version,
        "releaseVersion": release,
        "createdAt": now(cx.env),
        "modifiedAt": now(cx.env),
        "status": "CREATING",
        "capacityType": capacity,
        "scalingConfig": scaling,
        "instanceTypes": (!in_template).then_some(&types),
        "subnets": subnets,
        "amiType": if custom { "CUSTOM" } else { cx.p.or("amiType", "AL2023_x86_64_STANDARD") },
        "nodeRole": role,
        "labels": labels(&cx.p.sub("labels"))?,
        "taints": taints(&cx.p.items("taints"))?,
        "diskSize": template.is_none().then(|| cx.p.int("diskSize").ok().flatten().unwrap_or(20)),
        "remoteAccess": cx.p.at("remoteAccess"),
        "health": {"issues": []},
        "updateConfig": cx.p.at("updateConfig").cloned().unwrap_or_else(|| json!({"maxUnavailable": 1})),
        "launchTemplate": template.as_ref().map(Template::show),
        "tags": given_tags(&cx.p)?,
        "_type": types[0],
        "_unique": unique.to_string(),
    });
    Ok((doc, template))
}

/// Kubernetes version and release of the nodes.
pub fn node_version(p: &Params, cluster: &Value, template: Option<&Template>) -> Result<(String, String), ApiError> {
    let of_cluster = cluster["version"].as_str().unwrap_or_default();
    if let Some(image) = template.and_then(|t| t.text("imageId")) {
        return Ok((of_cluster.to_owned(), image.to_owned()));
    }
    let version = p.or("version", of_cluster).to_owned();
    let Some(offer) = versions::offer(&version) else {
        return Err(invalid(format!("unsupported Kubernetes version {version}")));
    };
    if versions::index(&version) > versions::index(of_cluster) {
        let message =
            format!("Requested Nodegroup Kubernetes version {version} is newer than the cluster's {of_cluster}");
        return Err(invalid(message));
    }
    Ok((version, p.or("releaseVersion", &format!("{}-20251016", offer.patch)).to_owned()))
}

fn instance_types(p: &Params, template: Option<&Template>) -> Result<Vec<String>, ApiError> {
    let asked = p.list("instanceTypes");
    let types = match template.and_then(|t| t.text("instanceType")) {
        Some(of_template) => vec![of_template.to_owned()],
        None if asked.is_empty() => vec!["t3.medium".to_owned()],
        None => asked,
    };
    match types.iter().find(|t| !crate::aws::ec2::instance_type_exists(t)) {
        Some(wrong) => Err(invalid(format!("The following supplied instance types do not exist: [{wrong}]"))),
        None => Ok(types),
    }
}

/// Sizes, checked; what is not given is as `before`.
pub fn scaling(p: &Params, before: &Value) -> Result<Value, ApiError> {
    let size = |name: &str| -> Result<i64, ApiError> {
        Ok(p.int(name).map_err(|e| invalid(e.message))?.or(before[name].as_i64()).unwrap_or(0))
    };
    let (min, max, desired) = (size("minSize")?, size("maxSize")?, size("desiredSize")?);
    if min < 0 || max < 1 {
        return Err(invalid("minSize must not be negative and maxSize must be at least 1"));
    }
    if min > max {
        return Err(invalid(format!("Minimum capacity {min} can't be greater than maximum capacity {max}")));
    }
    if desired > max {
        return Err(invalid(format!("desired capacity {desired} can't be greater than max size {max}")));
    }
    if desired < min {
        return Err(invalid(format!("Minimum capacity {min} can't be greater than desired size {desired}")));
    }
    Ok(json!({"minSize": min, "maxSize": max, "desiredSize": desired}))
}

/// Labels of nodes, checked.
pub fn labels(p: &Params) -> Result<Value, ApiError> {
    let fine = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    for (key, value) in p.0.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or("?");
        if key.is_empty() || !fine(key) || value.len() > 63 || !fine(value) {
            return Err(invalid(format!("Label '{key}={value}' is invalid")));
        }
        if key.starts_with("eks.amazonaws.com/") || key.starts_with("kubernetes.io/") {
            return Err(invalid(format!("Label key '{key}' has a reserved prefix")));
        }
    }
    Ok(if p.0.is_object() { p.0.clone() } else { json!({}) })
}

/// Taints of nodes, checked.
pub fn taints(items: &[Params]) -> Result<Vec<Value>, ApiError> {
    for taint in items {
        let effect = taint.or("effect", "");
        if !["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"].contains(&effect) {
            return Err(invalid(format!("Taint effect '{effect}' is invalid")));
        }
        if taint.or("key", "").is_empty() {
            return Err(invalid("Taint key can't be empty"));
        }
    }
    Ok(items.iter().map(|taint| taint.0.clone()).collect())
}

type Problem = (&'static str, String);

/// Makes the Auto Scaling group and its machines; says why the node group must fail, if so.
fn begin_machines(
    cx: &mut Cx<'_>,
    id: &str,
    doc: &mut Value,
    template: Option<&Template>,
    cluster: &Value,
) -> Result<Option<Problem>, ApiError> {
    let unique = doc["_unique"].as_str().unwrap_or_default().to_owned();
    let group = format!("eks-{}-{unique}", doc["nodegroupName"].as_str().unwrap_or_default());
    doc["resources"] = json!({"autoScalingGroups": [{"name": group}]});
    let machine = machine(cx.env, id, doc, template, cluster);
    let desired = doc["scalingConfig"]["desiredSize"].as_u64().unwrap_or(0);
    let wanted_vcpus = fleet::vcpus_running(&cx.tx) + desired * fleet::vcpus(&machine.instance_type);
    let limit = cx.env.quota("ec2", "L-1216C47A");
    let (env, region) = (cx.env, cx.region.clone());
    let subnets: Vec<String> =
        doc["subnets"].as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect();
    autoscaling::make_for_nodegroup(&mut cx.tx, env, &region, &machine, &subnets, doc);
    if usize::try_from(wanted_vcpus).unwrap_or(usize::MAX) > limit {
        doc["_failed"] = json!([group]);
        autoscaling::stall(&mut cx.tx, &group);
        let message = format!(
            "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that the specified instance type belongs to."
        );
        return Ok(Some(("AsgInstanceLaunchFailures", message)));
    }
    autoscaling::scale(&mut cx.tx, env, &region, &group, desired)?;
    let outside = template.is_some_and(|t| launch::shut_out(&cx.tx, t, cluster));
    if template.is_some_and(launch::never_joins) || outside {
        let ids: Vec<Value> = fleet::living(&cx.tx, &group).iter().map(|i| i["instanceId"].clone()).collect();
        doc["_failed"] = json!(ids);
        return Ok(Some(("NodeCreationFailure", "Instances failed to join the kubernetes cluster".to_owned())));
    }
    Ok(None)
}

/// How the machines of a node group are made.
pub fn machine(env: &Env, id: &str, doc: &Value, template: Option<&Template>, cluster: &Value) -> Machine {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (cluster_name, name) = (text(&doc["clusterName"]), text(&doc["nodegroupName"]));
    let group = text(&doc["resources"]["autoScalingGroups"][0]["name"]);
    let mut tags = vec![
        ("aws:autoscaling:groupName".to_owned(), group.clone()),
        ("eks:cluster-name".to_owned(), cluster_name.clone()),
        ("eks:nodegroup-name".to_owned(), name),
        ("aws:eks:cluster-name".to_owned(), cluster_name.clone()),
        (format!("kubernetes.io/cluster/{cluster_name}"), "owned".to_owned()),
        ("k8s.io/cluster-autoscaler/enabled".to_owned(), "true".to_owned()),
        (format!("k8s.io/cluster-autoscaler/{cluster_name}"), "owned".to_owned()),
    ];
    let mut groups = Vec::new();
    if let Some(template) = template {
        tags.push(("aws:ec2launchtemplate:id".to_owned(), template.id.clone()));
        tags.push(("aws:ec2launchtemplate:version".to_owned(), template.version.clone()));
        tags.extend(template.instance_tags());
        groups = template.groups();
    }
    // EKS adds the cluster's group itself, unless the launch template names groups of its own.
    if groups.is_empty() {
        groups.push(text(&cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]));
    }
    let image = template.and_then(|t| t.text("imageId")).map_or_else(|| eks_image(env, &doc["version"]), str::to_owned);
    Machine {
        instance_type: text(&doc["_type"]),
        image_id: image,
        groups,
        tags,
        user_data: template.and_then(|t| t.text("userData")).map(str::to_owned),
        scaling_group: group,
        nodegroup: Some(id.to_owned()),
        profile: Some(format!("eks-{}", text(&doc["_unique"]))),
        disk: match template {
            Some(template) => fleet::disk(&template.data),
            None => json!({"size": doc["diskSize"]}),
        },
    }
}

/// The image of EKS's own nodes of a version: always the same id for one version.
pub fn eks_image(env: &Env, version: &Value) -> String {
    use md5::{Digest, Md5};
    let sum = Md5::digest(format!("{}/{version}", env.options.account_id));
    format!("ami-{}", &hex(&sum)[..17])
}

/// Id and document of the node group that a request names.
pub fn nodegroup_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (cluster, _) = cluster_of(cx)?;
    let name = need(&cx.p, "nodegroupName")?;
    let id = format!("{cluster}/{name}");
    match cx.tx.get("eks.nodegroup", &id) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(not_found(format!("No node group found for name: {name}."))
            .field("clusterName", cluster)
            .field("nodegroupName", name)),
    }
}

/// `DescribeNodegroup`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let (_, doc) = nodegroup_of(cx)?;
    cx.json(&json!({"nodegroup": doc}))
}

/// `ListNodegroups`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (cluster, _) = cluster_of(cx)?;
    let found = cx.tx.select("eks.nodegroup", |ng| ng["clusterName"] == json!(cluster));
    paged(cx, "nodegroups", found.into_iter().map(|ng| ng["nodegroupName"].clone()).collect())
}

/// `DeleteNodegroup`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = nodegroup_of(cx)?;
    if matches!(doc["status"].as_str(), Some("DELETING" | "CREATING" | "UPDATING")) {
        let message = format!("Nodegroup cannot be deleted as it is currently in status {}", doc["status"]);
        return Err(in_use(message));
    }
    doc["status"] = json!("DELETING");
    due::begin(&mut doc, cx.clock().ready_at("eks-nodegroup-delete"), due::GONE);
    cx.tx.put("eks.nodegroup", &id, doc.clone());
    cx.json(&json!({"nodegroup": doc}))
}

/// What a node group's new state brings: its machines go with it, or are replaced after a new version.
pub fn passed(tx: &mut Tx<'_>, env: &Env, region: &str, passed: &Passed) {
    let group = passed.doc["resources"]["autoScalingGroups"][0]["name"].as_str().unwrap_or_default().to_owned();
    if passed.gone {
        autoscaling::remove(tx, env, &group);
        let about = json!(format!("nodegroup/{}", passed.doc["nodegroupName"].as_str().unwrap_or_default()));
        let cluster = passed.doc["clusterName"].clone();
        tx.delete_where("eks.update", |u| u["_cluster"] == cluster && u["_about"] == about);
        return;
    }
    if passed.doc["_roll"] == json!(true) {
        tx.update("eks.nodegroup", &passed.id, |doc| {
            if let Some(members) = doc.as_object_mut() {
                members.remove("_roll");
            }
        });
        autoscaling::replace_all(tx, env, region, &group);
    }
}
