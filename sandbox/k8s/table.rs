//! `Table` answers, which `kubectl get` prints.

use http::HeaderMap;
use serde_json::{Value, json};

use super::kinds::Kind;

/// Whether the client asks for a table.
pub fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get("accept").and_then(|a| a.to_str().ok());
    accept.and_then(|a| a.split(',').next()).is_some_and(|first| first.contains("as=Table"))
}

fn age(object: &Value) -> String {
    let created = object["metadata"]["creationTimestamp"].as_str();
    let Some(created) = created.and_then(|s| s.parse::<jiff::Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    match jiff::Timestamp::now().as_second() - created.as_second() {
        s if s < 120 => format!("{s}s"),
        s if s < 7200 => format!("{}m", s / 60),
        s if s < 172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// Follows `.a.b` and `[?(@.type=="X")]`, the JSONPath that printer columns use.
fn follow<'a>(object: &'a Value, path: &str) -> &'a Value {
    let (mut at, mut rest) = (object, path.trim_start_matches('.'));
    while !rest.is_empty() {
        if let Some(filter) = rest.strip_prefix("[?(@.") {
            let found = filter.split_once(")]").and_then(|(condition, after)| {
                let (key, value) = condition.split_once("==")?;
                let value = value.trim().trim_matches(['"', '\'']);
                let item = at.as_array()?.iter().find(|i| i[key.trim()] == value)?;
                Some((item, after))
            });
            let Some((item, after)) = found else { return &Value::Null };
            at = item;
            rest = after.trim_start_matches('.');
        } else {
            let stop = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '['));
            let end = stop.map_or(rest.len(), |(at, _)| at);
            at = &at[&rest[..end]];
            rest = rest[end..].trim_start_matches('.');
        }
    }
    at
}

/// Columns between name and age.
fn columns(kind: &Kind) -> Vec<(&'static str, &'static str)> {
    match kind.kind.as_str() {
        "Deployment" => {
            vec![("Ready", "string"), ("Up-to-date", "integer"), ("Available", "integer")]
        }
        "ReplicaSet" | "DaemonSet" => {
            vec![("Desired", "integer"), ("Current", "integer"), ("Ready", "integer")]
        }
        "StatefulSet" => vec![("Ready", "string")],
        "Pod" => {
            vec![("Ready", "string"), ("Status", "string"), ("Restarts", "string")]
        }
        "Node" => vec![("Status", "string"), ("Version", "string")],
        "Service" => {
            vec![("Type", "string"), ("Cluster-IP", "string"), ("External-IP", "string"), ("Port(s)", "string")]
        }
        "Namespace" | "PersistentVolumeClaim" | "PersistentVolume" => vec![("Status", "string")],
        "Secret" => vec![("Type", "string"), ("Data", "integer")],
        "ConfigMap" => vec![("Data", "integer")],
        "Job" => vec![("Status", "string"), ("Completions", "string")],
        "Event" => vec![("Type", "string"), ("Reason", "string"), ("Message", "string")],
        _ => vec![],
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn ratio(ready: &Value, wanted: &Value) -> Value {
    json!(format!("{}/{}", number(ready), number(wanted)))
}

fn pod_cells(object: &Value) -> Vec<Value> {
    let status = &object["status"];
    let containers: Vec<&Value> = status["containerStatuses"].as_array().into_iter().flatten().collect();
    let ready = containers.iter().filter(|c| c["ready"] == true).count();
    let all = object["spec"]["containers"].as_array().map_or(0, Vec::len);
    let waiting = containers.iter().find_map(|c| c["state"]["waiting"]["reason"].as_str());
    let word = waiting.or(status["phase"].as_str()).unwrap_or("Pending");
    let restarts: i64 = containers.iter().map(|c| number(&c["restartCount"])).sum();
    vec![json!(format!("{ready}/{all}")), json!(word), json!(restarts.to_string())]
}

fn service_cells(object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let pending = if spec["type"] == "LoadBalancer" { "<pending>" } else { "<none>" };
    let host = object["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str();
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports: Vec<String> =
        ports.map(|p| format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP"))).collect();
    let host = json!(host.unwrap_or(pending));
    vec![spec["type"].clone(), spec["clusterIP"].clone(), host, json!(ports.join(","))]
}

fn node_cells(object: &Value) -> Vec<Value> {
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|a| a.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    let mut word = if ready { "Ready" } else { "NotReady" }.to_owned();
    if object["spec"]["unschedulable"] == true {
        word.push_str(",SchedulingDisabled");
    }
    vec![json!(word), object["status"]["nodeInfo"]["kubeletVersion"].clone()]
}

fn cells(kind: &Kind, object: &Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let entries = || json!(object["data"].as_object().map_or(0, serde_json::Map::len));
    match kind.kind.as_str() {
        "Deployment" => vec![
            ratio(&status["readyReplicas"], &spec["replicas"]),
            json!(number(&status["updatedReplicas"])),
            json!(number(&status["availableReplicas"])),
        ],
        "ReplicaSet" => {
            [&spec["replicas"], &status["replicas"], &status["readyReplicas"]].map(|v| json!(number(v))).to_vec()
        }
        "DaemonSet" => ["desiredNumberScheduled", "currentNumberScheduled", "numberReady"]
            .map(|k| json!(number(&status[k])))
            .to_vec(),
        "StatefulSet" => vec![ratio(&status["readyReplicas"], &spec["replicas"])],
        "Pod" => pod_cells(object),
        "Node" => node_cells(object),
        "Service" => service_cells(object),
        "Namespace" | "PersistentVolumeClaim" | "PersistentVolume" => vec![status["phase"].clone()],
        "Secret" => vec![object["type"].clone(), entries()],
        "ConfigMap" => vec![entries()],
        "Job" => {
            let done = status["conditions"].as_array().into_iter().flatten();
            let mut done = done.filter(|c| c["status"] == "True" && c["type"] != "SuccessCriteriaMet");
            let word = done.find_map(|c| c["type"].as_str()).unwrap_or("Running");
            vec![json!(word), ratio(&status["succeeded"], &spec["completions"])]
        }
        "Event" => vec![object["type"].clone(), object["reason"].clone(), object["message"].clone()],
        _ => vec![],
    }
}

/// A table of `objects`, with the list's `metadata`.
pub fn table(kind: &Kind, objects: &[&Value], metadata: &Value) -> Value {
    let definition = |name: &str, kind: &str| {
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0})
    };
    let custom = kind.columns.as_array().into_iter().flatten();
    let custom: Vec<&Value> = custom.filter(|c| c["jsonPath"] != ".metadata.creationTimestamp").collect();
    let mut definitions = vec![definition("Name", "string")];
    definitions.extend(columns(kind).into_iter().map(|(name, kind)| definition(name, kind)));
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    definitions.extend(custom.iter().map(|c| definition(&text(&c["name"]), &text(&c["type"]))));
    definitions.push(definition("Age", "string"));
    let row = |object: &&Value| {
        let mut row = vec![object["metadata"]["name"].clone()];
        row.extend(cells(kind, object));
        row.extend(custom.iter().map(|c| follow(object, &text(&c["jsonPath"])).clone()));
        row.push(json!(age(object)));
        let part = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"]});
        json!({"cells": row, "object": part})
    };
    let rows: Vec<Value> = objects.iter().map(row).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{follow, table};
    use crate::k8s::kinds::builtins;

    #[test]
    fn printer_paths_are_followed() {
        let o = json!({"status": {"conditions": [{"type": "A"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(follow(&o, ".status.conditions[?(@.type==\"Ready\")].status"), "True");
        assert!(follow(&o, ".spec.nothing.here").is_null());
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        for kind in builtins() {
            let object = json!({"metadata": {"name": "x"}});
            let table = table(kind, &[&object], &json!({}));
            let (columns, row) = (&table["columnDefinitions"], &table["rows"][0]["cells"]);
            assert_eq!(columns.as_array().unwrap().len(), row.as_array().unwrap().len(), "{}", kind.kind);
        }
    }
}
