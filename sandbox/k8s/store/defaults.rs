//! The defaults that clients rely on, as the API server fills them in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::pod_defaults;
use crate::k8s::kinds::Kind;

/// Sets a field that is missing or null.
pub fn default(object: &mut Value, field: &str, value: Value) {
    let Some(map) = object.as_object_mut() else { return };
    if map.get(field).is_none_or(Value::is_null) {
        map.insert(field.to_owned(), value);
    }
}

/// Drops what metadata says with nothing: nulls, and lists and maps without entries.
pub fn tidy_metadata(metadata: &mut Map<String, Value>) {
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    });
}

/// Fills in what is missing and the same for everyone; whoever updates an object owns these too.
pub fn fill(kind: &Kind, object: &mut Value) {
    if !kind.builtin {
        return;
    }
    match kind.kind.as_str() {
        "Secret" => {
            move_string_data(object);
            default(object, "type", json!("Opaque"));
        }
        "Namespace" => namespace(object),
        "StorageClass" => {
            default(object, "reclaimPolicy", json!("Delete"));
            default(object, "volumeBindingMode", json!("Immediate"));
        }
        other => {
            if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
                fill_spec(other, spec);
            }
        }
    }
}

/// Fills in what only the server can give: addresses, and the selector of a Job. Nobody owns it.
/// `addresses` counts the cluster addresses and node ports given out.
pub fn allocate(kind: &Kind, object: &mut Value, addresses: &mut u32) {
    match kind.kind.as_str() {
        "Service" if kind.builtin => {
            if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
                allocate_addresses(spec, addresses);
            }
            if object["status"].is_null() {
                object["status"] = json!({"loadBalancer": {}});
            }
        }
        "Job" if kind.builtin => job_selector(object),
        _ => {}
    }
}

fn fill_spec(kind: &str, spec: &mut Value) {
    match kind {
        "Service" => service(spec),
        "Pod" => pod_defaults::fill(spec),
        "CustomResourceDefinition" => {
            let name = spec["names"]["kind"].as_str().unwrap_or("").to_owned();
            if let Some(names) = spec.get_mut("names") {
                default(names, "listKind", json!(format!("{name}List")));
                default(names, "singular", json!(name.to_lowercase()));
            }
            default(spec, "conversion", json!({"strategy": "None"}));
        }
        _ => workload(kind, spec),
    }
}

/// Turns a Secret's `stringData` into `data`.
pub fn move_string_data(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let Some(Value::Object(plain)) = map.shift_remove("stringData") else { return };
    if !object["data"].is_object() {
        object["data"] = json!({});
    }
    for (name, value) in plain {
        let encoded = value.as_str().map(|v| STANDARD.encode(v));
        object["data"][name] = json!(encoded);
    }
}

/// The selector by which a Job finds its pods, unless the client wrote one.
fn job_selector(object: &mut Value) {
    let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
    let spec = &object["spec"];
    let metadata = &spec["template"]["metadata"];
    let usable = |v: &Value| v.is_object() || v.is_null();
    let whole = spec["template"].is_object() && usable(metadata) && usable(&metadata["labels"]);
    if spec["selector"].is_object() || !whole {
        return;
    }
    let spec = &mut object["spec"];
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = &mut spec["template"]["metadata"]["labels"];
    for prefix in ["batch.kubernetes.io/", ""] {
        labels[format!("{prefix}controller-uid")] = uid.clone();
        labels[format!("{prefix}job-name")] = name.clone();
    }
    let labels = labels.clone();
    default(&mut object["metadata"], "labels", labels);
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    if object["metadata"]["deletionTimestamp"].is_null() {
        object["spec"] = json!({"finalizers": ["kubernetes"]});
        object["status"] = json!({"phase": "Active"});
    }
}

fn service(spec: &mut Value) {
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
    if spec["type"] != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
}

fn allocate_addresses(spec: &mut Value, addresses: &mut u32) {
    if spec["type"] != "ExternalName" {
        if spec["clusterIP"].is_null() {
            *addresses += 1;
            spec["clusterIP"] = json!(format!("10.100.{}.{}", *addresses / 250, *addresses % 250 + 1));
        }
        let ip = spec["clusterIP"].clone();
        default(spec, "clusterIPs", json!([ip]));
        default(spec, "ipFamilies", json!(["IPv4"]));
        default(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    let on_nodes = spec["type"] == "LoadBalancer" || spec["type"] == "NodePort";
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter(|p| on_nodes && p["nodePort"].is_null()) {
        *addresses += 1;
        default(port, "nodePort", json!(30_000 + *addresses % 2_768));
    }
}

fn workload(kind: &str, spec: &mut Value) {
    if let Some(spec) = spec.get_mut("template").and_then(|t| t.get_mut("spec")) {
        pod_defaults::fill(spec);
    }
    let rolling = |inner: Value| json!({"type": "RollingUpdate", "rollingUpdate": inner});
    match kind {
        "Deployment" => {
            default(spec, "replicas", json!(1));
            let bounds = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
            default(spec, "strategy", rolling(bounds));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "progressDeadlineSeconds", json!(600));
        }
        "ReplicaSet" => default(spec, "replicas", json!(1)),
        "DaemonSet" => {
            let bounds = json!({"maxSurge": 0, "maxUnavailable": 1});
            default(spec, "updateStrategy", rolling(bounds));
            default(spec, "revisionHistoryLimit", json!(10));
        }
        "StatefulSet" => {
            default(spec, "replicas", json!(1));
            default(spec, "updateStrategy", rolling(json!({"partition": 0})));
            default(spec, "podManagementPolicy", json!("OrderedReady"));
            default(spec, "revisionHistoryLimit", json!(10));
        }
        "Job" => {
            default(spec, "completions", json!(1));
            default(spec, "parallelism", json!(1));
            default(spec, "backoffLimit", json!(6));
            default(spec, "completionMode", json!("NonIndexed"));
            default(spec, "suspend", json!(false));
            default(spec, "manualSelector", json!(false));
            default(spec, "podReplacementPolicy", json!("TerminatingOrFailed"));
        }
        _ => {}
    }
}
