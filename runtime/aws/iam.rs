//! IAM: who may do what. Names are unique in an account; everything but access keys carries our tags.

pub mod access_key;
mod account;
mod attached;
mod document;
pub mod oidc_provider;
pub mod policy;
pub mod role;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod user;

use crate::{
    bind::Registry,
    error::{Error, Result},
};
use aws_sdk_iam::types::Tag;
use std::collections::BTreeMap;

/// Registers the kinds of this service.
pub fn register(registry: &mut Registry) {
    registry.resource::<role::Role>();
    registry.resource::<policy::Policy>();
    registry.resource::<user::User>();
    registry.resource::<access_key::AccessKey>();
    registry.resource::<oidc_provider::OidcProvider>();
}

/// The service's form of `tags`.
fn sent_tags(tags: &BTreeMap<String, String>) -> Result<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(tag)
        .collect::<Result<_, _>>()
        .map_err(|mistake| Error::failed("bad tag").because(mistake.to_string()))
}

/// Our form of the service's tags.
fn read_tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

/// Refuses names that IAM would refuse.
fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if name.is_empty() || name.len() > longest || !name.chars().all(fits) {
        return Err(Error::usage(format!("`{name}` cannot be the name of {what}"))
            .hint(format!("use 1 to {longest} letters, digits and `+=,.@_-`")));
    }
    Ok(())
}
