//! `aws::rds::versions`.

use crate::{aws, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeSet};

/// The versions of an engine that can be ordered on a class of machine.
///
/// Use it to stop before anything is made when the wanted version or class cannot be had. It never chooses for you. Servers
/// other than AWS's own may lack the call.
///
/// # Errors
/// The caller may not call `rds:DescribeOrderableDBInstanceOptions`.
///
/// ```rhai
/// let offered = aws::rds::versions(#{ engine: "mysql", class: "db.m5.large" }).versions;
/// if offered.len() == 0 { fail("this region has no db.m5.large"); }
/// ```
///
/// Stands on DescribeOrderableDBInstanceOptions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsArgs {
    /// `mysql`, `mariadb`, `postgres`.
    pub engine: String,
    /// Kind of machine: `db.m5.large`.
    pub class: String,
}

/// What RDS offers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VersionsOutput {
    /// Full versions, newest first: `["8.4.6", "8.0.43"]`; none where the region has no such class.
    pub versions: Vec<String>,
}

/// See [`VersionsArgs`].
pub struct Versions;

#[async_trait]
impl Lookup for Versions {
    const NAME: &'static str = "aws::rds::versions";
    type Args = VersionsArgs;
    type Output = VersionsOutput;

    async fn look(cx: &Cx, args: &VersionsArgs) -> Result<VersionsOutput> {
        let aws = aws::clients(cx).await?;
        let ask =
            aws.rds().describe_orderable_db_instance_options().engine(&args.engine).db_instance_class(&args.class);
        let mut pages = ask.into_paginator().items().send();
        let mut versions = BTreeSet::new();
        while let Some(option) = pages.next().await {
            versions.extend(option?.engine_version);
        }
        Ok(VersionsOutput { versions: newest_first(versions) })
    }
}

fn newest_first(versions: BTreeSet<String>) -> Vec<String> {
    let mut versions: Vec<String> = versions.into_iter().collect();
    versions
        .sort_by_key(|version| Reverse(version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>()));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let versions = ["8.0.9", "8.0.43", "8.4.3", "5.7.44-rds.20240408"].map(str::to_owned);
        assert_eq!(newest_first(versions.into()), ["8.4.3", "8.0.43", "8.0.9", "5.7.44-rds.20240408"]);
    }
}
