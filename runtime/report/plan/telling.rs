//! The fields by which a person recognises what a plan would create.

use super::cut;
use crate::{bind::Change, engine::planned::Planned, value::has_unknown};
use serde_json::{Value, json};

/// At most so many fields, so many characters of each, and so many of all.
const MOST_FIELDS: usize = 5;
const LONGEST: usize = 40;
const WIDEST: usize = 76;

/// These say most, in this order; the others follow by what they hold.
const FIRST: [&str; 16] = [
    "cidr",
    "zone",
    "version",
    "engine",
    "engine_version",
    "instance_type",
    "class",
    "storage_gib",
    "volume_gib",
    "scaling",
    "type",
    "protocol",
    "from_port",
    "trust",
    "replicas",
    "image",
];
/// These say what the address or the step says, or too much.
const NEVER: [&str; 10] = [
    "name",
    "tags",
    "instance_tags",
    "description",
    "comment",
    "content",
    "document",
    "inline",
    "user_data",
    "cluster",
];

/// `cidr 10.0.0.0/19, zone eu-west-1a`.
pub(super) fn fields(line: &Planned) -> String {
    let of_manifest =
        line.changes.iter().find(|change| change.field == "manifest").map(|change| in_manifest(&change.new));
    let fields = of_manifest
        .unwrap_or_else(|| line.changes.iter().map(|it: &Change| (it.field.clone(), it.new.clone())).collect());
    let mut ranked: Vec<(usize, String)> =
        fields.iter().filter_map(|(field, value)| Some((rank(field, value)?, shown(field, value)))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut text = String::new();
    for (_, field) in ranked.into_iter().take(MOST_FIELDS) {
        if text.chars().count() + field.chars().count() > WIDEST {
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&field);
    }
    text
}

/// The smaller the better; nothing for what is not worth showing.
fn rank(field: &str, value: &Value) -> Option<usize> {
    if NEVER.contains(&field) {
        return None;
    }
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if value.as_object().is_some_and(|map| !map.values().all(is_plain)) {
        return None;
    }
    if let Some(place) = FIRST.iter().position(|first| *first == field) {
        return Some(place);
    }
    let beyond = match value {
        Value::Number(_) => 0,
        Value::String(text) if text.is_empty() || text.contains('\n') => return None,
        Value::Bool(true) => 2,
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => 3,
        other if has_unknown(other) && other.is_string() => 4,
        Value::String(text) if text.len() <= LONGEST => 1,
        _ => return None,
    };
    Some(FIRST.len() + beyond)
}

fn shown(field: &str, value: &Value) -> String {
    match value {
        Value::Bool(true) => field.to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let first = items.first().map(|item| cut(item, LONGEST)).unwrap_or_default();
            match items.len() {
                1 => format!("{field} {first}"),
                many => format!("{many} {field}"),
            }
        }
        Value::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{key} {}", cut(value, LONGEST))).collect();
            cut(&Value::String(format!("{field} {}", parts.join(" "))), LONGEST)
        }
        other => format!("{field} {}", cut(other, LONGEST)),
    }
}

/// What tells about a Kubernetes object.
fn in_manifest(manifest: &Value) -> Vec<(String, Value)> {
    let spec = &manifest["spec"];
    let image = &spec["template"]["spec"]["containers"][0]["image"];
    let image = image.as_str().and_then(|text| text.rsplit('/').next()).map_or(Value::Null, |text| json!(text));
    let keys = manifest["data"].as_object().or_else(|| manifest["stringData"].as_object());
    let keys = keys.map_or(Value::Null, |data| data.keys().map(|key| json!(key)).collect());
    let found =
        [("replicas", spec["replicas"].clone()), ("type", spec["type"].clone()), ("image", image), ("keys", keys)];
    found.into_iter().filter(|(_, value)| !value.is_null()).map(|(field, value)| (field.to_owned(), value)).collect()
}
