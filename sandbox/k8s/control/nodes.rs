//! Nodes: Ready once the machine is up and a network plugin runs on it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Context, pace, with_condition};
use crate::k8s::{
    cluster::{READY_AT, condition_is_true},
    store::{ApiResult, Key},
};

/// Where container runtimes look for the network's configuration: what writes there is the plugin.
const CNI_FOLDER: &str = "/etc/cni/net.d";

/// Whether the pod is (part of) a network plugin.
pub fn is_network_plugin(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut paths = volumes.filter_map(|v| v["hostPath"]["path"].as_str());
    paths.any(|path| path.trim_end_matches('/') == CNI_FOLDER)
}

/// Sets the node's condition Ready.
pub fn reconcile(context: &mut Context, key: &Key, node: &Arc<Value>) -> ApiResult<()> {
    let ready = condition_is_true(node, "Ready");
    let up = node["metadata"]["annotations"][READY_AT].as_str();
    let up = up.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    if let Some(wait) = up.and_then(|at| at.duration_since(jiff::Timestamp::now()).try_into().ok()) {
        let wait: std::time::Duration = wait;
        if !wait.is_zero() && !ready {
            context.wake_at(key, Instant::now() + wait);
            return Ok(());
        }
    }
    let running = |p: &Arc<Value>| {
        p["spec"]["nodeName"] == key.name.as_str() && p["status"]["phase"] == "Running" && is_network_plugin(p)
    };
    let networked = context.store().read().list("/pods", "", "", "").iter().any(running);
    // A plugin that is replaced leaves its configuration behind; the node stays Ready.
    let (status, reason, message) = if ready || networked {
        if !ready && !context.elapsed(key, node, "ready", pace::NODE_S) {
            return Ok(());
        }
        (true, "KubeletReady", "kubelet is posting ready status")
    } else {
        let message = "container runtime network not ready: NetworkReady=false \
                       reason:NetworkPluginNotReady message:Network plugin returns error: cni \
                       plugin not initialized";
        (false, "KubeletNotReady", message)
    };
    let mut new = node["status"].clone();
    new["conditions"] = with_condition(node, "Ready", status, reason, message);
    for name in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        let with = json!({"status": {"conditions": new["conditions"]}});
        new["conditions"] = with_condition(&with, name, false, "KubeletHasSufficient", "");
    }
    context.set_status(key, new)
}
