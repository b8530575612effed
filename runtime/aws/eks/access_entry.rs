//! `aws::eks::access_entry`.

use super::{sorted, tag, unless_unseen, unsorted};
use crate::{
    aws::{
        self,
        object::{absent, changed, found, gone, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Error, Result},
    value::revealed,
};
use async_trait::async_trait;
use aws_sdk_eks::types::{AccessScope, AccessScopeType, AssociatedAccessPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Lets an IAM identity into a cluster.
///
/// Use it for people and programs besides the identity that made the cluster, which enters without. The cluster's
/// `authentication_mode` must be `API` or `API_AND_CONFIG_MAP`. Policies are kept exactly as listed. It never touches the
/// config map `aws-auth`.
///
/// # Errors
/// An entry of that principal that is not ours; a policy that EKS does not have.
///
/// ```rhai
/// aws::eks::access_entry(#{
///     cluster: "gitpod", principal: "arn:aws:iam::123456789012:role/admins", policies: ["AmazonEKSClusterAdminPolicy"],
/// });
/// ```
///
/// Stands on DescribeAccessEntry, ListAssociatedAccessPolicies, CreateAccessEntry, UpdateAccessEntry,
/// AssociateAccessPolicy, DisassociateAccessPolicy, TagResource, DeleteAccessEntry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessEntryArgs {
    /// Name of the cluster.
    pub cluster: String,
    /// ARN of the user or role.
    pub principal: String,
    /// EKS access policies: names (`AmazonEKSClusterAdminPolicy`) or ARNs. Default: none are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<String>>,
    /// Namespaces that newly listed policies are limited to. Default: the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Kubernetes groups it belongs to, for rights given by RBAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An entry as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AccessEntryObserved {
    /// Name of its cluster.
    pub cluster: String,
    /// ARN of the user or role.
    pub principal: String,
    /// ARNs of its access policies.
    pub policies: Vec<String>,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN of the entry.
    pub arn: String,
}

/// See [`AccessEntryArgs`].
pub struct AccessEntry;

#[async_trait]
impl Resource for AccessEntry {
    const KIND: &'static str = "aws::eks::access_entry";
    type Args = AccessEntryArgs;
    type Observed = AccessEntryObserved;
    const REPLACE: &'static [&'static str] = &["cluster", "principal"];
    const UNCOMPARED: &'static [&'static str] = &["namespaces"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[("cluster", "aws::eks::cluster")];

    fn name(args: &Value) -> Option<String> {
        let principal = text(args, "principal")?;
        let short = principal.rsplit(':').next().unwrap_or_default();
        Some(format!("{}/{short}", text(args, "cluster")?))
    }

    fn validate(args: &AccessEntryArgs) -> Result<()> {
        if !args.principal.starts_with("arn:") {
            return Err(Error::usage(format!("`{}` is no ARN", args.principal))
                .hint("`principal` is the ARN of a user or role: `arn:aws:iam::123456789012:role/admins`"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &AccessEntryArgs) -> Result<Option<AccessEntryObserved>> {
        observe(cx, &args.cluster, &args.principal).await
    }

    async fn read(cx: &Cx, last: &AccessEntryObserved) -> Result<Option<AccessEntryObserved>> {
        observe(cx, &last.cluster, &last.principal).await
    }

    fn tags(observed: &AccessEntryObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut changes = compare(wanted, observed, Self::REPLACE, &["policies", "namespaces"]);
        let names = |list: &Value| {
            let revealed = revealed(list);
            let names = revealed.as_array().into_iter().flatten().filter_map(Value::as_str);
            let mut names: Vec<String> = names.map(|policy| short(policy).to_owned()).collect();
            names.sort_unstable();
            names
        };
        if !wanted["policies"].is_null() && names(&wanted["policies"]) != names(&observed["policies"]) {
            changed(&mut changes, "policies", &observed["policies"], &wanted["policies"]);
        }
        changes
    }

    async fn create(cx: &Cx, args: &AccessEntryArgs, token: &str) -> Result<AccessEntryObserved> {
        let aws = aws::clients(cx).await?;
        let made = aws
            .eks()
            .create_access_entry()
            .cluster_name(&args.cluster)
            .principal_arn(&args.principal)
            .set_kubernetes_groups(args.groups.clone())
            .set_tags(Some(unsorted(&cx.tags(&args.tags))))
            .client_request_token(token)
            .send()
            .await
            .map_err(unless_unseen)?;
        // Its policies are a difference, which the engine sees next.
        Ok(observed(made.access_entry().ok_or_else(|| absent("the access entry"))?, Vec::new()))
    }

    async fn update(cx: &Cx, args: &AccessEntryArgs, observed: &AccessEntryObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        if touches(changes, "tags") {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        if touches(changes, "groups") {
            let update = aws.eks().update_access_entry().cluster_name(&args.cluster).principal_arn(&args.principal);
            update.set_kubernetes_groups(args.groups.clone()).send().await?;
        }
        if touches(changes, "policies") {
            reconcile(aws.eks(), args, observed).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &AccessEntryObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let delete = aws.eks().delete_access_entry().cluster_name(&observed.cluster).principal_arn(&observed.principal);
        gone(delete.send().await.map_err(Error::from))
    }
}

async fn reconcile(eks: &aws_sdk_eks::Client, args: &AccessEntryArgs, observed: &AccessEntryObserved) -> Result<()> {
    let wanted = args.policies.as_deref().unwrap_or_default();
    let partition = observed.arn.split(':').nth(1).unwrap_or("aws");
    for policy in wanted.iter().filter(|policy| !observed.policies.iter().any(|arn| short(arn) == short(policy))) {
        let scope = match &args.namespaces {
            Some(names) => {
                AccessScope::builder().r#type(AccessScopeType::Namespace).set_namespaces(Some(names.clone()))
            }
            None => AccessScope::builder().r#type(AccessScopeType::Cluster),
        };
        eks.associate_access_policy()
            .cluster_name(&args.cluster)
            .principal_arn(&args.principal)
            .policy_arn(arn(partition, policy))
            .access_scope(scope.build())
            .send()
            .await?;
    }
    for policy in observed.policies.iter().filter(|arn| !wanted.iter().any(|policy| short(policy) == short(arn))) {
        let drop = eks.disassociate_access_policy().cluster_name(&args.cluster).principal_arn(&args.principal);
        gone(drop.policy_arn(policy).send().await.map_err(Error::from))?;
    }
    Ok(())
}

/// The name of a policy given by name or ARN.
fn short(policy: &str) -> &str {
    policy.rsplit('/').next().unwrap_or(policy)
}

fn arn(partition: &str, policy: &str) -> String {
    if policy.starts_with("arn:") {
        return policy.to_owned();
    }
    format!("arn:{partition}:eks::aws:cluster-access-policy/{policy}")
}

async fn observe(cx: &Cx, cluster: &str, principal: &str) -> Result<Option<AccessEntryObserved>> {
    let aws = aws::clients(cx).await?;
    let eks = aws.eks();
    let entry = eks.describe_access_entry().cluster_name(cluster).principal_arn(principal);
    let policies = eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal);
    let answers = futures::try_join!(async { entry.send().await.map_err(Error::from) }, async {
        policies.into_paginator().items().send().try_collect().await.map_err(Error::from)
    });
    let answers = match answers {
        Err(error) if knows_none(&error) => return Ok(None),
        answers => found(answers)?,
    };
    let Some((entry, policies)) = answers else { return Ok(None) };
    let policies: Vec<AssociatedAccessPolicy> = policies;
    let policies = policies.into_iter().filter_map(|policy| policy.policy_arn).collect();
    Ok(entry.access_entry().map(|entry| observed(entry, policies)))
}

/// A cluster whose authentication mode is the config map alone has no entries, and refuses to be asked for one.
fn knows_none(error: &Error) -> bool {
    let said = error.cause.as_deref().unwrap_or_default();
    error.code.as_deref() == Some("InvalidRequestException") && said.contains("authentication mode")
}

fn observed(entry: &aws_sdk_eks::types::AccessEntry, policies: Vec<String>) -> AccessEntryObserved {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    AccessEntryObserved {
        cluster: own(entry.cluster_name()),
        principal: own(entry.principal_arn()),
        policies,
        groups: entry.kubernetes_groups().to_vec(),
        tags: sorted(entry.tags()),
        arn: own(entry.access_entry_arn()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_compare_by_name() {
        let there = json!({ "policies": ["arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"] });
        assert_eq!(AccessEntry::diff(&json!({ "policies": ["AmazonEKSClusterAdminPolicy"] }), &there), vec![]);
        assert_eq!(AccessEntry::diff(&json!({ "policies": [] }), &there).len(), 1);
        assert_eq!(AccessEntry::diff(&json!({ "cluster": null }), &there), vec![]);
        assert_eq!(
            arn("aws-cn", "AmazonEKSViewPolicy"),
            "arn:aws-cn:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
        );
    }

    #[test]
    fn an_entry_is_named_by_cluster_and_principal() {
        let args = json!({ "cluster": "gitpod", "principal": "arn:aws:iam::1:role/path/admins" });
        assert_eq!(AccessEntry::name(&args).as_deref(), Some("gitpod/role/path/admins"));
    }
}
