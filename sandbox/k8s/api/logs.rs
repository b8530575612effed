//! What containers have written.
//!
//! Nothing runs, so the lines are told from what the simulation knows: when the container started,
//! how it ended, and the message that it ended with.

use serde_json::Value;

use super::{
    call::Call,
    reply::{self, Reply},
};
use crate::k8s::store::{ApiError, ApiResult};

/// The log of a pod's container.
pub fn logs(pod: &Value, call: &Call) -> ApiResult<Reply> {
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten())
        .filter_map(|c| c["name"].as_str())
        .collect();
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or("");
    let wanted = match call.query("container") {
        "" => containers.first().copied().unwrap_or(""),
        name if containers.contains(&name) => name,
        name => {
            let message = format!("container {name} is not valid for pod {pod_name}");
            return Err(ApiError::bad_request(message));
        }
    };
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut statuses = statuses.filter(|s| s["name"] == wanted);
    let previous = call.flag("previous");
    let field = if previous { "lastState" } else { "state" };
    let state = statuses.next().map_or(&Value::Null, |s| &s[field]);
    if previous && state["terminated"].is_null() {
        let message = format!("previous terminated container \"{wanted}\" in pod \"{pod_name}\" not found");
        return Err(ApiError::bad_request(message));
    }
    let reason = state["waiting"]["reason"].as_str();
    let never_started = pod["status"]["phase"] == "Pending" && state["terminated"].is_null();
    if !previous && (reason.is_some() || never_started) {
        let reason = reason.unwrap_or("ContainerCreating");
        return Err(ApiError::bad_request(format!(
            "container \"{wanted}\" in pod \"{pod_name}\" is waiting to start: {reason}"
        )));
    }
    let mut lines = told(pod, wanted, state);
    if let Ok(tail) = call.query("tailLines").parse::<usize>() {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let started = started_at(state);
    let stamp = if call.flag("timestamps") { format!("{started} ") } else { String::new() };
    let lines: Vec<String> = lines.into_iter().map(|l| format!("{stamp}{l}\n")).collect();
    Ok(reply::typed(200, "text/plain", lines.concat()))
}

fn started_at(state: &Value) -> &str {
    ["running", "terminated"].iter().find_map(|s| state[*s]["startedAt"].as_str()).unwrap_or("")
}

fn told(pod: &Value, container: &str, state: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let started = started_at(state);
    if !started.is_empty() {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("");
        lines.push(format!("time=\"{started}\" level=info msg=\"starting {container}\" node={node}"));
    }
    if state["running"].is_object() {
        lines.push(format!("time=\"{started}\" level=info msg=\"{container} is ready\""));
    }
    let ended = &state["terminated"];
    let at = ended["finishedAt"].as_str().unwrap_or("");
    let level = if ended["exitCode"] == 0 { "info" } else { "fatal" };
    for message in ended["message"].as_str().into_iter().flat_map(str::lines) {
        lines.push(format!("time=\"{at}\" level={level} msg={message:?}"));
    }
    lines
}
