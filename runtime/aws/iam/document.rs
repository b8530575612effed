//! Policy documents: the forms in which AWS takes and gives them, and when two of them say the same.

use crate::{
    aws::object::changed,
    bind::Change,
    error::{Error, Result},
    value::revealed,
};
use serde_json::{Map, Value, json};

/// The document in an answer of IAM, which is JSON, percent-encoded.
pub fn parse(text: &str) -> Result<Value> {
    let decoded = if text.trim_start().starts_with('{') { text.to_owned() } else { percent_decoded(text) };
    serde_json::from_str(&decoded)
        .map_err(|mistake| Error::failed("a policy document is no JSON").because(mistake.to_string()))
}

/// The document that lets the AWS service `service` (`eks.amazonaws.com`) assume a role.
pub fn service_trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }],
    })
}

/// `trust` as a document: a text is the name of a service, a map is the document itself.
pub fn trust(trust: &Value) -> Value {
    match trust {
        Value::String(service) => service_trust(service),
        other => other.clone(),
    }
}

/// Whether two documents say the same: lists are sets, a list of one is its element, scalars are texts, and an account's
/// number as principal is its root.
pub fn same(one: &Value, other: &Value) -> bool {
    canonical(&revealed(one)) == canonical(&revealed(other))
}

/// Adds a change of `field` when the documents differ.
pub fn compare(changes: &mut Vec<Change>, field: &str, wanted: &Value, observed: &Value) {
    if !wanted.is_null() && !same(wanted, observed) {
        changed(changes, field, observed, wanted);
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map
                .iter()
                .map(|(key, item)| (key.clone(), if key == "AWS" { accounts(item) } else { canonical(item) }))
                .collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => set(items.iter().map(canonical).collect()),
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other.clone(),
    }
}

fn set(mut items: Vec<Value>) -> Value {
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
    match items.len() {
        1 => items.swap_remove(0),
        _ => Value::Array(items),
    }
}

/// Principals: AWS stores `123456789012` as `arn:aws:iam::123456789012:root`.
fn accounts(value: &Value) -> Value {
    let one = |item: &Value| match item.as_str() {
        Some(id) if id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()) => {
            Value::String(format!("arn:aws:iam::{id}:root"))
        }
        _ => canonical(item),
    };
    match value {
        Value::Array(items) => set(items.iter().map(one).collect()),
        other => one(other),
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let decoded = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_decoded() {
        let text = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D";
        assert_eq!(parse(text).unwrap(), json!({ "Version": "2012-10-17", "Statement": [] }));
        assert_eq!(parse("{\"a\": \"100%\"}").unwrap(), json!({ "a": "100%" }));
        assert!(parse("%7B").is_err());
        assert_eq!(percent_decoded("a%2"), "a%2");
    }

    #[test]
    fn lists_of_one_and_orders_do_not_matter() {
        let one = json!({ "Statement": [{ "Action": ["s3:GetObject"], "Resource": ["b", "a"], "Effect": "Allow" }] });
        let other = json!({ "Statement": { "Effect": "Allow", "Action": "s3:GetObject", "Resource": ["a", "b"] } });
        assert!(same(&one, &other));
        let wider = json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": ["a", "b"] } });
        assert!(!same(&one, &wider));
    }

    #[test]
    fn an_account_is_its_root_and_scalars_are_texts() {
        let one = json!({ "Principal": { "AWS": ["123456789012"] }, "Condition": { "Bool": { "x": true } } });
        let other = json!({ "Principal": { "AWS": "arn:aws:iam::123456789012:root" }, "Condition": { "Bool": { "x": "true" } } });
        assert!(same(&one, &other));
    }

    #[test]
    fn a_service_is_short_for_a_document() {
        let document = trust(&json!("eks.amazonaws.com"));
        assert_eq!(document["Statement"][0]["Principal"]["Service"], "eks.amazonaws.com");
        assert_eq!(trust(&document), document);
    }
}
