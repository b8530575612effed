//! The single calls behind `aws::s3::bucket`: each setting is read and written by a call of its own.

use crate::{
    aws::object::gone,
    error::{Error, Result},
};
use aws_sdk_s3::{
    Client,
    operation::list_object_versions::ListObjectVersionsOutput,
    types::{
        BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, Delete, ObjectIdentifier,
        ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
        ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
        ServerSideEncryptionRule, Tag, Tagging, VersioningConfiguration,
    },
};
use std::collections::BTreeMap;

/// The region that takes no location.
const FIRST_REGION: &str = "us-east-1";

/// The answer to a call, with `instead` where the cloud says by `code` that the setting was never set.
fn or_unset<T>(answer: Result<T>, code: &str, instead: T) -> Result<T> {
    match answer {
        Err(error) if error.code.as_deref() == Some(code) => Ok(instead),
        other => other,
    }
}

/// A builder's complaint, which means that we filled it wrongly.
fn built<T, E: std::fmt::Display>(value: Result<T, E>) -> Result<T> {
    value.map_err(|mistake| Error::failed("a call to S3 is incomplete").because(mistake.to_string()))
}

fn sent_tags(tags: &BTreeMap<String, String>) -> Result<Vec<Tag>> {
    tags.iter().map(|(key, value)| built(Tag::builder().key(key).value(value).build())).collect()
}

/// Makes the bucket with its tags, in one call.
pub async fn create(
    s3: &Client,
    bucket: &str,
    region: &str,
    ownership: Option<&str>,
    tags: &BTreeMap<String, String>,
) -> Result<()> {
    let place = (region != FIRST_REGION).then(|| BucketLocationConstraint::from(region));
    let ownership = ownership.map(ObjectOwnership::from);
    let create = || s3.create_bucket().bucket(bucket).set_object_ownership(ownership.clone());
    let place = CreateBucketConfiguration::builder().set_location_constraint(place);
    let place = place.set_tags(Some(sent_tags(tags)?)).build();
    match create().create_bucket_configuration(place).send().await.map_err(Error::from) {
        // Servers that know no tags at creation miss the location.
        Err(error) if region == FIRST_REGION && error.code.as_deref() == Some("MalformedXML") => {
            create().send().await?;
        }
        other => drop(other?),
    }
    Ok(())
}

/// Its tags; an error of class `NotFound` when there is no bucket.
pub async fn tags(s3: &Client, bucket: &str) -> Result<BTreeMap<String, String>> {
    let answer = s3.get_bucket_tagging().bucket(bucket).send().await.map_err(Error::from).map(|answer| answer.tag_set);
    let tags = or_unset(answer, "NoSuchTagSet", Vec::new())?;
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Replaces all its tags.
pub async fn set_tags(s3: &Client, bucket: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    let tagging = built(Tagging::builder().set_tag_set(Some(sent_tags(tags)?)).build())?;
    s3.put_bucket_tagging().bucket(bucket).tagging(tagging).send().await?;
    Ok(())
}

/// Who owns what others upload.
pub async fn ownership(s3: &Client, bucket: &str) -> Result<String> {
    let answer = s3.get_bucket_ownership_controls().bucket(bucket).send().await.map_err(Error::from);
    let rules = answer.map(|answer| answer.ownership_controls.map(|controls| controls.rules).unwrap_or_default());
    let rules = or_unset(rules, "OwnershipControlsNotFoundError", Vec::new())?;
    Ok(rules.first().map_or("ObjectWriter", |rule| rule.object_ownership().as_str()).to_owned())
}

/// Sets who owns what others upload.
pub async fn set_ownership(s3: &Client, bucket: &str, ownership: &str) -> Result<()> {
    let rule = built(OwnershipControlsRule::builder().object_ownership(ObjectOwnership::from(ownership)).build())?;
    let controls = built(OwnershipControls::builder().rules(rule).build())?;
    s3.put_bucket_ownership_controls().bucket(bucket).ownership_controls(controls).send().await?;
    Ok(())
}

/// Whether all four public accesses are blocked.
pub async fn public_access_blocked(s3: &Client, bucket: &str) -> Result<bool> {
    let answer = s3.get_public_access_block().bucket(bucket).send().await.map_err(Error::from);
    let block = answer.map(|answer| answer.public_access_block_configuration);
    let block = or_unset(block, "NoSuchPublicAccessBlockConfiguration", None)?;
    let all = |block: PublicAccessBlockConfiguration| {
        [block.block_public_acls, block.ignore_public_acls, block.block_public_policy, block.restrict_public_buckets]
            == [Some(true); 4]
    };
    Ok(block.is_some_and(all))
}

/// Blocks all four public accesses, or none.
pub async fn block_public_access(s3: &Client, bucket: &str, block: bool) -> Result<()> {
    if !block {
        return gone(s3.delete_public_access_block().bucket(bucket).send().await.map_err(Error::from));
    }
    let all = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    s3.put_public_access_block().bucket(bucket).public_access_block_configuration(all).send().await?;
    Ok(())
}

/// Whether old versions of objects are kept.
pub async fn versioning(s3: &Client, bucket: &str) -> Result<bool> {
    let answer = s3.get_bucket_versioning().bucket(bucket).send().await?;
    Ok(answer.status() == Some(&BucketVersioningStatus::Enabled))
}

/// Keeps old versions of objects, or stops keeping them.
pub async fn set_versioning(s3: &Client, bucket: &str, keep: bool) -> Result<()> {
    let status = if keep { BucketVersioningStatus::Enabled } else { BucketVersioningStatus::Suspended };
    let versioning = VersioningConfiguration::builder().status(status).build();
    s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioning).send().await?;
    Ok(())
}

/// How objects are encrypted.
pub async fn encryption(s3: &Client, bucket: &str) -> Result<String> {
    let answer = s3.get_bucket_encryption().bucket(bucket).send().await.map_err(Error::from);
    let rules =
        answer.map(|answer| answer.server_side_encryption_configuration.map(|one| one.rules).unwrap_or_default());
    let rules = or_unset(rules, "ServerSideEncryptionConfigurationNotFoundError", Vec::new())?;
    let default = rules.first().and_then(|rule| rule.apply_server_side_encryption_by_default());
    Ok(default.map_or("", |default| default.sse_algorithm().as_str()).to_owned())
}

/// Sets how objects are encrypted.
pub async fn set_encryption(s3: &Client, bucket: &str, algorithm: &str) -> Result<()> {
    let by_default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::from(algorithm));
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(built(by_default.build())?);
    let rules = built(ServerSideEncryptionConfiguration::builder().rules(rule.build()).build())?;
    s3.put_bucket_encryption().bucket(bucket).server_side_encryption_configuration(rules).send().await?;
    Ok(())
}

/// Whether it holds any object, old version or mark of deletion.
pub async fn holds_objects(s3: &Client, bucket: &str) -> Result<bool> {
    let mut pages = s3.list_object_versions().bucket(bucket).max_keys(1000);
    // Marks of deletion hold nothing.
    loop {
        let page = pages.clone().send().await?;
        if !page.versions().is_empty() {
            return Ok(true);
        }
        if page.is_truncated() != Some(true) {
            return Ok(false);
        }
        pages = pages
            .set_key_marker(page.next_key_marker().map(str::to_owned))
            .set_version_id_marker(page.next_version_id_marker().map(str::to_owned));
    }
}

/// Deletes every version of one object and its marks of deletion.
pub async fn forget_object(s3: &Client, bucket: &str, key: &str) -> Result<()> {
    let page = s3.list_object_versions().bucket(bucket).prefix(key).send().await?;
    let objects = identifiers(&page)?.into_iter().filter(|object| object.key() == key).collect();
    delete(s3, bucket, objects).await
}

/// Deletes all objects, old versions, marks of deletion and unfinished uploads.
pub async fn empty(s3: &Client, bucket: &str, say: &(dyn Fn(&str) + Send + Sync)) -> Result<()> {
    let mut deleted = 0;
    loop {
        // What is deleted no longer stands on the first page.
        let page = s3.list_object_versions().bucket(bucket).max_keys(1000).send().await?;
        let objects = identifiers(&page)?;
        if objects.is_empty() {
            break;
        }
        deleted += objects.len();
        delete(s3, bucket, objects).await?;
        say(&format!("deleted {deleted} objects"));
    }
    let uploads = s3.list_multipart_uploads().bucket(bucket).send().await?;
    for upload in uploads.uploads() {
        let abort = s3.abort_multipart_upload().bucket(bucket).set_key(upload.key.clone());
        gone(abort.set_upload_id(upload.upload_id.clone()).send().await.map_err(Error::from))?;
    }
    Ok(())
}

/// The versions and marks of deletion on a page.
fn identifiers(page: &ListObjectVersionsOutput) -> Result<Vec<ObjectIdentifier>> {
    let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
    let marks = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
    let identifier = |(key, version): (Option<&str>, Option<&str>)| {
        let object =
            ObjectIdentifier::builder().key(key.unwrap_or_default()).set_version_id(version.map(str::to_owned));
        built(object.build())
    };
    versions.chain(marks).map(identifier).collect()
}

async fn delete(s3: &Client, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let delete = built(Delete::builder().set_objects(Some(objects)).quiet(true).build())?;
    let answer = s3.delete_objects().bucket(bucket).delete(delete).send().await?;
    let Some(left) = answer.errors().first() else { return Ok(()) };
    let why = format!("{}: {}", left.code().unwrap_or("unknown"), left.message().unwrap_or_default());
    let key = left.key().unwrap_or_default();
    Err(Error::failed(format!("cannot delete `{key}` in bucket `{bucket}`")).because(why))
}
