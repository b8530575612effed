//! `aws::eks::nodegroup`.

use super::{
    broken, check_name, issue, nodegroup_diff,
    nodegroup_sent::{new_bounds, new_labels, new_taints, read_taint, sent_taint, sent_template},
    sorted, tag, unless_busy, unless_unseen, unsorted,
};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text, touches},
    },
    bind::{Change, Ownership, Readiness, Resource},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use aws_sdk_eks::types::{AmiTypes, CapacityTypes, NodegroupScalingConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A managed node group: machines of one kind that join the cluster.
///
/// The nodes are made from a launch template; a new version of it rolls them, one after the other. Bounds, labels and taints
/// change in place, in one call. The *number* of nodes is set at creation and then belongs to the autoscaler: it is changed
/// only as far as new bounds demand. Labels are kept exactly as listed.
///
/// # Errors
/// A node group of that name that is not ours; a launch template or role that EKS cannot use; machines that are not to be had
/// (`AsgInstanceLaunchFailures`, with AWS's words).
///
/// ```rhai
/// let group = aws::eks::nodegroup(#{
///     cluster: "gitpod", name: "workspaces", role: role.arn, subnets: network.private_subnets,
///     launch_template: #{ id: template.id, version: template.latest_version },
///     scaling: #{ min: 1, desired: 2, max: 10 },
///     labels: #{ "gitpod.io/workload_workspace_regular": "true" },
/// });
/// ```
///
/// Stands on DescribeNodegroup, CreateNodegroup, UpdateNodegroupConfig, UpdateNodegroupVersion, TagResource,
/// DeleteNodegroup.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodegroupArgs {
    /// Name of the cluster.
    pub cluster: String,
    /// Name, unique in the cluster: 1 to 63 letters, digits, `-` and `_`.
    pub name: String,
    /// ARN of the nodes' role.
    pub role: String,
    /// Ids of the subnets the nodes live in.
    pub subnets: Vec<String>,
    /// What the nodes are made from. Default: EKS's own image and disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_template: Option<LaunchTemplate>,
    /// `on-demand` or `spot`. Default: `on-demand`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Kinds of machine, where the launch template names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_types: Option<Vec<String>>,
    /// EKS's own image (`AL2023_x86_64_STANDARD`), where the launch template names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami_type: Option<String>,
    /// How many nodes.
    pub scaling: Scaling,
    /// Labels of the nodes.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes. Default: none are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<Taint>>,
    /// Tags of the node group (not of its machines) besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A version of a launch template.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplate {
    /// `lt-…`.
    pub id: String,
    /// Its number, as a number or a text.
    pub version: TemplateVersion,
}

/// The number of a version, as a number or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TemplateVersion {
    /// `3`.
    Number(i64),
    /// `"3"`.
    Text(String),
}

impl TemplateVersion {
    /// The number as a text.
    pub fn text(&self) -> String {
        match self {
            TemplateVersion::Number(number) => number.to_string(),
            TemplateVersion::Text(text) => text.clone(),
        }
    }
}

/// How machines are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// By the hour, for as long as they are wanted.
    OnDemand,
    /// Cheaper, and taken away at will.
    Spot,
}

/// Bounds of a node group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Fewest nodes, from 0.
    pub min: i32,
    /// Nodes at creation.
    pub desired: i32,
    /// Most nodes, from 1.
    pub max: i32,
}

/// What keeps pods off the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value. Default: empty.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: String,
}

/// A node group as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NodegroupObserved {
    /// Name of its cluster.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// ARN of the nodes' role.
    pub role: String,
    /// Ids of its subnets.
    pub subnets: Vec<String>,
    /// What its nodes are made from.
    pub launch_template: Option<LaunchTemplate>,
    /// How its machines are paid for.
    pub capacity: Option<Capacity>,
    /// Kinds of machine.
    pub instance_types: Option<Vec<String>>,
    /// EKS's own image, or `CUSTOM`.
    pub ami_type: Option<String>,
    /// Bounds, and how many nodes there shall be now.
    pub scaling: Scaling,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    pub taints: Vec<Taint>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DELETING`, `CREATE_FAILED`, `DELETE_FAILED`, `DEGRADED`.
    pub status: String,
    /// Name of the Auto Scaling group behind it; empty until it is there.
    pub autoscaling_group: String,
    /// Version of the image: EKS's own, or the image's id.
    pub release_version: String,
    /// What EKS says is wrong.
    #[serde(default)]
    pub issues: Vec<String>,
}

/// See [`NodegroupArgs`].
pub struct Nodegroup;

#[async_trait]
impl Resource for Nodegroup {
    const KIND: &'static str = "aws::eks::nodegroup";
    type Args = NodegroupArgs;
    type Observed = NodegroupObserved;
    const REPLACE: &'static [&'static str] =
        &["cluster", "name", "role", "subnets", "capacity", "instance_types", "ami_type"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["status", "release_version"];
    const FIND_BY: &'static [&'static str] = &["cluster", "name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 10;
    const TIMEOUT_S: u64 = 3600;
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[("cluster", "aws::eks::cluster")];

    fn name(args: &Value) -> Option<String> {
        Some(format!("{}/{}", text(args, "cluster")?, text(args, "name")?))
    }

    fn validate(args: &NodegroupArgs) -> Result<()> {
        check_name("a node group", &args.name, 63)?;
        let Scaling { min, desired, max } = args.scaling;
        if min < 0 || max < 1 || min > desired || desired > max {
            return Err(Error::usage(format!("`scaling` of node group `{}` does not hold together", args.name))
                .because(format!("min {min}, desired {desired}, max {max}"))
                .hint("0 <= min <= desired <= max, and max is at least 1"));
        }
        if args.subnets.is_empty() {
            return Err(Error::usage(format!("node group `{}` has no `subnets`", args.name)));
        }
        let known = ["NoSchedule", "NoExecute", "PreferNoSchedule"];
        let odd = args.taints.iter().flatten().find(|taint| !known.contains(&taint.effect.as_str()));
        if let Some(odd) = odd {
            return Err(Error::usage(format!("`{}` is no effect of a taint", odd.effect))
                .hint(format!("use one of `{}`", known.join("`, `"))));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &NodegroupArgs) -> Result<Option<NodegroupObserved>> {
        observe(cx, &args.cluster, &args.name).await
    }

    async fn read(cx: &Cx, last: &NodegroupObserved) -> Result<Option<NodegroupObserved>> {
        observe(cx, &last.cluster, &last.name).await
    }

    fn tags(observed: &NodegroupObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &NodegroupObserved) -> Readiness {
        match observed.status.as_str() {
            "ACTIVE" => Readiness::Ready,
            status @ ("CREATE_FAILED" | "DELETE_FAILED" | "DEGRADED") => broken(status, &observed.issues),
            status => Readiness::Pending(format!("status {status}")),
        }
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        nodegroup_diff::diff(wanted, observed)
    }

    async fn create(cx: &Cx, args: &NodegroupArgs, token: &str) -> Result<NodegroupObserved> {
        let aws = aws::clients(cx).await?;
        let Scaling { min, desired, max } = args.scaling;
        let made = aws
            .eks()
            .create_nodegroup()
            .cluster_name(&args.cluster)
            .nodegroup_name(&args.name)
            .node_role(&args.role)
            .set_subnets(Some(args.subnets.clone()))
            .set_launch_template(args.launch_template.as_ref().map(sent_template))
            .set_capacity_type(args.capacity.map(|capacity| match capacity {
                Capacity::OnDemand => CapacityTypes::OnDemand,
                Capacity::Spot => CapacityTypes::Spot,
            }))
            .set_instance_types(args.instance_types.clone())
            .set_ami_type(args.ami_type.as_deref().map(AmiTypes::from))
            .scaling_config(NodegroupScalingConfig::builder().min_size(min).desired_size(desired).max_size(max).build())
            .set_labels(Some(unsorted(&args.labels)))
            .set_taints(args.taints.as_deref().map(|taints| taints.iter().map(sent_taint).collect()))
            .set_tags(Some(unsorted(&cx.tags(&args.tags))))
            .client_request_token(token)
            .send()
            .await
            .map_err(unless_unseen)?;
        observed(made.nodegroup().ok_or_else(|| absent("the node group"))?)
    }

    /// EKS takes no second change while one is under way: what the template changes comes after the rest, in another round.
    async fn update(cx: &Cx, args: &NodegroupArgs, observed: &NodegroupObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        if touches(changes, "tags") {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        if ["scaling", "labels", "taints"].iter().any(|field| touches(changes, field)) {
            let update = aws.eks().update_nodegroup_config().cluster_name(&args.cluster).nodegroup_name(&args.name);
            update
                .set_scaling_config(touches(changes, "scaling").then(|| new_bounds(args.scaling, observed.scaling)))
                .set_labels(touches(changes, "labels").then(|| new_labels(&args.labels, changes)))
                .set_taints(touches(changes, "taints").then(|| new_taints(args.taints.as_deref(), &observed.taints)))
                .send()
                .await
                .map_err(unless_busy)?;
        } else if let Some(template) = args.launch_template.as_ref().filter(|_| touches(changes, "launch_template")) {
            let update = aws.eks().update_nodegroup_version().cluster_name(&args.cluster).nodegroup_name(&args.name);
            update.launch_template(sent_template(template)).send().await.map_err(unless_busy)?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &NodegroupObserved) -> Result<()> {
        if observed.status == "DELETING" {
            return Ok(());
        }
        let aws = aws::clients(cx).await?;
        let delete = aws.eks().delete_nodegroup().cluster_name(&observed.cluster).nodegroup_name(&observed.name);
        gone(delete.send().await.map_err(Error::from))
    }
}

async fn observe(cx: &Cx, cluster: &str, name: &str) -> Result<Option<NodegroupObserved>> {
    let aws = aws::clients(cx).await?;
    let describe = aws.eks().describe_nodegroup().cluster_name(cluster).nodegroup_name(name);
    let Some(answer) = found(describe.send().await.map_err(Error::from))? else { return Ok(None) };
    answer.nodegroup().map(observed).transpose()
}

fn observed(group: &aws_sdk_eks::types::Nodegroup) -> Result<NodegroupObserved> {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let scaling = group.scaling_config().ok_or_else(|| absent("the node group's bounds"))?;
    let groups = group.resources().map(aws_sdk_eks::types::NodegroupResources::auto_scaling_groups).unwrap_or_default();
    let issues = group.health().map(aws_sdk_eks::types::NodegroupHealth::issues).unwrap_or_default();
    Ok(NodegroupObserved {
        cluster: own(group.cluster_name()),
        name: own(group.nodegroup_name()),
        role: own(group.node_role()),
        subnets: group.subnets().to_vec(),
        launch_template: group.launch_template().map(|template| LaunchTemplate {
            id: own(template.id()),
            version: TemplateVersion::Text(own(template.version())),
        }),
        capacity: group.capacity_type().map(|capacity| match capacity {
            CapacityTypes::Spot => Capacity::Spot,
            _ => Capacity::OnDemand,
        }),
        instance_types: group.instance_types.clone(),
        ami_type: group.ami_type().map(|ami| ami.as_str().to_owned()),
        scaling: Scaling {
            min: scaling.min_size().unwrap_or_default(),
            desired: scaling.desired_size().unwrap_or_default(),
            max: scaling.max_size().unwrap_or_default(),
        },
        labels: sorted(group.labels()),
        taints: group.taints().iter().map(read_taint).collect(),
        tags: sorted(group.tags()),
        arn: own(group.nodegroup_arn()),
        status: own(group.status().map(aws_sdk_eks::types::NodegroupStatus::as_str)),
        autoscaling_group: own(groups.first().and_then(|one| one.name())),
        release_version: own(group.release_version()),
        issues: issues
            .iter()
            .map(|one| issue(one.code().map(aws_sdk_eks::types::NodegroupIssueCode::as_str), one.message()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_must_hold_together() {
        let args = |min: i32, desired: i32, max: i32| -> NodegroupArgs {
            serde_json::from_value(json!({
                "cluster": "c", "name": "n", "role": "r", "subnets": ["s"], "capacity": "on-demand",
                "launch_template": { "id": "lt-1", "version": 3 },
                "scaling": { "min": min, "desired": desired, "max": max },
            }))
            .unwrap()
        };
        assert!(Nodegroup::validate(&args(1, 2, 10)).is_ok());
        assert!(Nodegroup::validate(&args(0, 0, 1)).is_ok());
        for (min, desired, max) in [(3, 2, 10), (1, 11, 10), (-1, 1, 2), (0, 0, 0)] {
            assert!(Nodegroup::validate(&args(min, desired, max)).is_err());
        }
    }
}
