//! The configuration of buckets: kept and given back as the XML that was sent.

use serde_json::{Value, json};

use super::{bucket, bucket_of};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome, Reply};
use crate::aws::params::Params;

/// What a configuration is called in the query, in the names of operations, and the error where there is none.
struct Sort {
    query: &'static str,
    noun: &'static str,
    missing: Option<(&'static str, &'static str)>,
    /// Answer where nothing was set and that is no error.
    default: &'static str,
}

const fn sort(query: &'static str, noun: &'static str, missing: (&'static str, &'static str)) -> Sort {
    Sort { query, noun, missing: Some(missing), default: "" }
}

const fn plain(query: &'static str, noun: &'static str, default: &'static str) -> Sort {
    Sort { query, noun, missing: None, default }
}

const SORTS: &[Sort] = &[
    sort(
        "publicAccessBlock",
        "PublicAccessBlock",
        ("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    ),
    sort(
        "ownershipControls",
        "BucketOwnershipControls",
        ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    ),
    sort(
        "encryption",
        "BucketEncryption",
        ("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"),
    ),
    sort("tagging", "BucketTagging", ("NoSuchTagSet", "The TagSet does not exist")),
    sort(
        "lifecycle",
        "BucketLifecycle",
        ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    ),
    sort("policyStatus", "BucketPolicyStatus", ("NoSuchBucketPolicy", "The bucket policy does not exist")),
    sort("policy", "BucketPolicy", ("NoSuchBucketPolicy", "The bucket policy does not exist")),
    sort("cors", "BucketCors", ("NoSuchCORSConfiguration", "The CORS configuration does not exist")),
    sort(
        "replication",
        "BucketReplication",
        ("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    ),
    sort(
        "website",
        "BucketWebsite",
        ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    ),
    sort(
        "object-lock",
        "ObjectLock",
        ("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"),
    ),
    plain(
        "versioning",
        "BucketVersioning",
        "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
    ),
    plain("logging", "BucketLogging", "<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
    plain(
        "notification",
        "BucketNotification",
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
    ),
    plain(
        "accelerate",
        "BucketAccelerate",
        "<AccelerateConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
    ),
    plain(
        "requestPayment",
        "BucketRequestPayment",
        "<RequestPaymentConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
    ),
];

/// Answers the operations of a bucket's configuration.
pub fn handle(cx: &mut Cx<'_>) -> Outcome {
    let (name, doc) = bucket_of(cx)?;
    if cx.op == "GetBucketAcl" {
        return bucket::acl(cx);
    }
    if cx.op == "PutBucketAcl" {
        let message = "The bucket does not allow ACLs";
        return Err(ApiError::new("AccessControlListNotSupported", message));
    }
    let verb_and_noun = ["Get", "Put", "Delete"].iter().find_map(|verb| Some((*verb, cx.op.strip_prefix(verb)?)));
    let Some((verb, sort)) =
        verb_and_noun.and_then(|(verb, noun)| Some((verb, SORTS.iter().find(|s| noun.starts_with(s.noun))?)))
    else {
        return cx.unknown_operation();
    };
    match verb {
        "Get" => get(sort, &doc),
        "Put" => put(cx, &name, sort),
        _ => {
            cx.tx.update("/s3.bucket", &name, |doc| {
                if let Some(config) = doc["config"].as_object_mut() {
                    config.remove(sort.query);
                }
            });
            Ok(Reply::empty(204))
        }
    }
}

fn get(sort: &Sort, doc: &Value) -> Outcome {
    let set = doc["config"][sort.query].as_str();
    match (set, sort.missing) {
        (Some(text), _) if sort.query == "policy" => Ok(Reply::new(200, "application/json", text.to_owned())),
        (Some(text), _) => Ok(Reply::new(200, "application/xml", text.to_owned())),
        (None, Some((code, message))) => {
            Err(ApiError::new(code, message).status(404).field("BucketName", doc["Name"].clone()))
        }
        (None, None) => Ok(Reply::new(200, "application/xml", sort.default)),
    }
}

fn put(cx: &mut Cx<'_>, name: &str, sort: &Sort) -> Outcome {
    let text = String::from_utf8_lossy(&cx.request.body).into_owned();
    let malformed = || {
        ApiError::new(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    };
    let mut status = 200;
    match sort.query {
        "policy" => {
            check_policy(&text, name)?;
            status = 204;
        }
        "versioning" => {
            let body = cx.xml_body()?;
            let wanted = body.or("Status", "").to_owned();
            if !["Enabled", "Suspended"].contains(&wanted.as_str()) {
                return Err(malformed());
            }
            cx.tx.update("/s3.bucket", name, |doc| doc["Versioning"] = json!(wanted));
        }
        "ownershipControls" => {
            let body = cx.xml_body()?;
            let wanted = body.opt("Rule.ObjectOwnership");
            if !wanted.is_some_and(|o| ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"].contains(&o)) {
                return Err(malformed());
            }
        }
        "tagging" => {
            check_tags(&cx.xml_body()?)?;
            status = 204;
        }
        "lifecycle" => {
            let body = cx.xml_body()?;
            if !body.has("Rule") {
                return Err(malformed());
            }
        }
        _ => drop(cx.xml_body()?),
    }
    cx.tx.update("/s3.bucket", name, |doc| doc["config"][sort.query] = json!(text));
    Ok(Reply::empty(status))
}

/// Tags of a `Tagging` document, checked.
pub fn check_tags(body: &Params) -> Result<Vec<(String, String)>, ApiError> {
    let all: Vec<Value> = match body.at("TagSet.Tag") {
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let tags: Vec<(String, String)> = all.iter().map(|t| (text(&t["Key"]), text(&t["Value"]))).collect();
    let keys: std::collections::BTreeSet<&String> = tags.iter().map(|(key, _)| key).collect();
    let wrong = tags.iter().any(|(k, v)| k.is_empty() || k.len() > 128 || v.len() > 256 || k.starts_with("aws:"));
    if wrong || keys.len() != tags.len() {
        let message = "The TagKey you have provided is invalid, or the same key was provided twice";
        return Err(ApiError::new("InvalidTag", message));
    }
    Ok(tags)
}

fn check_policy(text: &str, bucket: &str) -> Result<(), ApiError> {
    let malformed = |message: &str| ApiError::new("MalformedPolicy", message);
    let policy: Value = serde_json::from_str(text)
        .map_err(|_| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
    let statements = match &policy["Statement"] {
        Value::Array(all) if !all.is_empty() => all.clone(),
        Value::Object(_) => vec![policy["Statement"].clone()],
        _ => return Err(malformed("Missing required field Statement")),
    };
    for statement in statements {
        for (member, other) in [("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")] {
            if statement[member].is_null() && statement[other].is_null() {
                return Err(malformed(&format!("Missing required field {member}")));
            }
        }
        let resources = match &statement["Resource"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        let own = format!("arn:aws:s3:::{bucket}");
        if resources.iter().filter_map(Value::as_str).any(|r| r != own && !r.starts_with(&format!("{own}/"))) {
            return Err(malformed("Policy has invalid resource"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::NAMESPACE;
    use super::*;

    #[test]
    fn defaults_are_in_the_name_space() {
        for sort in SORTS.iter().filter(|s| s.missing.is_none()) {
            assert!(sort.default.contains(NAMESPACE), "{}", sort.noun);
        }
    }

    #[test]
    fn policies_must_be_about_the_bucket() {
        let policy = |resource: &str| {
            json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}})
                .to_string()
        };
        assert!(check_policy(&policy("arn:aws:s3:::b/*"), "b").is_ok());
        assert_eq!(check_policy(&policy("arn:aws:s3:::other/*"), "b").unwrap_err().code, "MalformedPolicy");
        assert_eq!(check_policy("{", "b").unwrap_err().code, "MalformedPolicy");
    }
}
