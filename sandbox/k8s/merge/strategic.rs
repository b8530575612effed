//! Strategic merge patches; the merge key of a list is the first of its apply keys.

use serde_json::{Map, Value, json};

use super::schema::{Place, child, item};

/// Patches `live`, an object of the kind whose schema is `place`.
pub fn strategic(live: &mut Value, patch: &Value, place: &Place) {
    let (Value::Object(target), Value::Object(patch)) = (&mut *live, patch) else {
        *live = patch.clone();
        return;
    };
    if patch.get("$patch").is_some_and(|d| d == "replace") {
        let mut whole = patch.clone();
        whole.shift_remove("$patch");
        *live = Value::Object(whole);
        return;
    }
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|name, _| keep.iter().any(|k| k == name));
    }
    for (name, value) in patch {
        if let Some(field) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let list = target.get_mut(field).and_then(Value::as_array_mut);
            if let (Some(list), Some(gone)) = (list, value.as_array()) {
                list.retain(|x| !gone.contains(x));
            }
        } else if !name.starts_with('$') {
            field(target, patch, name, value, &child(place, name));
        }
    }
}

fn field(target: &mut Map<String, Value>, patch: &Map<String, Value>, name: &str, value: &Value, place: &Place) {
    let node = place.as_deref();
    match value {
        Value::Null => {
            target.shift_remove(name);
        }
        Value::Object(map) if map.get("$patch").is_some_and(|d| d == "delete") => {
            target.shift_remove(name);
        }
        Value::Object(_) => {
            let slot = target.entry(name.to_owned()).or_insert_with(|| json!({}));
            if slot.is_null() {
                *slot = json!({});
            }
            strategic(slot, value, place);
        }
        Value::Array(entries) if node.is_some_and(|n| !n.keys.is_empty()) => {
            let key = node.map_or("name", |n| n.keys[0].as_str());
            let slot = target.entry(name.to_owned()).or_insert_with(|| json!([]));
            if !slot.is_array() {
                *slot = json!([]);
            }
            let order = patch.get(&format!("$setElementOrder/{name}"));
            if let Some(list) = slot.as_array_mut() {
                list_by_key(list, entries, key, place, order);
            }
        }
        Value::Array(entries) if node.is_some_and(|n| n.set) => {
            let slot = target.entry(name.to_owned()).or_insert_with(|| json!([]));
            if let Some(list) = slot.as_array_mut() {
                for entry in entries {
                    if !list.contains(entry) {
                        list.push(entry.clone());
                    }
                }
            }
        }
        _ => {
            target.insert(name.to_owned(), value.clone());
        }
    }
}

fn list_by_key(list: &mut Vec<Value>, entries: &[Value], key: &str, place: &Place, order: Option<&Value>) {
    let is_replace = |e: &Value| e["$patch"] == "replace" && e.as_object().is_some_and(|o| o.len() == 1);
    if entries.iter().any(is_replace) {
        list.clear();
    }
    for entry in entries {
        match entry["$patch"].as_str() {
            Some("delete") => {
                list.retain(|x| x[key] != entry[key]);
                continue;
            }
            Some("replace") if entry[key].is_null() => continue,
            _ => {}
        }
        if let Some(found) = list.iter_mut().find(|x| x[key] == entry[key]) {
            strategic(found, entry, &item(place));
        } else {
            let mut added = json!({});
            strategic(&mut added, entry, &item(place));
            list.push(added);
        }
    }
    if let Some(order) = order.and_then(Value::as_array) {
        list.sort_by_key(|x| order.iter().position(|o| o[key] == x[key]).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::strategic;
    use crate::k8s::merge::schema::builtin;

    #[test]
    fn containers_merge_by_name_and_can_be_deleted() {
        let mut live = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let patch = json!({"spec": {"containers":
            [{"name": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "$patch": "delete"}]}});
        strategic(&mut live, &patch, &Some(builtin("", "v1", "Pod")));
        assert_eq!(
            live,
            json!({"spec": {"containers":
            [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}]}})
        );
    }
}
