//! How a node group differs from what is wanted: the number of nodes belongs to the autoscaler, labels and taints to the
//! playbook.

use super::nodegroup::{Nodegroup, Taint};
use crate::{
    aws::object::changed,
    bind::{Change, Effect, Resource, compare},
    value::revealed,
};
use serde_json::{Value, json};

/// See [`Resource::diff`].
pub fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
    let mut wanted = wanted.clone();
    if let Some(scaling) = wanted["scaling"].as_object_mut() {
        scaling.shift_remove("desired");
    }
    let template = wanted.as_object_mut().and_then(|map| map.shift_remove("launch_template"));
    let apart = ["labels", "taints"];
    let mut changes = compare(&wanted, observed, Nodegroup::REPLACE, &apart);
    if let Some(template) = template.filter(|template| !template.is_null()) {
        compare_template(&mut changes, &template, &observed["launch_template"]);
    }
    compare_labels(&mut changes, &wanted["labels"], &observed["labels"]);
    if !wanted["taints"].is_null() && taints(&wanted["taints"]) != taints(&observed["taints"]) {
        changed(&mut changes, "taints", &observed["taints"], &wanted["taints"]);
    }
    changes
}

/// Another version of the template rolls the nodes; another template needs another node group.
fn compare_template(changes: &mut Vec<Change>, wanted: &Value, observed: &Value) {
    for (field, effect) in [("id", Effect::Replace), ("version", Effect::Update)] {
        let (new, old) = (&wanted[field], &observed[field]);
        if !new.is_null() && plain(new) != plain(old) {
            let field = format!("launch_template.{field}");
            changes.push(Change { field, old: old.clone(), new: new.clone(), effect });
        }
    }
}

/// Labels that the playbook no longer names go: they would attract workloads.
fn compare_labels(changes: &mut Vec<Change>, wanted: &Value, observed: &Value) {
    let Some(wanted) = wanted.as_object() else { return };
    for (key, new) in wanted {
        let old = &observed[key];
        if revealed(new) != *old {
            changed(changes, &format!("labels.{key}"), old, new);
        }
    }
    let there = observed.as_object();
    for (key, old) in there.into_iter().flatten().filter(|(key, _)| !wanted.contains_key(*key)) {
        changed(changes, &format!("labels.{key}"), old, &Value::Null);
    }
}

/// A version is a number in one place and a text in another.
fn plain(value: &Value) -> String {
    match revealed(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Taints in one order, with what may be left out filled in.
fn taints(list: &Value) -> Vec<Value> {
    let mut taints: Vec<Taint> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|taint| serde_json::from_value(revealed(taint)).ok())
        .collect();
    taints.sort_by(|one, other| (&one.key, &one.effect).cmp(&(&other.key, &other.effect)));
    taints.into_iter().map(|taint| json!(taint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> Value {
        json!({
            "cluster": "gitpod", "name": "workspaces", "role": "r", "subnets": ["a", "b"],
            "scaling": { "min": 1, "desired": 7, "max": 10 },
            "launch_template": { "id": "lt-1", "version": "3" },
            "labels": { "gitpod.io/workload_meta": "true" },
            "taints": [{ "key": "k", "value": "", "effect": "NoSchedule" }],
        })
    }

    fn fields(wanted: &Value) -> Vec<(String, Effect)> {
        diff(wanted, &there()).into_iter().map(|change| (change.field, change.effect)).collect()
    }

    #[test]
    fn the_number_of_nodes_belongs_to_the_autoscaler() {
        assert!(fields(&json!({ "scaling": { "min": 1, "desired": 2, "max": 10 } })).is_empty());
        let wanted = json!({ "scaling": { "min": 1, "desired": 2, "max": 20 } });
        assert_eq!(fields(&wanted), [("scaling.max".to_owned(), Effect::Update)]);
    }

    #[test]
    fn versions_of_templates_compare_as_text_and_another_template_replaces() {
        assert!(fields(&json!({ "launch_template": { "id": "lt-1", "version": 3 } })).is_empty());
        let wanted = json!({ "launch_template": { "id": "lt-2", "version": "4" } });
        assert_eq!(
            fields(&wanted),
            [
                ("launch_template.id".to_owned(), Effect::Replace),
                ("launch_template.version".to_owned(), Effect::Update)
            ]
        );
    }

    #[test]
    fn labels_are_kept_exactly() {
        assert!(fields(&json!({ "labels": { "gitpod.io/workload_meta": "true" } })).is_empty());
        let changes = diff(&json!({ "labels": { "gitpod.io/workload_ide": "true" } }), &there());
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[1].new, Value::Null);
    }

    #[test]
    fn taints_compare_without_order_or_empty_values() {
        assert!(fields(&json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] })).is_empty());
        assert_eq!(fields(&json!({ "taints": [] })).len(), 1);
        assert_eq!(fields(&json!({ "taints": [{ "key": "k", "effect": "NoExecute" }] })).len(), 1);
    }

    #[test]
    fn other_subnets_replace() {
        assert_eq!(fields(&json!({ "subnets": ["b", "a"] })), []);
        assert_eq!(fields(&json!({ "subnets": ["a"] }))[0].1, Effect::Replace);
    }
}
