//! `aws::route53::zone`.
//!
//! Zones get their tags by a second call. What makes a zone ours from the first one on is its caller reference, which
//! begins with a digest of stack and address and never changes.

use super::{check_name, plain_id, plain_name, record_sets};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, remember, remembered, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Class, Error, Result},
    value::revealed,
};
use async_trait::async_trait;
use aws_sdk_route53::{
    Client,
    types::{HostedZone, HostedZoneConfig, Tag, TagResourceType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A public hosted zone: Route53 answers for a domain.
///
/// There is one zone per name in a stack, found again by its caller reference and tags, so it is never made twice. The
/// domain must then be delegated to its `name_servers` at the registrar, which nothing here can do. A zone with records other
/// than its own two is not deleted unless `empty_on_delete` is set.
///
/// # Errors
/// A zone of that name that is not ours; too many zones (`TooManyHostedZones`).
///
/// ```rhai
/// let zone = aws::route53::zone(#{ name: "gitpod.example.com", comment: "Gitpod" });
/// print(`delegate to ${zone.name_servers}`);
/// ```
///
/// Stands on ListHostedZonesByName, GetHostedZone, ListTagsForResource, CreateHostedZone, UpdateHostedZoneComment,
/// ChangeTagsForResource, ListResourceRecordSets, ChangeResourceRecordSets, DeleteHostedZone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneArgs {
    /// Name of the domain, with or without final dot.
    pub name: String,
    /// What it is for, up to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether deleting it deletes the records in it. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_on_delete: Option<bool>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A zone as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ZoneObserved {
    /// Name of the domain, without final dot.
    pub name: String,
    /// What it is for.
    pub comment: Option<String>,
    /// Whether deleting it deletes the records in it.
    #[serde(default)]
    pub empty_on_delete: bool,
    /// All its tags; ours also where only its caller reference says so.
    pub tags: BTreeMap<String, String>,
    /// `Z…`, without path.
    pub id: String,
    /// The servers to delegate to.
    pub name_servers: Vec<String>,
}

/// See [`ZoneArgs`].
pub struct Zone;

#[async_trait]
impl Resource for Zone {
    const KIND: &'static str = "aws::route53::zone";
    type Args = ZoneArgs;
    type Observed = ZoneObserved;
    const REPLACE: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        text(args, "name").map(|name| plain_name(&name))
    }

    fn validate(args: &ZoneArgs) -> Result<()> {
        check_name(&args.name)?;
        if args.comment.as_ref().is_some_and(|comment| comment.chars().count() > 256) {
            return Err(Error::usage("`comment` of a zone takes 256 characters at most"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &ZoneArgs) -> Result<Option<ZoneObserved>> {
        let aws = aws::clients(cx).await?;
        let mut zones = named(aws.route53(), &args.name).await?;
        // Several zones may have one name: ours first.
        zones.sort_by_key(|zone| !is_ours(cx, zone.caller_reference()));
        let mut first = None;
        for zone in zones {
            let Some(there) = observe(cx, plain_id(zone.id())).await? else { continue };
            let there = ZoneObserved { empty_on_delete: args.empty_on_delete.unwrap_or(false), ..there };
            if cx.tags(&BTreeMap::new()).iter().all(|(key, value)| there.tags.get(key) == Some(value)) {
                return Ok(Some(there));
            }
            first.get_or_insert(there);
        }
        Ok(first)
    }

    async fn read(cx: &Cx, last: &ZoneObserved) -> Result<Option<ZoneObserved>> {
        let set = remembered(cx, &key(&last.id), "empty_on_delete").and_then(|value| value.as_bool());
        let there = observe(cx, &last.id).await?;
        Ok(there.map(|there| ZoneObserved { empty_on_delete: set.unwrap_or(last.empty_on_delete), ..there }))
    }

    fn tags(observed: &ZoneObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut wanted = wanted.clone();
        if let Some(name) = wanted.get("name").map(revealed).as_ref().and_then(Value::as_str) {
            wanted["name"] = Value::String(plain_name(name));
        }
        compare(&wanted, observed, Self::REPLACE, Self::UNCOMPARED)
    }

    async fn create(cx: &Cx, args: &ZoneArgs, token: &str) -> Result<ZoneObserved> {
        let aws = aws::clients(cx).await?;
        let r53 = aws.route53();
        let reference = reference(cx, token);
        let config = args.comment.as_ref().map(|comment| HostedZoneConfig::builder().comment(comment).build());
        let create = r53.create_hosted_zone().name(&args.name).caller_reference(&reference);
        let zone = match create.set_hosted_zone_config(config).send().await.map_err(Error::from) {
            Ok(made) => made.hosted_zone.ok_or_else(|| absent("the zone"))?,
            // The same reference again: this is the zone that it made.
            Err(error) if error.code.as_deref() == Some("HostedZoneAlreadyExists") => {
                let zones = named(r53, &args.name).await?;
                zones.into_iter().find(|zone| zone.caller_reference() == reference).ok_or_else(|| unseen(&args.name))?
            }
            Err(error) => return Err(error),
        };
        let id = plain_id(zone.id()).to_owned();
        set_tags(r53, &id, &cx.tags(&args.tags)).await?;
        let made = observe(cx, &id).await?.ok_or_else(|| unseen(&args.name))?;
        Ok(ZoneObserved { empty_on_delete: args.empty_on_delete.unwrap_or(false), ..made })
    }

    async fn update(cx: &Cx, args: &ZoneArgs, observed: &ZoneObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let r53 = aws.route53();
        if touches(changes, "comment") {
            let update = r53.update_hosted_zone_comment().id(&observed.id);
            update.set_comment(args.comment.clone()).send().await?;
        }
        if touches(changes, "tags") {
            set_tags(r53, &observed.id, &cx.tags(&args.tags)).await?;
        }
        if let Some(empties) = args.empty_on_delete {
            remember(cx, &key(&observed.id), "empty_on_delete", Value::Bool(empties));
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &ZoneObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let r53 = aws.route53();
        if observed.empty_on_delete {
            found(record_sets::empty(r53, &observed.id, &observed.name).await)?;
        }
        match gone(r53.delete_hosted_zone().id(&observed.id).send().await.map_err(Error::from)) {
            Err(error) if error.code.as_deref() == Some("HostedZoneNotEmpty") => Err(error.hint(format!(
                "delete the records of `{}`, or set `empty_on_delete: true` in the playbook and run once before",
                observed.name
            ))),
            other => other,
        }
    }
}

fn key(id: &str) -> String {
    format!("aws::route53::zone/{id}")
}

/// What the caller references of this resource begin with.
fn reference_start(stack: &str, address: &str) -> String {
    let digest = Sha256::digest(format!("{stack}\n{address}"));
    format!("gitpod-play-{}", hex::encode(&digest[..8]))
}

/// The caller reference: at most 128 characters, the same for the same token.
fn reference(cx: &Cx, token: &str) -> String {
    let mut reference = format!("{}-{token}", reference_start(&cx.run.stack, &cx.address));
    reference.truncate(128);
    reference
}

fn is_ours(cx: &Cx, reference: &str) -> bool {
    reference.starts_with(&format!("{}-", reference_start(&cx.run.stack, &cx.address)))
}

/// Public zones of exactly this name.
pub async fn named(r53: &Client, name: &str) -> Result<Vec<HostedZone>> {
    let answer = r53.list_hosted_zones_by_name().dns_name(name).send().await?;
    let fits = |zone: &HostedZone| {
        let private = zone.config().is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone);
        !private && plain_name(zone.name()) == plain_name(name)
    };
    Ok(answer.hosted_zones.into_iter().filter(fits).collect())
}

async fn set_tags(r53: &Client, id: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let change = r53.change_tags_for_resource().resource_type(TagResourceType::Hostedzone).resource_id(id);
    change.set_add_tags(Some(tags)).send().await?;
    Ok(())
}

/// What was just made may be unseen for a moment: the create is made again, with the same reference, and finds it.
fn unseen(name: &str) -> Error {
    Error::new(Class::NotFound, format!("zone `{name}` was made and is not seen yet"))
}

/// The zone with this id.
pub async fn observe(cx: &Cx, id: &str) -> Result<Option<ZoneObserved>> {
    let aws = aws::clients(cx).await?;
    let r53 = aws.route53();
    let tags = r53.list_tags_for_resource().resource_type(TagResourceType::Hostedzone).resource_id(id);
    let answers = futures::try_join!(async { r53.get_hosted_zone().id(id).send().await.map_err(Error::from) }, async {
        tags.send().await.map_err(Error::from)
    },);
    let Some((answer, tags)) = found(answers)? else { return Ok(None) };
    let zone = answer.hosted_zone().ok_or_else(|| absent("the zone"))?;
    let tags = tags.resource_tag_set().map(aws_sdk_route53::types::ResourceTagSet::tags).unwrap_or_default();
    let pair = |tag: &Tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()));
    let mut tags: BTreeMap<String, String> = tags.iter().filter_map(pair).collect();
    if is_ours(cx, zone.caller_reference()) {
        tags.extend(cx.tags(&BTreeMap::new()));
    }
    Ok(Some(ZoneObserved {
        name: plain_name(zone.name()),
        comment: zone.config().and_then(|config| config.comment.clone()),
        empty_on_delete: false,
        tags,
        id: plain_id(zone.id()).to_owned(),
        name_servers: answer.delegation_set().map(|set| set.name_servers().to_vec()).unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_tells_stacks_and_resources_apart() {
        let one = reference_start("a", "aws::route53::zone/x.example.com");
        assert_eq!(one, reference_start("a", "aws::route53::zone/x.example.com"));
        assert_ne!(one, reference_start("b", "aws::route53::zone/x.example.com"));
        assert_ne!(one, reference_start("a", "aws::route53::zone/y.example.com"));
        assert!(one.len() < 40);
    }

    #[test]
    fn names_compare_in_one_form() {
        let there = json!({ "name": "gitpod.example.com", "comment": "c", "tags": {} });
        assert_eq!(Zone::diff(&json!({ "name": "Gitpod.example.com.", "comment": "c" }), &there), vec![]);
        assert_eq!(Zone::name(&json!({ "name": "Gitpod.example.com." })).as_deref(), Some("gitpod.example.com"));
    }
}
