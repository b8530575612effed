//! Sets of field paths (`FieldsV1`): which fields an object has, and reading or cutting one.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value, json};

use super::schema::{Node, Place, child, item};

/// A path; each element is `f:NAME`, `k:{KEYS}` or `v:VALUE`, as in `FieldsV1`.
pub type FieldPath = Vec<String>;
/// A set of paths. Its order puts a path right before those that start with it.
pub type FieldSet = BTreeSet<FieldPath>;

fn key_value(entry: &Value, key: &str) -> Value {
    match &entry[key] {
        Value::Null if key == "protocol" => json!("TCP"),
        found => found.clone(),
    }
}

/// The path element of an item in a list by keys.
pub fn key_of(entry: &Value, keys: &[String]) -> String {
    let mut sorted: Vec<&String> = keys.iter().collect();
    sorted.sort();
    let map: Map<String, Value> = sorted.into_iter().map(|k| (k.clone(), key_value(entry, k))).collect();
    format!("k:{}", Value::Object(map))
}

/// Adds the paths of `value`, which stands at `path`, to `out`.
fn collect(value: &Value, place: &Place, path: &mut FieldPath, out: &mut FieldSet) {
    let node = place.as_deref();
    match value {
        Value::Object(map) if !map.is_empty() && !node.is_some_and(|n| n.atomic) => {
            for (name, inner) in map {
                path.push(format!("f:{name}"));
                collect(inner, &child(place, name), path, out);
                path.pop();
            }
        }
        Value::Array(list) if node.is_some_and(|n| !n.keys.is_empty()) => {
            for entry in list {
                path.push(key_of(entry, node.map_or(&[], |n| &n.keys)));
                out.insert(path.clone());
                collect(entry, &item(place), path, out);
                path.pop();
            }
        }
        Value::Array(list) if node.is_some_and(|n| n.set) => {
            for entry in list {
                path.push(format!("v:{entry}"));
                out.insert(path.clone());
                path.pop();
            }
        }
        _ => {
            out.insert(path.clone());
        }
    }
}

/// The fields that `value`, an object of the kind, has.
pub fn fields(value: &Value, node: &Arc<Node>) -> FieldSet {
    let mut set = FieldSet::new();
    if !value.as_object().is_some_and(Map::is_empty) {
        collect(value, &Some(node.clone()), &mut Vec::new(), &mut set);
    }
    set
}

/// Metadata that the server keeps, which nobody owns.
const UNOWNED: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
];

/// The part of an object that a manager may own through this endpoint (`status` or the main one).
pub fn owned_part(object: &Value, subresource: &str, has_status: bool) -> Value {
    let mut out = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let skip = match name.as_str() {
            "apiVersion" | "kind" => true,
            "status" => subresource != "status" && has_status,
            _ => subresource == "status",
        };
        if skip {
            continue;
        }
        if name != "metadata" {
            out.insert(name.clone(), value.clone());
            continue;
        }
        let kept = value.as_object().into_iter().flatten();
        let kept: Map<String, Value> =
            kept.filter(|(k, _)| !UNOWNED.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
        if !kept.is_empty() {
            out.insert(name.clone(), Value::Object(kept));
        }
    }
    Value::Object(out)
}

/// The wire form.
pub fn to_v1(set: &FieldSet) -> Value {
    let mut root = json!({});
    for path in set {
        // Every value on the way is an object made here.
        let leaf = path.iter().fold(&mut root, |at, element| &mut at[element.as_str()]);
        if leaf.is_null() {
            *leaf = json!({});
        }
        if path.last().is_some_and(|e| e.starts_with("k:")) {
            leaf["."] = json!({});
        }
    }
    root
}

/// Reads the wire form; what is not understood is left out.
pub fn from_v1(value: &Value) -> FieldSet {
    fn walk(map: &Map<String, Value>, path: &mut FieldPath, set: &mut FieldSet) {
        if map.is_empty() && !path.is_empty() {
            set.insert(path.clone());
        }
        for (name, inner) in map {
            if name == "." {
                set.insert(path.clone());
            } else if let (Some(inner), true) = (inner.as_object(), name.get(..2).is_some()) {
                path.push(name.clone());
                walk(inner, path, set);
                path.pop();
            }
        }
    }
    let mut set = FieldSet::new();
    if let Some(map) = value.as_object() {
        walk(map, &mut Vec::new(), &mut set);
    }
    set
}

fn matches(entry: &Value, keys: &Value) -> bool {
    keys.as_object().is_some_and(|keys| keys.iter().all(|(k, v)| key_value(entry, k) == *v))
}

fn position(list: &[Value], prefix: &str, wanted: &Value) -> Option<usize> {
    list.iter().position(|i| if prefix == "k:" { matches(i, wanted) } else { i == wanted })
}

/// The value at a path.
pub fn value_at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    let (prefix, name) = first.split_at_checked(2)?;
    let inner = if prefix == "f:" {
        value.get(name)?
    } else {
        let wanted = serde_json::from_str(name).ok()?;
        let list = value.as_array()?;
        &list[position(list, prefix, &wanted)?]
    };
    value_at(inner, rest)
}

/// Removes the value at a path; says whether its container is empty now.
pub fn remove_at(value: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let Some((prefix, name)) = first.split_at_checked(2) else { return false };
    if prefix == "f:" {
        let Some(map) = value.as_object_mut() else { return false };
        let gone = match map.get_mut(name) {
            None => false,
            Some(_) if rest.is_empty() => true,
            Some(inner) => remove_at(inner, rest),
        };
        if gone {
            map.shift_remove(name);
        }
        return gone && map.is_empty();
    }
    let Ok(wanted) = serde_json::from_str::<Value>(name) else { return false };
    let Some(list) = value.as_array_mut() else { return false };
    let Some(index) = position(list, prefix, &wanted) else { return false };
    if rest.is_empty() {
        list.remove(index);
        return list.is_empty();
    }
    remove_at(&mut list[index], rest);
    false
}

/// A path as a person writes it: `.spec.containers[name="web"].image`.
pub fn human(path: &FieldPath) -> String {
    let element = |e: &String| match e.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", keys)) => {
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let pairs = keys.as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs.map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", pairs.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => e.clone(),
    };
    path.iter().map(element).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fields, from_v1, human, remove_at, to_v1, value_at};
    use crate::k8s::merge::schema::builtin;

    #[test]
    fn a_field_set_survives_its_wire_form() {
        let object = json!({"spec": {"containers": [{"name": "a", "image": "x"}], "nodeName": "n"}});
        let set = fields(&object, &builtin("", "v1", "Pod"));
        assert_eq!(from_v1(&to_v1(&set)), set);
        let names: Vec<String> = set.iter().map(human).collect();
        assert!(names.contains(&".spec.containers[name=\"a\"].image".to_owned()), "{names:?}");
    }

    #[test]
    fn reading_and_cutting_go_by_key() {
        let mut object = json!({"ports": [{"port": 80, "name": "x"}, {"port": 443}]});
        let path = vec!["f:ports".to_owned(), r#"k:{"port":80,"protocol":"TCP"}"#.to_owned()];
        assert_eq!(value_at(&object, &path).unwrap()["name"], "x");
        assert!(!remove_at(&mut object, &path));
        assert_eq!(object, json!({"ports": [{"port": 443}]}));
    }
}
