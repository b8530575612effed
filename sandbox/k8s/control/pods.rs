//! Pods: placed, pulled, started, ready, ended.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Context, containers, events::Level, installer, meta, pace, schedule, terminating, with_condition};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key, Write, now},
};

/// The kind of the pod's controller; empty for a pod of its own.
fn controller(pod: &Value) -> &str {
    pod["metadata"]["ownerReferences"][0]["kind"].as_str().unwrap_or("")
}

/// Takes a pod a step further.
pub fn reconcile(context: &mut Context, key: &Key, pod: &Arc<Value>) -> ApiResult<()> {
    let phase = pod["status"]["phase"].as_str();
    if terminating(pod) || matches!(phase, Some("Succeeded" | "Failed")) {
        return Ok(());
    }
    let Some(node_name) = pod["spec"]["nodeName"].as_str() else {
        return place(context, key, pod);
    };
    let node = context.store().read().find(&Key::new("/nodes", "", node_name)).cloned();
    let Some(node) = node else {
        // The node went, and the pod with it.
        return context.store().delete(key, &Value::Null, false).map(|_| ());
    };
    if phase == Some("Running") {
        return run(context, key, pod);
    }
    if pod["spec"]["hostNetwork"] != true && !condition_is_true(&node, "Ready") {
        let message = "network is not ready: container runtime network not ready";
        context.event(pod, Level::Warning, "NetworkNotReady", message);
        return wait(context, key, pod, "ContainerCreating", "");
    }
    start(context, key, pod, &node)
}

fn place(context: &mut Context, key: &Key, pod: &Arc<Value>) -> ApiResult<()> {
    if !context.elapsed(key, pod, "schedule", pace::SCHEDULE_S) {
        return Ok(());
    }
    let (nodes, pods) = {
        let objects = context.store().read();
        (objects.list("/nodes", "", "", ""), objects.list("/pods", "", "", ""))
    };
    match schedule::choose(pod, &nodes, &pods) {
        Ok(node) => bind(context, key, pod, &node),
        Err(message) => {
            context.event(pod, Level::Warning, "FailedScheduling", &message);
            let conditions = with_condition(pod, "PodScheduled", false, "Unschedulable", &message);
            context.set_status(key, json!({"phase": "Pending", "conditions": conditions}))
        }
    }
}

/// Puts a pod onto a node.
fn bind(context: &mut Context, key: &Key, pod: &Value, node: &str) -> ApiResult<()> {
    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
    context.event(pod, Level::Normal, "Scheduled", &message);
    let conditions = with_condition(pod, "PodScheduled", true, "", "");
    let write = Write { manager: "kube-scheduler".to_owned(), ..Write::simulation() };
    context.store().update(key, &write, |old| {
        let mut new = old.clone();
        new["spec"]["nodeName"] = json!(node);
        new["status"] = json!({"phase": "Pending", "conditions": conditions, "startTime": now(),
            "qosClass": "Burstable"});
        Ok(new)
    })?;
    Ok(())
}

fn wait(context: &mut Context, key: &Key, pod: &Value, reason: &str, message: &str) -> ApiResult<()> {
    let mut status = pod["status"].clone();
    let state = containers::waiting(reason, message);
    status["phase"] = json!("Pending");
    status["containerStatuses"] = containers::statuses(pod, &state, false, 0);
    status["conditions"] = with_condition(pod, "Ready", false, "ContainersNotReady", "");
    context.set_status(key, status)
}

fn start(context: &mut Context, key: &Key, pod: &Arc<Value>, node: &Value) -> ApiResult<()> {
    if let Some(obstacle) = context.volume_obstacle(pod) {
        context.event(pod, Level::Warning, obstacle.event, &obstacle.message);
        if installer::is_installer(pod) && context.elapsed(key, pod, "patience", pace::INSTALLER_PATIENCE_S) {
            return end(context, key, pod, 1, &obstacle.message);
        }
        return wait(context, key, pod, obstacle.state, &obstacle.message);
    }
    if !context.elapsed(key, pod, "pull", pace::PULL_S) {
        return wait(context, key, pod, "ContainerCreating", "");
    }
    if let Some(image) = containers::absent_image(pod) {
        let message = format!(
            "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull \
             and unpack image \"{image}\": not found"
        );
        context.event(pod, Level::Warning, "Failed", &message);
        let message = format!("Back-off pulling image \"{image}\"");
        context.event(pod, Level::Warning, "BackOff", &message);
        return wait(context, key, pod, "ImagePullBackOff", &message);
    }
    if let Some(obstacle) = context.environment_obstacle(pod) {
        let message = format!("Error: {}", obstacle.message);
        context.event(pod, Level::Warning, obstacle.event, &message);
        return wait(context, key, pod, obstacle.state, &obstacle.message);
    }
    context.event(pod, Level::Normal, "Started", "Started containers");
    let host_ip = node["status"]["addresses"][0]["address"].clone();
    let own_ip = address(pod);
    let mut status = pod["status"].clone();
    status["phase"] = json!("Running");
    status["hostIP"] = host_ip.clone();
    status["podIP"] = if pod["spec"]["hostNetwork"] == true { host_ip } else { json!(own_ip) };
    status["podIPs"] = json!([{"ip": status["podIP"]}]);
    status["containerStatuses"] = containers::statuses(pod, &containers::running(), false, 0);
    let message = "containers with unready status";
    status["conditions"] = with_condition(pod, "Ready", false, "ContainersNotReady", message);
    context.set_status(key, status)
}

/// An address in the pods' network, the same for as long as the pod lives.
fn address(pod: &Value) -> String {
    let digest = Sha256::digest(meta(pod, "uid"));
    format!("10.244.{}.{}", digest[0], digest[1].clamp(2, 254))
}

fn run(context: &mut Context, key: &Key, pod: &Arc<Value>) -> ApiResult<()> {
    if pod["spec"]["restartPolicy"] != "Always" {
        return run_to_end(context, key, pod);
    }
    if containers::is_crashing(pod) {
        if !context.elapsed(key, pod, "crash", pace::CRASH_S) {
            return Ok(());
        }
        context.restart(pod, "crash");
        let known = pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(0);
        if known >= 5 {
            return Ok(());
        }
        let message = "back-off 20s restarting failed container";
        context.event(pod, Level::Warning, "BackOff", message);
        let state = containers::waiting("CrashLoopBackOff", message);
        let mut status = pod["status"].clone();
        let last = containers::terminated(pod, 1, "exit status 1");
        status["containerStatuses"] = containers::statuses_after(pod, &state, &last, known + 1);
        return context.set_status(key, status);
    }
    if condition_is_true(pod, "Ready") || !context.elapsed(key, pod, "start", pace::START_S) {
        return Ok(());
    }
    let mut status = pod["status"].clone();
    let state = &pod["status"]["containerStatuses"][0]["state"];
    status["containerStatuses"] = containers::statuses(pod, state, true, 0);
    for name in ["Initialized", "ContainersReady", "Ready"] {
        let with = json!({"status": {"conditions": status["conditions"]}});
        status["conditions"] = with_condition(&with, name, true, "", "");
    }
    context.set_status(key, status)
}

fn run_to_end(context: &mut Context, key: &Key, pod: &Arc<Value>) -> ApiResult<()> {
    let installs = installer::is_installer(pod) && controller(pod) == "Job";
    let time_s = if installs { pace::INSTALLER_S } else { pace::JOB_S };
    if !context.elapsed(key, pod, "run", time_s) {
        return Ok(());
    }
    if !installs {
        let code = containers::exit_code(pod);
        let message = if code == 0 { "done".to_owned() } else { format!("exit status {code}") };
        return end(context, key, pod, code, &message);
    }
    match installer::install(context, pod) {
        Ok(output) => end(context, key, pod, 0, &output),
        Err(message) => end(context, key, pod, 1, &message),
    }
}

/// Ends a pod whose containers are not started again.
fn end(context: &mut Context, key: &Key, pod: &Value, code: i64, message: &str) -> ApiResult<()> {
    let mut status = pod["status"].clone();
    let state = containers::terminated(pod, code, message);
    status["phase"] = json!(if code == 0 { "Succeeded" } else { "Failed" });
    status["containerStatuses"] = containers::statuses(pod, &state, false, 0);
    let reason = if code == 0 { "PodCompleted" } else { "PodFailed" };
    status["conditions"] = with_condition(pod, "Ready", false, reason, "");
    if code != 0 {
        context.event(pod, Level::Warning, "Failed", message);
    }
    context.set_status(key, status)
}

/// What a controller makes a pod of.
#[derive(Debug)]
pub struct PodPlan<'a> {
    /// The controller's object.
    pub owner: &'a Value,
    /// The pod template.
    pub template: &'a Value,
    /// The pod's name.
    pub name: String,
    /// Labels beside the template's.
    pub labels: Vec<(&'static str, String)>,
    /// The node, when the controller chooses it.
    pub node: Option<&'a str>,
    /// Claims that stand for volumes, as `(volume, claim)`.
    pub claims: Vec<(String, String)>,
}

impl Context {
    /// Creates a controller's pod; the answer is why it was not, when its service account is missing.
    pub(super) fn create_pod(&self, plan: PodPlan<'_>) -> ApiResult<Option<String>> {
        let namespace = meta(plan.owner, "namespace");
        let mut spec = plan.template["spec"].clone();
        let account = spec["serviceAccountName"].as_str().unwrap_or("default");
        let place = Key::new("/serviceaccounts", namespace, account);
        if self.store().read().find(&place).is_none() {
            // The same words each time: a name that changes would make each try a change of its own.
            let message = format!(
                "Error creating: pods \"{}-\" is forbidden: error looking up service account \
                 {namespace}/{account}: serviceaccount \"{account}\" not found",
                meta(plan.owner, "name")
            );
            self.event(plan.owner, Level::Warning, "FailedCreate", &message);
            return Ok(Some(message));
        }
        if let Some(node) = plan.node {
            spec["nodeName"] = json!(node);
        }
        if !plan.claims.is_empty() {
            let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
            volumes.extend(
                plan.claims
                    .iter()
                    .map(|(volume, claim)| json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}})),
            );
            spec["volumes"] = json!(volumes);
        }
        let template = &plan.template["metadata"];
        let mut metadata = json!({"name": plan.name, "labels": template["labels"],
            "ownerReferences": super::controlled_by(plan.owner)});
        if template["annotations"].is_object() {
            metadata["annotations"] = template["annotations"].clone();
        }
        if !metadata["labels"].is_object() {
            metadata["labels"] = json!({});
        }
        for (name, value) in plan.labels {
            metadata["labels"][name] = json!(value);
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec,
            "status": {"phase": "Pending"}});
        let key = Key::new("/pods", namespace, &plan.name);
        self.store().create(&key, pod, &Write::simulation())?;
        let message = format!("Created pod: {}", plan.name);
        self.event(plan.owner, Level::Normal, "SuccessfulCreate", &message);
        Ok(None)
    }
}

/// Whether a pod counts for its controller.
pub fn is_active(pod: &Value) -> bool {
    !terminating(pod) && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// A digest of a pod template, which is the same for templates that mean the same.
pub fn template_hash(template: &Value) -> String {
    let digest = Sha256::digest(canonical(template));
    super::hex(&digest[..5])
}

/// Text that is the same whatever the order of the keys, and whether nothing is written as null,
/// as an empty object, or not at all.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let empty = |v: &Value| v.is_null() || v == "" || v.as_object().is_some_and(serde_json::Map::is_empty);
            let ignored = ["creationTimestamp", "pod-template-hash"];
            let mut parts: Vec<(&String, String)> = map
                .iter()
                .filter(|(k, v)| !empty(v) && !ignored.contains(&k.as_str()))
                .map(|(k, v)| (k, canonical(v)))
                .collect();
            parts.sort();
            let parts: Vec<String> = parts.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::template_hash;

    #[test]
    fn the_hash_ignores_order_and_emptiness() {
        let a = json!({"metadata": {"creationTimestamp": null, "labels": {"a": "b"}},
            "spec": {"x": 1, "resources": {}, "y": [1]}});
        let b = json!({"spec": {"y": [1], "x": 1}, "metadata": {"labels": {"a": "b"}}});
        assert_eq!(template_hash(&a), template_hash(&b));
        assert_ne!(template_hash(&a), template_hash(&json!({"spec": {"x": 2}})));
    }
}
