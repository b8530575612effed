//! Managed policies on roles and users: naming, comparing, attaching.

use crate::{
    aws::object::{changed, found, gone},
    bind::Change,
    error::{Error, Result},
    value::revealed,
};
use aws_sdk_iam::{Client, types::AttachedPolicy};
use serde_json::Value;

/// AWS keeps some of its policies under a path; scripts may name them without it.
const UNDER_SERVICE_ROLE: &[&str] = &[
    "AmazonEBSCSIDriverPolicy",
    "AmazonEC2RoleforSSM",
    "AmazonECSTaskExecutionRolePolicy",
    "AmazonEFSCSIDriverPolicy",
    "AmazonRDSEnhancedMonitoringRole",
    "AWSLambdaBasicExecutionRole",
];

/// Whom policies are attached to.
#[derive(Clone, Copy)]
pub enum Holder<'a> {
    /// The role of this name.
    Role(&'a str),
    /// The user of this name.
    User(&'a str),
}

impl Holder<'_> {
    /// ARNs of the managed policies attached now.
    pub async fn attached(self, iam: &Client) -> Result<Vec<String>> {
        let policies: Vec<AttachedPolicy> = match self {
            Holder::Role(name) => {
                iam.list_attached_role_policies().role_name(name).into_paginator().items().send().try_collect().await?
            }
            Holder::User(name) => {
                iam.list_attached_user_policies().user_name(name).into_paginator().items().send().try_collect().await?
            }
        };
        Ok(policies.into_iter().filter_map(|policy| policy.policy_arn).collect())
    }

    async fn attach(self, iam: &Client, arn: &str) -> Result<()> {
        let missing = |error: Error| {
            let hint = format!("name an existing policy of AWS, or give the ARN of `{arn}` in full");
            if error.is_not_found() { error.hint(hint) } else { error }
        };
        match self {
            Holder::Role(name) => {
                let sent = iam.attach_role_policy().role_name(name).policy_arn(arn).send().await;
                sent.map_err(|error| missing(error.into()))?;
            }
            Holder::User(name) => {
                let sent = iam.attach_user_policy().user_name(name).policy_arn(arn).send().await;
                sent.map_err(|error| missing(error.into()))?;
            }
        }
        Ok(())
    }

    async fn detach(self, iam: &Client, arn: &str) -> Result<()> {
        match self {
            Holder::Role(name) => {
                gone(iam.detach_role_policy().role_name(name).policy_arn(arn).send().await.map_err(Error::from))
            }
            Holder::User(name) => {
                gone(iam.detach_user_policy().user_name(name).policy_arn(arn).send().await.map_err(Error::from))
            }
        }
    }

    /// Attaches what is wanted, then detaches what is not. `partition` is that of the holder's ARN.
    pub async fn reconcile(self, iam: &Client, partition: &str, wanted: &[String]) -> Result<()> {
        let attached = self.attached(iam).await?;
        for policy in wanted {
            if !attached.iter().any(|arn| names(policy, arn)) {
                self.attach(iam, &arn(partition, policy)).await?;
            }
        }
        for arn in attached.iter().filter(|arn| !wanted.iter().any(|policy| names(policy, arn))) {
            self.detach(iam, arn).await?;
        }
        Ok(())
    }

    /// Detaches all, as the holder's deletion needs.
    pub async fn detach_all(self, iam: &Client) -> Result<()> {
        for arn in found(self.attached(iam).await)?.unwrap_or_default() {
            self.detach(iam, &arn).await?;
        }
        Ok(())
    }
}

/// The ARN of `policy`, which is one already or names a policy of AWS, with or without its path.
fn arn(partition: &str, policy: &str) -> String {
    if policy.starts_with("arn:") {
        return policy.to_owned();
    }
    let path = if UNDER_SERVICE_ROLE.contains(&policy) { "service-role/" } else { "" };
    format!("arn:{partition}:iam::aws:policy/{path}{policy}")
}

/// Whether `policy`, as a script writes it, is the one at `arn`.
fn names(policy: &str, arn: &str) -> bool {
    if policy.starts_with("arn:") {
        return policy == arn;
    }
    let of_aws = arn.split(':').nth(4) == Some("aws");
    of_aws && (arn.ends_with(&format!("/{policy}")))
}

/// Adds a change for each policy of the list `policies` that is not attached, and for each that is and does not stand there.
pub fn compare(changes: &mut Vec<Change>, wanted: &Value, observed: &Value) {
    let Some(list) = wanted.as_array() else { return };
    let list: Vec<String> = list.iter().filter_map(|item| revealed(item).as_str().map(str::to_owned)).collect();
    let there: Vec<&str> = observed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let attached = Value::from("attached");
    for policy in list.iter().filter(|policy| !there.iter().any(|arn| names(policy, arn))) {
        changed(changes, &format!("policies.{policy}"), &Value::Null, &attached);
    }
    for arn in there.iter().filter(|arn| !list.iter().any(|policy| names(policy, arn))) {
        changed(changes, &format!("policies.{arn}"), &attached, &Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_become_arns_of_the_right_path_and_partition() {
        assert_eq!(arn("aws", "AmazonEKSClusterPolicy"), "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy");
        assert_eq!(
            arn("aws-cn", "AmazonEBSCSIDriverPolicy"),
            "arn:aws-cn:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
        );
        assert_eq!(arn("aws", "arn:aws:iam::1:policy/x"), "arn:aws:iam::1:policy/x");
    }

    #[test]
    fn a_name_is_no_policy_of_the_account() {
        assert!(names("AmazonEBSCSIDriverPolicy", "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"));
        assert!(!names("gitpod", "arn:aws:iam::123456789012:policy/gitpod"));
    }

    #[test]
    fn lists_are_compared_as_sets() {
        let there = json!(["arn:aws:iam::aws:policy/A", "arn:aws:iam::1:policy/b"]);
        let changes = |wanted: Value| {
            let mut changes = Vec::new();
            compare(&mut changes, &wanted, &there);
            changes.len()
        };
        assert_eq!(changes(json!(["arn:aws:iam::1:policy/b", "A"])), 0);
        assert_eq!(changes(json!(["A"])), 1);
        assert_eq!(changes(json!(["A", "B", "arn:aws:iam::1:policy/b"])), 1);
        assert_eq!(changes(json!(["B"])), 3);
        assert_eq!(changes(Value::Null), 0);
    }
}
