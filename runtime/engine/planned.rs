//! What a plan says about one resource.

use crate::{
    bind::Change,
    value::{self, unknown},
};
use serde::Serialize;
use serde_json::{Map, Value};

/// What a run would do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as wanted.
    Keep,
    /// It exists without being ours; the playbook says `adopt: true`.
    Adopt,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is deleted.
    Delete,
    /// Something is done that is no resource (a restart).
    Do,
    /// It cannot be known before the run.
    Unknown,
}

/// One line of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// The resource's address, or the action's name.
    pub address: String,
    /// The step that declares it.
    pub step: String,
    /// What a run would do.
    pub verdict: Verdict,
    /// Field by field; for a create the wanted fields with `old` null.
    pub changes: Vec<Change>,
    /// What else a reader has to know: that data is lost, why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What `--allow-delete` has to name for a run not to refuse it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs_allow_delete: Vec<String>,
}

impl Planned {
    /// Whether a run would write for it.
    pub fn writes(&self) -> bool {
        self.verdict != Verdict::Keep
    }
}

/// What a script sees of a resource that a plan would create: the fields it set, and unknowns for the rest.
pub fn outputs_of_create(kind: &str, name: &str, args: &Value, output_schema: &Value) -> Value {
    let short = kind.rsplit("::").next().unwrap_or(kind);
    let mut outputs = Map::new();
    let fields = output_schema["properties"].as_object().cloned().unwrap_or_default();
    for field in fields.keys() {
        let wanted = args.get(field).filter(|value| !value.is_null());
        outputs.insert(field.clone(), wanted.cloned().unwrap_or_else(|| unknown(&format!("{short}.{name}.{field}"))));
    }
    Value::Object(outputs)
}

/// What a script sees of a resource that a plan would update: what is there, under what is wanted.
pub fn outputs_of_update(kind: &str, name: &str, args: &Value, observed: &Value, changed: &[&str]) -> Value {
    let short = kind.rsplit("::").next().unwrap_or(kind);
    let mut outputs = observed.clone();
    overlay(&mut outputs, args);
    for field in changed {
        outputs[*field] = unknown(&format!("{short}.{name}.{field}"));
    }
    outputs
}

fn overlay(onto: &mut Value, wanted: &Value) {
    match (onto, wanted) {
        (Value::Object(onto), Value::Object(wanted)) => {
            for (key, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
                if let Some(slot) = onto.get_mut(key) {
                    overlay(slot, value);
                }
            }
        }
        (onto, wanted) => *onto = wanted.clone(),
    }
}

/// The wanted fields of a create, as a person may see them.
pub fn fields_of_create(args: &Value, uncompared: &[&str]) -> Vec<Change> {
    let fields = args.as_object().into_iter().flatten();
    fields
        .filter(|(field, value)| !value.is_null() && !uncompared.contains(&field.as_str()))
        .map(|(field, value)| Change {
            field: field.clone(),
            old: Value::Null,
            new: value::shown(value),
            effect: crate::bind::Effect::Update,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_created_resource_shows_what_is_known() {
        let schema = json!({ "properties": { "name": {}, "id": {} } });
        let outputs = outputs_of_create("aws::ec2::vpc", "gitpod", &json!({ "name": "gitpod", "cidr": "x" }), &schema);
        assert_eq!(outputs["name"], "gitpod");
        assert_eq!(value::unknown_path(&outputs["id"]), Some("vpc.gitpod.id"));
        assert!(outputs.get("cidr").is_none());
    }

    #[test]
    fn an_update_keeps_ids_and_forgets_versions() {
        let observed = json!({ "id": "lt-1", "version": "3", "tags": { "ours": "1", "a": "1" }, "iops": 3 });
        let wanted = json!({ "iops": 6, "tags": { "a": "2" }, "new": 1 });
        let outputs = outputs_of_update("aws::ec2::launch_template", "x", &wanted, &observed, &["version"]);
        assert_eq!((&outputs["id"], &outputs["iops"]), (&json!("lt-1"), &json!(6)));
        assert_eq!(outputs["tags"], json!({ "ours": "1", "a": "2" }));
        assert!(value::has_unknown(&outputs["version"]));
    }
}
