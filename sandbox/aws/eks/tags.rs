//! Tags of everything that EKS gives an ARN.

use serde_json::{Value, json};

use super::{given_tags, need, texts};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// Tables and the member that holds the ARN of their documents.
const TAGGED: &[(&str, &str)] = &[
    ("eks.cluster", "arn"),
    ("eks.nodegroup", "nodegroupArn"),
    ("eks.addon", "addonArn"),
    ("eks.access", "accessEntryArn"),
    ("eks.pod-identity", "associationArn"),
    ("eks.idp", "identityProviderConfigArn"),
];

/// Table and id of the document that the ARN names.
fn tagged(cx: &Cx<'_>) -> Result<(&'static str, String), ApiError> {
    let arn = need(&cx.p, "resourceArn")?;
    let found = TAGGED.iter().find_map(|(table, member)| {
        let (id, _) = cx.tx.scan(table).find(|(_, doc)| doc[*member] == json!(arn))?;
        Some((*table, id.clone()))
    });
    found.ok_or_else(|| ApiError::new("NotFoundException", format!("Resource not found: {arn}")).status(404))
}

/// `ListTagsForResource`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (table, id) = tagged(cx)?;
    let tags = cx.tx.get(table, &id).map(|doc| doc["tags"].clone());
    cx.json(&json!({"tags": tags}))
}

/// `TagResource`.
pub fn add(cx: &mut Cx<'_>) -> Outcome {
    let (table, id) = tagged(cx)?;
    let added = given_tags(&cx.p).map_err(|e| ApiError::new("BadRequestException", e.message))?;
    cx.tx.update(table, &id, |doc| {
        if !doc["tags"].is_object() {
            doc["tags"] = json!({});
        }
        if let (Value::Object(tags), Value::Object(added)) = (&mut doc["tags"], added) {
            tags.extend(added);
        }
    });
    cx.json(&json!({}))
}

/// `UntagResource`.
pub fn remove(cx: &mut Cx<'_>) -> Outcome {
    let (table, id) = tagged(cx)?;
    let keys = texts(&cx.p, "tagKeys");
    cx.tx.update(table, &id, |doc| {
        if let Some(tags) = doc["tags"].as_object_mut() {
            tags.retain(|key, _| !keys.contains(key));
        }
    });
    cx.json(&json!({}))
}
