//! RDS: managed databases. Names are unique in account and region, and everything carries our tags.

pub mod instance;
mod instance_observed;
mod leaves;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod subnet_group;
mod versions;

use crate::{
    aws,
    bind::Registry,
    cx::Cx,
    error::{Error, Result},
};
use aws_sdk_rds::types::Tag;
use std::collections::BTreeMap;

/// Registers the kinds of this service.
pub fn register(registry: &mut Registry) {
    registry.resource::<subnet_group::SubnetGroup>();
    registry.resource::<instance::Instance>();
    registry.lookup::<versions::Versions>();
}

/// The service's form of `tags`.
fn sent_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Our form of the service's tags.
fn read_tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()));
    tags.iter().filter_map(pair).collect()
}

/// Sets the wanted tags and ours on the object at `arn`.
async fn tag(cx: &Cx, arn: &str, wanted: &BTreeMap<String, String>) -> Result<()> {
    let aws = aws::clients(cx).await?;
    aws.rds().add_tags_to_resource().resource_name(arn).set_tags(Some(sent_tags(&cx.tags(wanted)))).send().await?;
    Ok(())
}

/// Refuses names that RDS would refuse or change: 1 to `longest` lower-case letters, digits and `-`.
fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    if !begins || name.len() > longest || !name.chars().all(fits) || name.ends_with('-') || name.contains("--") {
        return Err(Error::usage(format!("`{name}` cannot be the name of {what}")).hint(format!(
            "use 1 to {longest} lower-case letters, digits and single `-`, beginning with a letter, ending without `-`"
        )));
    }
    Ok(())
}

/// Refuses what cannot be the name of a database in an instance.
fn check_database_name(name: Option<&str>, engine: &str) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let longest = if engine == "postgres" { 63 } else { 64 };
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if !begins || name.len() > longest || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Error::usage(format!("`{name}` cannot be the name of a database in an instance of `{engine}`"))
            .hint(format!("`database` takes 1 to {longest} letters, digits and `_`, beginning with a letter")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named_without_dashes() {
        for good in ["gitpod", "my_db1"] {
            assert!(check_database_name(Some(good), "mysql").is_ok(), "{good}");
        }
        assert!(check_database_name(None, "mysql").is_ok());
        for bad in ["my-db", "", "1db", "_db"] {
            assert!(check_database_name(Some(bad), "mysql").is_err(), "{bad}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_rds() {
        for good in ["gitpod-instance", "a", "a1"] {
            assert!(check_name("a database", good, 63).is_ok(), "{good}");
        }
        for bad in ["", "Gitpod", "1a", "a--b", "a-", "a_b", &"a".repeat(64)] {
            assert!(check_name("a database", bad, 63).is_err(), "{bad}");
        }
    }
}
