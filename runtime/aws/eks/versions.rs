//! `aws::eks::versions`.

use super::version::Version;
use crate::{aws, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use aws_sdk_eks::types::VersionStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Kubernetes versions that EKS still offers.
///
/// Use it to stop before anything is made when the wanted version is out of support. It never chooses for you. Servers other
/// than AWS's own may lack the call.
///
/// # Errors
/// The caller may not call `eks:DescribeClusterVersions`.
///
/// ```rhai
/// let offered = aws::eks::versions(#{});
/// if !(cfg.cluster.version in offered.versions) { fail(`EKS offers ${offered.versions}`); }
/// ```
///
/// Stands on DescribeClusterVersions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsArgs {}

/// What EKS offers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VersionsOutput {
    /// All that can be had, newest first: `["1.34", "1.33"]`.
    pub versions: Vec<String>,
    /// Those of them in standard support; the others cost more.
    pub standard: Vec<String>,
    /// The one EKS takes when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// See [`VersionsArgs`].
pub struct Versions;

#[async_trait]
impl Lookup for Versions {
    const NAME: &'static str = "aws::eks::versions";
    type Args = VersionsArgs;
    type Output = VersionsOutput;

    async fn look(cx: &Cx, _args: &VersionsArgs) -> Result<VersionsOutput> {
        let aws = aws::clients(cx).await?;
        let described: Vec<aws_sdk_eks::types::ClusterVersionInformation> =
            aws.eks().describe_cluster_versions().into_paginator().items().send().try_collect().await?;
        let of = |wanted: &dyn Fn(Option<&VersionStatus>) -> bool| {
            let fitting = described.iter().filter(|version| wanted(version.version_status()));
            newest_first(fitting.filter_map(|version| version.cluster_version.clone()).collect())
        };
        Ok(VersionsOutput {
            versions: of(&|status| status != Some(&VersionStatus::Unsupported)),
            standard: of(&|status| status == Some(&VersionStatus::StandardSupport)),
            default: described.iter().find(|version| version.default_version).and_then(|v| v.cluster_version.clone()),
        })
    }
}

fn newest_first(mut versions: Vec<String>) -> Vec<String> {
    versions.sort_by_key(|version| std::cmp::Reverse(version.parse::<Version>().ok()));
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first() {
        let versions = ["1.9", "1.34", "1.10", "1.34"].map(str::to_owned).to_vec();
        assert_eq!(newest_first(versions), ["1.34", "1.10", "1.9"]);
    }
}
