//! Comparing what is wanted with what is there, field by field. Pure.

use super::{Change, Effect};
use crate::value::revealed;
use serde_json::Value;

/// The default of [`Resource::diff`], for kinds that treat some fields in their own way and the others as usual.
pub fn compare(wanted: &Value, observed: &Value, replace: &[&str], uncompared: &[&str]) -> Vec<Change> {
    let mut changes = Vec::new();
    let Some(wanted) = wanted.as_object() else { return changes };
    for (field, new) in wanted {
        if new.is_null() || uncompared.contains(&field.as_str()) {
            continue;
        }
        let effect = if replace.contains(&field.as_str()) { Effect::Replace } else { Effect::Update };
        compare_field(field, new, observed.get(field).unwrap_or(&Value::Null), effect, &mut changes);
    }
    changes
}

fn compare_field(path: &str, new: &Value, old: &Value, effect: Effect, changes: &mut Vec<Change>) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, new) in new {
                compare_field(&format!("{path}.{key}"), new, old.get(key).unwrap_or(&Value::Null), effect, changes);
            }
        }
        (new, old) if same(new, old) => {}
        (new, old) => changes.push(Change { field: path.to_owned(), old: old.clone(), new: new.clone(), effect }),
    }
}

fn same(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Array(new), Value::Array(old)) => {
            let plain = |items: &[Value]| items.iter().all(|item| !item.is_object() && !item.is_array());
            if plain(new) && plain(old) {
                let sorted = |items: &[Value]| {
                    let mut texts: Vec<String> = items.iter().map(|item| revealed(item).to_string()).collect();
                    texts.sort_unstable();
                    texts
                };
                sorted(new) == sorted(old)
            } else {
                new.len() == old.len() && new.iter().zip(old).all(|(new, old)| same(new, old))
            }
        }
        (Value::Object(new), Value::Object(old)) => {
            new.iter().all(|(key, new)| same(new, old.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Number(new), Value::Number(old)) => new.as_f64() == old.as_f64(),
        (Value::Array(new), Value::Null) => new.is_empty(),
        (new, old) => revealed(new) == revealed(old),
    }
}
