//! Where stacks live: a folder or a bucket.

use crate::error::{Class, Error, Result};
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AwsCredentialProvider, S3ConditionalPut},
    local::LocalFileSystem,
    path::Path as Key,
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A put that is retried for longer than this would outlive the lease it is made under.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// How a bucket is reached. What is `None` comes from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or the machine's role.
#[derive(Clone, Default)]
pub struct S3Access {
    /// The bucket's region.
    pub region: Option<String>,
    /// Another server that speaks S3. Plain HTTP is allowed on the loopback address only.
    pub endpoint: Option<String>,
    /// Credentials from elsewhere: a profile, single sign-on.
    pub credentials: Option<AwsCredentialProvider>,
}

impl S3Access {
    /// Everything from the environment.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
            endpoint: variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")),
            credentials: None,
        }
    }
}

/// Where stacks live.
#[derive(Clone)]
pub struct Place(Kind);

#[derive(Clone)]
enum Kind {
    Folder(PathBuf),
    Bucket {
        bucket: String,
        prefix: String,
        store: Arc<dyn ObjectStore>,
    },
    #[cfg(test)]
    Given(Arc<dyn ObjectStore>),
}

impl Place {
    /// A folder's path, or `s3://bucket/prefix`. Touches nothing.
    pub fn parse(text: &str, aws: &S3Access) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            if text.is_empty() {
                return Err(Error::usage("the state has no place").hint("give a folder or `s3://bucket/prefix`"));
            }
            return Ok(Self(Kind::Folder(PathBuf::from(text))));
        };
        match scheme {
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/');
                if bucket.is_empty() {
                    return Err(Error::usage(format!("`{text}` names no bucket")).hint("write `s3://bucket/prefix`"));
                }
                Key::parse(prefix).map_err(|error| {
                    Error::usage(format!("`{text}` is no place for state")).because(error.to_string())
                })?;
                let store = bucket_store(text, bucket, aws)?;
                Ok(Self(Kind::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned(), store }))
            }
            "file" => Ok(Self(Kind::Folder(PathBuf::from(rest)))),
            "gs" | "gcs" => Err(Error::usage(format!("state on Google Cloud Storage (`{text}`) is not supported yet"))
                .hint("use a folder or `s3://bucket/prefix`")),
            other => Err(Error::usage(format!("`{other}://` is no place for state"))
                .hint("use a folder or `s3://bucket/prefix`")),
        }
    }

    /// A store of a test's own.
    #[cfg(test)]
    pub(super) fn given(store: Arc<dyn ObjectStore>) -> Self {
        Self(Kind::Given(store))
    }

    /// The folder, when it is one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder),
            Kind::Bucket { .. } => None,
            #[cfg(test)]
            Kind::Given(_) => None,
        }
    }

    /// Whether it is a bucket.
    pub fn is_bucket(&self) -> bool {
        matches!(self.0, Kind::Bucket { .. })
    }

    /// The stacks that have a log here, by name.
    pub async fn stacks(&self) -> Result<Vec<String>> {
        let Some(store) = self.open(false)? else { return Ok(Vec::new()) };
        let root = self.key("");
        let failed = |error: object_store::Error| super::store::failure(&format!("cannot list `{self}`"), &error);
        let listing = store.list_with_delimiter(Some(&root)).await.map_err(failed)?;
        let mut stacks = Vec::new();
        for stack in listing.common_prefixes {
            let log = stack.clone().join("log");
            if store.list(Some(&log)).try_next().await.map_err(failed)?.is_some()
                && let Some(name) = stack.filename()
            {
                stacks.push(name.to_owned());
            }
        }
        stacks.sort_unstable();
        Ok(stacks)
    }

    /// The key of `path` below this place.
    pub(super) fn key(&self, path: &str) -> Key {
        match &self.0 {
            Kind::Bucket { prefix, .. } => Key::from(format!("{prefix}/{path}")),
            Kind::Folder(_) => Key::from(path),
            #[cfg(test)]
            Kind::Given(_) => Key::from(path),
        }
    }

    /// The store; `None` when the folder does not exist and may not be made.
    pub(super) fn open(&self, make: bool) -> Result<Option<Arc<dyn ObjectStore>>> {
        match &self.0 {
            Kind::Bucket { store, .. } => Ok(Some(store.clone())),
            #[cfg(test)]
            Kind::Given(store) => Ok(Some(store.clone())),
            Kind::Folder(folder) => {
                let failed = |why: String| Error::failed(format!("cannot use the state folder `{self}`")).because(why);
                if make {
                    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
                } else if !folder.try_exists().map_err(|error| failed(error.to_string()))? {
                    return Ok(None);
                }
                if !folder.is_dir() {
                    return Err(
                        Error::new(Class::Usage, format!("`{self}` is not a folder")).hint("name another folder")
                    );
                }
                let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.to_string()))?;
                Ok(Some(Arc::new(store.with_fsync(true))))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(folder) => write!(f, "{}", folder.display()),
            Kind::Bucket { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
            #[cfg(test)]
            Kind::Given(store) => write!(f, "{store}"),
        }
    }
}

fn bucket_store(text: &str, bucket: &str, aws: &S3Access) -> Result<Arc<dyn ObjectStore>> {
    // The HTTP client finds its cryptography there; someone else may have put it there before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry);
    if let Some(region) = &aws.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &aws.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(crate::wire::is_on_this_machine(endpoint));
    }
    if let Some(credentials) = &aws.credentials {
        builder = builder.with_credentials(credentials.clone());
    }
    let store = builder
        .build()
        .map_err(|error| Error::usage(format!("cannot use `{text}` for state")).because(error.to_string()))?;
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let aws = S3Access::default();
        assert_eq!(Place::parse("a/b", &aws).unwrap().folder(), Some(Path::new("a/b")));
        let bucket = Place::parse("s3://bucket/a/b/", &aws).unwrap();
        assert_eq!(bucket.to_string(), "s3://bucket/a/b");
        assert_eq!(bucket.key("x/log").as_ref(), "a/b/x/log");
        for wrong in ["", "s3://", "s3:///prefix", "gs://bucket", "ftp://host"] {
            let Err(error) = Place::parse(wrong, &aws) else { panic!("`{wrong}` was taken") };
            assert_eq!(error.class, Class::Usage);
        }
    }
}
