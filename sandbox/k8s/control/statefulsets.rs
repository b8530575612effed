//! StatefulSets: numbered pods, one after the other, each with its own claims.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context, key_of, meta,
    pods::{PodPlan, is_active, template_hash},
    terminating,
};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key, Write},
};

const HASH: &str = "controller-revision-hash";

/// Makes or removes pods in order, and counts them.
pub fn reconcile(context: &mut Context, key: &Key, set: &Arc<Value>) -> ApiResult<()> {
    if terminating(set) {
        return Ok(());
    }
    let wanted = set["spec"]["replicas"].as_i64().unwrap_or(1);
    let hash = format!("{}-{}", key.name, template_hash(&set["spec"]["template"]));
    let pods = context.owned(set, "/pods");
    let ordinal = |p: &Arc<Value>| -> i64 {
        let number = meta(p, "name").rsplit('-').next();
        number.and_then(|n| n.parse().ok()).unwrap_or(-1)
    };
    for pod in &pods {
        if ordinal(pod) >= wanted || !is_active(pod) {
            context.store().delete(&key_of("/pods", pod), &Value::Null, false)?;
        }
    }
    let ordered = set["spec"]["podManagementPolicy"] != "Parallel";
    for index in 0..wanted {
        match pods.iter().find(|p| ordinal(p) == index && is_active(p)) {
            None => create(context, key, set, index, &hash)?,
            Some(pod) if condition_is_true(pod, "Ready") => continue,
            Some(pod) if pod["metadata"]["labels"][HASH] != hash.as_str() => {
                // A pod that never became ready does not hold its own replacement up.
                context.store().delete(&key_of("/pods", pod), &Value::Null, false)?;
            }
            Some(_) => {}
        }
        if ordered {
            break;
        }
    }
    let here: Vec<&Arc<Value>> = pods.iter().filter(|p| ordinal(p) < wanted && is_active(p)).collect();
    let ready = here.iter().filter(|p| condition_is_true(p, "Ready")).count();
    let current = |p: &&&Arc<Value>| p["metadata"]["labels"][HASH] == hash.as_str();
    let updated = here.iter().filter(current).count();
    if i64::try_from(ready) == Ok(wanted)
        && let Some(stale) = here.iter().rev().find(|p| !current(p))
    {
        context.store().delete(&key_of("/pods", stale), &Value::Null, false)?;
    }
    let finished = i64::try_from(updated) == Ok(wanted);
    let before = set["status"]["currentRevision"].as_str().unwrap_or(&hash);
    let mut status = json!({"observedGeneration": set["metadata"]["generation"],
        "replicas": here.len(), "updateRevision": hash, "collisionCount": 0,
        "currentRevision": if finished { hash.as_str() } else { before }});
    for (name, count) in [
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("updatedReplicas", updated),
        ("currentReplicas", updated),
    ] {
        if count > 0 {
            status[name] = json!(count);
        }
    }
    context.set_status(key, status)
}

fn create(context: &Context, key: &Key, set: &Value, index: i64, hash: &str) -> ApiResult<()> {
    let name = format!("{}-{index}", key.name);
    let mut claims = Vec::new();
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = meta(template, "name");
        let claim = format!("{volume}-{name}");
        let place = Key::new("/persistentvolumeclaims", &key.namespace, &claim);
        if context.store().read().find(&place).is_none() {
            let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim, "labels": set["spec"]["selector"]["matchLabels"]},
                "spec": template["spec"], "status": {"phase": "Pending"}});
            context.store().create(&place, object, &Write::simulation())?;
        }
        claims.push((volume.to_owned(), claim));
    }
    let plan = PodPlan {
        owner: set,
        template: &set["spec"]["template"],
        name: name.clone(),
        labels: vec![(HASH, hash.to_owned()), ("statefulset.kubernetes.io/pod-name", name)],
        node: None,
        claims,
    };
    context.create_pod(plan).map(|_| ())
}
