//! The region: its zones, and what the account uses of it.

use super::tagging::filter;
use crate::{aws::clients, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, Instance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Families of instances that the quota of standard vCPUs counts.
const STANDARD_FAMILIES: &str = "acdhimrtz";

/// Looks up the availability zones of the region that can be used.
///
/// Local zones and Wavelength zones are never among them.
///
/// # Errors
/// None of its own.
///
/// ```rhai
/// let zones = aws::ec2::zones(#{}).names;   // ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
/// ```
///
/// Stands on EC2 `DescribeAvailabilityZones`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZonesArgs {}

/// The zones of the region.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct ZonesOutput {
    /// Their names, sorted.
    pub names: Vec<String>,
}

pub(super) struct Zones;

#[async_trait]
impl Lookup for Zones {
    const NAME: &'static str = "aws::ec2::zones";
    type Args = ZonesArgs;
    type Output = ZonesOutput;

    async fn look(cx: &Cx, _args: &ZonesArgs) -> Result<ZonesOutput> {
        let clients = clients(cx).await?;
        let ask = clients.ec2().describe_availability_zones();
        let ask = ask.filters(filter("state", "available")).filters(filter("zone-type", "availability-zone"));
        let told = ask.send().await?;
        let mut names: Vec<String> =
            told.availability_zones().iter().filter_map(|zone| zone.zone_name.clone()).collect();
        names.sort();
        Ok(ZonesOutput { names })
    }
}

/// Looks up how much of the region's scarcest quotas the account uses.
///
/// Compare with `aws::servicequotas::quota` before a run.
///
/// # Errors
/// None of its own.
///
/// ```rhai
/// let used = aws::ec2::usage(#{});
/// print(`${used.vpcs} VPCs, ${used.elastic_ips} addresses, ${used.vcpus_standard} vCPUs`);
/// ```
///
/// Stands on EC2 `DescribeVpcs`, `DescribeAddresses`, `DescribeInstances`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageArgs {
    /// EKS cluster whose nodes are not counted: they are the stack's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// Whether an object carries the tag of the stack that asks.
fn is_ours(cx: &Cx, tags: &[aws_sdk_ec2::types::Tag]) -> bool {
    tags.iter().any(|tag| tag.key() == Some(crate::cx::TAG_STACK) && tag.value() == Some(&cx.run.stack))
}

/// Whether an instance is a node of the cluster that the caller leaves out.
fn is_node(args: &UsageArgs, tags: &[aws_sdk_ec2::types::Tag]) -> bool {
    let cluster = args.cluster.as_deref();
    cluster.is_some() && tags.iter().any(|tag| tag.key() == Some("eks:cluster-name") && tag.value() == cluster)
}

/// What the account uses in the region, beside the stack that asks.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct UsageOutput {
    /// VPCs (quota `vpc`, `L-F678F1CE`).
    pub vpcs: usize,
    /// Elastic IPs (quota `ec2`, `L-0263D0A3`).
    pub elastic_ips: usize,
    /// vCPUs of running on-demand instances of families A, C, D, H, I, M, R, T, Z (quota `ec2`, `L-1216C47A`).
    pub vcpus_standard: i32,
}

pub(super) struct Usage;

#[async_trait]
impl Lookup for Usage {
    const NAME: &'static str = "aws::ec2::usage";
    type Args = UsageArgs;
    type Output = UsageOutput;

    async fn look(cx: &Cx, args: &UsageArgs) -> Result<UsageOutput> {
        let clients = clients(cx).await?;
        let mut vpcs = 0;
        let mut pages = clients.ec2().describe_vpcs().into_paginator().items().send();
        while let Some(vpc) = pages.next().await {
            vpcs += usize::from(!is_ours(cx, vpc?.tags()));
        }
        let addresses = clients.ec2().describe_addresses().send().await?;
        let elastic_ips = addresses.addresses().iter().filter(|address| !is_ours(cx, address.tags())).count();
        let running = Filter::builder().name("instance-state-name").values("pending").values("running").build();
        let mut pages = clients.ec2().describe_instances().filters(running).into_paginator().items().send();
        let mut vcpus_standard = 0;
        while let Some(reservation) = pages.next().await {
            let reservation = reservation?;
            let others = reservation
                .instances()
                .iter()
                .filter(|instance| !is_ours(cx, instance.tags()) && !is_node(args, instance.tags()));
            vcpus_standard += others.map(standard_vcpus).sum::<i32>();
        }
        Ok(UsageOutput { vpcs, elastic_ips, vcpus_standard })
    }
}

/// The vCPUs that an instance takes of the standard quota; spot instances have a quota of their own.
fn standard_vcpus(instance: &Instance) -> i32 {
    let kind = instance.instance_type().map_or("", |kind| kind.as_str());
    let family = kind.chars().take_while(char::is_ascii_alphabetic).collect::<String>();
    // `inf1`, `dl1`, `hpc6a` and their like have quotas of their own though their letters are standard.
    let standard = family.len() == 1 && STANDARD_FAMILIES.contains(family.as_str()) || family == "im" || family == "is";
    if !standard || instance.instance_lifecycle().is_some() {
        return 0;
    }
    let options = instance.cpu_options();
    let cores = options.and_then(aws_sdk_ec2::types::CpuOptions::core_count).unwrap_or(0);
    cores * options.and_then(aws_sdk_ec2::types::CpuOptions::threads_per_core).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{CpuOptions, InstanceLifecycleType, InstanceType};

    fn instance(kind: &str) -> aws_sdk_ec2::types::builders::InstanceBuilder {
        let cpu = CpuOptions::builder().core_count(4).threads_per_core(2).build();
        Instance::builder().instance_type(InstanceType::from(kind)).cpu_options(cpu)
    }

    #[test]
    fn only_standard_on_demand_instances_count() {
        assert_eq!(standard_vcpus(&instance("m6i.2xlarge").build()), 8);
        assert_eq!(standard_vcpus(&instance("p4d.24xlarge").build()), 0);
        assert_eq!(standard_vcpus(&instance("inf1.xlarge").build()), 0);
        let spot = instance("m6i.2xlarge").instance_lifecycle(InstanceLifecycleType::Spot).build();
        assert_eq!(standard_vcpus(&spot), 0);
    }
}
