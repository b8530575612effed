//! `aws::iam::oidc_provider`.

use super::{account::account, read_tags, sent_tags};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Error, Result},
    value::revealed,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Whom tokens of service accounts are made out to.
const STS: &str = "sts.amazonaws.com";

/// An OIDC identity provider: lets service accounts of the cluster assume IAM roles.
///
/// Use it with a cluster's `issuer`; the trust policy of each role then names the service account. There is one per issuer
/// and account. Audiences are kept exactly as listed.
///
/// # Errors
/// A provider of that issuer that is not ours; an issuer that cannot be reached by AWS.
///
/// ```rhai
/// let provider = aws::iam::oidc_provider(#{ name: "gitpod", url: cluster.issuer });
/// let subject = `${provider.issuer}:sub`;
/// ```
///
/// Stands on GetOpenIDConnectProvider, CreateOpenIDConnectProvider, AddClientIDToOpenIDConnectProvider,
/// RemoveClientIDFromOpenIDConnectProvider, UpdateOpenIDConnectProviderThumbprint, TagOpenIDConnectProvider,
/// DeleteOpenIDConnectProvider; STS GetCallerIdentity once a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcProviderArgs {
    /// The issuer's URL: `https://oidc.eks.eu-west-1.amazonaws.com/id/…`.
    pub url: String,
    /// What plans call it, as the URL is not known before the cluster is there. Default: the URL without `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom tokens must be made out to. Default: `["sts.amazonaws.com"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// SHA-1 fingerprints of the issuer's certificate authority, 40 hex digits each. Default: AWS finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprints: Option<Vec<String>>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A provider as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OidcProviderObserved {
    /// The issuer's URL.
    pub url: String,
    /// Whom tokens must be made out to.
    pub audiences: Vec<String>,
    /// Fingerprints of the certificate authority.
    pub thumbprints: Vec<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN, which trust policies name as `Federated`.
    pub arn: String,
    /// The URL without `https://`, which conditions of trust policies begin with.
    pub issuer: String,
}

/// See [`OidcProviderArgs`].
pub struct OidcProvider;

#[async_trait]
impl Resource for OidcProvider {
    const KIND: &'static str = "aws::iam::oidc_provider";
    type Args = OidcProviderArgs;
    type Observed = OidcProviderObserved;
    const REPLACE: &'static [&'static str] = &["url"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        // In a plan the URL may not be known yet: then its marker stands for it.
        text(args, "name").or_else(|| text(args, "url").map(|url| issuer(&url).to_owned()))
    }

    fn validate(args: &OidcProviderArgs) -> Result<()> {
        if !args.url.starts_with("https://") || issuer(&args.url).is_empty() {
            return Err(Error::usage(format!("`{}` is no issuer", args.url)).hint("`url` begins with `https://`"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &OidcProviderArgs) -> Result<Option<OidcProviderObserved>> {
        let arn = account(cx).await?.arn(&format!("oidc-provider/{}", issuer(&args.url)));
        observe(cx, &arn).await
    }

    async fn read(cx: &Cx, last: &OidcProviderObserved) -> Result<Option<OidcProviderObserved>> {
        observe(cx, &last.arn).await
    }

    fn tags(observed: &OidcProviderObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut wanted = wanted.clone();
        if let Some(url) = wanted.get("url").map(revealed).as_ref().and_then(Value::as_str) {
            wanted["url"] = Value::String(format!("https://{}", issuer(url)));
        }
        compare(&wanted, observed, Self::REPLACE, Self::UNCOMPARED)
    }

    async fn create(cx: &Cx, args: &OidcProviderArgs, _token: &str) -> Result<OidcProviderObserved> {
        let aws = aws::clients(cx).await?;
        let tags = cx.tags(&args.tags);
        let audiences = args.audiences.clone().unwrap_or_else(|| vec![STS.to_owned()]);
        let made = aws
            .iam()
            .create_open_id_connect_provider()
            .url(&args.url)
            .set_client_id_list(Some(audiences.clone()))
            .set_thumbprint_list(args.thumbprints.clone())
            .set_tags(Some(sent_tags(&tags)?))
            .send()
            .await?;
        Ok(OidcProviderObserved {
            url: format!("https://{}", issuer(&args.url)),
            audiences,
            thumbprints: args.thumbprints.clone().unwrap_or_default(),
            tags,
            arn: made.open_id_connect_provider_arn().ok_or_else(|| absent("the provider's ARN"))?.to_owned(),
            issuer: issuer(&args.url).to_owned(),
        })
    }

    async fn update(
        cx: &Cx,
        args: &OidcProviderArgs,
        observed: &OidcProviderObserved,
        changes: &[Change],
    ) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        let arn = &observed.arn;
        if touches(changes, "audiences") {
            let wanted = args.audiences.clone().unwrap_or_default();
            for id in wanted.iter().filter(|id| !observed.audiences.contains(id)) {
                iam.add_client_id_to_open_id_connect_provider()
                    .open_id_connect_provider_arn(arn)
                    .client_id(id)
                    .send()
                    .await?;
            }
            for id in observed.audiences.iter().filter(|id| !wanted.contains(id)) {
                iam.remove_client_id_from_open_id_connect_provider()
                    .open_id_connect_provider_arn(arn)
                    .client_id(id)
                    .send()
                    .await?;
            }
        }
        if touches(changes, "thumbprints") {
            iam.update_open_id_connect_provider_thumbprint()
                .open_id_connect_provider_arn(arn)
                .set_thumbprint_list(Some(args.thumbprints.clone().unwrap_or_default()))
                .send()
                .await?;
        }
        if touches(changes, "tags") {
            iam.tag_open_id_connect_provider()
                .open_id_connect_provider_arn(arn)
                .set_tags(Some(sent_tags(&cx.tags(&args.tags))?))
                .send()
                .await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &OidcProviderObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let delete = aws.iam().delete_open_id_connect_provider().open_id_connect_provider_arn(&observed.arn);
        gone(delete.send().await.map_err(Error::from))
    }
}

/// A URL without its scheme and final slash.
fn issuer(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/')
}

async fn observe(cx: &Cx, arn: &str) -> Result<Option<OidcProviderObserved>> {
    let aws = aws::clients(cx).await?;
    let get = aws.iam().get_open_id_connect_provider().open_id_connect_provider_arn(arn);
    let Some(there) = found(get.send().await.map_err(Error::from))? else { return Ok(None) };
    let issuer = issuer(there.url().unwrap_or_default()).to_owned();
    Ok(Some(OidcProviderObserved {
        url: format!("https://{issuer}"),
        audiences: there.client_id_list().to_vec(),
        thumbprints: there.thumbprint_list().to_vec(),
        tags: read_tags(there.tags()),
        arn: arn.to_owned(),
        issuer,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn urls_are_compared_without_their_ends() {
        let there = json!({ "url": "https://oidc/id/1", "audiences": ["sts.amazonaws.com"] });
        assert_eq!(OidcProvider::diff(&json!({ "url": "https://oidc/id/1/", "name": "x" }), &there), vec![]);
        assert_eq!(OidcProvider::diff(&json!({ "url": "https://oidc/id/2" }), &there).len(), 1);
    }

    #[test]
    fn a_name_stands_for_a_url_that_is_not_known_yet() {
        assert_eq!(OidcProvider::name(&json!({ "url": "https://a/b" })).as_deref(), Some("a/b"));
        let unknown = crate::value::unknown("cluster.issuer");
        assert_eq!(OidcProvider::name(&json!({ "url": unknown, "name": "gitpod" })).as_deref(), Some("gitpod"));
        assert!(OidcProvider::name(&json!({ "url": unknown })).is_some());
    }
}
