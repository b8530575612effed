//! What a live object lacks of what is wanted: only wanted fields are looked at, lists by their merge keys, quantities by
//! their value, and nothing is the same as empty. Pure.

use super::manifest::digest_of;
use crate::{
    http::sha256,
    value::{SECRET_CLOSE, SECRET_OPEN, revealed},
};
use serde_json::{Map, Value};

/// Begins a text that stands for a part that is too large to be kept: the digest of the part follows.
pub const FOLDED: &str = "sha256:";

/// One field that is not as wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `spec.template.spec.containers[server].image`.
    pub path: String,
    /// What is there.
    pub old: Value,
    /// What is wanted.
    pub new: Value,
}

/// What a null among the wanted fields says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Nothing.
    Ignored,
    /// That the field must not be there.
    MeanAbsent,
}

/// Where a list's items have an identity: the field of the list, and the keys in its items.
const MERGE_KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("webhooks", &["name"]),
    ("resourceClaims", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
];

/// Fields whose values are quantities, or maps of them.
const QUANTITIES: [&str; 8] =
    ["limits", "requests", "capacity", "hard", "sizeLimit", "divisor", "overhead", "allocatable"];

/// The wanted fields that `live` has otherwise.
pub fn differences(wanted: &Value, live: &Value, nulls: Nulls) -> Vec<Difference> {
    let mut walk = Walk { nulls, found: Vec::new() };
    walk.field("", wanted, live, false);
    walk.found
}

/// The value at a path of differences, without its list items; for showing only.
struct Walk {
    nulls: Nulls,
    found: Vec<Difference>,
}

impl Walk {
    fn field(&mut self, path: &str, wanted: &Value, live: &Value, quantity: bool) {
        if wanted.is_null() {
            if self.nulls == Nulls::MeanAbsent && !is_empty(live) {
                self.differs(path, wanted, live);
            }
            return;
        }
        if let Some(digest) = live.as_str().and_then(|text| text.strip_prefix(FOLDED))
            && !wanted.is_string()
        {
            if digest_of(&revealed(wanted)) != digest {
                let new = Value::String(format!("{FOLDED}{}", digest_of(&revealed(wanted))));
                self.differs(path, &new, live);
            }
            return;
        }
        match (wanted, live) {
            (Value::Object(wanted), Value::Object(live)) => self.map(path, wanted, live, quantity),
            (Value::Array(wanted), Value::Array(live)) => self.list(path, wanted, live, quantity),
            _ if is_empty(wanted) && is_empty(live) => {}
            _ if same_plain(wanted, live, quantity) => {}
            // Nothing there: the parts are what one wants to read about.
            (Value::Object(fields), Value::Null) if !fields.is_empty() => {
                self.map(path, fields, &Map::new(), quantity);
            }
            _ => self.differs(path, wanted, live),
        }
    }

    fn map(&mut self, path: &str, wanted: &Map<String, Value>, live: &Map<String, Value>, quantity: bool) {
        for (key, item) in wanted {
            if key == "$patch" {
                continue;
            }
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let quantity = quantity || QUANTITIES.contains(&key.as_str());
            self.field(&path, item, live.get(key).unwrap_or(&Value::Null), quantity);
        }
    }

    fn list(&mut self, path: &str, wanted: &[Value], live: &[Value], quantity: bool) {
        let field = path.rsplit('.').next().unwrap_or_default();
        if let Some(keys) = merge_keys(field, wanted, live) {
            for item in wanted {
                let found = live.iter().find(|candidate| matches(keys, item, candidate));
                let label = item[keys[0]].as_str().map_or_else(|| item[keys[0]].to_string(), str::to_owned);
                let path = format!("{path}[{label}]");
                match (item["$patch"] == "delete", found) {
                    (true, None) => {}
                    (true, Some(found)) => self.differs(&path, &Value::Null, found),
                    (false, found) => self.field(&path, item, found.unwrap_or(&Value::Null), quantity),
                }
            }
            return;
        }
        if wanted.len() != live.len() {
            return self.differs(path, &wanted.into(), &live.into());
        }
        for (index, (item, live)) in wanted.iter().zip(live).enumerate() {
            self.field(&format!("{path}[{index}]"), item, live, quantity);
        }
    }

    fn differs(&mut self, path: &str, wanted: &Value, live: &Value) {
        self.found.push(Difference { path: path.to_owned(), old: live.clone(), new: wanted.clone() });
    }
}

/// The keys that tell the items of this list apart, when all wanted items have the first one.
fn merge_keys(field: &str, wanted: &[Value], live: &[Value]) -> Option<&'static [&'static str]> {
    let has = |items: &[Value], key: &str| items.iter().all(|item| item.get(key).is_some());
    let (_, keys) = MERGE_KEYS
        .iter()
        .find(|(name, keys)| *name == field && !wanted.is_empty() && has(wanted, keys[0]) && has(live, keys[0]))?;
    Some(keys)
}

fn matches(keys: &[&str], wanted: &Value, live: &Value) -> bool {
    keys.iter().all(|key| wanted.get(key).is_none_or(|value| live.get(key) == Some(value)))
}

/// Whether a value says as much as no value.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        // `emptyDir: {}` chooses a kind of volume: an empty map is something.
        Value::Object(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}

fn same_plain(wanted: &Value, live: &Value, quantity: bool) -> bool {
    match (wanted, live) {
        (Value::Number(wanted), Value::Number(live)) => wanted.as_f64() == live.as_f64(),
        (Value::String(wanted), Value::String(live)) if live.starts_with(SECRET_OPEN) => {
            let live = live.trim_start_matches(SECRET_OPEN).trim_end_matches(SECRET_CLOSE);
            let plain = wanted.replace([SECRET_OPEN, SECRET_CLOSE], "");
            live.strip_prefix(FOLDED).is_some_and(|digest| digest == sha256(plain.as_bytes()))
        }
        (Value::String(wanted), Value::String(live)) if live.starts_with(FOLDED) => {
            let plain = wanted.replace([SECRET_OPEN, SECRET_CLOSE], "");
            *live == plain || *live == format!("{FOLDED}{}", digest_of(&Value::String(plain)))
        }
        _ if revealed(wanted) == *live => true,
        _ if quantity => match (amount(wanted), amount(live)) {
            (Some(wanted), Some(live)) => (wanted - live).abs() <= f64::EPSILON * wanted.abs().max(live.abs()),
            _ => false,
        },
        _ => false,
    }
}

/// The number behind a quantity: `500m` is 0.5, `1Gi` is 2³⁰.
fn amount(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.as_str(),
        _ => return None,
    };
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))?;
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(wanted: &Value, live: &Value) -> Vec<String> {
        differences(wanted, live, Nulls::Ignored).into_iter().map(|found| found.path).collect()
    }

    #[test]
    fn defaults_order_and_spelling_are_no_difference() {
        let wanted = json!({ "spec": { "hostNetwork": false, "volumes": [], "containers": [
            { "name": "b", "resources": { "limits": { "cpu": "1000m", "memory": "1Gi" } }, "ports": [{ "containerPort": 80 }] },
            { "name": "a", "env": [{ "name": "X", "value": "" }] } ] } });
        let live = json!({ "spec": { "restartPolicy": "Always", "containers": [
            { "name": "a", "image": "x", "env": [{ "name": "X" }] },
            { "name": "b", "resources": { "limits": { "cpu": 1, "memory": "1024Mi" } },
              "ports": [{ "containerPort": 80, "protocol": "TCP" }] } ] } });
        assert_eq!(paths(&wanted, &live), Vec::<String>::new());
    }

    #[test]
    fn differences_have_paths_and_values() {
        let wanted =
            json!({ "spec": { "replicas": 3, "containers": [{ "name": "a", "image": "new" }], "args": ["x", "y"] } });
        let live =
            json!({ "spec": { "replicas": 2, "containers": [{ "name": "a", "image": "old" }], "args": ["y", "x"] } });
        let found = differences(&wanted, &live, Nulls::Ignored);
        assert_eq!((found[0].path.as_str(), &found[0].old, &found[0].new), ("spec.replicas", &json!(2), &json!(3)));
        assert_eq!(found[1].path, "spec.containers[a].image");
        assert_eq!(found[2].path, "spec.args[0]");
    }

    #[test]
    fn what_is_missing_is_named_by_its_parts() {
        let wanted = json!({ "data": { "a": "1", "b": "2" } });
        assert_eq!(paths(&wanted, &json!({})), ["data.a", "data.b"]);
        assert_eq!(paths(&json!({ "spec": { "emptyDir": {} } }), &json!({ "spec": {} })), ["spec.emptyDir"]);
    }

    #[test]
    fn large_and_secret_parts_are_compared_by_digest() {
        let versions = json!([{ "name": "v1", "schema": {} }]);
        let live = json!({ "spec": { "versions": format!("{FOLDED}{}", digest_of(&versions)) } });
        assert_eq!(paths(&json!({ "spec": { "versions": versions } }), &live), Vec::<String>::new());
        assert_eq!(paths(&json!({ "spec": { "versions": [] } }), &live), ["spec.versions"]);
        let live = json!({ "value": format!("{SECRET_OPEN}{FOLDED}{}{SECRET_CLOSE}", sha256(b"hunter2")) });
        assert!(paths(&json!({ "value": "hunter2" }), &live).is_empty());
        assert!(paths(&json!({ "value": format!("{SECRET_OPEN}hunter2{SECRET_CLOSE}") }), &live).is_empty());
        assert_eq!(paths(&json!({ "value": "hunter3" }), &live), ["value"]);
    }

    #[test]
    fn quantities_are_numbers() {
        for (one, other) in [("1", "1000m"), ("1Gi", "1073741824"), ("0.5", "500m"), ("1k", "1000"), ("1e3", "1000")] {
            let (one, other) = (amount(&json!(one)).unwrap(), amount(&json!(other)).unwrap());
            assert!((one - other).abs() < 1e-9);
        }
        assert_eq!(amount(&json!("10 apples")), None);
    }

    #[test]
    fn nulls_in_a_patch_mean_absent() {
        let live = json!({ "a": 1 });
        assert!(differences(&json!({ "a": null }), &live, Nulls::Ignored).is_empty());
        assert_eq!(differences(&json!({ "a": null, "b": null }), &live, Nulls::MeanAbsent).len(), 1);
    }
}
