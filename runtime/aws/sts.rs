//! Who the caller is.

use super::clients;
use crate::{
    bind::{Lookup, Registry},
    cx::Cx,
    error::Result,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.lookup::<Identity>();
}

/// Looks up which account, identity and region the calls go to.
///
/// Use it first, to stop before anything is made in the wrong account. It never asks for rights: the call is allowed to
/// every valid key.
///
/// # Errors
/// No credentials, or ones that have expired.
///
/// ```rhai
/// let me = aws::sts::identity(#{});
/// print(`account ${me.account} in ${me.region}`);
/// ```
///
/// Stands on STS `GetCallerIdentity`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityArgs {}

/// Who the caller is.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct IdentityOutput {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or the assumed role.
    pub arn: String,
    /// Region the calls go to.
    pub region: String,
}

struct Identity;

#[async_trait]
impl Lookup for Identity {
    const NAME: &'static str = "aws::sts::identity";
    type Args = IdentityArgs;
    type Output = IdentityOutput;

    async fn look(cx: &Cx, _args: &IdentityArgs) -> Result<IdentityOutput> {
        let clients = clients(cx).await?;
        let told = clients.sts().get_caller_identity().send().await?;
        Ok(IdentityOutput {
            account: told.account.unwrap_or_default(),
            arn: told.arn.unwrap_or_default(),
            region: clients.region().to_owned(),
        })
    }
}
