//! KMS: keys, aliases, and encryption with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};
use crate::core::store::hex_digits;

/// Key Management Service.
pub const SERVICE: Service = Service { name: "kms", protocol: Protocol::Json11, version: None, routes: &[], handle };

const KEYS: &str = "kms.key";
const ALIASES: &str = "kms.alias";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateKey" => create(cx),
        "DescribeKey" => {
            let (_, key) = key_of(cx, "KeyId")?;
            cx.json(&json!({"KeyMetadata": key}))
        }
        "ListKeys" => list(cx, KEYS, "Keys", |key| json!({"KeyId": key["KeyId"], "KeyArn": key["Arn"]})),
        "CreateAlias" | "UpdateAlias" | "DeleteAlias" => alias(cx),
        "ListAliases" => list(cx, ALIASES, "Aliases", Value::clone),
        "Encrypt" => encrypt(cx),
        "Decrypt" => decrypt(cx),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => data_key(cx),
        "ScheduleKeyDeletion" => schedule_deletion(cx),
        "EnableKey" => set_state(cx, "Enabled"),
        "CancelKeyDeletion" | "DisableKey" => set_state(cx, "Disabled"),
        "EnableKeyRotation" | "DisableKeyRotation" | "GetKeyRotationStatus" => rotation(cx),
        "GetKeyPolicy" | "PutKeyPolicy" => policy(cx),
        "TagResource" | "UntagResource" | "ListResourceTags" => tags(cx),
        _ => cx.unknown_operation(),
    }
}

fn error(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message)
}

fn seconds(cx: &Cx<'_>) -> i64 {
    cx.clock().now() / 1000
}

fn need(cx: &Cx<'_>, name: &str) -> Result<String, ApiError> {
    let missing = || {
        error(
            "ValidationException",
            format!(
                "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null"
            ),
        )
    };
    cx.p.opt(name).filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(missing)
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let spec = cx.p.opt("KeySpec").or(cx.p.opt("CustomerMasterKeySpec")).unwrap_or("SYMMETRIC_DEFAULT");
    if spec != "SYMMETRIC_DEFAULT" {
        return Err(error("UnsupportedOperationException", format!("keys of spec {spec} are not simulated")));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let key = json!({
        "AWSAccountId": cx.account,
        "KeyId": id,
        "Arn": cx.arn("kms", &format!("key/{id}")),
        "CreationDate": seconds(cx),
        "Enabled": true,
        "Description": cx.p.or("Description", ""),
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": spec,
        "KeySpec": spec,
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": cx.p.flag("MultiRegion").unwrap_or(false),
        "_material": format!("{}{}", hex_digits(32), hex_digits(32)),
        "_tags": cx.p.at("Tags").cloned().unwrap_or_else(|| json!([])),
        "_policy": cx.p.opt("Policy"),
        "_rotation": false,
    });
    cx.tx.put(KEYS, &id, key.clone());
    cx.json(&json!({"KeyMetadata": key}))
}

/// Id and document of the key that a parameter names: by id, ARN, alias or alias ARN.
fn key_of(cx: &Cx<'_>, parameter: &str) -> Result<(String, Value), ApiError> {
    let given = need(cx, parameter)?;
    let name = given.rsplit_once(":key/").map_or(given.as_str(), |(_, id)| id);
    let alias = name.rsplit_once(":alias/").map(|(_, rest)| format!("alias/{rest}"));
    let alias = alias.or_else(|| name.starts_with("alias/").then(|| name.to_owned()));
    let id = match alias {
        Some(alias) => cx.tx.get(ALIASES, &alias).and_then(|a| a["TargetKeyId"].as_str().map(str::to_owned)),
        None => Some(name.to_owned()),
    };
    let found = id.and_then(|id| Some((id.clone(), cx.tx.get(KEYS, &id)?.clone())));
    found.ok_or_else(|| error("NotFoundException", format!("Key '{given}' does not exist")))
}

/// The same, of a key that can be used.
fn usable_key(cx: &Cx<'_>, parameter: &str) -> Result<(String, Value), ApiError> {
    let (id, key) = key_of(cx, parameter)?;
    match key["KeyState"].as_str() {
        Some("Enabled") => Ok((id, key)),
        Some("Disabled") => {
            Err(error("DisabledException", format!("{} is disabled.", key["Arn"].as_str().unwrap_or_default())))
        }
        _ => Err(error(
            "KMSInvalidStateException",
            format!("{} is pending deletion.", key["Arn"].as_str().unwrap_or_default()),
        )),
    }
}

fn list(cx: &Cx<'_>, table: &str, member: &str, show: impl Fn(&Value) -> Value) -> Outcome {
    let of_key = cx.p.opt("KeyId").map(str::to_owned);
    let fits =
        |doc: &Value| of_key.as_ref().is_none_or(|id| doc["TargetKeyId"] == json!(id) || doc["KeyId"] == json!(id));
    let all: Vec<Value> = cx.tx.scan(table).map(|(_, doc)| doc).filter(|doc| fits(doc)).map(show).collect();
    let size = cx.p.int("Limit")?.unwrap_or(100);
    let (page, next) = query::page(all, Some(size), cx.p.opt("Marker"), "InvalidMarkerException")?;
    cx.json(&json!({member: page, "Truncated": next.is_some(), "NextMarker": next}))
}

fn alias(cx: &mut Cx<'_>) -> Outcome {
    let name = need(cx, "AliasName")?;
    if !name.starts_with("alias/") || name.len() < 7 || name.starts_with("alias/aws/") {
        return Err(error(
            "InvalidAliasNameException",
            "Alias must start with the prefix \"alias/\" and not with \"alias/aws/\"",
        ));
    }
    let exists = cx.tx.get(ALIASES, &name).is_some();
    match cx.op.as_str() {
        "CreateAlias" if exists => {
            let message = format!("An alias with the name {} already exists", cx.arn("kms", &name));
            return Err(error("AlreadyExistsException", message));
        }
        "UpdateAlias" | "DeleteAlias" if !exists => {
            return Err(error("NotFoundException", format!("Alias {} is not found.", cx.arn("kms", &name))));
        }
        "DeleteAlias" => {
            cx.tx.delete(ALIASES, &name);
            return cx.json(&json!({}));
        }
        _ => {}
    }
    let (id, _) = key_of(cx, "TargetKeyId")?;
    let now = seconds(cx);
    let doc = json!({
        "AliasName": name, "AliasArn": cx.arn("kms", &name), "TargetKeyId": id, "CreationDate": now, "LastUpdatedDate": now,
    });
    cx.tx.put(ALIASES, &name, doc);
    cx.json(&json!({}))
}

/// Bytes that only the key and the nonce determine.
fn stream(material: &str, nonce: &str, length: usize) -> Vec<u8> {
    let blocks = (0..=length / 32).flat_map(|block| Sha256::digest(format!("{material}/{nonce}/{block}")).to_vec());
    blocks.take(length).collect()
}

fn seal(material: &str, nonce: &str, context: &str, sealed: &[u8]) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(format!("{material}/{nonce}/{context}/"));
    sum.update(sealed);
    sum.finalize().to_vec()
}

/// The ciphertext: id of the key, nonce, seal over everything and the context, then the masked content.
fn seal_up(key: &Value, context: &str, plain: &[u8]) -> String {
    let text = |member: &str| key[member].as_str().unwrap_or_default();
    let nonce = hex_digits(32);
    let masked: Vec<u8> =
        plain.iter().zip(stream(text("_material"), &nonce, plain.len())).map(|(a, b)| a ^ b).collect();
    let mut blob = format!("{}{nonce}", text("KeyId")).into_bytes();
    blob.extend(seal(text("_material"), &nonce, context, &masked));
    blob.extend(masked);
    STANDARD.encode(blob)
}

fn context(cx: &Cx<'_>) -> String {
    let sorted: std::collections::BTreeMap<String, Value> =
        cx.p.at("EncryptionContext")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
    json!(sorted).to_string()
}

fn encrypt(cx: &mut Cx<'_>) -> Outcome {
    let (_, key) = usable_key(cx, "KeyId")?;
    let plain =
        STANDARD.decode(need(cx, "Plaintext")?).map_err(|_| error("ValidationException", "Plaintext is not base64"))?;
    if plain.len() > 4096 {
        return Err(error("ValidationException", "Plaintext must have at most 4096 bytes"));
    }
    let blob = seal_up(&key, &context(cx), &plain);
    cx.json(&json!({"CiphertextBlob": blob, "KeyId": key["Arn"], "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
}

fn decrypt(cx: &mut Cx<'_>) -> Outcome {
    let wrong = || {
        error("InvalidCiphertextException", "the ciphertext is not of a key of this account, or its context is another")
    };
    let blob = STANDARD.decode(need(cx, "CiphertextBlob")?).map_err(|_| wrong())?;
    if blob.len() < 100 {
        return Err(wrong());
    }
    let id = std::str::from_utf8(&blob[..36]).map_err(|_| wrong())?.to_owned();
    let nonce = std::str::from_utf8(&blob[36..68]).map_err(|_| wrong())?.to_owned();
    cx.tx.get(KEYS, &id).ok_or_else(wrong)?;
    if cx.p.has("KeyId") && key_of(cx, "KeyId")?.0 != id {
        return Err(error(
            "IncorrectKeyException",
            "The key ID in the request does not identify the key that was used to encrypt",
        ));
    }
    cx.p.0["_UsedKey"] = json!(id);
    let (_, key) = usable_key(cx, "_UsedKey")?;
    let material = key["_material"].as_str().unwrap_or_default();
    let masked = &blob[100..];
    if seal(material, &nonce, &context(cx), masked) != blob[68..100] {
        return Err(wrong());
    }
    let plain: Vec<u8> = masked.iter().zip(stream(material, &nonce, masked.len())).map(|(a, b)| a ^ b).collect();
    cx.json(
        &json!({"Plaintext": STANDARD.encode(plain), "KeyId": key["Arn"], "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
    )
}

fn data_key(cx: &mut Cx<'_>) -> Outcome {
    let (_, key) = usable_key(cx, "KeyId")?;
    let length = match (cx.p.opt("KeySpec"), cx.p.int("NumberOfBytes")?) {
        (Some("AES_128"), None) => 16,
        (Some("AES_256"), None) => 32,
        (None, Some(bytes)) if (1..=1024).contains(&bytes) => usize::try_from(bytes).unwrap_or(32),
        _ => return Err(error("ValidationException", "Please specify either number of bytes or key spec.")),
    };
    let plain = stream(&hex_digits(32), &hex_digits(32), length);
    let blob = seal_up(&key, &context(cx), &plain);
    let shown = (cx.op == "GenerateDataKey").then(|| STANDARD.encode(&plain));
    cx.json(&json!({"CiphertextBlob": blob, "Plaintext": shown, "KeyId": key["Arn"]}))
}

fn schedule_deletion(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut key) = key_of(cx, "KeyId")?;
    let days = cx.p.int("PendingWindowInDays")?.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(error("ValidationException", "PendingWindowInDays must be between 7 and 30"));
    }
    if key["KeyState"] == json!("PendingDeletion") {
        return Err(error(
            "KMSInvalidStateException",
            format!("{} is pending deletion.", key["Arn"].as_str().unwrap_or_default()),
        ));
    }
    let at = seconds(cx) + days * 86_400;
    key["KeyState"] = json!("PendingDeletion");
    key["Enabled"] = json!(false);
    key["DeletionDate"] = json!(at);
    cx.tx.put(KEYS, &id, key.clone());
    cx.json(
        &json!({"KeyId": key["Arn"], "DeletionDate": at, "KeyState": "PendingDeletion", "PendingWindowInDays": days}),
    )
}

fn set_state(cx: &mut Cx<'_>, state: &str) -> Outcome {
    let (id, mut key) = key_of(cx, "KeyId")?;
    let pending = key["KeyState"] == json!("PendingDeletion");
    if pending != (cx.op == "CancelKeyDeletion") {
        let message = format!("{} is in state {}.", key["Arn"].as_str().unwrap_or_default(), key["KeyState"]);
        return Err(error("KMSInvalidStateException", message));
    }
    key["KeyState"] = json!(state);
    key["Enabled"] = json!(state == "Enabled");
    key["DeletionDate"] = Value::Null;
    let arn = key["Arn"].clone();
    cx.tx.put(KEYS, &id, key);
    cx.json(&if cx.op == "CancelKeyDeletion" { json!({"KeyId": arn}) } else { json!({}) })
}

fn rotation(cx: &mut Cx<'_>) -> Outcome {
    let (id, key) = usable_key(cx, "KeyId")?;
    match cx.op.as_str() {
        "GetKeyRotationStatus" => cx.json(&json!({"KeyId": id, "KeyRotationEnabled": key["_rotation"]})),
        op => {
            let on = op == "EnableKeyRotation";
            cx.tx.update(KEYS, &id, |key| key["_rotation"] = json!(on));
            cx.json(&json!({}))
        }
    }
}

fn policy(cx: &mut Cx<'_>) -> Outcome {
    let (id, key) = key_of(cx, "KeyId")?;
    if cx.op == "PutKeyPolicy" {
        let policy = need(cx, "Policy")?;
        if !serde_json::from_str::<Value>(&policy).is_ok_and(|p| !p["Statement"].is_null()) {
            return Err(error("MalformedPolicyDocumentException", "The policy is not valid JSON with statements"));
        }
        cx.tx.update(KEYS, &id, |key| key["_policy"] = json!(policy));
        return cx.json(&json!({}));
    }
    let default = json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
        "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", cx.account)}, "Action": "kms:*", "Resource": "*",
    }]});
    let policy = key["_policy"].as_str().map_or_else(|| default.to_string(), str::to_owned);
    cx.json(&json!({"Policy": policy, "PolicyName": "default"}))
}

fn tags(cx: &mut Cx<'_>) -> Outcome {
    let (id, key) = key_of(cx, "KeyId")?;
    let mut all = key["_tags"].as_array().cloned().unwrap_or_default();
    match cx.op.as_str() {
        "ListResourceTags" => return cx.json(&json!({"Tags": all, "Truncated": false})),
        "UntagResource" => {
            let keys = cx.p.list("TagKeys");
            all.retain(|tag| !keys.iter().any(|key| tag["TagKey"] == json!(key)));
        }
        _ => {
            for tag in cx.p.items("Tags") {
                all.retain(|old| old["TagKey"] != tag.0["TagKey"]);
                all.push(tag.0);
            }
        }
    }
    cx.tx.update(KEYS, &id, |key| key["_tags"] = json!(all));
    cx.json(&json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_nonce_and_have_their_length() {
        for length in [0, 1, 31, 32, 33, 100] {
            assert_eq!(stream("m", "n", length).len(), length);
        }
        assert_eq!(stream("m", "n", 40), stream("m", "n", 40));
        assert_ne!(stream("m", "n", 40), stream("m", "o", 40));
        assert_ne!(seal("m", "n", "{}", b"x"), seal("m", "n", "{\"a\":1}", b"x"));
    }
}
