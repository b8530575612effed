//! Tokens by which a cluster knows who calls: a presigned `GetCallerIdentity`, which the cluster sends to STS.
//!
//! It is made here, without any other program and without a call to AWS.

use crate::{
    aws,
    cx::Cx,
    error::{Class, Error, Result},
    secret::Secret,
};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// What every token begins with.
const PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to one cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// Validity that the signature asks for; clusters take tokens for 15 minutes whatever it says, but no longer one.
const SIGNED_FOR_S: u64 = 60;
/// Age at which a token is made anew: clusters refuse those of 15 minutes.
const RENEWED_AFTER_S: u64 = 14 * 60;

/// A token and how long it may be used.
#[derive(Debug, Clone)]
pub struct Token {
    /// Goes after `Bearer `.
    pub secret: Secret,
    /// From here on a new one is needed.
    pub expires_at: Timestamp,
}

/// Tokens of this run, by cluster.
#[derive(Default)]
struct Cache(Mutex<HashMap<String, Token>>);

/// A token for the cluster called `cluster_name` in the run's region, as the run's identity. Kept, and made anew before it
/// expires.
///
/// # Errors
/// No credentials can be had.
pub async fn token(cx: &Cx, cluster_name: &str) -> Result<Token> {
    let cache = cx.run.clients.get_or_insert(Cache::default);
    let kept = cache.0.lock().ok().and_then(|map| map.get(cluster_name).cloned());
    let now = Timestamp::now();
    if let Some(kept) = kept.filter(|kept| kept.expires_at > now) {
        return Ok(kept);
    }
    let aws = aws::clients(cx).await?;
    let provider = aws.config().credentials_provider().ok_or_else(no_credentials)?;
    let credentials = provider.provide_credentials().await.map_err(|mistake| {
        no_credentials()
            .because(std::error::Error::source(&mistake).map_or_else(|| mistake.to_string(), ToString::to_string))
    })?;
    let secret = signed(&credentials, aws.region(), cluster_name, now.into())?;
    let made = Token { secret, expires_at: expiry(now, credentials.expiry()) };
    if let Ok(mut map) = cache.0.lock() {
        map.insert(cluster_name.to_owned(), made.clone());
    }
    Ok(made)
}

/// Drops the kept token, so that the next one is made anew: a cluster has refused it.
pub fn forget(cx: &Cx, cluster_name: &str) {
    let cache = cx.run.clients.get_or_insert(Cache::default);
    if let Ok(mut map) = cache.0.lock() {
        map.remove(cluster_name);
    }
}

fn no_credentials() -> Error {
    Error::new(Class::Denied, "no AWS credentials to enter the cluster with")
        .hint("set `AWS_PROFILE` (after `aws sso login`), or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`")
}

/// A token dies with the credentials that signed it.
fn expiry(now: Timestamp, credentials: Option<SystemTime>) -> Timestamp {
    let renewal = now + Duration::from_secs(RENEWED_AFTER_S);
    let theirs = credentials.and_then(|end| Timestamp::try_from(end).ok());
    theirs.map_or(renewal, |end| end.min(renewal))
}

/// The regional STS host.
fn sts_host(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("sts.{region}.{suffix}")
}

/// The token that `credentials` sign for `cluster` at `time`.
fn signed(credentials: &Credentials, region: &str, cluster: &str, time: SystemTime) -> Result<Secret> {
    let failed = |mistake: String| Error::failed("cannot sign a token for the cluster").because(mistake);
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(SIGNED_FOR_S));
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(time)
        .settings(settings)
        .build()
        .map_err(|mistake| failed(mistake.to_string()))?
        .into();
    let url = format!("https://{}/?Action=GetCallerIdentity&Version=2011-06-15", sts_host(region));
    let headers = [(CLUSTER_HEADER, cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|mistake| failed(mistake.to_string()))?;
    let (instructions, _) = sign(request, &params).map_err(|mistake| failed(mistake.to_string()))?.into_parts();
    let mut url: url::Url = url.parse().map_err(|mistake: url::ParseError| failed(mistake.to_string()))?;
    for (name, value) in instructions.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url.as_str()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(session: Option<&str>) -> url::Url {
        let key =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", session.map(str::to_owned), None, "test");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        let token = signed(&key, "eu-west-1", "gitpod", time).unwrap();
        let encoded = token.reveal().strip_prefix("k8s-aws-v1.").unwrap().to_owned();
        assert!(!encoded.contains(['=', '+', '/']));
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap().parse().unwrap()
    }

    #[test]
    fn a_token_is_a_presigned_call_to_the_regional_sts() {
        let url = url(None);
        assert_eq!(url.host_str(), Some("sts.eu-west-1.amazonaws.com"));
        let pairs: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["Action"], "GetCallerIdentity");
        assert_eq!(pairs["X-Amz-Expires"], "60");
        assert_eq!(pairs["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert_eq!(pairs["X-Amz-Credential"], "AKIAIOSFODNN7EXAMPLE/20250615/eu-west-1/sts/aws4_request");
        assert_eq!(pairs["X-Amz-Signature"].len(), 64);
        assert!(!pairs.contains_key("X-Amz-Security-Token"));
    }

    #[test]
    fn session_credentials_send_their_token() {
        let pairs: HashMap<String, String> = url(Some("session/+=")).query_pairs().into_owned().collect();
        assert_eq!(pairs["X-Amz-Security-Token"], "session/+=");
    }

    #[test]
    fn a_token_is_renewed_before_the_cluster_refuses_it() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(expiry(now, None).as_second(), 14 * 60);
        let soon = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
        assert_eq!(expiry(now, Some(soon)).as_second(), 30);
    }

    #[test]
    fn china_has_its_own_hosts() {
        assert_eq!(sts_host("cn-north-1"), "sts.cn-north-1.amazonaws.com.cn");
    }
}
