//! A manifest before it is sent: what of it counts, who it is, and its digest.

use super::kind;
use crate::{
    cx::{TAG_RESOURCE, TAG_STACK},
    error::{Error, Result},
    value::revealed,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Annotation with the digest of the manifest that was applied last.
pub const ANNOTATION_APPLIED: &str = "gitpod-play/applied";

/// What names an object in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// As the manifest says it.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Identity {
    /// Reads it from a manifest.
    ///
    /// # Errors
    /// [`crate::error::Class::Usage`] when a part is missing or no text.
    pub fn of(manifest: &Value) -> Result<Self> {
        let text = |value: &Value, field: &str| match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(Error::usage(format!("a manifest without a text in `{field}`")).because(excerpt(manifest))),
        };
        let metadata = &manifest["metadata"];
        if metadata["name"].is_null() && !metadata["generateName"].is_null() {
            return Err(Error::usage("a manifest with `generateName` would make another object on each run")
                .because(excerpt(manifest))
                .hint("give it a `name`"));
        }
        Ok(Self {
            api_version: text(&manifest["apiVersion"], "apiVersion")?,
            kind: text(&manifest["kind"], "kind")?,
            namespace: metadata["namespace"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            name: text(&metadata["name"], "metadata.name")?,
        })
    }

    /// `gitpod/Deployment.apps/server`, the second half of an address. Kinds that are known to live in namespaces are in
    /// `default` when nothing else is said.
    pub fn called(&self, namespace: Option<&str>) -> String {
        let namespace = self.namespace.as_deref().or(namespace);
        let namespace = match kind::known(&self.api_version, &self.kind) {
            Some(known) if !known.namespaced => None,
            Some(_) => namespace.or(Some("default")),
            None => namespace,
        };
        kind::called(&self.api_version, &self.kind, namespace, &self.name)
    }
}

/// The first words of a manifest, for an error about it.
fn excerpt(manifest: &Value) -> String {
    let text: String = crate::value::shown(manifest).to_string().chars().take(80).collect();
    format!("it begins `{text}`")
}

/// What of a manifest is applied: without status, without what the server sets, without nulls; a Secret's `stringData` in
/// `data`. Secrets in it must be revealed before.
pub fn prepared(manifest: &Value) -> Value {
    let mut out = without_nulls(manifest);
    let Some(map) = out.as_object_mut() else { return out };
    map.remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"] {
            metadata.remove(field);
        }
    }
    if is_secret(manifest)
        && let Some(Value::Object(texts)) = map.remove("stringData")
    {
        let data = map.entry("data").or_insert_with(|| json!({}));
        for (key, text) in texts {
            data[key] = Value::String(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
    out
}

/// Whether it is a Secret of the core group.
pub fn is_secret(manifest: &Value) -> bool {
    manifest["kind"] == "Secret" && manifest["apiVersion"] == "v1"
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, item)| !item.is_null())
            .map(|(key, item)| (key.clone(), without_nulls(item)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// What is sent: the prepared manifest in its namespace, with the marks that make it ours.
pub fn marked_as_ours(prepared: &Value, namespace: Option<&str>, stack: &str, address: &str) -> Value {
    let mut out = prepared.clone();
    let digest = digest(prepared);
    let metadata = &mut out["metadata"];
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    for (field, key, text) in [
        ("labels", TAG_STACK, stack),
        ("annotations", TAG_RESOURCE, address),
        ("annotations", ANNOTATION_APPLIED, &digest),
    ] {
        if !metadata[field].is_object() {
            metadata[field] = json!({});
        }
        metadata[field][key] = json!(text);
    }
    out
}

/// Whether a label or annotation is one of ours.
pub fn is_ours(key: &str) -> bool {
    [TAG_STACK, TAG_RESOURCE, ANNOTATION_APPLIED].contains(&key)
}

/// Digest of a prepared manifest, in hex. Of a Secret's data only the keys count: the digest stands in an annotation.
pub fn digest(prepared: &Value) -> String {
    if !is_secret(prepared) {
        return digest_of(prepared);
    }
    let mut keys_only = prepared.clone();
    if let Some(data) = keys_only.get_mut("data").and_then(Value::as_object_mut) {
        data.values_mut().for_each(|value| *value = Value::Null);
    }
    digest_of(&keys_only)
}

/// SHA-256 of a value, whatever the order of its keys, in hex.
pub fn digest_of(value: &Value) -> String {
    crate::http::sha256(sorted(value).to_string().as_bytes())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let by_key: BTreeMap<&String, Value> = map.iter().map(|(key, item)| (key, sorted(item))).collect();
            by_key.into_iter().map(|(key, item)| (key.clone(), item)).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Digests of a Secret's data by key, of the decoded bytes; from `data` and `stringData`, marked or not.
pub fn data_digests(secret: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let secret = revealed(secret);
    for (key, value) in secret["data"].as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        // What is no base64 is refused by the server; until then it differs from everything.
        let bytes = STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
        out.insert(key.clone(), crate::http::sha256(&bytes));
    }
    for (key, value) in secret["stringData"].as_object().into_iter().flatten() {
        out.insert(key.clone(), crate::http::sha256(value.as_str().unwrap_or_default().as_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_nulls_and_server_fields_are_not_sent() {
        let manifest = json!({ "apiVersion": "v1", "kind": "Secret", "status": {}, "type": null,
            "metadata": { "name": "a", "creationTimestamp": null, "uid": "1" }, "stringData": { "k": "v" } });
        let expected =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" }, "data": { "k": "dg==" } });
        assert_eq!(prepared(&manifest), expected);
    }

    #[test]
    fn digests_ignore_the_order_of_keys_and_secret_values() {
        assert_eq!(digest_of(&json!({ "a": 1, "b": [2, 3] })), digest_of(&json!({ "b": [2, 3], "a": 1 })));
        assert_ne!(digest_of(&json!([2, 3])), digest_of(&json!([3, 2])));
        let secret = |value: &str| json!({ "apiVersion": "v1", "kind": "Secret", "data": { "k": value } });
        assert_eq!(digest(&secret("YQ==")), digest(&secret("Yg==")));
        assert_ne!(data_digests(&secret("YQ==")), data_digests(&secret("Yg==")));
        let text = json!({ "stringData": { "k": "a" } });
        assert_eq!(data_digests(&secret("YQ==")), data_digests(&text));
    }

    #[test]
    fn objects_are_named_by_namespace_kind_and_name() {
        let identity = |manifest: Value| Identity::of(&manifest).unwrap();
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "server" } });
        assert_eq!(identity(object.clone()).called(None), "default/Deployment.apps/server");
        assert_eq!(identity(object).called(Some("gitpod")), "gitpod/Deployment.apps/server");
        let wide = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "gitpod" } });
        assert_eq!(identity(wide).called(Some("gitpod")), "Namespace/gitpod");
        let unnamed = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "x-" } });
        assert!(Identity::of(&unnamed).err().unwrap().message.contains("generateName"));
        assert!(Identity::of(&json!({ "kind": "Pod" })).is_err());
    }

    #[test]
    fn our_marks_are_added_beside_others() {
        let object = json!({ "metadata": { "name": "a", "labels": { "x": "y" } } });
        let sent = marked_as_ours(&object, Some("ns"), "gitpod", "k8s::object/ns/Pod/a");
        assert_eq!(sent["metadata"]["labels"], json!({ "x": "y", "gitpod-play/stack": "gitpod" }));
        assert_eq!(sent["metadata"]["annotations"]["gitpod-play/resource"], "k8s::object/ns/Pod/a");
        assert_eq!(sent["metadata"]["namespace"], "ns");
    }
}
