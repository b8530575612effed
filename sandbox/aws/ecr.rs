//! ECR: repositories and the token to log in with. No images are kept.

use base64::Engine;
use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};
use crate::core::store::hex_digits;

/// Elastic Container Registry.
pub const SERVICE: Service = Service { name: "ecr", protocol: Protocol::Json11, version: None, routes: &[], handle };

const TABLE: &str = "ecr.repository";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateRepository" => create(cx),
        "DescribeRepositories" => describe(cx),
        "DeleteRepository" => {
            let (name, doc) = named(cx)?;
            cx.tx.delete(TABLE, &name);
            cx.json(&json!({"repository": doc}))
        }
        "GetAuthorizationToken" => {
            let token =
                base64::engine::general_purpose::STANDARD.encode(format!("AWS:{}{}", hex_digits(32), hex_digits(32)));
            let endpoint = format!("https://{}.dkr.ecr.{}.amazonaws.com", cx.account, cx.region);
            let expires = cx.clock().now() / 1000 + 12 * 3600;
            let data = json!({"authorizationToken": token, "expiresAt": expires, "proxyEndpoint": endpoint});
            cx.json(&json!({"authorizationData": [data]}))
        }
        "ListImages" => {
            named(cx)?;
            cx.json(&json!({"imageIds": []}))
        }
        "DescribeImages" => {
            named(cx)?;
            cx.json(&json!({"imageDetails": []}))
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => tags(cx),
        _ => cx.unknown_operation(),
    }
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = cx.p.or("repositoryName", "").to_owned();
    match cx.tx.get(TABLE, &name) {
        Some(doc) => Ok((name, doc.clone())),
        None => Err(missing(cx, &name)),
    }
}

fn missing(cx: &Cx<'_>, name: &str) -> ApiError {
    let message = format!("The repository with name '{name}' does not exist in the registry with id '{}'", cx.account);
    ApiError::new("RepositoryNotFoundException", message)
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.or("repositoryName", "").to_owned();
    let part = |part: &str| {
        let plain = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
        plain
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if !(2..=256).contains(&name.len()) || !name.split('/').all(part) {
        let message =
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression'";
        return Err(ApiError::new("InvalidParameterException", message));
    }
    if cx.tx.get(TABLE, &name).is_some() {
        let message =
            format!("The repository with name '{name}' already exists in the registry with id '{}'", cx.account);
        return Err(ApiError::new("RepositoryAlreadyExistsException", message));
    }
    let doc = json!({
        "repositoryArn": cx.arn("ecr", &format!("repository/{name}")),
        "registryId": cx.account,
        "repositoryName": name,
        "repositoryUri": format!("{}.dkr.ecr.{}.amazonaws.com/{name}", cx.account, cx.region),
        "createdAt": cx.clock().now() / 1000,
        "imageTagMutability": cx.p.or("imageTagMutability", "MUTABLE"),
        "imageScanningConfiguration": cx.p.at("imageScanningConfiguration").cloned().unwrap_or_else(|| json!({"scanOnPush": false})),
        "encryptionConfiguration": cx.p.at("encryptionConfiguration").cloned().unwrap_or_else(|| json!({"encryptionType": "AES256"})),
        "_tags": cx.p.at("tags").cloned().unwrap_or_else(|| json!([])),
    });
    cx.tx.put(TABLE, &name, doc.clone());
    cx.json(&json!({"repository": doc}))
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let names = cx.p.list("repositoryNames");
    if let Some(name) = names.iter().find(|name| cx.tx.get(TABLE, name).is_none()) {
        return Err(missing(cx, name));
    }
    let found = cx.tx.select(TABLE, |doc| names.is_empty() || names.iter().any(|n| doc["repositoryName"] == json!(n)));
    let (page, next) = query::page(found, cx.p.int("maxResults")?, cx.p.opt("nextToken"), "InvalidParameterException")?;
    cx.json(&json!({"repositories": page, "nextToken": next}))
}

fn tags(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.or("resourceArn", "").split_once(":repository/").map_or(String::new(), |(_, name)| name.to_owned());
    let doc = cx.tx.get(TABLE, &name).cloned().ok_or_else(|| missing(cx, &name))?;
    let mut all = doc["_tags"].as_array().cloned().unwrap_or_default();
    match cx.op.as_str() {
        "ListTagsForResource" => return cx.json(&json!({"tags": all})),
        "UntagResource" => {
            let keys = cx.p.list("tagKeys");
            all.retain(|tag| !keys.iter().any(|key| tag["Key"] == json!(key)));
        }
        _ => {
            for tag in cx.p.items("tags") {
                all.retain(|old| old["Key"] != tag.0["Key"]);
                all.push(tag.0);
            }
        }
    }
    cx.tx.update(TABLE, &name, |doc| doc["_tags"] = json!(all));
    cx.json(&json!({}))
}
