//! S3: buckets with their configuration, objects with their versions, uploads in parts.
//!
//! Buckets live in `/s3.bucket` by name; the objects of each in a table of its own, by key, all versions in one
//! document, the oldest first.

mod bucket;
mod config;
mod delete;
mod host;
mod list;
mod multipart;
mod object;
mod version;

use serde_json::Value;

use super::http::{ApiError, Outcome, Reply};
use super::rest::{self, Route};
use super::{Cx, Protocol, Service, iam};

pub use host::path_style;

/// Simple Storage Service.
pub const SERVICE: Service = Service { name: "s3", protocol: Protocol::S3, version: None, routes: ROUTES, handle };

/// Name space of S3's answers.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

const ROUTES: &[Route] = &[
    ("GET", "/", "ListBuckets"),
    ("GET", "/{Bucket}?location", "GetBucketLocation"),
    ("GET", "/{Bucket}?uploads", "ListMultipartUploads"),
    ("GET", "/{Bucket}?versions", "ListObjectVersions"),
    ("GET", "/{Bucket}?policyStatus", "GetBucketPolicyStatus"),
    ("GET", "/{Bucket}?publicAccessBlock", "GetPublicAccessBlock"),
    ("PUT", "/{Bucket}?publicAccessBlock", "PutPublicAccessBlock"),
    ("DELETE", "/{Bucket}?publicAccessBlock", "DeletePublicAccessBlock"),
    ("GET", "/{Bucket}?ownershipControls", "GetBucketOwnershipControls"),
    ("PUT", "/{Bucket}?ownershipControls", "PutBucketOwnershipControls"),
    ("DELETE", "/{Bucket}?ownershipControls", "DeleteBucketOwnershipControls"),
    ("GET", "/{Bucket}?versioning", "GetBucketVersioning"),
    ("PUT", "/{Bucket}?versioning", "PutBucketVersioning"),
    ("GET", "/{Bucket}?encryption", "GetBucketEncryption"),
    ("PUT", "/{Bucket}?encryption", "PutBucketEncryption"),
    ("DELETE", "/{Bucket}?encryption", "DeleteBucketEncryption"),
    ("GET", "/{Bucket}?tagging", "GetBucketTagging"),
    ("PUT", "/{Bucket}?tagging", "PutBucketTagging"),
    ("DELETE", "/{Bucket}?tagging", "DeleteBucketTagging"),
    ("GET", "/{Bucket}?lifecycle", "GetBucketLifecycleConfiguration"),
    ("PUT", "/{Bucket}?lifecycle", "PutBucketLifecycleConfiguration"),
    ("DELETE", "/{Bucket}?lifecycle", "DeleteBucketLifecycle"),
    ("GET", "/{Bucket}?policy", "GetBucketPolicy"),
    ("PUT", "/{Bucket}?policy", "PutBucketPolicy"),
    ("DELETE", "/{Bucket}?policy", "DeleteBucketPolicy"),
    ("GET", "/{Bucket}?cors", "GetBucketCors"),
    ("PUT", "/{Bucket}?cors", "PutBucketCors"),
    ("DELETE", "/{Bucket}?cors", "DeleteBucketCors"),
    ("GET", "/{Bucket}?acl", "GetBucketAcl"),
    ("PUT", "/{Bucket}?acl", "PutBucketAcl"),
    ("GET", "/{Bucket}?logging", "GetBucketLogging"),
    ("PUT", "/{Bucket}?logging", "PutBucketLogging"),
    ("GET", "/{Bucket}?notification", "GetBucketNotificationConfiguration"),
    ("GET", "/{Bucket}?requestPayment", "GetBucketRequestPayment"),
    ("GET", "/{Bucket}?accelerate", "GetBucketAccelerateConfiguration"),
    ("GET", "/{Bucket}?replication", "GetBucketReplication"),
    ("GET", "/{Bucket}?website", "GetBucketWebsite"),
    ("GET", "/{Bucket}?object-lock", "GetObjectLockConfiguration"),
    ("GET", "/{Bucket}?list-type=2", "ListObjectsV2"),
    ("POST", "/{Bucket}?delete", "DeleteObjects"),
    ("GET", "/{Bucket}", "ListObjects"),
    ("HEAD", "/{Bucket}", "HeadBucket"),
    ("PUT", "/{Bucket}", "CreateBucket"),
    ("DELETE", "/{Bucket}", "DeleteBucket"),
    ("POST", "/{Bucket}/{Key+}?uploads", "CreateMultipartUpload"),
    ("POST", "/{Bucket}/{Key+}?uploadId", "CompleteMultipartUpload"),
    ("PUT", "/{Bucket}/{Key+}?uploadId&partNumber", "UploadPart"),
    ("GET", "/{Bucket}/{Key+}?uploadId", "ListParts"),
    ("DELETE", "/{Bucket}/{Key+}?uploadId", "AbortMultipartUpload"),
    ("GET", "/{Bucket}/{Key+}?tagging", "GetObjectTagging"),
    ("PUT", "/{Bucket}/{Key+}?tagging", "PutObjectTagging"),
    ("DELETE", "/{Bucket}/{Key+}?tagging", "DeleteObjectTagging"),
    ("GET", "/{Bucket}/{Key+}?acl", "GetObjectAcl"),
    ("GET", "/{Bucket}/{Key+}?attributes", "GetObjectAttributes"),
    ("GET", "/{Bucket}/{Key+}", "GetObject"),
    ("HEAD", "/{Bucket}/{Key+}", "HeadObject"),
    ("PUT", "/{Bucket}/{Key+}", "PutObject"),
    ("DELETE", "/{Bucket}/{Key+}", "DeleteObject"),
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    authorise(cx)?;
    if let Some(reply) = elsewhere(cx) {
        return Ok(reply);
    }
    match cx.op.as_str() {
        "ListBuckets" => bucket::list(cx),
        "CreateBucket" => bucket::create(cx),
        "HeadBucket" => bucket::head(cx),
        "DeleteBucket" => bucket::delete(cx),
        "GetBucketLocation" => bucket::location(cx),
        "ListObjectsV2" => list::objects_v2(cx),
        "ListObjects" => list::objects(cx),
        "ListObjectVersions" => list::versions(cx),
        "PutObject" if cx.request.header("x-amz-copy-source").is_some() => object::copy(cx),
        "PutObject" => object::put(cx),
        "GetObject" | "HeadObject" => object::get(cx),
        "GetObjectTagging" | "PutObjectTagging" | "DeleteObjectTagging" => object::tagging(cx),
        "GetObjectAcl" => bucket::acl(cx),
        "GetObjectAttributes" => object::attributes(cx),
        "DeleteObject" => delete::one(cx),
        "DeleteObjects" => delete::many(cx),
        "CreateMultipartUpload" => multipart::create(cx),
        "UploadPart" => multipart::part(cx),
        "CompleteMultipartUpload" => multipart::complete(cx),
        "AbortMultipartUpload" => multipart::abort(cx),
        "ListParts" => multipart::parts(cx),
        "ListMultipartUploads" => multipart::list(cx),
        _ => config::handle(cx),
    }
}

/// What IAM calls the operation.
fn action(op: &str, versioned: bool) -> String {
    let name = match op {
        "ListBuckets" => "ListAllMyBuckets",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "PutObject",
        "GetObject" | "HeadObject" | "GetObjectAttributes" if versioned => "GetObjectVersion",
        "HeadObject" | "GetObjectAttributes" => "GetObject",
        "DeleteObject" if versioned => "DeleteObjectVersion",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "PutBucketPublicAccessBlock",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "PutEncryptionConfiguration",
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "PutLifecycleConfiguration",
        "GetBucketCors" => "GetBucketCORS",
        "PutBucketCors" | "DeleteBucketCors" => "PutBucketCORS",
        "DeleteBucketTagging" => "PutBucketTagging",
        "DeleteBucketOwnershipControls" => "PutBucketOwnershipControls",
        other => other,
    };
    format!("s3:{name}")
}

/// Refuses what the caller's policies do not allow. `DeleteObjects` checks each of its keys itself.
fn authorise(cx: &Cx<'_>) -> Result<(), ApiError> {
    let action = action(&cx.op, cx.p.has("versionId"));
    let resource = match (cx.p.opt("Bucket"), cx.p.opt("Key")) {
        (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
        (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
        _ => "*".to_owned(),
    };
    if cx.op == "DeleteObjects" || iam::allowed(&cx.tx, &cx.caller, &action, &resource) {
        return Ok(());
    }
    Err(denied(cx, &action, &resource))
}

fn denied(cx: &Cx<'_>, action: &str, resource: &str) -> ApiError {
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: \"{resource}\" because no identity-based policy allows the {action} action",
        cx.caller.arn
    );
    ApiError::new("AccessDenied", message).status(403)
}

/// The redirection that a request gets which was signed for another region than its bucket's.
fn elsewhere(cx: &Cx<'_>) -> Option<Reply> {
    if matches!(cx.op.as_str(), "CreateBucket" | "GetBucketLocation" | "ListBuckets") {
        return None;
    }
    let bucket = cx.tx.get("/s3.bucket", cx.p.opt("Bucket")?)?;
    let region = bucket["Region"].as_str()?;
    if region == cx.region {
        return None;
    }
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.";
    let name = cx.p.or("Bucket", "");
    let error = ApiError::new("PermanentRedirect", message)
        .status(301)
        .field("Endpoint", format!("{name}.s3.{region}.amazonaws.com"))
        .field("Bucket", name);
    Some(rest::s3_error(&error, &cx.request_id).with("x-amz-bucket-region", region))
}

/// The bucket that a request names.
///
/// # Errors
/// `NoSuchBucket`, `AccessDenied` for one of another account.
fn bucket_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = cx.p.or("Bucket", "").to_owned();
    match cx.tx.get("/s3.bucket", &name) {
        Some(doc) => Ok((name, doc.clone())),
        None if bucket::of_others(&name) => Err(ApiError::new("AccessDenied", "Access Denied").status(403)),
        None => Err(ApiError::new("NoSuchBucket", "The specified bucket does not exist")
            .status(404)
            .field("BucketName", name)),
    }
}

/// The table of a bucket's objects.
fn objects(bucket: &str) -> String {
    format!("/s3.object/{bucket}")
}

/// An error of a parameter.
fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidArgument", message)
}
