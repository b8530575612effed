//! What the account may have at most.

use super::{clients, object::found};
use crate::{
    bind::{Lookup, Registry},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.lookup::<Quota>();
}

/// Looks up a quota: the account's own value where it has one, else AWS's default.
///
/// Use it with `aws::ec2::usage` to find out before the run that it would stop half-way. It never asks
/// for a raise.
///
/// # Errors
/// The service has no quota of that code.
///
/// ```rhai
/// let vpcs = aws::servicequotas::quota(#{ service: "vpc", code: "L-F678F1CE" });
/// if aws::ec2::usage(#{}).vpcs >= vpcs.value { throw `all ${vpcs.value} VPCs are in use`; }
/// ```
///
/// Stands on ServiceQuotas `GetServiceQuota`, `GetAWSDefaultServiceQuota`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaArgs {
    /// Service code: `vpc`, `ec2`, `eks`, `rds`.
    pub service: String,
    /// Quota code: `L-F678F1CE` (VPCs per region), `L-0263D0A3` (elastic IPs), `L-1216C47A` (on-demand standard vCPUs).
    pub code: String,
}

/// A quota.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct QuotaOutput {
    /// How many there may be.
    pub value: f64,
    /// AWS's name for it.
    pub name: String,
    /// Whether a raise can be asked for.
    pub adjustable: bool,
}

struct Quota;

#[async_trait]
impl Lookup for Quota {
    const NAME: &'static str = "aws::servicequotas::quota";
    type Args = QuotaArgs;
    type Output = QuotaOutput;

    async fn look(cx: &Cx, args: &QuotaArgs) -> Result<QuotaOutput> {
        let clients = clients(cx).await?;
        let quotas = clients.quotas();
        // A quota that was never changed has no value of the account's own.
        let own = quotas.get_service_quota().service_code(&args.service).quota_code(&args.code);
        let quota = if let Some(quota) = found(own.send().await)?.and_then(|told| told.quota) {
            Some(quota)
        } else {
            let common = quotas.get_aws_default_service_quota().service_code(&args.service).quota_code(&args.code);
            common.send().await?.quota
        };
        let quota = quota.ok_or_else(|| {
            Error::new(crate::error::Class::NotFound, format!("no quota `{}` of service `{}`", args.code, args.service))
        })?;
        Ok(QuotaOutput {
            value: quota.value.unwrap_or_default(),
            name: quota.quota_name.unwrap_or_default(),
            adjustable: quota.adjustable,
        })
    }
}
