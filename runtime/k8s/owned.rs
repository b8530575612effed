//! Which fields of an object are ours, as the API server keeps it in `metadata.managedFields`. Pure.
//!
//! The server drops a field from a manager's set when someone else changes it. So a wanted field that is missing from ours
//! has drifted, and a field of ours that is no longer wanted is to be removed: no copy of what was applied is needed.

use super::{compare, manifest};
use serde_json::Value;

/// The name under which we apply.
pub const FIELD_MANAGER: &str = "gitpod-play";

/// Our set of fields (`fieldsV1`), when we have ever applied the object.
pub fn ours(object: &Value) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry["subresource"].as_str().is_none_or(str::is_empty)
    })?;
    Some(entry["fieldsV1"].clone())
}

/// Names of the others that manage the object, for people.
pub fn other_managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .filter(|name| *name != FIELD_MANAGER)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether each wanted field is in our set.
pub fn covers(set: &Value, wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_object() else { return true };
    wanted.iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind")).all(|(key, value)| {
        if key != "metadata" {
            return covers_child(set, key, value);
        }
        // Names are nobody's.
        let fields = value.as_object().into_iter().flatten();
        fields
            .filter(|(field, _)| !matches!(field.as_str(), "name" | "namespace"))
            .all(|(field, value)| set.get("f:metadata").is_some_and(|set| covers_child(set, field, value)))
    })
}

fn covers_child(set: &Value, key: &str, wanted: &Value) -> bool {
    match set.get(format!("f:{key}")) {
        Some(child) => covers_value(child, wanted),
        // The server drops what is empty.
        None => compare::is_empty(wanted) || wanted.as_object().is_some_and(serde_json::Map::is_empty),
    }
}

fn covers_value(set: &Value, wanted: &Value) -> bool {
    let Some(entries) = set.as_object() else { return false };
    if entries.is_empty() {
        // A plain value, or a list or map that is owned as a whole.
        return true;
    }
    match wanted {
        Value::Object(fields) => fields.iter().all(|(key, value)| covers_child(set, key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .all(|(index, item)| item_of(entries, item, index).is_some_and(|child| covers_value(child, item))),
        _ => true,
    }
}

/// The entry of a list's item: by its key, by its value, or by its place.
fn item_of<'a>(entries: &'a serde_json::Map<String, Value>, item: &Value, index: usize) -> Option<&'a Value> {
    entries
        .iter()
        .find(|(name, _)| match name.split_once(':') {
            Some(("k", keys)) => has_keys(item, keys),
            Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
            Some(("i", place)) => place.parse() == Ok(index),
            _ => false,
        })
        .map(|(_, child)| child)
}

/// Whether an item has these keys; one that it leaves out has its default there.
fn has_keys(item: &Value, keys: &str) -> bool {
    let Ok(Value::Object(keys)) = serde_json::from_str::<Value>(keys) else { return false };
    let mut named = false;
    keys.iter().all(|(key, value)| match item.get(key) {
        Some(present) => {
            named = true;
            present == value
        }
        None => true,
    }) && named
}

/// Paths of the fields that are ours and no longer wanted.
pub fn no_longer_wanted(set: &Value, wanted: &Value) -> Vec<String> {
    let mut found = Vec::new();
    left_over("", set, wanted, &mut found);
    found
}

fn left_over(path: &str, set: &Value, wanted: &Value, found: &mut Vec<String>) {
    for (name, child) in set.as_object().into_iter().flatten() {
        let (path, item) = match name.split_once(':') {
            Some(("f", key)) => {
                let ours = matches!(path, "metadata.labels" | "metadata.annotations") && manifest::is_ours(key);
                if ours || (path.is_empty() && matches!(key, "apiVersion" | "kind")) {
                    continue;
                }
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                // Nulls and empty values are applied as nothing.
                (path, wanted.get(key))
            }
            Some(("k", keys)) => {
                let label: Value = serde_json::from_str(keys).unwrap_or(Value::Null);
                let first = label.as_object().and_then(|keys| keys.values().next()).map(crate::value::shown);
                let label = first
                    .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                (format!("{path}[{label}]"), wanted.as_array().into_iter().flatten().find(|item| has_keys(item, keys)))
            }
            Some(("v", value)) => {
                let value = serde_json::from_str::<Value>(value).unwrap_or(Value::Null);
                (format!("{path}[{value}]"), wanted.as_array().into_iter().flatten().find(|item| **item == value))
            }
            // The parent itself, or a place in a list.
            _ => continue,
        };
        match item {
            Some(item) => left_over(&path, child, item, found),
            None if only_our_marks(&path, child) => {}
            None => found.push(path),
        }
    }
}

/// `metadata.labels` and `metadata.annotations` exist for our marks alone when the manifest has none.
fn only_our_marks(path: &str, set: &Value) -> bool {
    let marks = |path: &str, set: &Value| {
        matches!(path, "metadata.labels" | "metadata.annotations")
            && set.as_object().is_some_and(|set| {
                set.keys().all(|name| name == "." || name.strip_prefix("f:").is_some_and(manifest::is_ours))
            })
    };
    match path {
        "metadata" => set.as_object().is_some_and(|fields| {
            fields
                .iter()
                .all(|(name, set)| name == "." || marks(&format!("metadata.{}", name.trim_start_matches("f:")), set))
        }),
        _ => marks(path, set),
    }
}

/// The value at a path of [`no_longer_wanted`] in the live object, as far as maps lead; for showing only.
pub fn value_at(live: &Value, path: &str) -> Value {
    let mut value = live;
    let mut rest = path;
    while !rest.is_empty() {
        let Some(map) = value.as_object() else { return Value::Null };
        // Keys may hold dots themselves: the longest one that fits.
        let key = map
            .keys()
            .filter(|key| rest.strip_prefix(key.as_str()).is_some_and(|tail| tail.is_empty() || tail.starts_with('.')));
        let Some(key) = key.max_by_key(|key| key.len()) else { return Value::Null };
        value = &map[key];
        rest = rest[key.len()..].trim_start_matches('.');
    }
    value.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set() -> Value {
        json!({
            "f:metadata": { "f:labels": { ".": {}, "f:app": {}, "f:gitpod-play/stack": {} },
                            "f:annotations": { "f:gitpod-play/resource": {}, "f:gitpod-play/applied": {} } },
            "f:spec": {
                "f:replicas": {},
                "f:tolerations": {},
                "f:template": { "f:containers": { "k:{\"name\":\"a\"}": { ".": {}, "f:image": {}, "f:name": {},
                    "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } } } } },
            },
        })
    }

    fn wanted() -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x", "labels": { "app": "x" } },
            "spec": { "replicas": 1, "tolerations": [{ "key": "a" }], "template": { "containers": [
                { "name": "a", "image": "i", "ports": [{ "containerPort": 80 }] }] } } })
    }

    #[test]
    fn all_wanted_fields_are_ours() {
        assert!(covers(&set(), &wanted()));
        assert_eq!(no_longer_wanted(&set(), &wanted()), Vec::<String>::new());
        let bare = json!({ "metadata": { "name": "x" }, "spec": wanted()["spec"] });
        assert_eq!(no_longer_wanted(&set(), &bare), ["metadata.labels"]);
    }

    #[test]
    fn a_field_someone_else_took_is_not_covered() {
        let mut taken = set();
        taken["f:spec"].as_object_mut().unwrap().remove("f:replicas");
        assert!(!covers(&taken, &wanted()));
        let mut image = set();
        image["f:spec"]["f:template"]["f:containers"]["k:{\"name\":\"a\"}"].as_object_mut().unwrap().remove("f:image");
        assert!(!covers(&image, &wanted()));
    }

    #[test]
    fn empty_values_need_no_cover() {
        let mut object = wanted();
        object["spec"]["paused"] = json!(false);
        object["spec"]["selector"] = json!({});
        assert!(covers(&set(), &object));
    }

    #[test]
    fn fields_and_items_that_went_are_found() {
        let object =
            json!({ "metadata": { "labels": {} }, "spec": { "template": { "containers": [{ "name": "b" }] } } });
        let gone = no_longer_wanted(&set(), &object);
        assert_eq!(gone, ["metadata.labels.app", "spec.replicas", "spec.tolerations", "spec.template.containers[a]"]);
        let live = json!({ "metadata": { "labels": { "app.kubernetes.io/name": "x" } } });
        assert_eq!(value_at(&live, "metadata.labels.app.kubernetes.io/name"), "x");
    }

    #[test]
    fn only_our_apply_counts() {
        let entry = |manager: &str, operation: &str| json!({ "manager": manager, "operation": operation, "fieldsV1": { "f:a": {} } });
        let object =
            json!({ "metadata": { "managedFields": [entry("kubectl", "Apply"), entry(FIELD_MANAGER, "Update")] } });
        assert_eq!(ours(&object), None);
        assert_eq!(other_managers(&object), ["kubectl"]);
        let object = json!({ "metadata": { "managedFields": [entry(FIELD_MANAGER, "Apply")] } });
        assert!(ours(&object).is_some());
    }
}
