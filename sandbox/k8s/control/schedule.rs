//! Choosing a node for a pod.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::meta;
use crate::k8s::{cluster::condition_is_true, selector};

/// Why a node cannot take a pod, as the scheduler counts it.
type Reason = &'static str;

fn tolerates(pod: &Value, taint: &Value) -> bool {
    let mut tolerations = pod["spec"]["tolerations"].as_array().into_iter().flatten();
    tolerations.any(|t| {
        let effect = t["effect"].as_str().unwrap_or("");
        let key = t["key"].as_str().unwrap_or("");
        (effect.is_empty() || taint["effect"] == effect)
            && (key.is_empty() || taint["key"] == key)
            && (t["operator"] == "Exists" || t["value"].as_str().unwrap_or("") == taint["value"].as_str().unwrap_or(""))
    })
}

/// Whether a term of a node affinity matches the node.
fn term_matches(term: &Value, node: &Value) -> bool {
    let expressions = term["matchExpressions"].as_array().into_iter().flatten();
    let mut fields = term["matchFields"].as_array().into_iter().flatten();
    let names = serde_json::json!({"metadata.name": meta(node, "name")});
    let mut expressions = expressions;
    expressions.all(|e| selector::requirement(e, &node["metadata"]["labels"]))
        && fields.all(|f| selector::requirement(f, &names))
}

/// Whether node selector and required node affinity let the pod onto the node.
pub fn wants(pod_spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let mut wanted = pod_spec["nodeSelector"].as_object().into_iter().flatten();
    let required =
        &pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    wanted.all(|(k, v)| labels[k] == *v)
        && required.as_array().is_none_or(|terms| terms.iter().any(|t| term_matches(t, node)))
}

/// Whether the node's taints keep the pod out; `agent` is a pod of a DaemonSet, which tolerates
/// that a node is not ready or closed.
pub fn is_repelled(pod: &Value, node: &Value, agent: bool) -> bool {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    taints.any(|taint| {
        let soft = taint["effect"] == "PreferNoSchedule";
        let own = agent && taint["key"].as_str().is_some_and(|k| k.starts_with("node.kubernetes.io/"));
        !soft && !own && !tolerates(pod, taint)
    })
}

/// Whether one of the pod's required anti-affinity terms matches a pod in the node's domain.
fn is_kept_apart(pod: &Value, node: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> bool {
    let terms = &pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let mut terms = terms.as_array().into_iter().flatten();
    terms.any(|term| {
        let Some(topology) = term["topologyKey"].as_str() else { return false };
        let domain = &node["metadata"]["labels"][topology];
        let in_domain = |name: &str| {
            let mut found = nodes.iter().filter(|n| meta(n, "name") == name);
            found.any(|n| n["metadata"]["labels"][topology] == *domain)
        };
        pods.iter().any(|other| {
            meta(other, "namespace") == meta(pod, "namespace")
                && meta(other, "uid") != meta(pod, "uid")
                && other["spec"]["nodeName"].as_str().is_some_and(in_domain)
                && selector::in_object(&term["labelSelector"], &other["metadata"]["labels"])
        })
    })
}

fn refusal(pod: &Value, node: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> Option<Reason> {
    let name = meta(node, "name");
    let full = || {
        let here = pods.iter().filter(|p| p["spec"]["nodeName"] == name).count();
        let room = node["status"]["allocatable"]["pods"].as_str().and_then(|p| p.parse().ok());
        here >= room.unwrap_or(110)
    };
    if !condition_is_true(node, "Ready") {
        Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }")
    } else if node["spec"]["unschedulable"] == true {
        Some("node(s) were unschedulable")
    } else if is_repelled(pod, node, false) {
        Some("node(s) had untolerated taint")
    } else if !wants(&pod["spec"], node) {
        Some("node(s) didn't match Pod's node affinity/selector")
    } else if is_kept_apart(pod, node, nodes, pods) {
        Some("node(s) didn't match pod anti-affinity rules")
    } else {
        full().then_some("Too many pods")
    }
}

/// How well a node suits: fewer pods of the same workload first, then fewer pods.
fn rank(pod: &Value, node: &Value, pods: &[Arc<Value>]) -> (usize, usize) {
    let name = meta(node, "name");
    let here: Vec<&Arc<Value>> = pods.iter().filter(|p| p["spec"]["nodeName"] == name).collect();
    let same = |p: &&&Arc<Value>| {
        let (a, b) = (&p["metadata"]["ownerReferences"][0], &pod["metadata"]["ownerReferences"][0]);
        a["uid"].is_string() && a["uid"] == b["uid"]
    };
    (here.iter().filter(same).count(), here.len())
}

/// The node for a pod.
///
/// # Errors
/// The scheduler's message, when no node can take it.
pub fn choose(pod: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> Result<String, String> {
    let pods: Vec<Arc<Value>> = pods
        .iter()
        .filter(|p| !matches!(p["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        .cloned()
        .collect();
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut fitting: Vec<&Arc<Value>> = Vec::new();
    for node in nodes {
        match refusal(pod, node, nodes, &pods) {
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => fitting.push(node),
        }
    }
    let best = fitting.into_iter().min_by_key(|n| (rank(pod, n, &pods), meta(n, "name").to_owned()));
    if let Some(node) = best {
        return Ok(meta(node, "name").to_owned());
    }
    if nodes.is_empty() {
        return Err("no nodes available to schedule pods".to_owned());
    }
    let reasons: Vec<String> = reasons.iter().map(|(why, n)| format!("{n} {why}")).collect();
    Err(format!("0/{} nodes are available: {}.", nodes.len(), reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::choose;

    fn node(name: &str, labels: &Value, ready: &str) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name, "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
    }

    #[test]
    fn selectors_readiness_and_taints_are_honoured() {
        let nodes = [node("a", &json!({"w": "true"}), "False"), node("b", &json!({}), "True")];
        let pod = json!({"metadata": {}, "spec": {"nodeSelector": {"w": "true"}}});
        let message = choose(&pod, &nodes, &[]).unwrap_err();
        assert!(message.starts_with("0/2 nodes are available: 1 node(s) didn't match"), "{message}");
        assert_eq!(choose(&json!({"metadata": {}, "spec": {}}), &nodes, &[]).unwrap(), "b");
        let nodes = [node("a", &json!({"w": "true"}), "True")];
        assert_eq!(choose(&pod, &nodes, &[]).unwrap(), "a");
        assert!(choose(&pod, &[], &[]).unwrap_err().contains("no nodes available"));
        let mut tainted = (*nodes[0]).clone();
        tainted["spec"]["taints"] = json!([{"key": "k", "value": "v", "effect": "NoSchedule"}]);
        let tainted = [Arc::new(tainted)];
        assert!(choose(&pod, &tainted, &[]).is_err());
        let mut tolerant = pod;
        tolerant["spec"]["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
        assert!(choose(&tolerant, &tainted, &[]).is_ok());
    }

    #[test]
    fn pods_of_a_workload_spread_and_may_insist_on_it() {
        let host = |n: &str| json!({"kubernetes.io/hostname": n});
        let nodes = [node("a", &host("a"), "True"), node("b", &host("b"), "True")];
        let mut pod = json!({"metadata": {"uid": "2", "namespace": "x", "labels": {"app": "w"},
            "ownerReferences": [{"uid": "rs"}]}, "spec": {}});
        let on = |n: &str| {
            Arc::new(json!({"metadata": {"uid": n, "namespace": "x", "labels": {"app": "w"},
                "ownerReferences": [{"uid": "rs"}]}, "spec": {"nodeName": n}}))
        };
        assert_eq!(choose(&pod, &nodes, &[on("a")]).unwrap(), "b");
        pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "w"}}}]);
        let message = choose(&pod, &nodes, &[on("a"), on("b")]).unwrap_err();
        assert!(message.contains("anti-affinity"), "{message}");
    }
}
