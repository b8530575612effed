//! Objects: put, copied, read, tagged.

use bytes::Bytes;
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{NAMESPACE, bucket_of, config, denied, invalid_argument, version};
use crate::aws::http::{ApiError, Outcome, Reply, Request};
use crate::aws::signature::hex;
use crate::aws::{Cx, iam};

/// Headers that are kept with an object and given back.
const KEPT: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"];

/// The hexadecimal MD5 of a body.
pub fn md5_hex(body: &[u8]) -> String {
    hex(&Md5::digest(body))
}

fn precondition_failed(condition: &str) -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    ApiError::new("PreconditionFailed", message).status(412).field("Condition", condition)
}

fn no_such_key(cx: &Cx<'_>, bucket: &str, key: &str) -> ApiError {
    // Who may not list must not learn what is there.
    let may_list = iam::allowed(&cx.tx, &cx.caller, "s3:ListBucket", &format!("arn:aws:s3:::{bucket}"));
    if !may_list {
        return denied(cx, "s3:ListBucket", &format!("arn:aws:s3:::{bucket}"));
    }
    ApiError::new("NoSuchKey", "The specified key does not exist.").status(404).field("Key", key)
}

fn same_etag(header: &str, etag: &Value) -> bool {
    header.trim() == "*"
        || header.split(',').any(|one| json!(one.trim().trim_start_matches("W/").trim_matches('"')) == *etag)
}

/// Refuses a write whose `If-Match` or `If-None-Match` does not hold.
pub fn check_write_conditions(cx: &Cx<'_>, bucket: &str, key: &str) -> Result<(), ApiError> {
    let now = version::current(cx, bucket, key);
    if let Some(wanted) = cx.request.header("if-none-match") {
        if wanted.trim() != "*" {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(ApiError::new("NotImplemented", message).status(501));
        }
        if now.is_some() {
            return Err(precondition_failed("If-None-Match"));
        }
    }
    if let Some(wanted) = cx.request.header("if-match") {
        match &now {
            None => return Err(no_such_key(cx, bucket, key)),
            Some(now) if !same_etag(wanted, &now["ETag"]) => return Err(precondition_failed("If-Match")),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Refuses a body that is not what its sums say.
pub fn check_sums(request: &Request) -> Result<(), ApiError> {
    use base64::Engine;
    if let Some(wanted) = request.header("content-md5") {
        let sum = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&request.body));
        if sum != wanted {
            return Err(ApiError::new("BadDigest", "The Content-MD5 you specified did not match what we received."));
        }
    }
    let wanted = request.header("x-amz-content-sha256").filter(|sum| sum.len() == 64);
    if wanted.is_some_and(|wanted| hex(&sha2::Sha256::digest(&request.body)) != wanted) {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(ApiError::new("XAmzContentSHA256Mismatch", message));
    }
    Ok(())
}

/// The headers of a request that are kept with the object.
pub fn kept_headers(request: &Request) -> Map<String, Value> {
    let keep = |name: &str| KEPT.contains(&name) || name.starts_with("x-amz-meta-");
    let mut kept: Map<String, Value> = request
        .headers
        .iter()
        .filter(|(name, _)| keep(name))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    // `aws-chunked` is how it travelled, not what it is.
    if let Some(encoding) = kept.get("content-encoding").and_then(Value::as_str) {
        let rest: Vec<&str> =
            encoding.split(',').map(str::trim).filter(|e| !e.is_empty() && *e != "aws-chunked").collect();
        let rest = rest.join(",");
        if rest.is_empty() {
            kept.remove("content-encoding");
        } else {
            kept.insert("content-encoding".to_owned(), json!(rest));
        }
    }
    kept.entry("content-type").or_insert_with(|| json!("binary/octet-stream"));
    kept
}

/// Tags of the `x-amz-tagging` header.
pub fn header_tags(request: &Request) -> Vec<(String, String)> {
    let header = request.header("x-amz-tagging").unwrap_or_default();
    form_urlencoded::parse(header.as_bytes()).into_owned().collect()
}

fn check_key(key: &str) -> Result<(), ApiError> {
    if key.len() > 1024 {
        return Err(ApiError::new("KeyTooLongError", "Your key is too long"));
    }
    Ok(())
}

/// `PutObject`.
pub fn put(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    check_key(&key)?;
    check_sums(cx.request)?;
    check_write_conditions(cx, &bucket, &key)?;
    let body = cx.request.body.clone();
    let etag = md5_hex(&body);
    let new = json!({
        "ETag": etag,
        "Size": body.len(),
        "headers": kept_headers(cx.request),
        "tags": header_tags(cx.request),
        "_blob": cx.env.blobs.put(body)?,
    });
    let id = version::add(cx, &bucket, &key, new);
    Ok(written(Reply::empty(200).with("etag", format!("\"{etag}\"")), id))
}

fn written(reply: Reply, version: Option<String>) -> Reply {
    let reply = reply.with("x-amz-server-side-encryption", "AES256");
    match version {
        Some(id) => reply.with("x-amz-version-id", id),
        None => reply,
    }
}

/// Bucket, key and version of an `x-amz-copy-source` header.
fn copy_source(header: &str) -> Result<(String, String, Option<String>), ApiError> {
    let (path, id) = header.split_once("?versionId=").map_or((header, None), |(path, id)| (path, Some(id.to_owned())));
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let (bucket, key) = path.trim_start_matches('/').split_once('/').ok_or_else(|| {
        invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    })?;
    Ok((bucket.to_owned(), key.to_owned(), id))
}

/// `CopyObject`.
pub fn copy(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    check_key(&key)?;
    let (from_bucket, from_key, id) = copy_source(cx.request.header("x-amz-copy-source").unwrap_or_default())?;
    let resource = format!("arn:aws:s3:::{from_bucket}/{from_key}");
    if !iam::allowed(&cx.tx, &cx.caller, "s3:GetObject", &resource) {
        return Err(denied(cx, "s3:GetObject", &resource));
    }
    if cx.tx.get("/s3.bucket", &from_bucket).is_none() {
        return Err(ApiError::new("NoSuchBucket", "The specified bucket does not exist")
            .status(404)
            .field("BucketName", from_bucket));
    }
    let source = find(cx, &from_bucket, &from_key, id.as_deref())?;
    if let Some(wanted) = cx.request.header("x-amz-copy-source-if-match")
        && !same_etag(wanted, &source["ETag"])
    {
        return Err(precondition_failed("x-amz-copy-source-If-Match"));
    }
    check_write_conditions(cx, &bucket, &key)?;
    let replace = cx.request.header("x-amz-metadata-directive") == Some("REPLACE");
    if from_bucket == bucket && from_key == key && !replace {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(ApiError::new("InvalidRequest", message));
    }
    let body = body_of(cx, &source)?;
    let headers = if replace { json!(kept_headers(cx.request)) } else { source["headers"].clone() };
    let new = json!({
        "ETag": source["ETag"], "Size": source["Size"], "headers": headers, "tags": source["tags"],
        "_blob": cx.env.blobs.put(body)?,
    });
    let id = version::add(cx, &bucket, &key, new);
    let reply = cx.xml(200, &json!({"CopyObjectResult": {
        "$xmlns": NAMESPACE, "LastModified": cx.clock().iso_now(), "ETag": format!("\"{}\"", source["ETag"].as_str().unwrap_or_default()),
    }}))?;
    Ok(written(reply, id))
}

/// The body of a version.
pub fn body_of(cx: &Cx<'_>, version: &Value) -> Result<Bytes, ApiError> {
    Ok(cx.env.blobs.get(version["_blob"].as_str().unwrap_or_default())?)
}

/// The version of an object that a read wants.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed` for a delete marker.
pub fn find(cx: &Cx<'_>, bucket: &str, key: &str, id: Option<&str>) -> Result<Value, ApiError> {
    let Some(id) = id else {
        return version::current(cx, bucket, key).ok_or_else(|| no_such_key(cx, bucket, key));
    };
    let found = version::all(cx, bucket, key).into_iter().find(|v| v["VersionId"] == json!(id));
    match found {
        Some(v) if v["DeleteMarker"] == json!(true) => {
            let message = "The specified method is not allowed against this resource.";
            Err(ApiError::new("MethodNotAllowed", message).status(405))
        }
        Some(v) => Ok(v),
        None => Err(ApiError::new("NoSuchVersion", "The specified version does not exist.")
            .status(404)
            .field("Key", key)
            .field("VersionId", id)),
    }
}

/// `GetObject` and `HeadObject`.
pub fn get(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, doc) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    let version = find(cx, &bucket, &key, cx.p.opt("versionId"))?;
    if let Some(wanted) = cx.request.header("if-match").filter(|wanted| !same_etag(wanted, &version["ETag"])) {
        return Err(precondition_failed("If-Match").field("Given", wanted));
    }
    let modified =
        version["LastModified"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).unwrap_or_default();
    let since = |name: &str| cx.request.header(name).and_then(http_date);
    if since("if-unmodified-since").is_some_and(|at| modified.as_second() > at.as_second()) {
        return Err(precondition_failed("If-Unmodified-Since"));
    }
    let unchanged = match cx.request.header("if-none-match") {
        Some(given) => same_etag(given, &version["ETag"]),
        None => since("if-modified-since").is_some_and(|at| modified.as_second() <= at.as_second()),
    };
    let body = body_of(cx, &version)?;
    let mut reply = match (unchanged, cx.request.header("range").map(|range| byte_range(range, body.len()))) {
        (true, _) => Reply::empty(304),
        (false, None | Some(Range::Whole)) => Reply { status: 200, headers: Vec::new(), body },
        (false, Some(Range::Part(from, to))) => {
            let shown = format!("bytes {from}-{to}/{}", body.len());
            Reply { status: 206, headers: Vec::new(), body: body.slice(from..=to) }.with("content-range", shown)
        }
        (false, Some(Range::Outside)) => {
            let message = "The requested range is not satisfiable";
            return Err(ApiError::new("InvalidRange", message).status(416).field("ActualObjectSize", body.len()));
        }
    };
    for (name, value) in version["headers"].as_object().into_iter().flatten() {
        reply = reply.with(name, value.as_str().unwrap_or_default());
    }
    for (parameter, name) in
        [("response-content-type", "content-type"), ("response-content-disposition", "content-disposition")]
    {
        if let Some(value) = cx.p.opt(parameter) {
            reply.headers.retain(|(n, _)| n != name);
            reply = reply.with(name, value);
        }
    }
    if !doc["Versioning"].is_null() {
        reply = reply.with("x-amz-version-id", version["VersionId"].as_str().unwrap_or_default());
    }
    let last_modified = modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Ok(reply
        .with("etag", format!("\"{}\"", version["ETag"].as_str().unwrap_or_default()))
        .with("last-modified", last_modified)
        .with("accept-ranges", "bytes")
        .with("x-amz-server-side-encryption", "AES256"))
}

fn http_date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[derive(Debug, PartialEq)]
enum Range {
    Whole,
    Part(usize, usize),
    Outside,
}

/// The bytes that a `Range` header asks for, of a body of `length`. What is no range is ignored, as HTTP wants.
fn byte_range(header: &str, length: usize) -> Range {
    let Some((from, to)) = header.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else { return Range::Whole };
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to),
        (Ok(from), Err(_)) if to.is_empty() => (from, usize::MAX),
        (Err(_), Ok(last)) if from.is_empty() && last > 0 => (length.saturating_sub(last), usize::MAX),
        _ => return Range::Whole,
    };
    if from >= length { Range::Outside } else { Range::Part(from, to.min(length - 1)) }
}

/// The tags of an object: read, replaced, removed.
pub fn tagging(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    let found = find(cx, &bucket, &key, cx.p.opt("versionId"))?;
    if cx.op == "GetObjectTagging" {
        let tags: Vec<Value> =
            found["tags"].as_array().into_iter().flatten().map(|t| json!({"Key": t[0], "Value": t[1]})).collect();
        return cx.xml(200, &json!({"Tagging": {"$xmlns": NAMESPACE, "TagSet": {"@Tag": tags}}}));
    }
    let removing = cx.op == "DeleteObjectTagging";
    let tags = if removing { Vec::new() } else { config::check_tags(&cx.xml_body()?)? };
    if tags.len() > 10 {
        return Err(ApiError::new("BadRequest", "Object tags cannot be greater than 10"));
    }
    cx.tx.update(&super::objects(&bucket), &key, |doc| {
        for version in doc["versions"].as_array_mut().into_iter().flatten() {
            if version["VersionId"] == found["VersionId"] {
                version["tags"] = json!(tags);
            }
        }
    });
    Ok(Reply::empty(if removing { 204 } else { 200 }))
}

/// `GetObjectAttributes`.
pub fn attributes(cx: &mut Cx<'_>) -> Outcome {
    let (bucket, _) = bucket_of(cx)?;
    let key = cx.p.or("Key", "").to_owned();
    let found = find(cx, &bucket, &key, cx.p.opt("versionId"))?;
    cx.xml(
        200,
        &json!({"GetObjectAttributesResponse": {
            "$xmlns": NAMESPACE, "ETag": found["ETag"], "ObjectSize": found["Size"], "StorageClass": "STANDARD",
        }}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(byte_range("bytes=0-3", 10), Range::Part(0, 3));
        assert_eq!(byte_range("bytes=8-", 10), Range::Part(8, 9));
        assert_eq!(byte_range("bytes=-4", 10), Range::Part(6, 9));
        assert_eq!(byte_range("bytes=4-100", 10), Range::Part(4, 9));
        assert_eq!(byte_range("bytes=10-", 10), Range::Outside);
        assert_eq!(byte_range("lines=1-2", 10), Range::Whole);
    }

    #[test]
    fn etags_with_and_without_quotes() {
        assert!(
            same_etag("\"abc\"", &json!("abc")) && same_etag("x, abc", &json!("abc")) && same_etag("*", &json!("q"))
        );
        assert!(!same_etag("\"abd\"", &json!("abc")));
    }

    #[test]
    fn sources_of_copies() {
        let (bucket, key, id) = copy_source("/b/a%20b/c?versionId=7").unwrap();
        assert_eq!((bucket.as_str(), key.as_str(), id.as_deref()), ("b", "a b/c", Some("7")));
        assert!(copy_source("b").is_err());
    }
}
