//! Versions of objects: how they are kept, replaced and taken away.

use serde_json::{Value, json};

use super::objects;
use crate::aws::Cx;
use crate::core::store::hex_digits;

/// The versions of an object, the oldest first.
pub fn all(cx: &Cx<'_>, bucket: &str, key: &str) -> Vec<Value> {
    cx.tx.get(&objects(bucket), key).and_then(|doc| doc["versions"].as_array().cloned()).unwrap_or_default()
}

/// The version that a plain read sees: none where there is nothing or a delete marker.
pub fn current(cx: &Cx<'_>, bucket: &str, key: &str) -> Option<Value> {
    all(cx, bucket, key).pop().filter(|version| version["DeleteMarker"] != json!(true))
}

/// Adds a version: beside the others where versioning is on, else in place of the unversioned one. Returns its id
/// where versions have ids.
pub fn add(cx: &mut Cx<'_>, bucket: &str, key: &str, mut version: Value) -> Option<String> {
    let versioning = cx.tx.get("/s3.bucket", bucket).map(|doc| doc["Versioning"].clone()).unwrap_or_default();
    let mut versions = all(cx, bucket, key);
    let id = if versioning == json!("Enabled") {
        hex_digits(32)
    } else {
        for old in versions.iter().filter(|v| v["VersionId"] == json!("null")) {
            discard(cx, old);
        }
        versions.retain(|v| v["VersionId"] != json!("null"));
        "null".to_owned()
    };
    version["VersionId"] = json!(id);
    version["LastModified"] = json!(cx.clock().iso_now());
    versions.push(version);
    cx.tx.put(&objects(bucket), key, json!({"versions": versions}));
    (!versioning.is_null()).then_some(id)
}

/// Takes one version away for good; returns it.
pub fn remove(cx: &mut Cx<'_>, bucket: &str, key: &str, id: &str) -> Option<Value> {
    let mut versions = all(cx, bucket, key);
    let at = versions.iter().position(|v| v["VersionId"] == json!(id))?;
    let gone = versions.remove(at);
    discard(cx, &gone);
    if versions.is_empty() {
        cx.tx.delete(&objects(bucket), key);
    } else {
        cx.tx.put(&objects(bucket), key, json!({"versions": versions}));
    }
    Some(gone)
}

/// A delete marker on top.
pub fn mark_deleted(cx: &mut Cx<'_>, bucket: &str, key: &str) -> Option<String> {
    add(cx, bucket, key, json!({"DeleteMarker": true}))
}

fn discard(cx: &mut Cx<'_>, version: &Value) {
    if let Some(blob) = version["_blob"].as_str() {
        cx.garbage.push(blob.to_owned());
    }
}
