//! ReplicaSets: as many pods as wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context, key_of, meta,
    pods::{PodPlan, is_active},
    terminating, with_condition,
};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key, suffix},
};

/// Makes or removes pods, and counts them.
pub fn reconcile(context: &mut Context, key: &Key, set: &Arc<Value>) -> ApiResult<()> {
    if terminating(set) {
        return Ok(());
    }
    let wanted = usize::try_from(set["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    let mut pods: Vec<Arc<Value>> = context.owned(set, "/pods").into_iter().filter(|p| is_active(p)).collect();
    // Those that are ready, then the oldest, are kept.
    pods.sort_by_key(|p| (!condition_is_true(p, "Ready"), meta(p, "creationTimestamp").to_owned()));
    for extra in pods.split_off(wanted.min(pods.len())) {
        context.store().delete(&key_of("/pods", &extra), &Value::Null, false)?;
    }
    let mut refusal = None;
    for _ in pods.len()..wanted {
        refusal = context.create_pod(PodPlan {
            owner: set,
            template: &set["spec"]["template"],
            name: format!("{}-{}", key.name, suffix()),
            labels: Vec::new(),
            node: None,
            claims: Vec::new(),
        })?;
    }
    let pods: Vec<Arc<Value>> = context.owned(set, "/pods").into_iter().filter(|p| is_active(p)).collect();
    let ready = pods.iter().filter(|p| condition_is_true(p, "Ready")).count();
    let mut status = json!({"replicas": pods.len(), "fullyLabeledReplicas": pods.len(),
        "observedGeneration": set["metadata"]["generation"]});
    if ready > 0 {
        status["readyReplicas"] = json!(ready);
        status["availableReplicas"] = json!(ready);
    }
    if let Some(message) = refusal {
        status["conditions"] = with_condition(set, "ReplicaFailure", true, "FailedCreate", &message);
    }
    context.set_status(key, status)
}
