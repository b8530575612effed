//! `aws::s3::try_access`.

use super::{bucket_calls::forget_object, check_name, client};
use crate::{
    aws::{self, asked::check_region},
    bind::{Action, Todo},
    cx::Cx,
    error::{Class, Error, Result},
    secret::Secret,
};
use async_trait::async_trait;
use aws_sdk_s3::{Client, primitives::ByteStream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often a key is tried that AWS does not know yet, and how long between.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_secs(3);

/// Proves that an access key can use a bucket: lists, uploads an object, lists it, deletes it, and sees it gone.
///
/// Use it right after making a key, so that a missing right is found in seconds and not by Gitpod. It is done once for each
/// key. It touches no object but its own. A key that was just made is tried for up to a minute, until all of AWS knows it.
///
/// # Errors
/// The key lacks a right on the bucket; the words say which call failed.
///
/// ```rhai
/// aws::s3::try_access(#{
///     bucket: bucket.name, region: bucket.region, key: "gitpod-play-test",
///     access_key_id: key.id, secret_access_key: key.secret,
/// });
/// ```
///
/// Stands on, with that key: ListObjectsV2, PutObject, DeleteObject. Where the bucket keeps versions, those of the object are
/// deleted afterwards, with the run's own identity: ListObjectVersions, DeleteObjects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TryAccessArgs {
    /// Name of the bucket.
    pub bucket: String,
    /// Where it is.
    pub region: String,
    /// Id of the access key.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: Secret,
    /// Key of the object that is uploaded and deleted. Default: `gitpod-play-test`.
    #[serde(default = "test_object")]
    pub key: String,
}

fn test_object() -> String {
    "gitpod-play-test".to_owned()
}

/// The proof.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TryAccessOutput {
    /// Always true: a failure is an error.
    pub ok: bool,
}

/// See [`TryAccessArgs`].
pub struct TryAccess;

#[async_trait]
impl Action for TryAccess {
    const NAME: &'static str = "aws::s3::try_access";
    type Args = TryAccessArgs;
    type Output = TryAccessOutput;
    const ONCE: bool = true;

    async fn pending(_cx: &Cx, args: &TryAccessArgs) -> Result<Todo<TryAccessOutput>> {
        Ok(Todo::Needed(format!(
            "list, upload and delete in bucket `{}` with key `{}`",
            args.bucket, args.access_key_id
        )))
    }

    async fn perform(cx: &Cx, args: &TryAccessArgs) -> Result<TryAccessOutput> {
        check_name(&args.bucket)?;
        check_region(&args.region)?;
        let aws = aws::clients(cx).await?;
        let s3 = aws.s3_as(&args.region, &args.access_key_id, args.secret_access_key.reveal());
        let mut tries = 0;
        loop {
            let error = match attempt(&s3, args).await {
                Ok(versioned) => {
                    if versioned {
                        // The key may not, and what is left would keep the bucket from being deleted.
                        forget_object(&client(&aws, &args.region), &args.bucket, &args.key).await?;
                    }
                    return Ok(TryAccessOutput { ok: true });
                }
                Err(error) => error,
            };
            tries += 1;
            if error.class != Class::Denied || tries >= TRIES {
                return Err(error.context(format!("key `{}` cannot use bucket `{}`", args.access_key_id, args.bucket)));
            }
            cx.say("waiting until AWS knows the new key and its rights");
            cx.sleep(BETWEEN).await?;
        }
    }
}

/// Whether the bucket keeps the versions of what was deleted.
async fn attempt(s3: &Client, args: &TryAccessArgs) -> Result<bool> {
    listed(s3, args).await?;
    let body = ByteStream::from_static(b"written by gitpod-play to see whether it may; can be deleted\n");
    let written = s3.put_object().bucket(&args.bucket).key(&args.key).body(body).send().await?;
    if !listed(s3, args).await? {
        return Err(Error::failed(format!("object `{}` was uploaded and is not listed", args.key)));
    }
    s3.delete_object().bucket(&args.bucket).key(&args.key).send().await?;
    if listed(s3, args).await? {
        return Err(Error::failed(format!("object `{}` was deleted and is still listed", args.key)));
    }
    Ok(written.version_id().is_some())
}

/// Whether the object is there, as a list says.
async fn listed(s3: &Client, args: &TryAccessArgs) -> Result<bool> {
    let page = s3.list_objects_v2().bucket(&args.bucket).prefix(&args.key).send().await?;
    Ok(page.contents().iter().any(|object| object.key() == Some(args.key.as_str())))
}
