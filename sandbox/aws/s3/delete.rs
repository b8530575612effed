//! Objects deleted, one or many.

use serde_json::{Value, json};

use super::{NAMESPACE, bucket_of, version};
use crate::aws::http::{ApiError, Outcome, Reply};
use crate::aws::{Cx, iam};

/// What a deletion did: the version that it took, and the delete marker that it left or took.
struct Done {
    version: Option<String>,
    marker: bool,
}

fn remove(cx: &mut Cx<'_>, bucket: &str, key: &str, id: Option<&str>) -> Done {
    if let Some(id) = id {
        // A version that is not there is deleted already.
        let gone = version::remove(cx, bucket, key, id);
        return Done { version: Some(id.to_owned()), marker: gone.is_some_and(|v| v["DeleteMarker"] == json!(true)) };
    }
    let versioned = cx.tx.get("/s3.bucket", bucket).is_some_and(|doc| !doc["Versioning"].is_null());
    if versioned {
        return Done { version: version::mark_deleted(cx, bucket, key), marker: true };
    }
    version::remove(cx, bucket, key, "null");
    Done { version: None, marker: false }
}

/// `DeleteObject`.
pub fn one(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    if let Some(wanted) = cx.request.header("if-match") {
        let now = version::current(cx, &bucket, &key);
        let fits = now.is_some_and(|now| wanted == "*" || json!(wanted.trim_matches('"')) == now["ETag"]);
        if !fits {
            let message = "At least one of the pre-conditions you specified did not hold";
            return Err(ApiError::new("PreconditionFailed", message).status(412));
        }
    }
    let id = cx.p.opt("versionId").map(str::to_owned);
    let done = remove(cx, &bucket, &key, id.as_deref());
    let mut reply = Reply::empty(204);
    if done.marker {
        reply = reply.with("x-amz-delete-marker", "true");
    }
    if let Some(id) = done.version {
        reply = reply.with("x-amz-version-id", id);
    }
    Ok(reply)
}

/// `DeleteObjects`: up to a thousand, each allowed or refused by itself.
pub fn many(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let body = cx.xml_body()?;
    let wanted: Vec<Value> = match body.at("Object") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    if wanted.is_empty() || wanted.len() > 1000 {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        return Err(ApiError::new("MalformedXML", message));
    }
    let quiet = body.flag("Quiet") == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in wanted {
        let (key, id) = (object["Key"].as_str().unwrap_or_default().to_owned(), object["VersionId"].as_str());
        let action = if id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        if !iam::allowed(&cx.tx, &cx.caller, action, &format!("arn:aws:s3:::{bucket}/{key}")) {
            errors.push(json!({"Key": key, "Code": "AccessDenied", "Message": "Access Denied"}));
            continue;
        }
        let done = remove(cx, &bucket, &key, id);
        deleted.push(json!({
            "Key": key,
            "VersionId": id,
            "DeleteMarker": done.marker.then_some(true),
            "DeleteMarkerVersionId": done.version.filter(|_| done.marker),
        }));
    }
    if quiet {
        deleted.clear();
    }
    cx.xml(200, &json!({"DeleteResult": {"$xmlns": NAMESPACE, "@Deleted": deleted, "@Error": errors}}))
}
