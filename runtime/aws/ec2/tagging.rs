//! Tags of EC2, which are the same for all of its kinds.

use crate::{
    aws::clients,
    cx::{Cx, TAG_RESOURCE, TAG_STACK},
    error::Result,
};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use std::collections::BTreeMap;

/// All tags to send: the wanted ones, ours, and `Name` where the playbook says nothing else.
pub(super) fn wanted(cx: &Cx, name: &str, tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut tags = cx.tags(tags);
    tags.entry("Name".to_owned()).or_insert_with(|| name.to_owned());
    tags
}

/// `tags` as the API takes them.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// `tags` for what a create call makes.
pub(super) fn on_creation(kind: ResourceType, tags: &BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(list(tags))).build()
}

/// Tags as an answer shows them.
pub(super) fn seen(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().filter_map(|tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()))).collect()
}

/// The tag `Name`.
pub(super) fn name(tags: &BTreeMap<String, String>) -> String {
    tags.get("Name").cloned().unwrap_or_default()
}

/// Filters for what carries our two tags.
pub(super) fn ours(cx: &Cx) -> Vec<Filter> {
    vec![filter(&format!("tag:{TAG_STACK}"), &cx.run.stack), filter(&format!("tag:{TAG_RESOURCE}"), &cx.address)]
}

/// A filter for one value.
pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Puts the wanted tags on `id`; other tags stay.
pub(super) async fn put(cx: &Cx, id: &str, name: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    let tags = list(&wanted(cx, name, tags));
    clients(cx).await?.ec2().create_tags().resources(id).set_tags(Some(tags)).send().await?;
    Ok(())
}
