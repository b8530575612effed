//! `aws::iam::access_key`.
//!
//! IAM tells a key's secret once, in the answer to its creation, and keys carry no tags. So that a key whose answer was lost
//! is found and replaced, and a key that someone made by hand is never touched, the *user* is tagged: before the creation
//! with the keys that were there already, after it with the key made. A user that is not of this stack is not tagged: what
//! was there is remembered as long as the run lives.

use super::{read_tags, sent_tags, user::key_ids};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, remember, remembered, text},
    },
    bind::{Change, Ownership, Resource},
    cx::{Cx, TAG_STACK},
    error::{Error, Result},
    secret::Secret,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KIND: &str = "aws::iam::access_key";
/// Tag of the user that names its key, or what was there before it.
const TAG_KEY: &str = "gitpod-play/access-key";
/// Begins the tag's value as long as the key is being made.
const MAKING: &str = "making-besides:";
/// Under which the keys are remembered that were there before one was made.
const BEFORE: &str = "before";

/// An access key of an IAM user of ours.
///
/// Use it for a program that can take nothing but a key. The secret is kept, encrypted, in the stack's state: nobody tells
/// it again. When the state does not know it, the key is made anew, and the one of which only the id is known is deleted;
/// keys that someone else made for the user stay.
///
/// # Errors
/// The user has two keys already (`LimitExceeded`), or does not exist.
///
/// ```rhai
/// let key = aws::iam::access_key(#{ user: "gitpod-s3-access" });
/// k8s::secret(#{ cluster: cluster, namespace: "gitpod", name: "storage-s3",
///     data: #{ accessKeyId: key.id, secretAccessKey: key.secret } });
/// ```
///
/// Stands on ListAccessKeys, GetUser, TagUser, CreateAccessKey, DeleteAccessKey.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessKeyArgs {
    /// Name of the user.
    pub user: String,
    /// Tells two keys of one user apart. Default: there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A key as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AccessKeyObserved {
    /// Name of its user.
    pub user: String,
    /// Which of the user's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `AKIA…`.
    pub id: String,
    /// The secret half.
    pub secret: Secret,
}

/// See [`AccessKeyArgs`].
pub struct AccessKey;

#[async_trait]
impl Resource for AccessKey {
    const KIND: &'static str = KIND;
    type Args = AccessKeyArgs;
    type Observed = AccessKeyObserved;
    const REPLACE: &'static [&'static str] = &["user", "name"];
    const OWNERSHIP: Ownership = Ownership::Part;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[("user", "aws::iam::user")];

    fn name(args: &Value) -> Option<String> {
        let user = text(args, "user")?;
        Some(match text(args, "name") {
            Some(name) => format!("{user}/{name}"),
            None => user,
        })
    }

    /// A key without its secret is of no use, so none is ever found.
    async fn find(_cx: &Cx, _args: &AccessKeyArgs) -> Result<Option<AccessKeyObserved>> {
        Ok(None)
    }

    /// A key whose secret nobody knows, which is to be deleted.
    async fn find_intended(cx: &Cx, args: &AccessKeyArgs) -> Result<Option<AccessKeyObserved>> {
        let user = user_of(cx, args).await?;
        let id = user.lost.into_iter().next();
        Ok(id.map(|id| {
            let (user, name) = (args.user.clone(), args.name.clone());
            AccessKeyObserved { user, name, id, secret: Secret::new("") }
        }))
    }

    async fn read(cx: &Cx, last: &AccessKeyObserved) -> Result<Option<AccessKeyObserved>> {
        let aws = aws::clients(cx).await?;
        let ids = found(key_ids(aws.iam(), &last.user).await)?.unwrap_or_default();
        Ok(ids.contains(&last.id).then(|| last.clone()))
    }

    async fn create(cx: &Cx, args: &AccessKeyArgs, _token: &str) -> Result<AccessKeyObserved> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        let User { ours, mut ids, lost, tag } = user_of(cx, args).await?;
        ids.retain(|id| !lost.contains(id));
        if ours {
            set_tag(iam, &args.user, &tag, &format!("{MAKING}{}", ids.join(" "))).await?;
        } else {
            remember(cx, &memory(args), BEFORE, json!(ids));
        }
        delete_keys(iam, &args.user, &lost).await?;
        let made = iam.create_access_key().user_name(&args.user).send().await?;
        let key = made.access_key().ok_or_else(|| absent("the key"))?;
        let secret = Secret::new(key.secret_access_key());
        remember(cx, KIND, key.access_key_id(), Value::Bool(true));
        if ours {
            set_tag(iam, &args.user, &tag, key.access_key_id()).await?;
        } else {
            remember(cx, &memory(args), BEFORE, Value::Null);
        }
        let (user, name, id) = (args.user.clone(), args.name.clone(), key.access_key_id().to_owned());
        Ok(AccessKeyObserved { user, name, id, secret })
    }

    async fn update(_: &Cx, _: &AccessKeyArgs, _: &AccessKeyObserved, _: &[Change]) -> Result<()> {
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &AccessKeyObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let delete = aws.iam().delete_access_key().user_name(&observed.user).access_key_id(&observed.id);
        gone(delete.send().await.map_err(Error::from))
    }
}

/// What there is of a user before a key is made for it.
struct User {
    /// Whether it carries the tag of this stack.
    ours: bool,
    ids: Vec<String>,
    /// Those of them that we made and whose secret nobody knows.
    lost: Vec<String>,
    /// Key of the tag that names our key.
    tag: String,
}

async fn user_of(cx: &Cx, args: &AccessKeyArgs) -> Result<User> {
    let aws = aws::clients(cx).await?;
    let iam = aws.iam();
    let (ids, user) = futures::try_join!(key_ids(iam, &args.user), async {
        iam.get_user().user_name(&args.user).send().await.map_err(Error::from)
    })?;
    let tags = read_tags(user.user().ok_or_else(|| absent("the user"))?.tags());
    let tag = tag_key(args.name.as_deref());
    let ours = tags.get(TAG_STACK) == Some(&cx.run.stack);
    let lost = if ours {
        lost(&ids, &tags, &tag)
    } else {
        let mut since = made_since(&ids, remembered(cx, &memory(args), BEFORE));
        // The user's other key of this run is not lost.
        since.retain(|id| remembered(cx, KIND, id).is_none());
        since
    };
    Ok(User { ours, ids, lost, tag })
}

/// The keys that are not among those that were there `before` a key was made.
fn made_since(ids: &[String], before: Option<Value>) -> Vec<String> {
    let Some(Value::Array(before)) = before else { return Vec::new() };
    ids.iter().filter(|id| !before.contains(&json!(id))).cloned().collect()
}

/// Under which a run remembers what it saw of a user that is not of this stack, and so is not tagged.
fn memory(args: &AccessKeyArgs) -> String {
    format!("{KIND}/{}/{}", args.user, args.name.as_deref().unwrap_or_default())
}

async fn delete_keys(iam: &aws_sdk_iam::Client, user: &str, ids: &[String]) -> Result<()> {
    for id in ids {
        gone(iam.delete_access_key().user_name(user).access_key_id(id).send().await.map_err(Error::from))?;
    }
    Ok(())
}

fn tag_key(name: Option<&str>) -> String {
    name.map_or_else(|| TAG_KEY.to_owned(), |name| format!("{TAG_KEY}/{name}"))
}

/// The keys that we made under `tag` and whose secret nobody knows.
fn lost(ids: &[String], tags: &BTreeMap<String, String>, tag: &str) -> Vec<String> {
    let others: Vec<&str> = tags
        .iter()
        .filter(|(key, _)| key.starts_with(TAG_KEY) && key.as_str() != tag)
        .map(|(_, value)| value.as_str())
        .collect();
    let ours = |id: &&String| match tags.get(tag) {
        None => false,
        Some(value) => match value.strip_prefix(MAKING) {
            Some(before) => !before.split(' ').any(|known| known == id.as_str()) && !others.contains(&id.as_str()),
            None => value == *id,
        },
    };
    ids.iter().filter(ours).cloned().collect()
}

async fn set_tag(iam: &aws_sdk_iam::Client, user: &str, key: &str, value: &str) -> Result<()> {
    let tags = sent_tags(&BTreeMap::from([(key.to_owned(), value.to_owned())]))?;
    iam.tag_user().user_name(user).set_tags(Some(tags)).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost_of(ids: &[&str], tags: &[(&str, &str)], tag: &str) -> Vec<String> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        lost(&ids, &tags, tag)
    }

    #[test]
    fn only_keys_that_we_made_are_lost() {
        assert!(lost_of(&["HAND"], &[], TAG_KEY).is_empty());
        assert_eq!(lost_of(&["HAND", "NEW"], &[(TAG_KEY, "making-besides:HAND")], TAG_KEY), ["NEW"]);
        assert_eq!(lost_of(&["NEW"], &[(TAG_KEY, "making-besides:")], TAG_KEY), ["NEW"]);
        assert_eq!(lost_of(&["HAND", "OURS"], &[(TAG_KEY, "OURS")], TAG_KEY), ["OURS"]);
        assert!(lost_of(&["HAND"], &[(TAG_KEY, "DELETED")], TAG_KEY).is_empty());
    }

    #[test]
    fn what_was_there_before_a_key_was_made_is_safe() {
        let ids = ["HAND".to_owned(), "NEW".to_owned()];
        assert_eq!(made_since(&ids, Some(json!(["HAND"]))), ["NEW"]);
        assert!(made_since(&ids, None).is_empty() && made_since(&ids, Some(Value::Null)).is_empty());
    }

    #[test]
    fn the_other_key_of_the_user_is_safe() {
        let other = tag_key(Some("b"));
        let tags = [(TAG_KEY, "making-besides:"), (other.as_str(), "SECOND")];
        assert_eq!(lost_of(&["FIRST", "SECOND"], &tags, TAG_KEY), ["FIRST"]);
    }

    #[test]
    fn keys_are_named_by_user_and_name() {
        assert_eq!(AccessKey::name(&json!({ "user": "u" })).as_deref(), Some("u"));
        assert_eq!(AccessKey::name(&json!({ "user": "u", "name": "b" })).as_deref(), Some("u/b"));
    }
}
