//! `aws::eks::addon`.

use super::{broken, issue, sorted, tag, unless_busy, unless_unseen, unsorted};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text},
    },
    bind::{Change, Ownership, Readiness, Resource},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use aws_sdk_eks::types::ResolveConflicts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An EKS add-on: software in the cluster that AWS installs and updates.
///
/// Use it for the EBS CSI driver and the like. Fields that others changed in its objects are overwritten. Without `version`
/// EKS chooses one at creation, which then stays. It waits as long as the add-on is `DEGRADED`, as it is before there are
/// nodes.
///
/// # Errors
/// An add-on of that name that is not ours; a version that does not fit the cluster's.
///
/// ```rhai
/// aws::eks::addon(#{ cluster: "gitpod", name: "aws-ebs-csi-driver", role: role.arn });
/// ```
///
/// Stands on DescribeAddon, CreateAddon, UpdateAddon, TagResource, DeleteAddon.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddonArgs {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the add-on, as AWS lists it: `aws-ebs-csi-driver`.
    pub name: String,
    /// Its version: `v1.40.0-eksbuild.1`. Default: EKS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// ARN of the role of its service account. Default: the nodes' role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its settings, a map as the add-on's schema wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An add-on as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AddonObserved {
    /// Name of its cluster.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// ARN of the role of its service account.
    pub role: Option<String>,
    /// Its settings.
    pub configuration: Option<Value>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `DEGRADED`, `UPDATING`, `DELETING`, `CREATE_FAILED`, `UPDATE_FAILED`, `DELETE_FAILED`.
    pub status: String,
    /// What EKS says is wrong.
    #[serde(default)]
    pub issues: Vec<String>,
}

/// See [`AddonArgs`].
pub struct Addon;

#[async_trait]
impl Resource for Addon {
    const KIND: &'static str = "aws::eks::addon";
    type Args = AddonArgs;
    type Observed = AddonObserved;
    const REPLACE: &'static [&'static str] = &["cluster", "name"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["status"];
    const FIND_BY: &'static [&'static str] = &["cluster", "name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 10;
    const TIMEOUT_S: u64 = 1800;
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[("cluster", "aws::eks::cluster")];

    fn name(args: &Value) -> Option<String> {
        Some(format!("{}/{}", text(args, "cluster")?, text(args, "name")?))
    }

    async fn find(cx: &Cx, args: &AddonArgs) -> Result<Option<AddonObserved>> {
        observe(cx, &args.cluster, &args.name).await
    }

    async fn read(cx: &Cx, last: &AddonObserved) -> Result<Option<AddonObserved>> {
        observe(cx, &last.cluster, &last.name).await
    }

    fn tags(observed: &AddonObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &AddonObserved) -> Readiness {
        match observed.status.as_str() {
            "ACTIVE" => Readiness::Ready,
            status @ ("CREATE_FAILED" | "UPDATE_FAILED" | "DELETE_FAILED") => broken(status, &observed.issues),
            // Without nodes its pods wait, and it counts as degraded until they run.
            "DEGRADED" => Readiness::Pending(format!("status DEGRADED: {}", observed.issues.join("; "))),
            status => Readiness::Pending(format!("status {status}")),
        }
    }

    async fn create(cx: &Cx, args: &AddonArgs, token: &str) -> Result<AddonObserved> {
        let aws = aws::clients(cx).await?;
        let made = aws
            .eks()
            .create_addon()
            .cluster_name(&args.cluster)
            .addon_name(&args.name)
            .set_addon_version(args.version.clone())
            .set_service_account_role_arn(args.role.clone())
            .set_configuration_values(args.configuration.as_ref().map(sent))
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .set_tags(Some(unsorted(&cx.tags(&args.tags))))
            .client_request_token(token)
            .send()
            .await
            .map_err(unless_unseen)?;
        Ok(observed(made.addon().ok_or_else(|| absent("the add-on"))?))
    }

    async fn update(cx: &Cx, args: &AddonArgs, observed: &AddonObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        if changes.iter().any(|change| change.field.starts_with("tags")) {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        if changes.iter().all(|change| change.field.starts_with("tags")) {
            return Ok(());
        }
        // What is left out would be taken back.
        let configuration = args.configuration.as_ref().or(observed.configuration.as_ref());
        aws.eks()
            .update_addon()
            .cluster_name(&args.cluster)
            .addon_name(&args.name)
            .set_addon_version(args.version.clone().or_else(|| observed.version.clone()))
            .set_service_account_role_arn(args.role.clone().or_else(|| observed.role.clone()))
            .set_configuration_values(configuration.map(sent))
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .send()
            .await
            .map_err(unless_busy)?;
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &AddonObserved) -> Result<()> {
        if observed.status == "DELETING" {
            return Ok(());
        }
        let aws = aws::clients(cx).await?;
        let delete = aws.eks().delete_addon().cluster_name(&observed.cluster).addon_name(&observed.name);
        gone(delete.send().await.map_err(Error::from))
    }
}

/// Settings as EKS takes them: JSON as text; a text goes as it is.
fn sent(configuration: &Value) -> String {
    configuration.as_str().map_or_else(|| configuration.to_string(), str::to_owned)
}

/// Settings as scripts write them.
fn read(configuration: &str) -> Option<Value> {
    if configuration.is_empty() {
        return None;
    }
    Some(serde_json::from_str(configuration).unwrap_or_else(|_| Value::String(configuration.to_owned())))
}

async fn observe(cx: &Cx, cluster: &str, name: &str) -> Result<Option<AddonObserved>> {
    let aws = aws::clients(cx).await?;
    let describe = aws.eks().describe_addon().cluster_name(cluster).addon_name(name);
    let answer = found(describe.send().await.map_err(Error::from))?;
    Ok(answer.as_ref().and_then(|answer| answer.addon()).map(observed))
}

fn observed(addon: &aws_sdk_eks::types::Addon) -> AddonObserved {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let issues = addon.health().map(aws_sdk_eks::types::AddonHealth::issues).unwrap_or_default();
    AddonObserved {
        cluster: own(addon.cluster_name()),
        name: own(addon.addon_name()),
        version: addon.addon_version.clone(),
        role: addon.service_account_role_arn.clone(),
        configuration: addon.configuration_values().and_then(read),
        tags: sorted(addon.tags()),
        arn: own(addon.addon_arn()),
        status: own(addon.status().map(aws_sdk_eks::types::AddonStatus::as_str)),
        issues: issues
            .iter()
            .map(|one| issue(one.code().map(aws_sdk_eks::types::AddonIssueCode::as_str), one.message()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_travel_as_text() {
        let settings = json!({ "controller": { "replicaCount": 1 } });
        assert_eq!(read(&sent(&settings)), Some(settings));
        assert_eq!(read(&sent(&json!("a: 1"))), Some(json!("a: 1")));
        assert_eq!(read(""), None);
    }

    #[test]
    fn an_addon_without_nodes_is_waited_for() {
        let mut addon = AddonObserved {
            cluster: "c".into(),
            name: "n".into(),
            version: None,
            role: None,
            configuration: None,
            tags: BTreeMap::new(),
            arn: String::new(),
            status: "DEGRADED".into(),
            issues: vec!["InsufficientNumberOfReplicas: no nodes".into()],
        };
        assert!(matches!(Addon::readiness(&addon), Readiness::Pending(why) if why.contains("no nodes")));
        addon.status = "CREATE_FAILED".into();
        assert!(matches!(Addon::readiness(&addon), Readiness::Broken(why) if why.contains("no nodes")));
    }
}
