//! DaemonSets: one pod on every node that they want.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context, key_of, meta,
    pods::{PodPlan, is_active, template_hash},
    schedule, terminating,
};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key, suffix},
};

const HASH: &str = "controller-revision-hash";

/// Makes or removes pods, replaces one at a time after a change, and counts them.
pub fn reconcile(context: &mut Context, key: &Key, set: &Arc<Value>) -> ApiResult<()> {
    if terminating(set) {
        return Ok(());
    }
    let template = &set["spec"]["template"];
    let hash = template_hash(template);
    let nodes = context.store().read().list("/nodes", "", "", "");
    let nodes: Vec<&str> = nodes
        .iter()
        .filter(|n| schedule::wants(&template["spec"], n) && !schedule::is_repelled(template, n, true))
        .map(|n| meta(n, "name"))
        .collect();
    let pods = context.owned(set, "/pods");
    let on = |node: &str| pods.iter().find(|p| p["spec"]["nodeName"] == node && is_active(p));
    for pod in &pods {
        let wanted = pod["spec"]["nodeName"].as_str().is_some_and(|n| nodes.contains(&n));
        if !wanted || !is_active(pod) {
            context.store().delete(&key_of("/pods", pod), &Value::Null, false)?;
        }
    }
    for node in nodes.iter().filter(|n| on(n).is_none()) {
        context.create_pod(PodPlan {
            owner: set,
            template,
            name: format!("{}-{}", key.name, suffix()),
            labels: vec![(HASH, hash.clone())],
            node: Some(node),
            claims: Vec::new(),
        })?;
    }
    let current = |p: &&Arc<Value>| p["metadata"]["labels"][HASH] == hash.as_str();
    let here: Vec<&Arc<Value>> = nodes.iter().filter_map(|n| on(n)).collect();
    let ready = here.iter().filter(|p| condition_is_true(p, "Ready")).count();
    let rolling = set["spec"]["updateStrategy"]["type"] != "OnDelete";
    // One at a time, and those first that are not ready anyway.
    let mut stale: Vec<&&Arc<Value>> = here.iter().filter(|p| !current(p)).collect();
    stale.sort_by_key(|p| condition_is_true(p, "Ready"));
    if let (true, Some(pod)) = (rolling, stale.first()) {
        let unready_current = here.iter().any(|p| current(p) && !condition_is_true(p, "Ready"));
        if !unready_current {
            context.store().delete(&key_of("/pods", pod), &Value::Null, false)?;
        }
    }
    let updated = here.iter().filter(|p| current(p)).count();
    let mut status = json!({"observedGeneration": set["metadata"]["generation"],
        "currentNumberScheduled": here.len(), "desiredNumberScheduled": nodes.len(),
        "numberMisscheduled": 0, "numberReady": ready});
    let missing = nodes.len() - ready.min(nodes.len());
    for (name, count) in
        [("numberAvailable", ready), ("updatedNumberScheduled", updated), ("numberUnavailable", missing)]
    {
        if count > 0 {
            status[name] = json!(count);
        }
    }
    context.set_status(key, status)
}
