//! Kubernetes' protocol buffer bodies, which typed Go clients send, into JSON.

use std::{collections::HashMap, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Field number to name, type and cardinality (0: one, 1: list, 2: map by string).
type Message = HashMap<u64, (String, String, u8)>;

fn messages() -> &'static HashMap<String, Message> {
    static ALL: OnceLock<HashMap<String, Message>> = OnceLock::new();
    ALL.get_or_init(|| {
        serde_json::from_str(include_str!("data/pb.json")).expect("the embedded table is JSON, as a test shows")
    })
}

/// Messages that JSON writes into the object around them.
const INLINE: [&str; 8] = [
    "volumeSource",
    "persistentVolumeSource",
    "handler",
    "ephemeralContainerCommon",
    "localObjectReference",
    "rule",
    "ruleWithOperations",
    "ingressRuleValue",
];

enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed(u64),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut out = 0u64;
    for shift in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        out |= u64::from(first & 0x7f) << (7 * shift);
        if *first < 0x80 {
            return Some(out);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Varint(varint(bytes)?),
        1 => Wire::Fixed(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Wire::Bytes(take(bytes, length)?)
        }
        5 => Wire::Fixed(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?).into()),
        _ => return None,
    };
    Some((tag >> 3, wire))
}

fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Wire<'_>)>> {
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let next = field(&mut bytes);
            if next.is_none() {
                bytes = &[];
            }
            next
        })
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn value(kind: &str, wire: Wire<'_>) -> Option<Value> {
    Some(match (kind, wire) {
        ("s", Wire::Bytes(b)) => Value::String(String::from_utf8(b.to_vec()).ok()?),
        ("y", Wire::Bytes(b)) => json!(STANDARD.encode(b)),
        ("b", Wire::Varint(v)) => json!(v != 0),
        ("i", Wire::Varint(v)) => json!(v.cast_signed()),
        ("d", Wire::Fixed(f)) => json!(f64::from_bits(f)),
        (kind, Wire::Bytes(b)) => message(kind, b)?,
        _ => return None,
    })
}

fn timestamp(kind: &str, bytes: &[u8]) -> Option<Value> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    for next in fields(bytes) {
        match next? {
            (1, Wire::Varint(v)) => seconds = v.cast_signed(),
            (2, Wire::Varint(v)) => nanos = i32::try_from(v).ok()?,
            _ => {}
        }
    }
    if seconds == 0 {
        return Some(Value::Null);
    }
    let format = if kind == "Time" { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    Some(json!(jiff::Timestamp::new(seconds, nanos).ok()?.strftime(format).to_string()))
}

fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut string) = (false, 0i64, String::new());
    for next in fields(bytes) {
        match next? {
            (1, Wire::Varint(v)) => is_text = v != 0,
            (2, Wire::Varint(v)) => number = v.cast_signed(),
            (3, Wire::Bytes(b)) => string = text(b),
            _ => {}
        }
    }
    Some(if is_text { json!(string) } else { json!(number) })
}

fn raw_json(bytes: &[u8]) -> Option<Value> {
    for next in fields(bytes) {
        if let (1, Wire::Bytes(raw)) = next? {
            return serde_json::from_slice(raw).ok();
        }
    }
    Some(Value::Null)
}

fn map_entry(kind: &str, bytes: &[u8]) -> Option<(String, Value)> {
    let (mut key, mut found) = (String::new(), Value::Null);
    for next in fields(bytes) {
        match next? {
            (1, Wire::Bytes(b)) => key = text(b),
            (2, wire) => found = value(kind, wire)?,
            _ => {}
        }
    }
    if found.is_null() && kind == "s" {
        found = json!("");
    }
    Some((key, found))
}

fn message(kind: &str, bytes: &[u8]) -> Option<Value> {
    let short = kind.rsplit('.').next()?;
    match short {
        "RawExtension" | "FieldsV1" | "JSON" => return raw_json(bytes),
        "Time" | "MicroTime" => return timestamp(short, bytes),
        "IntOrString" => return int_or_string(bytes),
        _ => {}
    }
    let known = messages().get(kind)?;
    let mut out = Map::new();
    for next in fields(bytes) {
        let (number, wire) = next?;
        let Some((name, kind, cardinality)) = known.get(&number) else { continue };
        match cardinality {
            2 => {
                let Wire::Bytes(entry) = wire else { return None };
                let (key, found) = map_entry(kind, entry)?;
                out.entry(name.clone()).or_insert_with(|| json!({}))[key] = found;
            }
            1 => {
                let list = out.entry(name.clone()).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(value(kind, wire)?);
            }
            _ => match value(kind, wire)? {
                Value::Object(inner) if INLINE.contains(&name.as_str()) => out.extend(inner),
                found if found.is_null() || found == "" => {}
                found => {
                    out.insert(name.clone(), found);
                }
            },
        }
    }
    match short {
        "Quantity" => out.shift_remove("string"),
        "Verbs" | "ExtraValue" | "OptionalNames" => Some(out.shift_remove("items").unwrap_or_else(|| json!([]))),
        _ => Some(Value::Object(out)),
    }
}

/// Name of the message of a kind; there need not be one.
fn message_name(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    if kind == "DeleteOptions" {
        "@m.DeleteOptions".to_owned()
    } else if group == "apiextensions.k8s.io" {
        format!("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}.{kind}")
    } else {
        format!("@a.{}.{version}.{kind}", group.split('.').next().unwrap_or(group))
    }
}

/// A field as JSON writes it: its type and cardinality (0: one, 1: list, 2: map by string).
pub type JsonField = (&'static str, u8);
/// The fields of a message by their JSON name.
pub type JsonMessage = HashMap<&'static str, JsonField>;

fn add_fields(out: &mut JsonMessage, message: &'static Message) {
    for (name, kind, cardinality) in message.values() {
        match messages().get(kind) {
            Some(inner) if INLINE.contains(&name.as_str()) => add_fields(out, inner),
            _ => {
                out.insert(name, (kind, *cardinality));
            }
        }
    }
}

/// The fields of a message; none for an unknown one.
pub fn json_message(name: &str) -> Option<&'static JsonMessage> {
    static ALL: OnceLock<HashMap<&'static str, JsonMessage>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let fields = |message| {
            let mut fields = JsonMessage::new();
            add_fields(&mut fields, message);
            fields
        };
        messages().iter().map(|(name, message)| (name.as_str(), fields(message))).collect()
    });
    all.get(name)
}

/// Name of the message of a kind of this API version, when it is known.
pub fn message_of(api_version: &str, kind: &str) -> Option<String> {
    Some(message_name(api_version, kind)).filter(|name| messages().contains_key(name))
}

/// Decodes a body that starts with `k8s\0`; `None` when it is damaged or of an unknown kind.
pub fn decode(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"k8s\0")?;
    let (mut api_version, mut kind, mut raw): (String, String, &[u8]) = Default::default();
    for next in fields(body) {
        match next? {
            (1, Wire::Bytes(meta)) => {
                for next in fields(meta) {
                    match next? {
                        (1, Wire::Bytes(b)) => api_version = text(b),
                        (2, Wire::Bytes(b)) => kind = text(b),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(b)) => raw = b,
            _ => {}
        }
    }
    let name = message_name(&api_version, &kind);
    let mut out = message(&name, raw)?;
    out["apiVersion"] = json!(api_version);
    out["kind"] = json!(kind);
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    /// A length-delimited field.
    fn part(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn a_namespace_is_decoded() {
        let meta = [part(1, b"v1"), part(2, b"Namespace")].concat();
        let labels = part(11, &[part(1, b"a"), part(2, b"b")].concat());
        let object = part(1, &[part(1, b"demo"), labels].concat());
        let body = [b"k8s\0".to_vec(), part(1, &meta), part(2, &object)].concat();
        let wanted = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "demo", "labels": {"a": "b"}}});
        assert_eq!(decode(&body), Some(wanted));
        assert_eq!(decode(&body[..body.len() - 3]), None, "a cut body is refused");
    }
}
