//! Who owns which field: `metadata.managedFields`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    fields::{FieldPath, FieldSet, fields, from_v1, owned_part, to_v1, value_at},
    schema::Node,
};

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
pub struct Manager {
    /// Field manager.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// `status` or empty.
    pub subresource: String,
    /// API version that the write was made in.
    pub api_version: String,
    /// When it was last made.
    pub time: String,
    /// What it owns.
    pub set: FieldSet,
}

impl Manager {
    /// Whether this is the entry of such a write.
    pub fn is(&self, name: &str, operation: &str, subresource: &str) -> bool {
        self.name == name && self.operation == operation && self.subresource == subresource
    }
}

/// How a write is to be accounted for.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Schema of the kind.
    pub node: &'a Arc<Node>,
    /// Field manager.
    pub manager: &'a str,
    /// `status` or empty.
    pub subresource: &'a str,
    /// Whether `status` belongs to an endpoint of its own.
    pub has_status: bool,
    /// The time of the write.
    pub now: &'a str,
}

/// The managers of an object.
pub fn managers(object: &Value) -> Vec<Manager> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .filter(|e| e["manager"].is_string())
        .map(|e| {
            let text = |k: &str| e[k].as_str().unwrap_or("").to_owned();
            Manager {
                name: text("manager"),
                operation: text("operation"),
                subresource: text("subresource"),
                api_version: text("apiVersion"),
                time: text("time"),
                set: from_v1(&e["fieldsV1"]),
            }
        })
        .collect()
}

/// Writes the managers back in the order of the real server, leaving out those that own nothing any more.
pub fn store_managers(object: &mut Value, mut managers: Vec<Manager>) {
    managers.sort_by(|a, b| (&a.operation, &a.time, &a.name).cmp(&(&b.operation, &b.time, &b.name)));
    let entry = |m: Manager| {
        let mut entry = json!({"manager": m.name, "operation": m.operation,
            "apiVersion": m.api_version, "time": m.time, "fieldsType": "FieldsV1",
            "fieldsV1": to_v1(&m.set)});
        if !m.subresource.is_empty() {
            entry["subresource"] = json!(m.subresource);
        }
        entry
    };
    let entries: Vec<Value> = managers.into_iter().filter(|m| !m.set.is_empty()).map(entry).collect();
    if !entries.is_empty() {
        object["metadata"]["managedFields"] = json!(entries);
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
}

fn is_item(path: &FieldPath) -> bool {
    path.last().is_some_and(|e| e.starts_with("k:"))
}

/// Accounts for an ordinary write from `old` (none on creation) to `new`.
pub fn track_update(old: Option<&Value>, new: &mut Value, account: Account) {
    let Account { node, manager, subresource, has_status, now } = account;
    let new_part = owned_part(new, subresource, has_status);
    let old_part = old.map_or_else(|| json!({}), |o| owned_part(o, subresource, has_status));
    let (new_set, old_set) = (fields(&new_part, node), fields(&old_part, node));
    let differs =
        |p: &&FieldPath| !old_set.contains(*p) || (!is_item(p) && value_at(&old_part, p) != value_at(&new_part, p));
    let changed: FieldSet = new_set.iter().filter(differs).cloned().collect();
    let removed: Vec<&FieldPath> = old_set.difference(&new_set).collect();
    let mut all = managers(new);
    if changed.is_empty() && removed.is_empty() {
        return store_managers(new, all);
    }
    for other in &mut all {
        let own = other.is(manager, "Update", subresource);
        for path in &removed {
            other.set.remove(*path);
        }
        for path in changed.iter().filter(|p| !own && !is_item(p)) {
            other.set.remove(path);
        }
    }
    if !changed.is_empty() {
        let api_version = new["apiVersion"].as_str().unwrap_or("").to_owned();
        if let Some(own) = all.iter_mut().find(|m| m.is(manager, "Update", subresource)) {
            own.set.extend(changed);
            now.clone_into(&mut own.time);
            own.api_version = api_version;
        } else {
            all.push(Manager {
                name: manager.to_owned(),
                operation: "Update".to_owned(),
                subresource: subresource.to_owned(),
                api_version,
                time: now.to_owned(),
                set: changed,
            });
        }
    }
    store_managers(new, all);
}
