//! Whether an object of a built-in kind has the fields of its kind, each of the right type.
//!
//! A number where a string belongs, and a field that no kind has, are the mistakes that playbooks
//! make most. The real server refuses them in different words for an apply and for other writes;
//! so does this one.

use serde_json::Value;

use super::{
    kinds::Kind,
    merge::{
        fields::key_of,
        schema::{Place, child, item},
    },
    protobuf,
    store::ApiError,
};

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq)]
struct Mistake {
    /// The field, as an apply names it: `.spec.containers[name="c"].image`.
    keyed: String,
    /// The field, as a strict decoder names it: `spec.containers[0].image`.
    indexed: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq)]
enum Problem {
    /// No such field.
    Unknown,
    /// The value is of another type: what belongs there, and what is there.
    Type { message: String, wanted: String, found: Value },
}

/// Where a value stands.
#[derive(Clone)]
struct At {
    keyed: String,
    indexed: String,
    /// Name of the message around it.
    message: String,
    place: Place,
}

impl At {
    fn field(&self, name: &str, message: &str) -> Self {
        let dot = if self.indexed.is_empty() { "" } else { "." };
        Self {
            keyed: format!("{}.{name}", self.keyed),
            indexed: format!("{}{dot}{name}", self.indexed),
            message: message.to_owned(),
            place: child(&self.place, name),
        }
    }

    fn entry(&self, index: usize, value: &Value) -> Self {
        let keys = self.place.as_deref().map_or(&[][..], |n| &n.keys);
        let keyed = if keys.is_empty() {
            format!("{}[{index}]", self.keyed)
        } else {
            let path = vec![key_of(value, keys)];
            format!("{}{}", self.keyed, super::merge::fields::human(&path))
        };
        Self {
            keyed,
            indexed: format!("{}[{index}]", self.indexed),
            message: self.message.clone(),
            place: item(&self.place),
        }
    }

    fn wrong(&self, wanted: &str, found: &Value) -> Mistake {
        let problem = Problem::Type { message: self.message.clone(), wanted: wanted.to_owned(), found: found.clone() };
        Mistake { keyed: self.keyed.clone(), indexed: self.indexed.clone(), problem }
    }
}

fn short(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or(kind)
}

/// Go's name of a type.
fn go_type(kind: &str) -> String {
    match kind {
        "s" => "string".to_owned(),
        "y" => "[]uint8".to_owned(),
        "b" => "bool".to_owned(),
        "i" => "int32".to_owned(),
        "d" => "float64".to_owned(),
        kind => format!("v1.{}", short(kind)),
    }
}

/// Checks a value of a type; drops unknown fields when `prune`.
fn one(value: &mut Value, kind: &str, at: &At, prune: bool) -> Result<(), Mistake> {
    let good = match kind {
        _ if value.is_null() => true,
        "s" | "y" => value.is_string(),
        "b" => value.is_boolean(),
        "i" => value.is_i64() || value.is_u64(),
        "d" => value.is_number(),
        kind => match short(kind) {
            "RawExtension" | "FieldsV1" | "JSON" => true,
            free if free.starts_with("JSONSchemaProps") => true,
            "Quantity" => value.is_string() || value.is_number(),
            "IntOrString" => value.is_string() || value.is_i64() || value.is_u64(),
            "Duration" | "Time" | "MicroTime" | "Timestamp" => value.is_string(),
            "Verbs" | "ExtraValue" | "OptionalNames" => value.is_array(),
            _ => return message(value, kind, at, prune),
        },
    };
    if good { Ok(()) } else { Err(at.wrong(&go_type(kind), value)) }
}

fn message(value: &mut Value, kind: &str, at: &At, prune: bool) -> Result<(), Mistake> {
    let Some(known) = protobuf::json_message(kind) else { return Ok(()) };
    if !value.is_object() {
        return Err(at.wrong(&go_type(kind), value));
    }
    let is_root = at.indexed.is_empty();
    let mut unknown = Vec::new();
    for (name, inner) in value.as_object_mut().into_iter().flatten() {
        if is_root && matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        let here = at.field(name, kind);
        match known.get(name.as_str()) {
            None if prune => unknown.push(name.clone()),
            None => {
                return Err(Mistake { keyed: here.keyed, indexed: here.indexed, problem: Problem::Unknown });
            }
            Some((kind, cardinality)) => many(inner, kind, *cardinality, &here, prune)?,
        }
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|name, _| !unknown.contains(name));
    }
    Ok(())
}

/// Checks a field of this cardinality.
fn many(value: &mut Value, kind: &str, cardinality: u8, at: &At, prune: bool) -> Result<(), Mistake> {
    if value.is_null() || cardinality == 0 {
        return one(value, kind, at, prune);
    }
    if cardinality == 1 {
        let wanted = format!("[]{}", go_type(kind));
        let mistake = at.wrong(&wanted, value);
        for (index, entry) in value.as_array_mut().ok_or(mistake)?.iter_mut().enumerate() {
            let here = at.entry(index, entry);
            one(entry, kind, &here, prune)?;
        }
        return Ok(());
    }
    let wanted = format!("map[string]{}", go_type(kind));
    let mistake = at.wrong(&wanted, value);
    for (name, entry) in value.as_object_mut().ok_or(mistake)? {
        let mut here = at.field(name, &at.message);
        // The decoder names the map, not its entry.
        here.indexed.clone_from(&at.indexed);
        one(entry, kind, &here, prune)?;
    }
    Ok(())
}

fn find(kind: &Kind, object: &mut Value, prune: bool) -> Result<(), Mistake> {
    let name = kind.builtin.then(|| protobuf::message_of(&kind.api_version(), &kind.kind)).flatten();
    let Some(name) = name else { return Ok(()) };
    let root =
        At { keyed: String::new(), indexed: String::new(), message: name.clone(), place: Some(kind.node.clone()) };
    message(object, &name, &root, prune)
}

/// JSON's name of a value's type.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks an object that is created, replaced or patched. Unknown fields are refused when `strict`,
/// else dropped.
///
/// # Errors
/// 400 in the words of the real server.
pub fn check(kind: &Kind, object: &mut Value, strict: bool) -> Result<(), ApiError> {
    let refuse = |why: String| {
        let Kind { kind, version, .. } = kind;
        ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    find(kind, object, !strict).map_err(|mistake| {
        refuse(match mistake.problem {
            Problem::Unknown => format!("strict decoding error: unknown field \"{}\"", mistake.indexed),
            Problem::Type { message, wanted, found } => {
                let path: String = mistake.indexed.split('[').map(|p| p.split_once(']').map_or(p, |s| s.1)).collect();
                format!(
                    "json: cannot unmarshal {} into Go struct field {}.{path} of type {wanted}",
                    json_type(&found),
                    short(&message)
                )
            }
        })
    })?;
    if let Some(at) = kind.builtin.then(|| damaged_base64(kind, object)).flatten() {
        return Err(refuse(format!("illegal base64 data at input byte {at}")));
    }
    Ok(())
}

/// Checks an object that is applied.
///
/// # Errors
/// 500 in the words of the real server.
pub fn check_applied(kind: &Kind, object: &mut Value) -> Result<(), ApiError> {
    let api_version = if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() };
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or("");
    let named = format!("({}/{}; {api_version}, Kind={})", text("namespace"), text("name"), kind.kind);
    let refuse = |message: String| ApiError::new(500, "", message);
    find(kind, object, false).map_err(|mistake| {
        let words = match mistake.problem {
            Problem::Unknown => "field not declared in schema".to_owned(),
            Problem::Type { wanted, found, .. } => match wanted.as_str() {
                "string" | "[]uint8" => format!("expected string, got &value.valueUnstructured{{Value:{found}}}"),
                "int32" | "float64" => format!("expected numeric (int or float), got {}", json_type(&found)),
                "bool" => format!("expected boolean, got &{{{found}}}"),
                list if list.starts_with("[]") => format!("expected list, got &{{{found}}}"),
                _ => format!("expected map, got &{{{found}}}"),
            },
        };
        refuse(format!("failed to create typed patch object {named}: {}: {words}", mistake.keyed))
    })?;
    if let Some(at) = kind.builtin.then(|| damaged_base64(kind, object)).flatten() {
        return Err(refuse(format!(
            "failed to convert new object {named} to proper version: illegal base64 data at input byte {at}"
        )));
    }
    Ok(())
}

/// Where the data of a Secret stops being base64.
fn damaged_base64(kind: &Kind, object: &Value) -> Option<usize> {
    use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
    if kind.kind != "Secret" {
        return None;
    }
    let values = object["data"].as_object().into_iter().flatten().filter_map(|(_, v)| v.as_str());
    values.map(|v| STANDARD.decode(v.replace(['\n', '\r'], ""))).find_map(|decoded| match decoded {
        Ok(_) => None,
        Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _)) => Some(at),
        Err(DecodeError::InvalidLength(length)) => Some(length),
        Err(DecodeError::InvalidPadding) => Some(0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check, check_applied};
    use crate::k8s::kinds::builtins;

    fn both(kind: &str, object: &Value) -> [Option<String>; 2] {
        let kind = builtins().iter().find(|k| k.kind == kind).unwrap();
        let checked = check(kind, &mut object.clone(), true);
        let applied = check_applied(kind, &mut object.clone());
        [checked, applied].map(|r| r.err().map(|e| e.message))
    }

    #[test]
    fn a_wrong_type_is_refused_in_the_real_servers_words() {
        let env = json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers":
            [{"name": "c", "env": [{"name": "A", "value": 1}]}]}}}});
        let [checked, applied] = both("Deployment", &env);
        assert_eq!(
            checked.unwrap(),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number into Go \
             struct field EnvVar.spec.template.spec.containers.env.value of type string"
        );
        assert_eq!(
            applied.unwrap(),
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers[name=\"c\"].env[name=\"A\"].value: expected string, got \
             &value.valueUnstructured{Value:1}"
        );
        let [checked, applied] = both("ConfigMap", &json!({"metadata": {"name": "a"}, "data": {"k": 5}}));
        assert!(checked.unwrap().ends_with("number into Go struct field ConfigMap.data of type string"));
        assert!(applied.unwrap().contains("(/a; /v1, Kind=ConfigMap): .data.k: expected string"));
    }

    #[test]
    fn an_unknown_field_is_refused_or_dropped() {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "bogus": 1}]}});
        let [checked, applied] = both("Pod", &object);
        assert!(checked.unwrap().ends_with("unknown field \"spec.containers[0].bogus\""));
        assert!(applied.unwrap().ends_with(".spec.containers[name=\"c\"].bogus: field not declared in schema"));
        let pod = builtins().iter().find(|k| k.kind == "Pod").unwrap();
        check(pod, &mut object, false).unwrap();
        assert_eq!(object["spec"]["containers"], json!([{"name": "c"}]));
    }

    #[test]
    fn what_is_right_passes() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": null},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
                "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}],
                "volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}});
        assert_eq!(both("Pod", &pod), [None, None]);
        let ingress = json!({"spec": {"rules": [{"host": "a", "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}});
        assert_eq!(both("Ingress", &ingress), [None, None]);
        assert!(both("Secret", &json!({"data": {"k": "!!"}})).iter().flatten().all(|m| m.ends_with("byte 0")));
    }
}
