//! Why something does not become ready: conditions, warnings, states of containers, last lines of logs.

use super::{call::Call, cluster::Cluster, lookups::list_all, place::Place};
use crate::{cx::Cx, error::Result};
use serde_json::Value;

/// Warnings that are shown at most.
const WARNINGS: usize = 5;
/// Pods that are looked into at most.
const PODS: usize = 3;
/// Lines of a failing container's log.
const LOG_LINES: &str = "10";

/// All that can be found, one reason a line; empty when there is nothing. What cannot be read is left out: this explains
/// another error, and must not hide it.
pub async fn of(cx: &Cx, cluster: &Cluster, place: &Place, object: &Value) -> String {
    let mut lines = conditions(object);
    let namespace = place.namespace.as_deref().unwrap_or("default");
    let pods = pods_of(cx, cluster, namespace, object).await.unwrap_or_default();
    let failing: Vec<&Value> = pods.iter().filter(|pod| !containers(pod).is_empty()).take(PODS).collect();
    for pod in &failing {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        for found in containers(pod) {
            lines.push(match found.name.as_str() {
                "" => format!("pod `{name}`: {}", found.words),
                container => format!("pod `{name}`, container `{container}`: {}", found.words),
            });
            if found.has_log {
                lines.extend(log(cx, cluster, namespace, name, &found).await.unwrap_or_default());
            }
        }
    }
    let events = events(cx, cluster, namespace).await.unwrap_or_default();
    let pod_names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    lines.extend(warnings(&events, &place.kind.kind, &place.name, &pod_names));
    let mut said = std::collections::HashSet::new();
    lines.retain(|line| said.insert(line.clone()));
    lines.join("\n")
}

/// Conditions that speak of trouble.
fn conditions(object: &Value) -> Vec<String> {
    let all = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bad_when_true = ["Failed", "FailureTarget", "ReplicaFailure"];
    let trouble = all.iter().filter(|condition| {
        let is_bad = condition["type"].as_str().is_some_and(|kind| bad_when_true.contains(&kind));
        condition["status"] == if is_bad { "True" } else { "False" }
    });
    trouble
        .map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            format!("condition `{}` is `{}`: {} {}", text("type"), text("status"), text("reason"), text("message"))
        })
        .map(|line| line.trim_end().to_owned())
        .collect()
}

async fn pods_of(cx: &Cx, cluster: &Cluster, namespace: &str, object: &Value) -> Result<Vec<Value>> {
    let labels = match object["kind"].as_str() {
        Some("Deployment" | "DaemonSet" | "StatefulSet" | "Job") => &object["spec"]["selector"]["matchLabels"],
        _ => return Ok(Vec::new()),
    };
    let selector: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let selector = match (selector.is_empty(), object["kind"].as_str()) {
        (false, _) => selector.join(","),
        (true, Some("Job")) => format!("job-name={}", object["metadata"]["name"].as_str().unwrap_or_default()),
        (true, _) => return Ok(Vec::new()),
    };
    list_all(cx, cluster, "pods", &format!("/api/v1/namespaces/{namespace}/pods"), &selector).await
}

/// A container that does not run as it should.
#[derive(Debug, PartialEq, Eq)]
struct Failing {
    /// Empty when it is about the pod as a whole.
    name: String,
    words: String,
    /// Whether it ran, so that there is a log; of its former run when it waits to be started again.
    has_log: bool,
    previous: bool,
}

fn containers(pod: &Value) -> Vec<Failing> {
    let mut found = Vec::new();
    for field in ["initContainerStatuses", "containerStatuses"] {
        for status in pod["status"][field].as_array().into_iter().flatten() {
            let name = status["name"].as_str().unwrap_or_default().to_owned();
            let state = &status["state"];
            let last = &status["lastState"]["terminated"];
            if let Some(words) = waiting(&state["waiting"]) {
                let after = ended(last).map(|words| format!(", after it {words}")).unwrap_or_default();
                found.push(Failing {
                    name,
                    words: format!("{words}{after}"),
                    has_log: last.is_object(),
                    previous: true,
                });
            } else if let Some(words) = ended(&state["terminated"]) {
                found.push(Failing { name, words, has_log: true, previous: false });
            }
        }
    }
    if found.is_empty()
        && let Some(("False", words)) = super::ready::condition(pod, "PodScheduled")
    {
        found.push(Failing {
            name: String::new(),
            words: format!("not scheduled: {words}"),
            has_log: false,
            previous: false,
        });
    }
    found
}

fn waiting(state: &Value) -> Option<String> {
    let reason = state["reason"].as_str()?;
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    Some(match state["message"].as_str() {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    })
}

fn ended(state: &Value) -> Option<String> {
    let code = state["exitCode"].as_i64().filter(|code| *code != 0)?;
    let reason = state["reason"].as_str().unwrap_or("Error");
    Some(match state["message"].as_str() {
        Some(message) => format!("ended with code {code} ({reason}): {message}"),
        None => format!("ended with code {code} ({reason})"),
    })
}

async fn log(cx: &Cx, cluster: &Cluster, namespace: &str, pod: &str, of: &Failing) -> Result<Vec<String>> {
    let mut call = Call::get("pods/log", format!("/api/v1/namespaces/{namespace}/pods/{pod}/log"), "a log")
        .with("container", of.name.clone())
        .with("tailLines", LOG_LINES);
    if of.previous {
        call = call.with("previous", "true");
    }
    let text = cluster.send_text(cx, &call).await?;
    Ok(text.lines().map(|line| format!("    {}", crate::secret::hide(line))).collect())
}

async fn events(cx: &Cx, cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{namespace}/events");
    list_all(cx, cluster, "events", &path, "").await
}

/// The last warnings about the object and its pods, oldest first.
fn warnings(events: &[Value], kind: &str, name: &str, pods: &[&str]) -> Vec<String> {
    let about = |event: &&Value| {
        let (of, named) =
            (&event["involvedObject"]["kind"], event["involvedObject"]["name"].as_str().unwrap_or_default());
        event["type"] == "Warning" && ((of == kind && named == name) || (of == "Pod" && pods.contains(&named)))
    };
    let when = |event: &Value| {
        ["lastTimestamp", "eventTime", "firstTimestamp"]
            .iter()
            .find_map(|field| event[*field].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let mut found: Vec<&Value> = events.iter().filter(about).collect();
    found.sort_by_key(|event| when(event));
    let last = found.len().saturating_sub(WARNINGS);
    found[last..]
        .iter()
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default().trim().to_owned();
            format!(
                "warning about `{}`: {}: {}",
                event["involvedObject"]["name"].as_str().unwrap_or_default(),
                text("reason"),
                text("message")
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn failing_containers_are_found_with_what_happened_before() {
        let pod = json!({ "status": { "initContainerStatuses": [{ "name": "i", "state": { "terminated": { "exitCode": 0 } } }],
            "containerStatuses": [
                { "name": "a", "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                  "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } },
                { "name": "b", "state": { "waiting": { "reason": "ContainerCreating" } } },
                { "name": "c", "state": { "running": {} } } ] } });
        let found = containers(&pod);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].words, "CrashLoopBackOff, after it ended with code 1 (Error)");
        assert!(found[0].has_log && found[0].previous);
        let unscheduled = json!({ "status": { "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes" }] } });
        assert!(containers(&unscheduled)[0].words.contains("0/2 nodes"));
    }

    #[test]
    fn the_last_warnings_about_the_object_are_shown() {
        let event = |kind: &str, name: &str, at: u32| {
            json!({ "type": "Warning", "reason": "R", "message": format!("m{at}"),
            "lastTimestamp": format!("2026-01-01T00:00:0{at}Z"), "involvedObject": { "kind": kind, "name": name } })
        };
        let mut events: Vec<Value> = (0..8).map(|at| event("Job", "x", at)).collect();
        events.push(event("Job", "other", 9));
        events.push(event("Pod", "x-1", 9));
        let lines = warnings(&events, "Job", "x", &["x-1"]);
        assert_eq!(lines.len(), WARNINGS);
        assert!(lines[0].ends_with("m4") && lines[4].ends_with("m9"), "{lines:?}");
    }

    #[test]
    fn only_conditions_of_trouble_are_told() {
        let object = json!({ "status": { "conditions": [
            { "type": "Available", "status": "True" },
            { "type": "Failed", "status": "False" },
            { "type": "Ready", "status": "False", "reason": "DoesNotExist", "message": "no secret" }] } });
        assert_eq!(conditions(&object), ["condition `Ready` is `False`: DoesNotExist no secret"]);
    }
}
