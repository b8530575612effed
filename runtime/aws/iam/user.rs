//! `aws::iam::user`.

use super::{
    account::partition,
    attached::{self, Holder},
    check_name, read_tags, sent_tags,
};
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
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An IAM user: an identity for a program that needs a key of its own, as Gitpod does for its buckets.
///
/// Use it only where a role will not do. Its managed policies are kept exactly as listed. It never gets a password. Deleting
/// it deletes its access keys.
///
/// # Errors
/// A user of that name that is not ours; a policy that does not exist.
///
/// ```rhai
/// let user = aws::iam::user(#{ name: "gitpod-s3-access", policies: ["arn:aws:iam::123456789012:policy/gitpod_s3"] });
/// let key = aws::iam::access_key(#{ user: user.name });
/// ```
///
/// Stands on GetUser, ListAttachedUserPolicies, CreateUser, AttachUserPolicy, DetachUserPolicy, TagUser, ListAccessKeys,
/// DeleteAccessKey, DeleteUser.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserArgs {
    /// Name, unique in the account: 1 to 64 letters, digits and `+=,.@_-`.
    pub name: String,
    /// Managed policies: ARNs, or names of AWS's own.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A user as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserObserved {
    /// Its name.
    pub name: String,
    /// ARNs of the attached policies.
    pub policies: Vec<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Stable id: `AIDA…`.
    pub id: String,
}

/// See [`UserArgs`].
pub struct User;

#[async_trait]
impl Resource for User {
    const KIND: &'static str = "aws::iam::user";
    type Args = UserArgs;
    type Observed = UserObserved;
    const REPLACE: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &UserArgs) -> Result<()> {
        check_name("a user", &args.name, 64)
    }

    async fn find(cx: &Cx, args: &UserArgs) -> Result<Option<UserObserved>> {
        observe(cx, &args.name).await
    }

    async fn read(cx: &Cx, last: &UserObserved) -> Result<Option<UserObserved>> {
        observe(cx, &last.name).await
    }

    fn tags(observed: &UserObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut changes = compare(wanted, observed, Self::REPLACE, &["policies"]);
        attached::compare(&mut changes, &wanted["policies"], &observed["policies"]);
        changes
    }

    async fn create(cx: &Cx, args: &UserArgs, _token: &str) -> Result<UserObserved> {
        let aws = aws::clients(cx).await?;
        let tags = cx.tags(&args.tags);
        let made = aws.iam().create_user().user_name(&args.name).set_tags(Some(sent_tags(&tags)?)).send().await?;
        let user = made.user().ok_or_else(|| absent("the user"))?;
        Ok(UserObserved { tags, ..observed(user, Vec::new()) })
    }

    async fn update(cx: &Cx, args: &UserArgs, observed: &UserObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        if touches(changes, "tags") {
            let tags = sent_tags(&cx.tags(&args.tags))?;
            aws.iam().tag_user().user_name(&args.name).set_tags(Some(tags)).send().await?;
        }
        if touches(changes, "policies") {
            Holder::User(&args.name).reconcile(aws.iam(), &partition(&observed.arn), &args.policies).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &UserObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        Holder::User(&observed.name).detach_all(iam).await?;
        for id in found(key_ids(iam, &observed.name).await)?.unwrap_or_default() {
            let delete = iam.delete_access_key().user_name(&observed.name).access_key_id(id);
            gone(delete.send().await.map_err(Error::from))?;
        }
        gone(iam.delete_user().user_name(&observed.name).send().await.map_err(Error::from))
    }
}

/// Ids of the access keys of `user`.
pub(super) async fn key_ids(iam: &aws_sdk_iam::Client, user: &str) -> Result<Vec<String>> {
    let keys: Vec<aws_sdk_iam::types::AccessKeyMetadata> =
        iam.list_access_keys().user_name(user).into_paginator().items().send().try_collect().await?;
    Ok(keys.into_iter().filter_map(|key| key.access_key_id).collect())
}

async fn observe(cx: &Cx, name: &str) -> Result<Option<UserObserved>> {
    let aws = aws::clients(cx).await?;
    let iam = aws.iam();
    let answers = futures::try_join!(
        async { iam.get_user().user_name(name).send().await.map_err(Error::from) },
        Holder::User(name).attached(iam),
    );
    let Some((answer, policies)) = found(answers)? else { return Ok(None) };
    Ok(answer.user().map(|user| observed(user, policies)))
}

fn observed(user: &aws_sdk_iam::types::User, policies: Vec<String>) -> UserObserved {
    UserObserved {
        name: user.user_name().to_owned(),
        policies,
        tags: read_tags(user.tags()),
        arn: user.arn().to_owned(),
        id: user.user_id().to_owned(),
    }
}
