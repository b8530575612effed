//! Patches of documents before they are applied, and the question whether a patch has been made already. Pure.

use super::compare;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A change to one object of a manifest, made before it is applied.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentPatch {
    /// Kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A map is merged: maps deep, lists of named items by `name` (an item with `"$patch": "delete"` goes), `()` removes a
    /// field, all else replaces. A list is a JSON patch (RFC 6902).
    pub patch: Value,
}

/// Makes the patches. One that finds no object is an error: the manifest changed under it.
///
/// # Errors
/// [`crate::error::Class::Usage`] when a patch finds nothing or does not fit.
pub fn apply_all(objects: &mut [Value], patches: &[DocumentPatch]) -> Result<()> {
    for patch in patches {
        let mut found = false;
        for object in objects.iter_mut().filter(|object| fits(patch, object)) {
            found = true;
            apply(object, &patch.patch)
                .map_err(|error| error.context(format!("cannot patch `{}/{}`", patch.kind, patch.name)))?;
        }
        if !found {
            let same_kind: Vec<&str> = objects
                .iter()
                .filter(|object| object["kind"] == patch.kind.as_str())
                .filter_map(|object| object["metadata"]["name"].as_str())
                .collect();
            let error = Error::usage(format!("the manifest holds no `{}/{}` to patch", patch.kind, patch.name));
            return Err(if same_kind.is_empty() {
                error.hint(format!("it holds no `{}` at all", patch.kind))
            } else {
                error.hint(format!("of that kind it holds `{}`", same_kind.join("`, `")))
            });
        }
    }
    Ok(())
}

fn fits(patch: &DocumentPatch, object: &Value) -> bool {
    object["kind"] == patch.kind.as_str()
        && object["metadata"]["name"] == patch.name.as_str()
        && patch.namespace.as_deref().is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
}

/// Makes one patch, a merge or a list of operations.
///
/// # Errors
/// [`crate::error::Class::Usage`] when an operation does not fit.
pub fn apply(object: &mut Value, patch: &Value) -> Result<()> {
    match patch {
        Value::Array(_) => operate(object, patch),
        Value::Object(map) => {
            merge(object, map);
            Ok(())
        }
        other => Err(Error::usage(format!("a patch is a map or a list of operations, not `{other}`"))),
    }
}

fn operate(object: &mut Value, patch: &Value) -> Result<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|mistake| {
        Error::usage("the patch is no list of JSON patch operations").because(mistake.to_string())
    })?;
    json_patch::patch(object, &operations).map_err(|mistake| {
        Error::usage("an operation of the patch does not fit the object").because(mistake.to_string())
    })
}

fn merge(into: &mut Value, patch: &Map<String, Value>) {
    if !into.is_object() {
        *into = json!({});
    }
    let Some(map) = into.as_object_mut() else { return };
    for (key, wanted) in patch {
        match wanted {
            Value::Null => {
                map.remove(key);
            }
            Value::Object(inner) => merge(map.entry(key.clone()).or_insert(Value::Null), inner),
            Value::Array(items) if is_named(items) => {
                let list = map.entry(key.clone()).or_insert_with(|| json!([]));
                merge_list(list, items);
            }
            other => {
                map.insert(key.clone(), other.clone());
            }
        }
    }
}

fn is_named(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item["name"].is_string())
}

fn merge_list(list: &mut Value, items: &[Value]) {
    if !list.as_array().is_some_and(|list| list.is_empty() || is_named(list)) {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    for item in items {
        let at = list.iter().position(|present| present["name"] == item["name"]);
        match (at, item["$patch"] == "delete", item.as_object()) {
            (Some(at), true, _) => {
                list.remove(at);
            }
            (Some(at), false, Some(map)) => merge(&mut list[at], map),
            (None, false, _) => list.push(item.clone()),
            _ => {}
        }
    }
}

/// Appends flags to the first container of the workload called `name`; a flag that is there with another value is replaced.
///
/// # Errors
/// [`crate::error::Class::Usage`] when the manifest has no such workload.
pub fn add_flags(objects: &mut [Value], name: &str, flags: &[String]) -> Result<()> {
    let container = objects
        .iter_mut()
        .filter(|object| object["metadata"]["name"] == name)
        .find_map(|object| object.pointer_mut("/spec/template/spec/containers/0"));
    let Some(container) = container else {
        return Err(Error::usage(format!("the manifest holds no workload `{name}` to give flags to")));
    };
    if !container["args"].is_array() {
        container["args"] = json!([]);
    }
    let Some(args) = container["args"].as_array_mut() else { return Ok(()) };
    for flag in flags {
        let stem = flag.split_once('=').map(|(stem, _)| format!("{stem}="));
        let same = |arg: &Value| {
            arg.as_str().is_some_and(|arg| arg == flag || stem.as_deref().is_some_and(|stem| arg.starts_with(stem)))
        };
        match args.iter().position(same) {
            Some(at) => args[at] = json!(flag),
            None => args.push(json!(flag)),
        }
    }
    Ok(())
}

/// Whether the live object is already as the patch wants it.
pub fn is_made(live: &Value, patch: &Value) -> bool {
    match patch {
        Value::Array(operations) => operations.iter().all(|operation| operation_is_made(live, operation)),
        wanted => compare::differences(wanted, live, compare::Nulls::MeanAbsent).is_empty(),
    }
}

fn operation_is_made(live: &Value, operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap_or_default();
    let value = &operation["value"];
    match operation["op"].as_str() {
        Some("add" | "replace") => match path.strip_suffix("/-") {
            Some(list) => live.pointer(list).and_then(Value::as_array).is_some_and(|items| items.contains(value)),
            None => live.pointer(path) == Some(value),
        },
        Some("remove") => live.pointer(path).is_none(),
        // A test guards the operations after it; once these are made, it has nothing left to guard.
        Some("test") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemonset() -> Value {
        json!({ "kind": "DaemonSet", "metadata": { "name": "calico-node" }, "spec": { "template": { "spec": { "containers": [
            { "name": "calico-node", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] } ] } } } })
    }

    fn patch(patch: Value) -> DocumentPatch {
        DocumentPatch { kind: "DaemonSet".into(), name: "calico-node".into(), namespace: None, patch }
    }

    #[test]
    fn maps_merge_deep_and_lists_by_name() {
        let mut objects = [daemonset()];
        let wanted = json!({ "spec": { "x": 1, "template": { "spec": { "containers": [{ "name": "calico-node", "env": [
            { "name": "B", "$patch": "delete" }, { "name": "C", "value": "3" }, { "name": "A", "value": null } ] }] } } } });
        apply_all(&mut objects, &[patch(wanted)]).unwrap();
        let env = &objects[0]["spec"]["template"]["spec"]["containers"][0]["env"];
        assert_eq!(env, &json!([{ "name": "A" }, { "name": "C", "value": "3" }]));
        assert_eq!(objects[0]["spec"]["x"], 1);
    }

    #[test]
    fn operations_are_made_and_mistakes_named() {
        let mut objects = [daemonset()];
        let add = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": { "name": "D" } }]);
        assert!(!is_made(&objects[0], &add));
        apply_all(&mut objects, &[patch(add.clone())]).unwrap();
        assert!(is_made(&objects[0], &add));
        let odd = patch(json!([{ "op": "remove", "path": "/nowhere" }]));
        assert!(apply_all(&mut objects, &[odd]).is_err());
        let lost = DocumentPatch { name: "calico".into(), ..patch(json!({})) };
        assert!(apply_all(&mut objects, &[lost]).err().unwrap().hint.unwrap().contains("`calico-node`"));
    }

    #[test]
    fn flags_replace_those_of_the_same_name() {
        let mut objects = [json!({ "metadata": { "name": "c" }, "spec": { "template": { "spec": { "containers": [
            { "args": ["--v=2", "--x"] }] } } } })];
        add_flags(&mut objects, "c", &["--v=4".into(), "--new=1".into(), "--x".into()]).unwrap();
        let args = objects[0].pointer("/spec/template/spec/containers/0/args").unwrap();
        assert_eq!(args, &json!(["--v=4", "--x", "--new=1"]));
        assert!(add_flags(&mut objects, "d", &[]).is_err());
    }

    #[test]
    fn a_patch_is_made_when_the_object_says_so() {
        let wanted = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "calico-node", "env": [{ "name": "B", "value": "2" }] }] } } } });
        assert!(is_made(&daemonset(), &wanted));
        assert!(!is_made(&daemonset(), &json!({ "spec": { "template": null } })));
        assert!(is_made(&daemonset(), &json!({ "spec": { "nothing": null } })));
    }
}
