//! Secrets Manager: secrets with one current version.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};
use crate::core::store::hex_digits;

/// Secrets Manager.
pub const SERVICE: Service =
    Service { name: "secretsmanager", protocol: Protocol::Json11, version: None, routes: &[], handle };

const TABLE: &str = "secretsmanager.secret";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateSecret" => create(cx),
        "GetSecretValue" => value(cx),
        "PutSecretValue" | "UpdateSecret" => put(cx),
        "DescribeSecret" => {
            let (_, doc) = named(cx)?;
            cx.json(&doc)
        }
        "ListSecrets" => {
            let all = cx.tx.select(TABLE, |doc| doc["DeletedDate"].is_null());
            let (page, next) =
                query::page(all, cx.p.int("MaxResults")?, cx.p.opt("NextToken"), "InvalidNextTokenException")?;
            cx.json(&json!({"SecretList": page, "NextToken": next}))
        }
        "DeleteSecret" => delete(cx),
        "RestoreSecret" => {
            let (name, doc) = named(cx)?;
            cx.tx.update(TABLE, &name, |doc| doc["DeletedDate"] = Value::Null);
            cx.json(&json!({"ARN": doc["ARN"], "Name": name}))
        }
        _ => cx.unknown_operation(),
    }
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let given = cx.p.or("SecretId", "");
    let found = cx.tx.scan(TABLE).find(|(name, doc)| name.as_str() == given || doc["ARN"] == json!(given));
    let missing = || ApiError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    found.map(|(name, doc)| (name.clone(), doc.clone())).ok_or_else(missing)
}

fn usable(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (name, doc) = named(cx)?;
    if doc["DeletedDate"].is_null() {
        return Ok((name, doc));
    }
    let message = "You can't perform this operation on the secret because it was marked for deletion.";
    Err(ApiError::new("InvalidRequestException", message))
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.or("Name", "").to_owned();
    if name.is_empty() || name.len() > 512 {
        return Err(ApiError::new("InvalidParameterException", "a secret needs a name of at most 512 characters"));
    }
    if let Some(existing) = cx.tx.get(TABLE, &name) {
        let (code, message) = if existing["DeletedDate"].is_null() {
            ("ResourceExistsException", format!("The operation failed because the secret {name} already exists."))
        } else {
            let message =
                "You can't create this secret because a secret with this name is already scheduled for deletion.";
            ("InvalidRequestException", message.to_owned())
        };
        return Err(ApiError::new(code, message));
    }
    let version = uuid::Uuid::new_v4().to_string();
    let doc = json!({
        "ARN": cx.arn("secretsmanager", &format!("secret:{name}-{}", hex_digits(6))),
        "Name": name,
        "Description": cx.p.opt("Description"),
        "CreatedDate": cx.clock().now() / 1000,
        "LastChangedDate": cx.clock().now() / 1000,
        "Tags": cx.p.at("Tags").cloned().unwrap_or_else(|| json!([])),
        "VersionIdsToStages": {version.as_str(): ["AWSCURRENT"]},
        "_version": version,
        "_string": cx.p.opt("SecretString"),
        "_binary": cx.p.opt("SecretBinary"),
    });
    cx.tx.put(TABLE, &name, doc.clone());
    cx.json(&json!({"ARN": doc["ARN"], "Name": name, "VersionId": version}))
}

fn value(cx: &mut Cx<'_>) -> Outcome {
    let (name, doc) = usable(cx)?;
    if doc["_string"].is_null() && doc["_binary"].is_null() {
        let message = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
        return Err(ApiError::new("ResourceNotFoundException", message));
    }
    cx.json(&json!({
        "ARN": doc["ARN"], "Name": name, "VersionId": doc["_version"], "SecretString": doc["_string"], "SecretBinary": doc["_binary"],
        "VersionStages": ["AWSCURRENT"], "CreatedDate": doc["LastChangedDate"],
    }))
}

fn put(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = usable(cx)?;
    let version = uuid::Uuid::new_v4().to_string();
    if let Some(about) = cx.p.opt("Description") {
        doc["Description"] = json!(about);
    }
    if cx.p.has("SecretString") || cx.p.has("SecretBinary") {
        doc["_string"] = json!(cx.p.opt("SecretString"));
        doc["_binary"] = json!(cx.p.opt("SecretBinary"));
        doc["_version"] = json!(version);
        doc["VersionIdsToStages"] = json!({version.as_str(): ["AWSCURRENT"]});
    }
    doc["LastChangedDate"] = json!(cx.clock().now() / 1000);
    let shown = json!({"ARN": doc["ARN"], "Name": name, "VersionId": doc["_version"]});
    cx.tx.put(TABLE, &name, doc);
    cx.json(&shown)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, doc) = usable(cx)?;
    let days = cx.p.int("RecoveryWindowInDays")?.unwrap_or(30);
    if cx.p.flag("ForceDeleteWithoutRecovery") == Some(true) {
        cx.tx.delete(TABLE, &name);
    } else if (7..=30).contains(&days) {
        let at = cx.clock().now() / 1000 + days * 86_400;
        cx.tx.update(TABLE, &name, |doc| doc["DeletedDate"] = json!(at));
    } else {
        return Err(ApiError::new("InvalidParameterException", "RecoveryWindowInDays must be between 7 and 30"));
    }
    cx.json(&json!({"ARN": doc["ARN"], "Name": name, "DeletionDate": cx.clock().now() / 1000}))
}
