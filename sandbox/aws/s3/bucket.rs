//! Buckets: made, listed, deleted.

use serde_json::{Value, json};

use super::{NAMESPACE, bucket_of, objects};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome, Reply};

/// Names that belong to other accounts, as all the short and good ones do.
const OF_OTHERS: &[&str] = &[
    "bucket",
    "data",
    "demo",
    "development",
    "example",
    "gitpod",
    "gitpod-data",
    "gitpod-storage",
    "my-bucket",
    "production",
    "staging",
    "storage",
    "taken",
    "test",
    "test-bucket",
];

/// Whether another account has a bucket of this name.
pub fn of_others(name: &str) -> bool {
    OF_OTHERS.contains(&name)
}

/// Refuses names that no bucket can have.
fn check_name(name: &str) -> Result<(), ApiError> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fine = (3..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
        && edge(name.chars().next())
        && edge(name.chars().last())
        && !name.contains("..")
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias")
        && name.parse::<std::net::Ipv4Addr>().is_err();
    if fine {
        return Ok(());
    }
    Err(ApiError::new("InvalidBucketName", "The specified bucket is not valid.").field("BucketName", name))
}

/// The region of a new bucket, from the region of the request and the constraint in its body.
fn region(cx: &Cx<'_>) -> Result<String, ApiError> {
    let given =
        if cx.request.body.is_empty() { None } else { cx.xml_body()?.opt("LocationConstraint").map(str::to_owned) };
    let given = given.filter(|text| !text.is_empty());
    let illegal = |message: String| ApiError::new("IllegalLocationConstraintException", message);
    match given.as_deref() {
        None if cx.region == "us-east-1" => Ok(cx.region.clone()),
        None => Err(illegal(
            "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.".to_owned(),
        )),
        Some("us-east-1") => {
            let message = "The specified location-constraint is not valid";
            Err(ApiError::new("InvalidLocationConstraint", message).field("LocationConstraint", "us-east-1"))
        }
        Some("EU") => Ok("eu-west-1".to_owned()),
        Some(region) if region == cx.region || cx.region == "us-east-1" => Ok(region.to_owned()),
        Some(region) => Err(illegal(format!(
            "The {region} location constraint is incompatible for the region specific endpoint this request was sent to."
        ))),
    }
}

/// `CreateBucket`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.or("Bucket", "").to_owned();
    check_name(&name)?;
    let region = region(cx)?;
    if of_others(&name) {
        let message = "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
        return Err(ApiError::new("BucketAlreadyExists", message).status(409).field("BucketName", name));
    }
    let made = Reply::empty(200).with("location", format!("/{name}"));
    if let Some(bucket) = cx.tx.get("/s3.bucket", &name) {
        // For reasons of history us-east-1 takes a repetition for a success.
        if region == "us-east-1" && bucket["Region"] == json!("us-east-1") {
            return Ok(made);
        }
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(ApiError::new("BucketAlreadyOwnedByYou", message).status(409).field("BucketName", name));
    }
    if cx.tx.scan("/s3.bucket").count() >= cx.env.quota("s3", "L-DC2B2D3D") {
        return Err(ApiError::new("TooManyBuckets", "You have attempted to create more buckets than allowed"));
    }
    let ownership = cx.request.header("x-amz-object-ownership").unwrap_or("BucketOwnerEnforced");
    let config = json!({
        "publicAccessBlock": format!(
            "<PublicAccessBlockConfiguration xmlns=\"{NAMESPACE}\"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        ),
        "ownershipControls": format!(
            "<OwnershipControls xmlns=\"{NAMESPACE}\"><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
        ),
        "encryption": format!(
            "<ServerSideEncryptionConfiguration xmlns=\"{NAMESPACE}\"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
        ),
    });
    let doc = json!({
        "Name": name, "CreationDate": cx.clock().iso_now(), "Region": region, "Versioning": null, "config": config,
    });
    cx.tx.put("/s3.bucket", &name, doc);
    Ok(made)
}

/// `HeadBucket`.
pub fn head(cx: &mut Cx<'_>) -> Outcome {
    let (_, bucket) = bucket_of(cx)?;
    Ok(Reply::empty(200).with("x-amz-bucket-region", bucket["Region"].as_str().unwrap_or_default()))
}

/// `DeleteBucket`: only an empty one, versions and delete markers included.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = bucket_of(cx)?;
    if cx.tx.any(&objects(&name), |_| true) {
        let message = "The bucket you tried to delete is not empty";
        return Err(ApiError::new("BucketNotEmpty", message).status(409).field("BucketName", name));
    }
    let uploads = cx.tx.select("/s3.upload", |upload| upload["Bucket"] == json!(name));
    for upload in uploads {
        super::multipart::forget(cx, &upload);
    }
    cx.tx.delete("/s3.bucket", &name);
    Ok(Reply::empty(204))
}

/// `ListBuckets`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let prefix = cx.p.or("prefix", "").to_owned();
    let region = cx.p.opt("bucket-region").map(str::to_owned);
    let all: Vec<Value> = cx
        .tx
        .select("/s3.bucket", |_| true)
        .into_iter()
        .filter(|b| b["Name"].as_str().is_some_and(|n| n.starts_with(&prefix)))
        .filter(|b| region.as_ref().is_none_or(|r| b["Region"] == json!(r)))
        .map(|b| json!({"Name": b["Name"], "CreationDate": b["CreationDate"], "BucketRegion": b["Region"]}))
        .collect();
    let size = cx.p.int("max-buckets")?;
    let (page, next) = crate::aws::query::page(all, size, cx.p.opt("continuation-token"), "InvalidArgument")?;
    cx.xml(
        200,
        &json!({"ListAllMyBucketsResult": {
            "$xmlns": NAMESPACE,
            "Owner": {"ID": cx.account, "DisplayName": "sandbox"},
            "Buckets": {"@Bucket": page},
            "ContinuationToken": next,
        }}),
    )
}

/// `GetBucketLocation`: empty for us-east-1.
pub fn location(cx: &mut Cx<'_>) -> Outcome {
    let (_, bucket) = bucket_of(cx)?;
    let region = bucket["Region"].as_str().filter(|region| *region != "us-east-1").unwrap_or_default();
    cx.xml(200, &json!({"LocationConstraint": {"$xmlns": NAMESPACE, "#": region}}))
}

/// The access control list that everything has whose owner is enforced: the owner may do everything.
pub fn acl(cx: &mut Cx<'_>) -> Outcome {
    bucket_of(cx)?;
    let owner = json!({"ID": cx.account, "DisplayName": "sandbox"});
    let grantee = json!({
        "$xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "$xsi:type": "CanonicalUser",
        "ID": cx.account, "DisplayName": "sandbox",
    });
    cx.xml(
        200,
        &json!({"AccessControlPolicy": {
            "$xmlns": NAMESPACE,
            "Owner": owner,
            "AccessControlList": {"@Grant": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]},
        }}),
    )
}
