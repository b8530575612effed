//! Tags of IAM's entities.

use serde_json::{Value, json};

use super::{done, list, missing};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// What operations call an entity, the parameter that names it, its table.
const TAGGED: &[(&str, &str, &str)] = &[
    ("Role", "RoleName", "/iam.role"),
    ("User", "UserName", "/iam.user"),
    ("Policy", "PolicyArn", "/iam.policy"),
    ("OpenIDConnectProvider", "OpenIDConnectProviderArn", "/iam.oidc"),
    ("InstanceProfile", "InstanceProfileName", "/iam.profile"),
];

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    let op = cx.op.clone();
    TAGGED.iter().find_map(|(entity, parameter, table)| {
        let work = if op == format!("Tag{entity}") {
            tag
        } else if op == format!("Untag{entity}") {
            untag
        } else if op == format!("List{entity}Tags") {
            list_tags
        } else {
            return None;
        };
        Some(named(cx, parameter, table).and_then(|id| work(cx, table, &id)))
    })
}

fn named(cx: &Cx<'_>, parameter: &str, table: &str) -> Result<String, ApiError> {
    let id = cx.p.req(parameter)?;
    cx.tx.get(table, id).map(|_| id.to_owned()).ok_or_else(|| missing("entity", id))
}

/// The tags of a create, checked.
pub(super) fn given(cx: &Cx<'_>) -> Result<Value, ApiError> {
    let mut all = json!([]);
    for (key, value) in cx.p.tags("Tags") {
        if key.is_empty() || key.len() > 128 || key.starts_with("aws:") || value.len() > 256 {
            return Err(ApiError::new("ValidationError", format!("Tag `{key}` is not allowed.")));
        }
        if all.as_array().is_some_and(|tags| tags.iter().any(|t| t["Key"] == *key)) {
            return Err(ApiError::new(
                "InvalidInput",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        all.as_array_mut().into_iter().for_each(|tags| tags.push(json!({"Key": key, "Value": value})));
    }
    Ok(all)
}

fn tag(cx: &mut Cx<'_>, table: &str, id: &str) -> Outcome {
    let fresh = given(cx)?;
    cx.tx.update(table, id, |doc| {
        let mut tags = doc["Tags"].as_array().cloned().unwrap_or_default();
        for tag in fresh.as_array().into_iter().flatten() {
            tags.retain(|old| old["Key"] != tag["Key"]);
            tags.push(tag.clone());
        }
        doc["Tags"] = Value::Array(tags);
    });
    done(cx)
}

fn untag(cx: &mut Cx<'_>, table: &str, id: &str) -> Outcome {
    let keys = cx.p.list("TagKeys");
    cx.tx.update(table, id, |doc| {
        let tags = doc["Tags"].as_array_mut();
        if let Some(tags) = tags {
            tags.retain(|tag| !keys.iter().any(|key| tag["Key"] == **key));
        }
    });
    done(cx)
}

fn list_tags(cx: &mut Cx<'_>, table: &str, id: &str) -> Outcome {
    let tags = cx.tx.get(table, id).and_then(|doc| doc["Tags"].as_array().cloned()).unwrap_or_default();
    list(cx, "Tags", tags)
}
