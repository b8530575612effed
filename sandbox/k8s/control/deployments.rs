//! Deployments: a ReplicaSet for each template, and rolling from one to the next.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context, controlled_by, events::Level, key_of, meta, pace, pods::template_hash, terminating, with_condition,
};
use crate::k8s::store::{ApiResult, Key, Write};

const REVISION: &str = "deployment.kubernetes.io/revision";
const SETS: &str = "apps/replicasets";

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn revision(set: &Value) -> i64 {
    let text = set["metadata"]["annotations"][REVISION].as_str();
    text.and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// A count or a percentage of `total`.
fn bound(value: &Value, total: i64, round_up: bool) -> i64 {
    let percent = value.as_str().and_then(|p| p.trim_end_matches('%').parse::<i64>().ok());
    match percent {
        Some(percent) if round_up => (percent * total + 99).div_euclid(100),
        Some(percent) => percent * total / 100,
        None => number(value),
    }
}

/// How many replicas the sets should have now.
#[derive(Debug, PartialEq, Eq)]
struct Rolling {
    new: i64,
    old: Vec<i64>,
}

/// The next sizes of the sets; each set is `(replicas wanted, replicas ready)`.
fn roll(deployment: &Value, new: (i64, i64), old: &[(i64, i64)]) -> Rolling {
    let spec = &deployment["spec"];
    let wanted = number(&spec["replicas"]);
    let mut sizes: Vec<i64> = old.iter().map(|(size, _)| *size).collect();
    if spec["strategy"]["type"] == "Recreate" {
        let left = sizes.iter().any(|s| *s > 0);
        return Rolling { new: if left { new.0 } else { wanted }, old: vec![0; sizes.len()] };
    }
    let limits = &spec["strategy"]["rollingUpdate"];
    let surge = bound(&limits["maxSurge"], wanted, true);
    let mut slack = bound(&limits["maxUnavailable"], wanted, false);
    if surge == 0 && slack == 0 {
        slack = 1;
    }
    let total = new.0 + sizes.iter().sum::<i64>();
    let room = (wanted + surge - total).max(0);
    let grown = if new.0 >= wanted { wanted } else { wanted.min(new.0 + room) };
    let least = wanted - slack;
    let mut cuttable = (total - least - (new.0 - new.1)).max(0);
    // What is not ready serves nobody and goes first.
    for (size, (_, ready)) in sizes.iter_mut().zip(old) {
        let cut = (*size - ready).clamp(0, cuttable);
        *size -= cut;
        cuttable -= cut;
    }
    let ready = new.1 + old.iter().map(|(_, ready)| *ready).sum::<i64>();
    let mut spare = (ready - least).clamp(0, cuttable);
    for size in &mut sizes {
        let cut = spare.min(*size);
        *size -= cut;
        spare -= cut;
    }
    Rolling { new: grown, old: sizes }
}

/// Takes a rollout a step further.
pub fn reconcile(context: &mut Context, key: &Key, deployment: &Arc<Value>) -> ApiResult<()> {
    if terminating(deployment) {
        return Ok(());
    }
    let sets = context.owned(deployment, SETS);
    let name = format!("{}-{}", key.name, template_hash(&deployment["spec"]["template"]));
    let newest = sets.iter().map(|s| revision(s)).max().unwrap_or(0);
    let current = sets.iter().find(|s| meta(s, "name") == name);
    let paused = deployment["spec"]["paused"] == true;
    if current.is_none() && !paused {
        return create_set(context, key, deployment, &name, newest + 1);
    }
    let (new, old): (Vec<_>, Vec<_>) = sets.iter().partition(|s| meta(s, "name") == name);
    let size = |s: &Arc<Value>| (number(&s["spec"]["replicas"]), number(&s["status"]["readyReplicas"]));
    let (Some(set), false) = (new.first(), paused) else {
        return report(context, key, deployment, &sets, None);
    };
    if revision(set) < newest {
        // Going back to an old template makes it the newest.
        let set_key = key_of(SETS, set);
        context.change(&set_key, |s| s["metadata"]["annotations"][REVISION] = json!((newest + 1).to_string()))?;
    }
    let old_sizes: Vec<(i64, i64)> = old.iter().map(|s| size(s)).collect();
    let next = roll(deployment, size(set), &old_sizes);
    let sizes = std::iter::once((*set, next.new)).chain(old.iter().copied().zip(next.old));
    for (set, wanted) in sizes {
        if number(&set["spec"]["replicas"]) != wanted {
            let word = if wanted > number(&set["spec"]["replicas"]) { "up" } else { "down" };
            let message = format!("Scaled {word} replica set {} to {wanted}", meta(set, "name"));
            context.event(deployment, Level::Normal, "ScalingReplicaSet", &message);
            context.change(&key_of(SETS, set), |s| s["spec"]["replicas"] = json!(wanted))?;
        }
    }
    trim_history(context, deployment, &old)?;
    report(context, key, deployment, &sets, Some(set))
}

fn create_set(context: &mut Context, key: &Key, deployment: &Value, name: &str, revision: i64) -> ApiResult<()> {
    let hash = name.rsplit('-').next().unwrap_or("");
    let spec = &deployment["spec"];
    let (mut template, mut selector) = (spec["template"].clone(), spec["selector"].clone());
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"]["pod-template-hash"] = json!(hash);
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "labels": template["metadata"]["labels"],
            "annotations": {REVISION: revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": spec["replicas"].to_string()},
            "ownerReferences": controlled_by(deployment)},
        "spec": {"replicas": 0, "selector": selector, "template": template},
        "status": {"replicas": 0}});
    context.store().create(&Key::new(SETS, &key.namespace, name), set, &Write::simulation())?;
    Ok(())
}

/// Drops the oldest sets beyond the history limit.
fn trim_history(context: &Context, deployment: &Value, old: &[&Arc<Value>]) -> ApiResult<()> {
    let limit = deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let mut idle: Vec<&Arc<Value>> = old
        .iter()
        .copied()
        .filter(|s| number(&s["spec"]["replicas"]) == 0 && number(&s["status"]["replicas"]) == 0)
        .collect();
    idle.sort_by_key(|s| std::cmp::Reverse(revision(s)));
    for set in idle.into_iter().skip(usize::try_from(limit).unwrap_or(usize::MAX)) {
        context.store().delete(&key_of(SETS, set), &Value::Null, false)?;
    }
    Ok(())
}

/// Whether a rollout is finished, and the condition that tells of it.
fn progress(
    context: &mut Context,
    key: &Key,
    deployment: &Value,
    set: Option<&Arc<Value>>,
    complete: bool,
) -> Option<(bool, &'static str, String)> {
    let set = set?;
    let name = meta(set, "name");
    if complete {
        context.restart(set, "progress");
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return Some((true, "NewReplicaSetAvailable", message));
    }
    let limit_s = deployment["spec"]["progressDeadlineSeconds"].as_f64().unwrap_or(600.0);
    if context.elapsed_at_least(key, set, "progress", limit_s, pace::LEAST_DEADLINE_S) {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        return Some((false, "ProgressDeadlineExceeded", message));
    }
    Some((true, "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing.")))
}

fn report(
    context: &mut Context,
    key: &Key,
    deployment: &Value,
    sets: &[Arc<Value>],
    current: Option<&Arc<Value>>,
) -> ApiResult<()> {
    let sum = |field: &str| sets.iter().map(|s| number(&s["status"][field])).sum::<i64>();
    let wanted = number(&deployment["spec"]["replicas"]);
    let (all, ready) = (sum("replicas"), sum("readyReplicas"));
    let updated = current.map_or(0, |s| number(&s["status"]["replicas"]));
    let updated_ready = current.map_or(0, |s| number(&s["status"]["readyReplicas"]));
    let complete = all == wanted && updated == wanted && updated_ready == wanted;
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    let counts = [
        ("replicas", all),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", (wanted.max(all) - ready).max(0)),
    ];
    for (name, count) in counts {
        if count > 0 {
            status[name] = json!(count);
        }
    }
    let slack = bound(&deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], wanted, false);
    let (available, reason, message) = if ready >= wanted - slack {
        (true, "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        (false, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    status["conditions"] = with_condition(deployment, "Available", available, reason, message);
    if let Some((fine, reason, message)) = progress(context, key, deployment, current, complete) {
        let with = json!({"status": {"conditions": status["conditions"]}});
        status["conditions"] = with_condition(&with, "Progressing", fine, reason, &message);
    }
    let failure = |c: &&Value| c["type"] == "ReplicaFailure";
    let all = status["conditions"].as_array_mut();
    let failed = current.and_then(|s| s["status"]["conditions"].as_array()?.iter().find(failure).cloned());
    if let Some(all) = all {
        all.retain(|c| c["type"] != "ReplicaFailure");
        all.extend(failed);
    }
    let shown = current.map(|s| revision(s).max(1).to_string());
    if let Some(shown) = shown
        && deployment["metadata"]["annotations"][REVISION] != shown.as_str()
    {
        context.change(key, |d| {
            if !d["metadata"]["annotations"].is_object() {
                d["metadata"]["annotations"] = json!({});
            }
            d["metadata"]["annotations"][REVISION] = json!(shown);
        })?;
    }
    context.set_status(key, status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Rolling, roll};

    #[test]
    fn a_rollout_keeps_enough_pods_ready() {
        let d = json!({"spec": {"replicas": 2, "strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}});
        let step = |new, old: &[(i64, i64)]| roll(&d, new, old);
        assert_eq!(step((0, 0), &[]), Rolling { new: 2, old: vec![] }, "the first rollout");
        assert_eq!(step((0, 0), &[(2, 2)]), Rolling { new: 1, old: vec![2] }, "one more");
        assert_eq!(step((1, 0), &[(2, 2)]), Rolling { new: 1, old: vec![2] }, "waiting for it");
        assert_eq!(step((1, 1), &[(2, 2)]), Rolling { new: 1, old: vec![1] }, "one less");
        assert_eq!(step((1, 1), &[(1, 1)]), Rolling { new: 2, old: vec![1] });
        assert_eq!(step((2, 2), &[(1, 1)]), Rolling { new: 2, old: vec![0] });
        assert_eq!(step((1, 1), &[(2, 0)]).old, [1], "what was never ready goes first");
        let zero = json!({"spec": {"replicas": 0}});
        assert_eq!(roll(&zero, (2, 2), &[]).new, 0);
    }

    #[test]
    fn recreating_waits_until_the_old_pods_are_gone() {
        let d = json!({"spec": {"replicas": 1, "strategy": {"type": "Recreate"}}});
        assert_eq!(roll(&d, (0, 0), &[(1, 1)]), Rolling { new: 0, old: vec![0] });
        assert_eq!(roll(&d, (0, 0), &[(0, 0)]), Rolling { new: 1, old: vec![0] });
    }
}
