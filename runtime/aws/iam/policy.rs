//! `aws::iam::policy`.

use super::{account::account, check_name, document, read_tags, sent_tags};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use aws_sdk_iam::types::PolicyVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// IAM keeps no more versions of a policy than this.
const MOST_VERSIONS: usize = 5;

/// A managed policy of the account: rights that roles and users can share.
///
/// Use it for rights that AWS has no policy for, such as those on one bucket. A changed document becomes a new default
/// version; the oldest one goes when there are five. It is never detached from roles and users that others attached it to:
/// its deletion fails instead.
///
/// # Errors
/// A policy of that name that is not ours; a document that IAM refuses (`MalformedPolicyDocument`).
///
/// ```rhai
/// let policy = aws::iam::policy(#{
///     name: "gitpod_s3_access_policy",
///     document: #{ Version: "2012-10-17", Statement: [
///         #{ Effect: "Allow", Action: ["s3:ListBucket"], Resource: "arn:aws:s3:::gitpod-1234" },
///     ] },
/// });
/// ```
///
/// Stands on GetPolicy, GetPolicyVersion, CreatePolicy, CreatePolicyVersion, ListPolicyVersions, DeletePolicyVersion,
/// TagPolicy, DeletePolicy; STS GetCallerIdentity once a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyArgs {
    /// Name, unique in the account: 1 to 128 letters, digits and `+=,.@_-`.
    pub name: String,
    /// The policy document: a map with `Version` and `Statement`.
    pub document: Value,
    /// What it is for; IAM takes it at creation only, so a later change is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A policy as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PolicyObserved {
    /// Its name.
    pub name: String,
    /// The document of the default version.
    pub document: Value,
    /// What it is for.
    pub description: Option<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Stable id: `ANPA…`.
    pub id: String,
    /// The default version: `v1`.
    pub version: String,
}

/// See [`PolicyArgs`].
pub struct Policy;

#[async_trait]
impl Resource for Policy {
    const KIND: &'static str = "aws::iam::policy";
    type Args = PolicyArgs;
    type Observed = PolicyObserved;
    const REPLACE: &'static [&'static str] = &["name"];
    const UNCOMPARED: &'static [&'static str] = &["description"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["version"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &PolicyArgs) -> Result<()> {
        check_name("a policy", &args.name, 128)?;
        if args.document.get("Statement").is_none() {
            return Err(Error::usage(format!("`document` of policy `{}` has no `Statement`", args.name)));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &PolicyArgs) -> Result<Option<PolicyObserved>> {
        let arn = account(cx).await?.arn(&format!("policy/{}", args.name));
        observe(cx, &arn, None).await
    }

    async fn read(cx: &Cx, last: &PolicyObserved) -> Result<Option<PolicyObserved>> {
        observe(cx, &last.arn, Some(last)).await
    }

    fn tags(observed: &PolicyObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut changes = compare(wanted, observed, Self::REPLACE, &["document", "description"]);
        document::compare(&mut changes, "document", &wanted["document"], &observed["document"]);
        changes
    }

    async fn create(cx: &Cx, args: &PolicyArgs, _token: &str) -> Result<PolicyObserved> {
        let aws = aws::clients(cx).await?;
        let tags = cx.tags(&args.tags);
        let made = aws
            .iam()
            .create_policy()
            .policy_name(&args.name)
            .policy_document(args.document.to_string())
            .set_description(args.description.clone())
            .set_tags(Some(sent_tags(&tags)?))
            .send()
            .await?;
        let policy = made.policy().ok_or_else(|| absent("the policy"))?;
        Ok(PolicyObserved { tags, description: args.description.clone(), ..observed(policy, args.document.clone()) })
    }

    async fn update(cx: &Cx, args: &PolicyArgs, observed: &PolicyObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        if touches(changes, "document") {
            put_document(iam, args, observed).await?;
        }
        if touches(changes, "tags") {
            iam.tag_policy().policy_arn(&observed.arn).set_tags(Some(sent_tags(&cx.tags(&args.tags))?)).send().await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &PolicyObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let (_, others) = found(versions(aws.iam(), &observed.arn).await)?.unwrap_or_default();
        for version in others {
            let delete = aws.iam().delete_policy_version().policy_arn(&observed.arn).version_id(version);
            gone(delete.send().await.map_err(Error::from))?;
        }
        gone(aws.iam().delete_policy().policy_arn(&observed.arn).send().await.map_err(Error::from))
    }
}

/// Makes the wanted document the default version, unless it is: the reply to an earlier try may have been lost.
async fn put_document(iam: &aws_sdk_iam::Client, args: &PolicyArgs, observed: &PolicyObserved) -> Result<()> {
    let arn = observed.arn.as_str();
    let (default, others) = versions(iam, arn).await?;
    if let Some(default) = default.filter(|default| *default != observed.version)
        && document::same(&args.document, &document_of(iam, arn, &default).await?)
    {
        return Ok(());
    }
    // The oldest one goes when there are as many as IAM keeps.
    if let Some(oldest) = others.last().filter(|_| others.len() + 1 >= MOST_VERSIONS) {
        gone(iam.delete_policy_version().policy_arn(arn).version_id(oldest).send().await.map_err(Error::from))?;
    }
    let create = iam.create_policy_version().policy_arn(arn).policy_document(args.document.to_string());
    create.set_as_default(true).send().await?;
    Ok(())
}

/// The default version, and the others, newest first.
async fn versions(iam: &aws_sdk_iam::Client, arn: &str) -> Result<(Option<String>, Vec<String>)> {
    let answer = iam.list_policy_versions().policy_arn(arn).send().await?;
    let id = |version: &PolicyVersion| version.version_id.clone();
    let (default, others): (Vec<_>, Vec<_>) = answer.versions().iter().partition(|it| it.is_default_version());
    let mut others: Vec<String> = others.into_iter().filter_map(id).collect();
    others.sort_by_key(|version| std::cmp::Reverse(number(version)));
    Ok((default.into_iter().find_map(id), others))
}

async fn document_of(iam: &aws_sdk_iam::Client, arn: &str, version: &str) -> Result<Value> {
    let answer = iam.get_policy_version().policy_arn(arn).version_id(version).send().await?;
    let text = answer.policy_version().and_then(PolicyVersion::document).ok_or_else(|| absent("the document"))?;
    document::parse(text)
}

/// The number in `v12`.
fn number(version: &str) -> u32 {
    version.trim_start_matches('v').parse().unwrap_or(0)
}

/// Versions never change: when the default one is the one read `last` time, its document is too, and one call suffices.
async fn observe(cx: &Cx, arn: &str, last: Option<&PolicyObserved>) -> Result<Option<PolicyObserved>> {
    let aws = aws::clients(cx).await?;
    let iam = aws.iam();
    let Some(answer) = found(iam.get_policy().policy_arn(arn).send().await.map_err(Error::from))? else {
        return Ok(None);
    };
    let policy = answer.policy().ok_or_else(|| absent("the policy"))?;
    let version = policy.default_version_id().unwrap_or("v1");
    let known = last.filter(|last| policy.policy_id() == Some(last.id.as_str()) && last.version == version);
    if let Some(last) = known {
        return Ok(Some(observed(policy, last.document.clone())));
    }
    let document = found(document_of(iam, arn, version).await)?;
    Ok(document.map(|document| observed(policy, document)))
}

fn observed(policy: &aws_sdk_iam::types::Policy, document: Value) -> PolicyObserved {
    PolicyObserved {
        name: policy.policy_name().unwrap_or_default().to_owned(),
        document,
        description: policy.description().map(str::to_owned),
        tags: read_tags(policy.tags()),
        arn: policy.arn().unwrap_or_default().to_owned(),
        id: policy.policy_id().unwrap_or_default().to_owned(),
        version: policy.default_version_id().unwrap_or("v1").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_compared_by_what_it_says() {
        let there = json!({ "name": "p", "document": { "Statement": [{ "Action": "a" }] }, "description": "old" });
        let same = json!({ "name": "p", "document": { "Statement": { "Action": ["a"] } }, "description": "new" });
        assert_eq!(Policy::diff(&same, &there), vec![]);
        let other = json!({ "name": "p", "document": { "Statement": { "Action": ["b"] } } });
        assert_eq!(Policy::diff(&other, &there)[0].field, "document");
    }

    #[test]
    fn versions_sort_by_number() {
        assert!(number("v10") > number("v9"));
    }
}
