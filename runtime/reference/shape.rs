//! JSON schemas as tables: the fields of a map, those of maps within it, and what may stand in each.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Maps within maps within maps are enough for a table.
const DEEPEST: usize = 4;

/// One row of a table of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Path from the outermost map: `scaling.min`, `routes[].cidr`, `inline.*`.
    pub field: String,
    /// What may stand there, in words.
    pub kind: String,
    /// Whether the map around it must have it.
    pub required: bool,
    /// What holds when it is left out, where the schema says so.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// A schema, with its definitions and those that stand in a table of their own.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    root: &'a Value,
    schema: &'a Value,
    apart: &'a BTreeSet<String>,
}

impl<'a> Shape<'a> {
    /// The whole of `root`. Definitions named in `apart` are linked to instead of spread out.
    pub fn new(root: &'a Value, apart: &'a BTreeSet<String>) -> Self {
        Self { root, schema: root, apart }
    }

    /// Names of all definitions that are maps with fields.
    pub fn definitions(root: &Value) -> impl Iterator<Item = (&String, &Value)> {
        root["$defs"].as_object().into_iter().flatten().filter(|(_, schema)| schema["properties"].is_object())
    }

    /// The definition called `name`.
    pub fn definition(&self, name: &str) -> Option<Self> {
        Some(Self { schema: self.root["$defs"].get(name)?, ..*self })
    }

    /// What it says about itself.
    pub fn description(&self) -> &'a str {
        let own = self.schema["description"].as_str();
        own.or_else(|| self.resolved()["description"].as_str()).unwrap_or_default()
    }

    /// What may stand there, in words.
    pub fn kind(&self) -> String {
        if let Some(name) = self.name().filter(|name| self.apart.contains(*name)) {
            return format!("[{name}](#{})", name.to_lowercase());
        }
        let schema = self.resolved();
        if let Some(fixed) = schema.get("const") {
            return format!("`{fixed}`");
        }
        if let Some(all) = schema["enum"].as_array() {
            return one_of(all.iter().filter(|value| !value.is_null()));
        }
        if let Some(ways) = ways(schema) {
            let real: Vec<&Value> = ways.iter().filter(|way| way["type"] != "null").collect();
            if real.iter().all(|way| way.get("const").is_some()) {
                return one_of(real.iter().map(|way| &way["const"]));
            }
            let kinds: Vec<String> = real.iter().map(|way| self.at(way).kind()).collect();
            return kinds.join(" or ");
        }
        match real_type(schema) {
            Some("string") if schema["format"] == "secret" => "secret text".to_owned(),
            Some("string") => "text".to_owned(),
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("null") => "`()`".to_owned(),
            Some("array") => format!("list of {}", several(&self.at(&schema["items"]).kind())),
            Some("object") => match self.rest() {
                Some(rest) => format!("map of {}", several(&rest.kind())),
                None => "map".to_owned(),
            },
            _ => "anything".to_owned(),
        }
    }

    /// The fields, those of maps within it included.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.collect("", 0, &mut rows);
        rows
    }

    fn collect(&self, prefix: &str, depth: usize, rows: &mut Vec<Row>) {
        let set_apart = depth > 0 && self.name().is_some_and(|name| self.apart.contains(name));
        if depth > DEEPEST || set_apart {
            return;
        }
        let schema = self.resolved();
        if let Some(fields) = schema["properties"].as_object() {
            let between = if prefix.is_empty() { "" } else { "." };
            self.fields(fields, &schema["required"], &format!("{prefix}{between}"), depth, rows);
        } else if let Some(ways) = ways(schema) {
            let mut real = ways.iter().filter(|way| way["type"] != "null");
            if let (Some(only), None) = (real.next(), real.next()) {
                self.at(only).collect(prefix, depth, rows);
            }
        } else if schema["items"].is_object() {
            self.at(&schema["items"]).collect(&format!("{prefix}[]"), depth, rows);
        } else if let Some(rest) = self.rest() {
            rest.collect(&format!("{prefix}.*"), depth, rows);
        }
    }

    fn fields(
        &self,
        fields: &'a Map<String, Value>,
        required: &Value,
        prefix: &str,
        depth: usize,
        rows: &mut Vec<Row>,
    ) {
        for (name, schema) in fields {
            let field = self.at(schema);
            let path = format!("{prefix}{name}");
            let default = schema.get("default").filter(|default| !default.is_null());
            rows.push(Row {
                field: path.clone(),
                kind: field.kind(),
                required: required.as_array().is_some_and(|all| all.iter().any(|it| it == name)),
                default: default.map(ToString::to_string),
                meaning: schema["description"].as_str().unwrap_or_default().to_owned(),
            });
            field.collect(&path, depth + 1, rows);
        }
    }

    fn at(&self, schema: &'a Value) -> Self {
        Self { schema, ..*self }
    }

    /// The name of the definition that it stands for, whether it may be missing or not.
    fn name(&self) -> Option<&'a str> {
        let reference = |schema: &'a Value| schema["$ref"].as_str()?.strip_prefix("#/$defs/");
        reference(self.schema).or_else(|| {
            let mut real = ways(self.schema)?.iter().filter(|way| way["type"] != "null");
            real.next().filter(|_| real.next().is_none()).and_then(reference)
        })
    }

    fn resolved(&self) -> &'a Value {
        let mut schema = self.schema;
        for _ in 0..16 {
            let Some(path) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) else { break };
            schema = self.root.pointer(path).unwrap_or(&Value::Null);
        }
        schema
    }

    /// What all fields without a name of their own hold.
    fn rest(&self) -> Option<Self> {
        let rest = self.resolved().get("additionalProperties")?;
        (rest.is_object()).then(|| self.at(rest))
    }
}

fn ways(schema: &Value) -> Option<&Vec<Value>> {
    schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array())
}

fn real_type(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.as_str(),
    }
}

fn one_of<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ")
}

/// `text` → `texts`.
fn several(kind: &str) -> String {
    match kind {
        "text" | "map" | "whole number" | "number" | "secret text" => format!("{kind}s"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Group {
        /// Its name.
        name: String,
        /// How many.
        #[serde(default)]
        scaling: Option<Scaling>,
        routes: Vec<Scaling>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Scaling {
        /// At least.
        min: u32,
        mode: Option<Mode>,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code)]
    enum Mode {
        Slow,
        Fast,
    }

    #[test]
    fn fields_of_maps_within_maps_have_rows_of_their_own() {
        let root = schemars::schema_for!(Group).to_value();
        let rows = Shape::new(&root, &BTreeSet::new()).rows();
        let shown: Vec<_> = rows.iter().map(|row| (row.field.as_str(), row.kind.as_str(), row.required)).collect();
        assert_eq!(
            shown,
            [
                ("name", "text", true),
                ("scaling", "map", false),
                ("scaling.min", "whole number", true),
                ("scaling.mode", "`\"slow\"` or `\"fast\"`", false),
                ("routes", "list of maps", true),
                ("routes[].min", "whole number", true),
                ("routes[].mode", "`\"slow\"` or `\"fast\"`", false),
            ]
        );
        assert_eq!(rows[2].meaning, "At least.");
    }

    #[test]
    fn what_stands_apart_is_linked_to() {
        let root = schemars::schema_for!(Group).to_value();
        let apart = ["Scaling".to_owned()].into();
        let rows = Shape::new(&root, &apart).rows();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1].kind, "[Scaling](#scaling)");
        assert_eq!(Shape::new(&root, &apart).definition("Scaling").unwrap().rows().len(), 2);
    }
}
