//! What a JSON schema of arguments says about the fields of a map: which there are, and which must be there.

use super::suggest;
use serde_json::{Map, Value};

/// A field that is not there, or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Path of the map that it is about, then the field when it is one too many.
    pub path: Vec<String>,
    pub message: String,
    pub hint: String,
}

/// The fields of one map.
pub(super) struct Fields<'a> {
    properties: &'a Map<String, Value>,
    required: Vec<&'a str>,
    closed: bool,
}

/// The fields that `schema`, a part of `root`, gives to a map; `None` when it says nothing about them.
pub(super) fn fields<'a>(root: &'a Value, schema: &'a Value) -> Option<Fields<'a>> {
    let schema = resolved(root, schema)?;
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(Fields {
        properties: schema["properties"].as_object()?,
        required,
        closed: schema["additionalProperties"] == Value::Bool(false),
    })
}

/// The schema of one field of a map, or of the items of a list (`field` is then `[…]`).
pub(super) fn inner<'a>(root: &'a Value, schema: &'a Value, field: &str) -> Option<&'a Value> {
    let schema = resolved(root, schema)?;
    if field.starts_with('[') {
        return schema.get("items");
    }
    schema["properties"].get(field).or_else(|| Some(&schema["additionalProperties"]).filter(|rest| rest.is_object()))
}

impl Fields<'_> {
    /// What is wrong with a map that has the fields `given`.
    pub fn mistakes<'a>(&self, path: &[String], given: &(impl Iterator<Item = &'a str> + Clone)) -> Vec<Mistake> {
        let mut found = Vec::new();
        let shown = |field: &str| {
            path.iter().map(String::as_str).chain([field]).collect::<Vec<_>>().join(".").replace(".[", "[")
        };
        for odd in given.clone().filter(|field| self.closed && !self.properties.contains_key(*field)) {
            let names = self.properties.keys().map(String::as_str);
            let hint = match suggest::nearest(odd, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("its fields are {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                }
            };
            let path = path.iter().cloned().chain([odd.to_owned()]).collect();
            found.push(Mistake { path, message: format!("there is no field `{}`", shown(odd)), hint });
        }
        for missing in self.required.iter().filter(|field| !given.clone().any(|given| given == **field)) {
            // Mistyped rather than missing: said above.
            let odd = given.clone().filter(|field| self.closed && !self.properties.contains_key(*field));
            if suggest::nearest(missing, odd).is_some() {
                continue;
            }
            let message = format!("field `{}` is missing", shown(missing));
            let about = self.properties[*missing]["description"].as_str().unwrap_or_default();
            let about = about.lines().next().unwrap_or_default().trim_end_matches('.');
            let hint = if about.is_empty() { String::new() } else { format!("`{missing}`: {about}") };
            found.push(Mistake { path: path.to_vec(), message, hint });
        }
        found
    }
}

/// All fields of `value` that should not be there, or are missing.
pub(super) fn mistakes(root: &Value, value: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    walk(root, root, value, &mut Vec::new(), &mut found);
    found
}

fn walk(root: &Value, schema: &Value, value: &Value, path: &mut Vec<String>, found: &mut Vec<Mistake>) {
    if path.len() > 32 {
        return;
    }
    let mut step = |name: String, value: &Value, found: &mut Vec<Mistake>| {
        if let Some(schema) = inner(root, schema, &name) {
            path.push(name);
            walk(root, schema, value, path, found);
            path.pop();
        }
    };
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                step(name.clone(), value, found);
            }
            if let Some(fields) = fields(root, schema) {
                found.extend(fields.mistakes(path, &map.keys().map(String::as_str)));
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                step(format!("[{number}]"), value, found);
            }
        }
        _ => {}
    }
}

/// Follows references, and looks through "this or nothing".
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..16 {
        if let Some(reference) = schema["$ref"].as_str() {
            schema = root.pointer(reference.strip_prefix('#')?)?;
            continue;
        }
        let Some(ways) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) else { return Some(schema) };
        let mut real = ways.iter().filter(|way| way["type"] != "null");
        let (first, more) = (real.next()?, real.next());
        // Several real possibilities: which one is meant cannot be said.
        if more.is_some() {
            return None;
        }
        schema = first;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde_json::json;

    #[derive(JsonSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Group {
        /// What it is called.
        name: String,
        scaling: Option<Scaling>,
        #[serde(default)]
        taints: Vec<Scaling>,
    }

    #[derive(JsonSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Scaling {
        min: u32,
        max: Option<u32>,
    }

    #[test]
    fn fields_are_checked_at_any_depth() {
        let schema = schemars::schema_for!(Group).to_value();
        let found =
            mistakes(&schema, &json!({ "name": "x", "scaling": { "mix": 1 }, "taints": [{ "min": 1, "maxx": 2 }] }));
        let texts: Vec<_> = found.iter().map(|found| (found.message.as_str(), found.hint.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("there is no field `scaling.mix`", "did you mean `max`?"),
                ("there is no field `taints[0].maxx`", "did you mean `max`?"),
            ]
        );
        let missing = mistakes(&schema, &json!({ "name": "x", "scaling": { "max": 1 } }));
        assert_eq!(missing[0].message, "field `scaling.min` is missing");
        assert_eq!(mistakes(&schema, &json!({}))[0].hint, "`name`: What it is called");
        assert!(mistakes(&schema, &json!({ "name": "x", "scaling": null })).is_empty());
    }
}
