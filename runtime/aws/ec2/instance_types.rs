//! Types of instances.

use crate::{aws::clients, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, MemoryInfo, ProcessorInfo, VCpuInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Looks up types of instances: which of them the region has, and how large they are.
///
/// A type that the region does not have is not in the answer.
///
/// # Errors
/// None of its own.
///
/// ```rhai
/// let types = aws::ec2::instance_types(#{ names: ["m6i.xlarge"] }).types;
/// print(types["m6i.xlarge"].vcpus);
/// ```
///
/// Stands on EC2 `DescribeInstanceTypes`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceTypesArgs {
    /// Their names.
    pub names: Vec<String>,
}

/// What the region has of them.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct InstanceTypesOutput {
    /// By name.
    pub types: BTreeMap<String, InstanceTypeFound>,
}

/// A type of instances.
#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct InstanceTypeFound {
    /// Its vCPUs.
    pub vcpus: i32,
    /// Its memory in MiB.
    pub memory_mib: i64,
    /// `x86_64`, `arm64`.
    pub architectures: Vec<String>,
}

pub(super) struct InstanceTypes;

#[async_trait]
impl Lookup for InstanceTypes {
    const NAME: &'static str = "aws::ec2::instance_types";
    type Args = InstanceTypesArgs;
    type Output = InstanceTypesOutput;

    async fn look(cx: &Cx, args: &InstanceTypesArgs) -> Result<InstanceTypesOutput> {
        let clients = clients(cx).await?;
        let mut types = BTreeMap::new();
        if args.names.is_empty() {
            return Ok(InstanceTypesOutput { types });
        }
        // By a filter: a name that is none is then no error.
        let wanted = Filter::builder().name("instance-type").set_values(Some(args.names.clone())).build();
        let mut pages = clients.ec2().describe_instance_types().filters(wanted).into_paginator().items().send();
        while let Some(found) = pages.next().await {
            let found = found?;
            let architectures = found.processor_info().map(ProcessorInfo::supported_architectures).unwrap_or_default();
            let about = InstanceTypeFound {
                vcpus: found.v_cpu_info().and_then(VCpuInfo::default_v_cpus).unwrap_or_default(),
                memory_mib: found.memory_info().and_then(MemoryInfo::size_in_mib).unwrap_or_default(),
                architectures: architectures.iter().map(|it| it.as_str().to_owned()).collect(),
            };
            types.extend(found.instance_type().map(|name| (name.as_str().to_owned(), about)));
        }
        Ok(InstanceTypesOutput { types })
    }
}
