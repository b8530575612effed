//! EKS: the cluster, its nodes, add-ons and who may enter. Everything carries our tags; creations take the engine's token.

pub mod access_entry;
pub mod addon;
pub mod cluster;
pub mod nodegroup;
mod nodegroup_diff;
mod nodegroup_sent;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod token;
mod version;
pub mod versions;

pub use token::{Token, token};

use crate::{
    aws,
    bind::{Readiness, Registry},
    cx::Cx,
    error::{Class, Error, Result},
};
use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.lookup::<versions::Versions>();
    registry.lookup::<cluster::FindCluster>();
    registry.resource::<cluster::Cluster>();
    registry.resource::<nodegroup::Nodegroup>();
    registry.resource::<addon::Addon>();
    registry.resource::<access_entry::AccessEntry>();
}

/// Our form of the service's tags and labels.
fn sorted<S: BuildHasher>(map: Option<&HashMap<String, String, S>>) -> BTreeMap<String, String> {
    map.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The service's form of tags and labels.
fn unsorted(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Sets the wanted tags and ours on the object at `arn`.
async fn tag(cx: &Cx, arn: &str, wanted: &BTreeMap<String, String>) -> Result<()> {
    let tags = unsorted(&cx.tags(wanted));
    aws::clients(cx).await?.eks().tag_resource().resource_arn(arn).set_tags(Some(tags)).send().await?;
    Ok(())
}

/// A change while another is under way is refused, which passes.
fn unless_busy(error: impl Into<Error>) -> Error {
    let error: Error = error.into();
    if error.class == Class::InUse { Error { class: Class::Passing, ..error } } else { error }
}

/// A role that was made a moment ago is not known to EKS yet, which passes.
fn unless_unseen(error: impl Into<Error>) -> Error {
    let error: Error = error.into();
    let said = error.cause.as_deref().unwrap_or_default().to_lowercase();
    let about_identity = said.contains("role") || said.contains("principal");
    let code = error.code.as_deref();
    let refused = matches!(code, Some("InvalidParameterException" | "InvalidRequestException"));
    if refused && about_identity { Error { class: Class::Passing, ..error } } else { error }
}

/// Refuses names that EKS would refuse: 1 to `longest` letters, digits, `-` and `_`, of which the first is no sign.
fn check_name(what: &str, name: &str, longest: usize) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !begins || name.len() > longest || !name.chars().all(fits) {
        return Err(Error::usage(format!("`{name}` cannot be the name of {what}"))
            .hint(format!("use 1 to {longest} letters, digits, `-` and `_`, beginning with a letter or digit")));
    }
    Ok(())
}

/// What the cloud says is wrong with an object: its code, then its words.
fn issue(code: Option<&str>, message: Option<&str>) -> String {
    match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

/// `status` that never becomes better, with what the cloud says about it.
fn broken(status: &str, issues: &[String]) -> Readiness {
    match issues {
        [] => Readiness::Broken(format!("status {status}")),
        issues => Readiness::Broken(format!("status {status}: {}", issues.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again() {
        let error = |code: &str, cause: &str| Error::new(Class::Invalid, "x").code(code).because(cause);
        let role =
            error("InvalidParameterException", "Role with arn: x, could not be assumed because it does not exist");
        assert_eq!(unless_unseen(role).class, Class::Passing);
        let other = error("InvalidParameterException", "Subnets specified must be in at least two different AZs");
        assert_eq!(unless_unseen(other).class, Class::Invalid);
        assert_eq!(unless_busy(Error::new(Class::InUse, "x")).class, Class::Passing);
    }

    #[test]
    fn names_follow_the_rule_of_eks() {
        for good in ["gitpod", "g", "9-x_Y", &"a".repeat(100)] {
            assert!(check_name("a cluster", good, 100).is_ok(), "{good}");
        }
        for bad in ["", "-gitpod", "_x", "git pod", "gitpod.io", &"a".repeat(101)] {
            assert!(check_name("a cluster", bad, 100).is_err(), "{bad}");
        }
    }
}
