//! Tags on groups of instances that EKS made.

use super::{
    clients,
    object::{remember, remembered, text, touches},
};
use crate::{
    bind::{Change, Ownership, Registry, Resource},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_autoscaling::types::{Filter, Tag, TagDescription};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Under which the keys that an update put are remembered.
const KEYS: &str = "keys";

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.resource::<GroupTags>();
}

/// Tags on an auto scaling group.
///
/// EKS gives the group of a node group none of the node group's own tags, but the cluster autoscaler looks for its tags
/// there. Deletes only the tags that it was declared with; never touches others, and never the group itself.
///
/// # Errors
/// The group does not exist; a key that AWS reserves.
///
/// ```rhai
/// aws::autoscaling::tags(#{ group: workspaces.autoscaling_group,
///                           tags: #{ "k8s.io/cluster-autoscaler/enabled": "true" } });
/// ```
///
/// Stands on AutoScaling `DescribeTags`, `CreateOrUpdateTags`, `DeleteTags`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupTagsArgs {
    /// Name of the group: the output `autoscaling_group` of a node group.
    pub group: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// Whether instances that start later get them too. Default `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagate: Option<bool>,
}

/// Tags on a group, as they are.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct GroupTagsObserved {
    /// Name of the group.
    pub group: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether all of ours are given to instances.
    pub propagate: bool,
    /// The keys that are ours.
    #[serde(default)]
    pub keys: Vec<String>,
}

struct GroupTags;

#[async_trait]
impl Resource for GroupTags {
    const KIND: &'static str = "aws::autoscaling::tags";
    type Args = GroupTagsArgs;
    type Observed = GroupTagsObserved;
    const REPLACE: &'static [&'static str] = &["group"];
    const OWNERSHIP: Ownership = Ownership::Part;
    const REPEATABLE: bool = true;

    fn name(args: &Value) -> Option<String> {
        text(args, "group")
    }

    fn validate(args: &GroupTagsArgs) -> Result<()> {
        match args.tags.keys().find(|key| key.starts_with("aws:") || key.is_empty() || key.chars().count() > 128) {
            Some(bad) => Err(Error::new(Class::Invalid, format!("`{bad}` cannot be a tag's key"))
                .hint("keys have 1 to 128 characters and do not begin with `aws:`")),
            None if args.tags.is_empty() => Err(Error::new(Class::Invalid, "`tags` names no tag")),
            None => Ok(()),
        }
    }

    async fn find(cx: &Cx, args: &GroupTagsArgs) -> Result<Option<GroupTagsObserved>> {
        let tags = described(cx, &args.group).await?;
        let seen = observed(&args.group, &tags, args.tags.keys().cloned().collect());
        // EKS sets some of them itself. Only when nothing is left to do are they taken as they are.
        let complete = |seen: &GroupTagsObserved| {
            seen.propagate == args.propagate.unwrap_or(true)
                && args.tags.iter().all(|(key, value)| seen.tags.get(key) == Some(value))
        };
        Ok(seen.filter(complete))
    }

    async fn read(cx: &Cx, last: &GroupTagsObserved) -> Result<Option<GroupTagsObserved>> {
        let tags = described(cx, &last.group).await?;
        // An update of this run may have added keys to those that the log knows.
        let keys = remembered(cx, &last.group, KEYS).and_then(|keys| serde_json::from_value(keys).ok());
        let seen = observed(&last.group, &tags, keys.unwrap_or_else(|| last.keys.clone()));
        Ok(seen.filter(|seen| seen.keys.iter().any(|key| seen.tags.contains_key(key))))
    }

    async fn create(cx: &Cx, args: &GroupTagsArgs, _token: &str) -> Result<GroupTagsObserved> {
        put(cx, args).await?;
        Ok(GroupTagsObserved {
            group: args.group.clone(),
            tags: args.tags.clone(),
            propagate: args.propagate.unwrap_or(true),
            keys: args.tags.keys().cloned().collect(),
        })
    }

    async fn update(cx: &Cx, args: &GroupTagsArgs, observed: &GroupTagsObserved, changes: &[Change]) -> Result<()> {
        if touches(changes, "tags") || touches(changes, "propagate") {
            put(cx, args).await?;
            let keys: BTreeSet<&String> = args.tags.keys().chain(&observed.keys).collect();
            remember(cx, &args.group, KEYS, json!(keys));
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &GroupTagsObserved) -> Result<()> {
        let tags = observed.keys.iter().map(|key| tag(&observed.group, key).build()).collect();
        let answer = clients(cx).await?.autoscaling().delete_tags().set_tags(Some(tags)).send().await;
        match answer.map_err(Error::from) {
            // The group went with its node group.
            Err(error) if error.cause.as_deref().is_some_and(|cause| cause.contains("not found")) => Ok(()),
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn tag(group: &str, key: &str) -> aws_sdk_autoscaling::types::builders::TagBuilder {
    Tag::builder().resource_id(group).resource_type("auto-scaling-group").key(key)
}

fn wanted(args: &GroupTagsArgs) -> Vec<Tag> {
    let propagate = args.propagate.unwrap_or(true);
    args.tags
        .iter()
        .map(|(key, value)| tag(&args.group, key).value(value).propagate_at_launch(propagate).build())
        .collect()
}

async fn put(cx: &Cx, args: &GroupTagsArgs) -> Result<()> {
    clients(cx).await?.autoscaling().create_or_update_tags().set_tags(Some(wanted(args))).send().await?;
    Ok(())
}

async fn described(cx: &Cx, group: &str) -> Result<Vec<TagDescription>> {
    let clients = clients(cx).await?;
    let filter = Filter::builder().name("auto-scaling-group").values(group).build();
    let mut pages = clients.autoscaling().describe_tags().filters(filter).into_paginator().items().send();
    let mut tags = Vec::new();
    while let Some(tag) = pages.next().await {
        tags.push(tag?);
    }
    Ok(tags)
}

fn observed(group: &str, tags: &[TagDescription], keys: Vec<String>) -> Option<GroupTagsObserved> {
    if tags.is_empty() {
        return None;
    }
    let ours = |tag: &&TagDescription| tag.key.as_ref().is_some_and(|key| keys.contains(key));
    let propagate = tags.iter().filter(ours).all(|tag| tag.propagate_at_launch == Some(true));
    let tags = tags.iter().filter_map(|tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()))).collect();
    Some(GroupTagsObserved { group: group.to_owned(), tags, propagate, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(key: &str, propagate: bool) -> TagDescription {
        TagDescription::builder().key(key).value("true").propagate_at_launch(propagate).build()
    }

    #[test]
    fn only_our_keys_say_whether_tags_are_propagated() {
        let tags = [described("ours", true), described("eks:cluster-name", false)];
        let seen = observed("asg", &tags, vec!["ours".to_owned()]).unwrap();
        assert!(seen.propagate);
        assert_eq!(seen.tags.len(), 2);
        assert!(!observed("asg", &[described("ours", false)], vec!["ours".to_owned()]).unwrap().propagate);
        assert!(observed("asg", &[], vec![]).is_none());
    }

    #[test]
    fn tags_are_sent_for_the_group_and_propagated() {
        let args: GroupTagsArgs =
            serde_json::from_value(serde_json::json!({ "group": "g", "tags": { "a": "b" } })).unwrap();
        let sent = wanted(&args);
        assert_eq!(sent[0].resource_id(), Some("g"));
        assert_eq!(sent[0].propagate_at_launch(), Some(true));
        let reserved =
            GroupTagsArgs { group: "g".into(), tags: [("aws:x".into(), "1".into())].into(), propagate: None };
        assert!(GroupTags::validate(&reserved).is_err());
    }
}
