//! What is kept of a live object: what a comparison needs, without secrets and without size. Pure.

use super::{compare::FOLDED, manifest};
use crate::{
    http::sha256,
    secret::hide,
    value::{SECRET_CLOSE, SECRET_OPEN},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Parts of objects over this size are kept as their digest.
const KEPT_BYTES: usize = 8 * 1024;
/// Parts under this size are always kept.
const SMALL_BYTES: usize = 200;

/// The object without what the server adds, without status, with secrets and large parts as digests.
pub fn kept(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(map) = out.as_object_mut() {
        map.remove("status");
        if manifest::is_secret(object) {
            map.remove("data");
        }
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| {
                matches!(field.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences")
            });
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                // A copy of the manifest, secrets included.
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
    }
    folded(&without_secrets(&out), KEPT_BYTES)
}

/// Digests of a Secret's data, marked: they are kept as secrets, since a short secret can be guessed from its digest.
pub fn marked_digests(secret: &Value) -> BTreeMap<String, String> {
    let digests = manifest::data_digests(secret);
    digests.into_iter().map(|(key, digest)| (key, format!("{SECRET_OPEN}{FOLDED}{digest}{SECRET_CLOSE}"))).collect()
}

/// Texts that hold a secret this process has seen, as marked digests.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::String(text) if hide(text) != *text => {
            Value::String(format!("{SECRET_OPEN}{FOLDED}{}{SECRET_CLOSE}", sha256(text.as_bytes())))
        }
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), without_secrets(item))).collect(),
        other => other.clone(),
    }
}

/// `value` in about `budget` bytes of JSON: lists and texts that are too large become their digest.
fn folded(value: &Value, budget: usize) -> Value {
    let size = |value: &Value| value.to_string().len();
    if size(value) <= budget.max(SMALL_BYTES) {
        return value.clone();
    }
    match value {
        Value::Object(map) => {
            let large = map.values().filter(|item| size(item) > SMALL_BYTES).count().max(1);
            map.iter().map(|(key, item)| (key.clone(), folded(item, budget / large))).collect()
        }
        other => json!(format!("{FOLDED}{}", manifest::digest_of(other))),
    }
}

/// The part of the status that scripts look at.
pub fn status(object: &Value) -> Value {
    let Some(status) = object["status"].as_object() else { return Value::Null };
    let wanted = ["phase", "replicas", "readyReplicas", "availableReplicas", "succeeded", "failed", "loadBalancer"];
    let plain = status.iter().filter(|(key, _)| wanted.contains(&key.as_str()));
    let mut out: serde_json::Map<String, Value> = plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    let conditions = status.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let by_type = conditions
        .iter()
        .filter_map(|condition| Some((condition["type"].as_str()?.to_owned(), condition["status"].clone())));
    let by_type: serde_json::Map<String, Value> = by_type.collect();
    if !by_type.is_empty() {
        out.insert("conditions".into(), by_type.into());
    }
    if out.is_empty() { Value::Null } else { out.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_fields_and_secret_data_are_not_kept() {
        let object = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "k": "YQ==" }, "type": "Opaque",
            "metadata": { "name": "a", "uid": "1", "managedFields": [], "labels": { "x": "y" },
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "YQ==" } } });
        let expected = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "labels": { "x": "y" }, "annotations": {} } });
        assert_eq!(kept(&object), expected);
        assert!(marked_digests(&object)["k"].starts_with(SECRET_OPEN));
    }

    #[test]
    fn seen_secrets_are_digests_wherever_they_stand() {
        crate::secret::remember("a-password-in-the-environment");
        let object = json!({ "spec": { "value": "mysql://a-password-in-the-environment@host" } });
        let text = kept(&object)["spec"]["value"].as_str().unwrap().to_owned();
        assert!(text.starts_with(SECRET_OPEN) && !text.contains("a-password"), "{text}");
    }

    #[test]
    fn large_objects_are_kept_small() {
        let versions: Vec<Value> =
            (0..5000).map(|n| json!({ "name": format!("v{n}"), "schema": "x".repeat(40) })).collect();
        let object = json!({ "spec": { "group": "acme.test", "versions": versions } });
        let kept = kept(&object);
        assert!(kept.to_string().len() < KEPT_BYTES);
        assert_eq!(kept["spec"]["group"], "acme.test");
        assert!(kept["spec"]["versions"].as_str().unwrap().starts_with(FOLDED));
        let many: serde_json::Map<String, Value> =
            (0..200).map(|n| (format!("k{n}"), json!("y".repeat(1000)))).collect();
        assert!(super::kept(&json!({ "data": many })).to_string().len() < 4 * KEPT_BYTES);
    }

    #[test]
    fn status_is_conditions_and_counts() {
        let object = json!({ "status": { "replicas": 2, "images": ["x"], "conditions": [{ "type": "Ready", "status": "True" }] } });
        assert_eq!(status(&object), json!({ "replicas": 2, "conditions": { "Ready": "True" } }));
    }
}
