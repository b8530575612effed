//! Comparing, and mistakes in arguments.

use super::*;
use crate::bind::{Effect, compare};
use serde_json::json;

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    name: String,
    size: Option<u32>,
}

#[test]
fn only_what_the_script_sets_is_compared() {
    let observed = json!({ "a": 1, "b": [2, 1], "tags": { "x": "1", "ours": "2" } });
    assert_eq!(compare(&json!({ "b": [1, 2], "tags": { "x": "1" }, "c": null }), &observed, &[], &[]), vec![]);
    let changes = compare(&json!({ "a": 2, "tags": { "y": "1" } }), &observed, &["a"], &[]);
    assert_eq!(changes[0].effect, Effect::Replace);
    assert_eq!((changes[1].field.as_str(), &changes[1].old), ("tags.y", &Value::Null));
}

#[test]
fn mistakes_have_a_path_even_beside_unknowns() {
    let wrong = check::<Args>(&json!({ "name": "x", "size": "big" })).err().unwrap();
    assert_eq!(wrong.path, "size");
    let unknown = crate::value::unknown("vpc.id");
    assert!(check::<Args>(&json!({ "name": unknown, "size": 3 })).is_ok());
    assert!(check::<Args>(&json!({ "name": unknown, "sise": 3 })).err().unwrap().message.contains("sise"));
    assert!(check::<Args>(&json!({ "size": unknown })).err().unwrap().message.contains("name"));
}
