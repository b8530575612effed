//! Changes of node groups: sizes, labels, taints; version and launch template.

use serde_json::{Value, json};

use super::nodegroup::{self, nodegroup_of};
use super::{in_use, invalid, launch, now, update};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::params::Params;
use crate::aws::{Cx, autoscaling, due};

fn idle_nodegroup(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (id, doc) = nodegroup_of(cx)?;
    if !matches!(doc["status"].as_str(), Some("ACTIVE" | "DEGRADED")) {
        let message = "Nodegroup cannot be updated as it is currently not in Active State";
        return Err(in_use(message).field("nodegroupName", doc["nodegroupName"].clone()));
    }
    Ok((id, doc))
}

/// `UpdateNodegroupConfig`.
pub fn config(cx: &mut Cx<'_>) -> Outcome {
    if let Some(update) = update::replayed(cx)? {
        return cx.json(&json!({"update": update}));
    }
    let (id, mut doc) = idle_nodegroup(cx)?;
    let mut params = Vec::new();
    if cx.p.has("scalingConfig") {
        let scaling = nodegroup::scaling(&cx.p.sub("scalingConfig"), &doc["scalingConfig"])?;
        for (member, kind) in [("minSize", "MinSize"), ("maxSize", "MaxSize"), ("desiredSize", "DesiredSize")] {
            if cx.p.has(&format!("scalingConfig.{member}")) {
                params.push((kind, scaling[member].to_string()));
            }
        }
        doc["scalingConfig"] = scaling;
    }
    if cx.p.has("labels") {
        change_labels(&cx.p.sub("labels"), &mut doc["labels"], &mut params)?;
    }
    if cx.p.has("taints") {
        change_taints(&cx.p.sub("taints"), &mut doc["taints"], &mut params)?;
    }
    if let Some(config) = cx.p.at("updateConfig") {
        for (member, kind) in
            [("maxUnavailable", "MaxUnavailable"), ("maxUnavailablePercentage", "MaxUnavailablePercentage")]
        {
            if !config[member].is_null() {
                params.push((kind, config[member].to_string()));
            }
        }
        doc["updateConfig"] = config.clone();
    }
    if params.is_empty() {
        return Err(invalid("No changes needed for the nodegroup config provided"));
    }
    doc["status"] = json!("UPDATING");
    doc["modifiedAt"] = now(cx.env);
    due::begin(&mut doc, cx.clock().ready_at("eks-nodegroup-update"), json!({"status": "ACTIVE"}));
    cx.tx.put("eks.nodegroup", &id, doc.clone());
    resize(cx, &doc)?;
    finish(cx, &doc, "ConfigUpdate", &params)
}

/// The Auto Scaling group follows at once.
fn resize(cx: &mut Cx<'_>, doc: &Value) -> Result<(), ApiError> {
    let group = doc["resources"]["autoScalingGroups"][0]["name"].as_str().unwrap_or_default().to_owned();
    let scaling = &doc["scalingConfig"];
    cx.tx.update("asg", &group, |asg| {
        asg["MinSize"] = scaling["minSize"].clone();
        asg["MaxSize"] = scaling["maxSize"].clone();
    });
    let (env, region) = (cx.env, cx.region.clone());
    autoscaling::scale(&mut cx.tx, env, &region, &group, scaling["desiredSize"].as_u64().unwrap_or(0))
}

fn finish(cx: &mut Cx<'_>, doc: &Value, what: &str, params: &[(&str, String)]) -> Outcome {
    let text = |member: &str| doc[member].as_str().unwrap_or_default().to_owned();
    let (cluster, name) = (text("clusterName"), text("nodegroupName"));
    let update = update::record(cx, &cluster, Some(("nodegroup", &name)), what, params, "eks-nodegroup-update");
    update::answer(cx, &update)
}

fn change_labels(p: &Params, labels: &mut Value, params: &mut Vec<(&'static str, String)>) -> Result<(), ApiError> {
    let added = nodegroup::labels(&p.sub("addOrUpdateLabels"))?;
    let removed = p.list("removeLabels");
    let Some(members) = labels.as_object_mut() else { return Ok(()) };
    for (key, value) in added.as_object().into_iter().flatten() {
        if removed.contains(key) {
            return Err(invalid(format!("Label '{key}' is both added and removed")));
        }
        members.insert(key.clone(), value.clone());
    }
    members.retain(|key, _| !removed.contains(key));
    if added.as_object().is_some_and(|a| !a.is_empty()) {
        params.push(("LabelsToAdd", added.to_string()));
    }
    if !removed.is_empty() {
        params.push(("LabelsToRemove", json!(removed).to_string()));
    }
    Ok(())
}

fn change_taints(p: &Params, taints: &mut Value, params: &mut Vec<(&'static str, String)>) -> Result<(), ApiError> {
    let added = nodegroup::taints(&p.items("addOrUpdateTaints"))?;
    let removed = nodegroup::taints(&p.items("removeTaints"))?;
    let Some(all) = taints.as_array_mut() else { return Ok(()) };
    let same = |a: &Value, b: &Value| a["key"] == b["key"] && a["effect"] == b["effect"];
    all.retain(|t| !removed.iter().any(|r| same(r, t)) && !added.iter().any(|a| same(a, t)));
    all.extend(added.iter().cloned());
    if !added.is_empty() {
        params.push(("TaintsToAdd", json!(added).to_string()));
    }
    if !removed.is_empty() {
        params.push(("TaintsToRemove", json!(removed).to_string()));
    }
    Ok(())
}

/// `UpdateNodegroupVersion`: another Kubernetes release or another version of the launch template; every machine is
/// replaced when the update ends.
pub fn version(cx: &mut Cx<'_>) -> Outcome {
    if let Some(update) = update::replayed(cx)? {
        return cx.json(&json!({"update": update}));
    }
    let (id, mut doc) = idle_nodegroup(cx)?;
    let cluster_name = doc["clusterName"].as_str().unwrap_or_default().to_owned();
    let cluster = cx.tx.get("eks.cluster", &cluster_name).cloned().unwrap_or_default();
    let mut params = Vec::new();
    let template = if cx.p.has("launchTemplate") {
        if doc["launchTemplate"].is_null() {
            return Err(invalid("You cannot add a launch template to a nodegroup that was made without one"));
        }
        let template = launch::find(&cx.tx, &cx.p.sub("launchTemplate"))?;
        if json!(template.id) != doc["launchTemplate"]["id"] {
            return Err(invalid("The launch template of a nodegroup cannot be changed, only its version"));
        }
        launch::check(&template, &cx.p)?;
        Some(template)
    } else if doc["launchTemplate"].is_null() {
        None
    } else {
        Some(launch::find(
            &cx.tx,
            &Params(json!({"id": doc["launchTemplate"]["id"], "version": doc["launchTemplate"]["version"]})),
        )?)
    };
    let (version, release) = nodegroup::node_version(&cx.p, &cluster, template.as_ref())?;
    if let Some(template) = &template {
        params.push(("LaunchTemplateName", template.name.clone()));
        params.push(("LaunchTemplateVersion", template.version.clone()));
        doc["launchTemplate"] = template.show();
        if let Some(sort) = template.text("instanceType") {
            doc["_type"] = json!(sort);
        }
    }
    params.push(("Version", version.clone()));
    params.push(("ReleaseVersion", release.clone()));
    let machine = nodegroup::machine(cx.env, &id, &doc, template.as_ref(), &cluster);
    autoscaling::remake_for_nodegroup(&mut cx.tx, &machine, &doc);
    doc["status"] = json!("UPDATING");
    doc["modifiedAt"] = now(cx.env);
    let next = match cx.fails {
        Some(_) => json!({"status": "ACTIVE"}),
        None => json!({"status": "ACTIVE", "version": version, "releaseVersion": release, "_roll": true}),
    };
    due::begin(&mut doc, cx.clock().ready_at("eks-nodegroup-update"), next);
    cx.tx.put("eks.nodegroup", &id, doc.clone());
    finish(cx, &doc, "VersionUpdate", &params)
}
