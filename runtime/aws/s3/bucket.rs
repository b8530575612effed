//! `aws::s3::bucket`.

use super::{bucket_calls as calls, check_name, client};
use crate::{
    aws::{
        self,
        asked::check_region,
        object::{found, gone, remember, remembered, text, touches},
    },
    bind::{Change, Ownership, Resource},
    cx::{Cx, TAG_RESOURCE, TAG_STACK},
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An S3 bucket.
///
/// Its name is unique among all buckets of all AWS customers. Deleting it needs `--allow-delete`, and fails as long as it
/// holds objects unless `empty_on_delete` is set. Settings that the playbook does not name are not looked at, and left as AWS
/// makes them (private, encrypted, owned by the bucket's owner).
///
/// # Errors
/// The name belongs to someone else (`BucketAlreadyExists`), or to a bucket of the account that is not ours.
///
/// ```rhai
/// let bucket = aws::s3::bucket(#{
///     name: "gitpod-123456789012", ownership: "BucketOwnerEnforced", block_public_access: true,
/// });
/// ```
///
/// Stands on GetBucketTagging, CreateBucket, PutBucketTagging, Get/PutBucketOwnershipControls,
/// Get/Put/DeletePublicAccessBlock, Get/PutBucketVersioning, Get/PutBucketEncryption, ListObjectVersions, DeleteObjects,
/// ListMultipartUploads, AbortMultipartUpload, DeleteBucket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketArgs {
    /// Name: 3 to 63 lower-case letters, digits, `-` and `.`.
    pub name: String,
    /// Where it is. Default: the run's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who owns what others upload: `BucketOwnerEnforced`, `BucketOwnerPreferred` or `ObjectWriter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Whether nothing in it can ever be public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_public_access: Option<bool>,
    /// Whether old versions of objects are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioning: Option<bool>,
    /// How objects are encrypted: `AES256`, `aws:kms` or `aws:kms:dsse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Whether deleting the bucket deletes the objects in it. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_on_delete: Option<bool>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A bucket as it is. Settings that the playbook does not name are absent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BucketObserved {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Who owns what others upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Whether nothing in it can be public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_public_access: Option<bool>,
    /// Whether old versions are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioning: Option<bool>,
    /// How objects are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Whether deleting it deletes the objects in it.
    #[serde(default)]
    pub empty_on_delete: bool,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Host of the region's API: `s3.eu-west-1.amazonaws.com`.
    pub endpoint: String,
}

/// Which settings are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is read by a call of its own, or not")]
struct Watched {
    ownership: bool,
    block_public_access: bool,
    versioning: bool,
    encryption: bool,
}

/// See [`BucketArgs`].
pub struct Bucket;

#[async_trait]
impl Resource for Bucket {
    const KIND: &'static str = "aws::s3::bucket";
    type Args = BucketArgs;
    type Observed = BucketObserved;
    const REPLACE: &'static [&'static str] = &["name", "region"];
    const FIND_BY: &'static [&'static str] = &["name", "region"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const TAGGED_LATER: bool = true;
    const STATEFUL: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 600;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &BucketArgs) -> Result<()> {
        check_name(&args.name)?;
        args.region.as_deref().map_or(Ok(()), check_region)?;
        let one_of =
            |field: &str, value: Option<&str>, known: &[&str]| match value.filter(|value| !known.contains(value)) {
                None => Ok(()),
                Some(odd) => Err(Error::usage(format!("`{odd}` is no value of `{field}`"))
                    .hint(format!("use one of `{}`", known.join("`, `")))),
            };
        let owners = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
        one_of("ownership", args.ownership.as_deref(), &owners)?;
        one_of("encryption", args.encryption.as_deref(), &["AES256", "aws:kms", "aws:kms:dsse"])
    }

    async fn find(cx: &Cx, args: &BucketArgs) -> Result<Option<BucketObserved>> {
        let aws = aws::clients(cx).await?;
        let region = args.region.clone().unwrap_or_else(|| aws.region().to_owned());
        let watched = Watched {
            ownership: args.ownership.is_some(),
            block_public_access: args.block_public_access.is_some(),
            versioning: args.versioning.is_some(),
            encryption: args.encryption.is_some(),
        };
        let there = Box::pin(observe(&client(&aws, &region), &args.name, &region, watched)).await;
        let there = there.map_err(|error| {
            if error.code.as_deref() == Some("AccessDenied") { foreign(&args.name, error) } else { error }
        })?;
        Ok(there.map(|there| BucketObserved { empty_on_delete: args.empty_on_delete.unwrap_or(false), ..there }))
    }

    async fn read(cx: &Cx, last: &BucketObserved) -> Result<Option<BucketObserved>> {
        let aws = aws::clients(cx).await?;
        let set = |field: &str| remembered(cx, &key(&last.name), field);
        let watched = Watched {
            ownership: last.ownership.is_some() || set("ownership").is_some(),
            block_public_access: last.block_public_access.is_some() || set("block_public_access").is_some(),
            versioning: last.versioning.is_some() || set("versioning").is_some(),
            encryption: last.encryption.is_some() || set("encryption").is_some(),
        };
        let there = Box::pin(observe(&client(&aws, &last.region), &last.name, &last.region, watched)).await?;
        let empties = set("empty_on_delete").and_then(|value| value.as_bool()).unwrap_or(last.empty_on_delete);
        Ok(there.map(|there| BucketObserved { empty_on_delete: empties, ..there }))
    }

    fn tags(observed: &BucketObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn holds_data(cx: &Cx, observed: &BucketObserved) -> Result<bool> {
        let aws = aws::clients(cx).await?;
        let answer = calls::holds_objects(&client(&aws, &observed.region), &observed.name).await;
        Ok(found(answer)?.unwrap_or(false))
    }

    async fn create(cx: &Cx, args: &BucketArgs, _token: &str) -> Result<BucketObserved> {
        let aws = aws::clients(cx).await?;
        let region = args.region.clone().unwrap_or_else(|| aws.region().to_owned());
        let s3 = client(&aws, &region);
        let tags = cx.tags(&args.tags);
        match calls::create(&s3, &args.name, &region, args.ownership.as_deref(), &tags).await {
            Err(error) if error.code.as_deref() == Some("BucketAlreadyExists") => {
                return Err(foreign(&args.name, error));
            }
            // Only a look that found nothing leads here, so this is our own call, whose reply was lost.
            Err(error) if error.code.as_deref() != Some("BucketAlreadyOwnedByYou") => return Err(error),
            _ => {}
        }
        let there = calls::tags(&s3, &args.name).await?;
        let ours = there.get(TAG_STACK) == tags.get(TAG_STACK) && there.get(TAG_RESOURCE) == tags.get(TAG_RESOURCE);
        if !ours {
            // Servers that know no tags at creation; a bucket with others' tags or objects is theirs.
            if !there.is_empty() || calls::holds_objects(&s3, &args.name).await? {
                return Err(Error::new(
                    Class::Conflict,
                    format!("bucket `{}` exists already and is not ours", args.name),
                )
                .hint("choose another name, or take it over by adding `adopt: true` to its arguments"));
            }
            calls::set_tags(&s3, &args.name, &tags).await?;
        }
        let mut made = blank(&args.name, &region, tags);
        made.empty_on_delete = args.empty_on_delete.unwrap_or(false);
        made.ownership.clone_from(&args.ownership);
        // A new bucket keeps no versions. To suspend what was never on would leave marks of deletion behind.
        made.versioning = args.versioning.map(|_| false);
        Ok(made)
    }

    async fn update(cx: &Cx, args: &BucketArgs, observed: &BucketObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let s3 = client(&aws, &observed.region);
        let name = args.name.as_str();
        if touches(changes, "tags") {
            // The call replaces all: what others put there stays.
            let mut tags = observed.tags.clone();
            tags.extend(cx.tags(&args.tags));
            calls::set_tags(&s3, name, &tags).await?;
        }
        if let Some(ownership) = args.ownership.as_deref().filter(|_| touches(changes, "ownership")) {
            calls::set_ownership(&s3, name, ownership).await?;
        }
        if let Some(block) = args.block_public_access.filter(|_| touches(changes, "block_public_access")) {
            calls::block_public_access(&s3, name, block).await?;
        }
        if let Some(keep) = args.versioning.filter(|_| touches(changes, "versioning")) {
            calls::set_versioning(&s3, name, keep).await?;
        }
        if let Some(algorithm) = args.encryption.as_deref().filter(|_| touches(changes, "encryption")) {
            calls::set_encryption(&s3, name, algorithm).await?;
        }
        for change in changes {
            remember(cx, &key(name), &change.field, change.new.clone());
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &BucketObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let s3 = client(&aws, &observed.region);
        let delete = || async { gone(s3.delete_bucket().bucket(&observed.name).send().await.map_err(Error::from)) };
        match delete().await {
            Err(error) if error.code.as_deref() == Some("BucketNotEmpty") => {
                // Marks of deletion alone are no data.
                if !observed.empty_on_delete && calls::holds_objects(&s3, &observed.name).await? {
                    return Err(Error::failed(format!("bucket `{}` is not empty", observed.name))
                        .because(error.cause.unwrap_or_default())
                        .code("BucketNotEmpty")
                        .hint("empty it, or set `empty_on_delete: true` in the playbook and run once before"));
                }
                found(calls::empty(&s3, &observed.name, &|words: &str| cx.say(words)).await)?;
                delete().await
            }
            other => other,
        }
    }
}

fn key(name: &str) -> String {
    format!("aws::s3::bucket/{name}")
}

/// The name is taken by another account.
fn foreign(name: &str, error: Error) -> Error {
    Error::new(Class::Conflict, format!("bucket `{name}` belongs to someone else, or may not be looked at"))
        .because(error.cause.unwrap_or_default())
        .code(error.code.unwrap_or_default())
        .hint("names are unique among all AWS customers: choose one with your account's number in it")
}

async fn observe(s3: &Client, name: &str, region: &str, watched: Watched) -> Result<Option<BucketObserved>> {
    let answers = futures::try_join!(
        calls::tags(s3, name),
        async { if watched.ownership { calls::ownership(s3, name).await.map(Some) } else { Ok(None) } },
        async {
            if watched.block_public_access { calls::public_access_blocked(s3, name).await.map(Some) } else { Ok(None) }
        },
        async { if watched.versioning { calls::versioning(s3, name).await.map(Some) } else { Ok(None) } },
        async { if watched.encryption { calls::encryption(s3, name).await.map(Some) } else { Ok(None) } },
    );
    let Some((tags, ownership, block_public_access, versioning, encryption)) = found(answers)? else { return Ok(None) };
    Ok(Some(BucketObserved { ownership, block_public_access, versioning, encryption, ..blank(name, region, tags) }))
}

/// A bucket of whose settings nothing is known.
fn blank(name: &str, region: &str, tags: BTreeMap<String, String>) -> BucketObserved {
    let (partition, suffix) = match region {
        region if region.starts_with("cn-") => ("aws-cn", "amazonaws.com.cn"),
        region if region.starts_with("us-gov-") => ("aws-us-gov", "amazonaws.com"),
        _ => ("aws", "amazonaws.com"),
    };
    BucketObserved {
        name: name.to_owned(),
        region: region.to_owned(),
        ownership: None,
        block_public_access: None,
        versioning: None,
        encryption: None,
        empty_on_delete: false,
        tags,
        arn: format!("arn:{partition}:s3:::{name}"),
        endpoint: format!("s3.{region}.{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_that_nobody_names_are_no_change() {
        let there = serde_json::to_value(blank("gitpod-1", "eu-west-1", BTreeMap::new())).unwrap();
        assert_eq!(there["endpoint"], "s3.eu-west-1.amazonaws.com");
        assert_eq!(there["arn"], "arn:aws:s3:::gitpod-1");
        assert_eq!(Bucket::diff(&json!({ "name": "gitpod-1", "region": "eu-west-1" }), &there), vec![]);
        let changes = Bucket::diff(&json!({ "versioning": true, "empty_on_delete": true }), &there);
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let args = |field: &str, value: &str| -> BucketArgs {
            serde_json::from_value(json!({ "name": "gitpod-1", field: value })).unwrap()
        };
        assert!(Bucket::validate(&args("ownership", "BucketOwnerEnforced")).is_ok());
        assert!(Bucket::validate(&args("ownership", "Me")).is_err());
        assert!(Bucket::validate(&args("encryption", "rot13")).is_err());
    }
}
