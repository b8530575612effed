//! YAML with many documents → objects: lists expanded, empty documents skipped, duplicates refused, ordered into phases.

use super::manifest::Identity;
use crate::{
    error::{Error, Result},
    value::{SECRET_CLOSE, SECRET_OPEN, has_marked_secret},
};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The objects in a YAML (or JSON) text. Of a text that is secret as a whole, each text in an object is, but for those that
/// say what it is.
///
/// # Errors
/// [`crate::error::Class::Usage`] with the line for text that is no YAML, and for documents that are no objects.
pub fn parsed(text: &str, origin: &str) -> Result<Vec<Value>> {
    let inner = text.strip_prefix(SECRET_OPEN).and_then(|text| text.strip_suffix(SECRET_CLOSE));
    if let Some(inner) = inner.filter(|inner| !has_marked_secret(inner)) {
        let mut objects = parsed(inner, origin)?;
        let fields = objects.iter_mut().filter_map(Value::as_object_mut).flatten();
        let told = |field: &str| ["apiVersion", "kind", "metadata"].contains(&field);
        fields.filter(|(field, _)| !told(field)).for_each(|(_, value)| make_secret(value));
        return Ok(objects);
    }
    let mut objects = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let bad = |mistake: serde_norway::Error| {
            let at = mistake.location().map_or(String::new(), |place| format!(":{}:{}", place.line(), place.column()));
            Error::usage(format!("{origin}{at} is no valid YAML")).because(mistake.to_string())
        };
        let mut value = serde_norway::Value::deserialize(document).map_err(bad)?;
        value.apply_merge().map_err(bad)?;
        let mut json = serde_json::to_value(&value)
            .map_err(|mistake| Error::usage(format!("{origin} holds what JSON cannot")).because(mistake.to_string()))?;
        modes_as_numbers(&mut json);
        expand(json, origin, &mut objects)?;
    }
    Ok(objects)
}

fn make_secret(value: &mut Value) {
    match value {
        Value::String(text) if !text.is_empty() => *text = format!("{SECRET_OPEN}{text}{SECRET_CLOSE}"),
        Value::Array(items) => items.iter_mut().for_each(make_secret),
        Value::Object(map) => map.values_mut().for_each(make_secret),
        _ => {}
    }
}

/// Appends the object, or the items of a list of objects.
fn expand(value: Value, origin: &str, objects: &mut Vec<Value>) -> Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| expand(item, origin, objects)),
        Value::Object(mut map) => {
            let is_list = map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match (is_list, map.remove("items")) {
                (true, Some(Value::Array(items))) => {
                    let items = items.into_iter().map(|item| with_type_of_list(item, &map));
                    items.collect::<Vec<_>>().into_iter().try_for_each(|item| expand(item, origin, objects))
                }
                (_, items) => {
                    if let Some(items) = items {
                        map.insert("items".into(), items);
                    }
                    if !map.is_empty() {
                        objects.push(Value::Object(map));
                    }
                    Ok(())
                }
            }
        }
        other => Err(Error::usage(format!("{origin} holds a document that is no object: `{other}`"))),
    }
}

/// Items of a `ConfigMapList` may leave out their own type.
fn with_type_of_list(mut item: Value, list: &Map<String, Value>) -> Value {
    let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
    if let Some(map) = item.as_object_mut()
        && !kind.is_empty()
        && !map.contains_key("kind")
    {
        map.insert("kind".into(), json!(kind));
        map.insert("apiVersion".into(), list.get("apiVersion").cloned().unwrap_or(Value::Null));
    }
    item
}

/// File modes are written in octal (`0644`), which this YAML reads as text while `kubectl`'s reads numbers.
fn modes_as_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                let octal = item.as_str().and_then(|text| {
                    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'))?;
                    i64::from_str_radix(digits, 8).ok()
                });
                match octal {
                    Some(mode) if key == "defaultMode" || key == "mode" => *item = json!(mode),
                    _ => modes_as_numbers(item),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(modes_as_numbers),
        _ => {}
    }
}

/// Refuses two objects of the same kind, namespace and name.
///
/// # Errors
/// [`crate::error::Class::Usage`] that names the object, or for an object without a name.
pub fn without_duplicates(objects: &[Value], namespace: Option<&str>) -> Result<()> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, object) in objects.iter().enumerate() {
        let name = Identity::of(object)?.called(namespace);
        if let Some(first) = seen.insert(name.clone(), index) {
            return Err(Error::usage(format!("object `{name}` stands twice in the manifest"))
                .because(format!("documents {} and {}", first + 1, index + 1))
                .hint("leave one of them out"));
        }
    }
    Ok(())
}

/// Which phase a kind is applied in; each phase is ready before the next one begins.
fn phase(kind: &str, api_version: &str) -> usize {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "Deployment"
        | "DaemonSet"
        | "StatefulSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Pod"
        | "Job"
        | "CronJob" => 3,
        // A webhook that stands before its pods do refuses everything that comes after.
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" | "APIService" => 4,
        _ if super::kind::is_native(api_version) => 2,
        _ => 5,
    }
}

/// The objects in phases: namespaces, definitions, configuration and rights, workloads, webhooks, objects of defined kinds.
pub fn in_phases(objects: Vec<Value>) -> Vec<Vec<Value>> {
    let mut phases: Vec<Vec<Value>> = vec![Vec::new(); 6];
    for object in objects {
        let at = phase(object["kind"].as_str().unwrap_or_default(), object["apiVersion"].as_str().unwrap_or_default());
        phases[at].push(object);
    }
    phases.retain(|objects| !objects.is_empty());
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_comments() {
        let text = "# only a comment\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, \
                    metadata: {name: a}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n---\napiVersion: v1\n\
                    kind: ConfigMapList\nitems:\n- metadata: {name: c}\n...\n";
        let names: Vec<String> =
            parsed(text, "x").unwrap().iter().map(|object| Identity::of(object).unwrap().called(None)).collect();
        assert_eq!(names, ["default/Pod/a", "default/Pod/b", "default/ConfigMap/c"]);
        assert_eq!(parsed("", "x").unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn bad_yaml_is_an_error_with_its_line() {
        let error = parsed("a: 1\n---\nb: [1,\nc: }\n", "`m.yaml`").err().unwrap();
        assert!(error.message.starts_with("`m.yaml`:4"), "{error}");
        assert!(parsed("just text", "x").err().unwrap().message.contains("just text"));
    }

    #[test]
    fn modes_anchors_and_secrets_survive() {
        let text = "base: &b {x: 1}\nv: {<<: *b, defaultMode: 0644}\npw: \"\u{E002}top\u{E003}\"\n";
        let object = parsed(text, "x").unwrap().remove(0);
        assert_eq!(object["v"], json!({ "x": 1, "defaultMode": 420 }));
        assert!(crate::value::has_secret(&object));
    }

    #[test]
    fn a_text_that_is_secret_as_a_whole_makes_secret_objects() {
        let text = "\u{E002}{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {pw: top}}\n\u{E003}";
        let object = parsed(text, "x").unwrap().remove(0);
        assert_eq!(Identity::of(&object).unwrap().called(None), "default/ConfigMap/a");
        assert_eq!(object["data"]["pw"], "\u{E002}top\u{E003}");
    }

    #[test]
    fn duplicates_are_named() {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } });
        let same = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": "default" } });
        let error = without_duplicates(&[pod.clone(), same.clone()], None).err().unwrap();
        assert!(error.message.contains("default/Pod/a"));
        assert!(without_duplicates(&[pod, same], Some("other")).is_ok());
    }

    #[test]
    fn phases_go_from_namespaces_to_custom_objects() {
        let object = |api: &str, kind: &str| json!({ "apiVersion": api, "kind": kind });
        let objects = vec![
            object("acme.test/v1", "Widget"),
            object("apps/v1", "Deployment"),
            object("v1", "Secret"),
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            object("v1", "Namespace"),
        ];
        let kinds: Vec<String> =
            in_phases(objects).iter().map(|phase| phase[0]["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds, ["Namespace", "CustomResourceDefinition", "Secret", "Deployment", "Widget"]);
    }
}
