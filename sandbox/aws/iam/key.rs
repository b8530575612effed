//! Access keys of users.

use base64::Engine;
use serde_json::{Value, json};

use super::{USER, done, limit, list, missing, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::hex_digits;

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateAccessKey" => create(cx),
        "ListAccessKeys" => list_all(cx),
        "UpdateAccessKey" => update(cx),
        "DeleteAccessKey" => delete(cx),
        "GetAccessKeyLastUsed" => last_used(cx),
        _ => return None,
    })
}

/// A user has at most this many keys.
const KEYS_PER_USER: usize = 2;

fn create(cx: &mut Cx<'_>) -> Outcome {
    let (user, _) = owner(cx)?;
    if cx.tx.scan("/iam.key").filter(|(_, key)| key["UserName"] == *user).count() >= KEYS_PER_USER {
        return Err(limit(format!("Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_USER}")));
    }
    let id = format!("AKIA{}", hex_digits(16).to_uppercase());
    let random = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
    let secret: String = base64::engine::general_purpose::STANDARD.encode(&random).chars().take(40).collect();
    let key = json!({
        "UserName": user, "AccessKeyId": id, "Status": "Active", "SecretAccessKey": secret, "CreateDate": cx.clock().iso_now(),
    });
    cx.tx.put("/iam.key", &id, key.clone());
    cx.query(&json!({"AccessKey": key}))
}

/// The user that is named, or the caller.
fn owner(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    match (&cx.caller.user_name, cx.p.has("UserName")) {
        (Some(name), false) => Ok((name.clone(), Value::Null)),
        _ => USER.named(cx),
    }
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let (user, _) = owner(cx)?;
    let mut keys = cx.tx.select("/iam.key", |key| key["UserName"] == *user);
    for key in &mut keys {
        key.as_object_mut().into_iter().for_each(|members| drop(members.remove("SecretAccessKey")));
    }
    list(cx, "AccessKeyMetadata", keys)
}

/// The id of the key that a call names; it must be the user's.
fn named(cx: &Cx<'_>) -> Result<String, ApiError> {
    let id = cx.p.req("AccessKeyId")?;
    let key = cx.tx.get("/iam.key", id).filter(|key| cx.p.opt("UserName").is_none_or(|user| key["UserName"] == *user));
    key.map(|_| id.to_owned()).ok_or_else(|| {
        ApiError::new("NoSuchEntity", format!("The Access Key with id {id} cannot be found.")).status(404)
    })
}

fn update(cx: &mut Cx<'_>) -> Outcome {
    let (id, status) = (named(cx)?, cx.p.req("Status")?.to_owned());
    if !["Active", "Inactive"].contains(&status.as_str()) {
        return Err(ApiError::new("ValidationError", "Status must be Active or Inactive"));
    }
    cx.tx.update("/iam.key", &id, |key| key["Status"] = json!(status));
    done(cx)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    if let Some(user) = cx.p.opt("UserName")
        && cx.tx.get("/iam.user", user).is_none()
    {
        return Err(missing("user", user));
    }
    let id = named(cx)?;
    cx.tx.delete("/iam.key", &id);
    done(cx)
}

fn last_used(cx: &mut Cx<'_>) -> Outcome {
    let id = named(cx)?;
    let user = cx.tx.get("/iam.key", &id).map(|key| text(key, "UserName").to_owned());
    cx.query(&json!({"UserName": user, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}))
}
