//! Values that stay what they were when they were first seen.

use crate::{
    bind::{Change, Ownership, Registry, Resource},
    cx::Cx,
    error::Result,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Keeps a value: the first run records it, and every later run gets that one back, whatever is given.
///
/// For choices that must not move under a running system: which image is the newest, which version was the default. To
/// choose anew, give it another `name`, or run `gitpod-play state rm kept::value/NAME`. Never sent anywhere.
///
/// - `name`: unique in the stack.
/// - `value`: what to keep if nothing is kept yet.
///
/// ```rhai
/// let image = kept::value(#{ name: "image", value: "ami-1" }).value;
/// ```
///
/// Stands on no API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Unique in the stack.
    pub name: String,
    /// What to keep if nothing is kept yet.
    pub value: Value,
}

/// A kept value.
pub struct KeptValue;

#[async_trait]
impl Resource for KeptValue {
    const KIND: &'static str = "kept::value";
    type Args = Keep;
    type Observed = Keep;
    const ONLY_RECORDED: bool = true;
    const OWNERSHIP: Ownership = Ownership::Intent;
    const REPEATABLE: bool = true;

    fn name(args: &Value) -> Option<String> {
        args["name"].as_str().map(str::to_owned)
    }

    async fn find(_: &Cx, _: &Keep) -> Result<Option<Keep>> {
        Ok(None)
    }

    async fn read(_: &Cx, last: &Keep) -> Result<Option<Keep>> {
        Ok(Some(last.clone()))
    }

    fn diff(_: &Value, _: &Value) -> Vec<Change> {
        Vec::new()
    }

    async fn create(_: &Cx, args: &Keep, _: &str) -> Result<Keep> {
        Ok(args.clone())
    }

    async fn update(_: &Cx, _: &Keep, _: &Keep, _: &[Change]) -> Result<()> {
        Ok(())
    }

    async fn delete(_: &Cx, _: &Keep) -> Result<()> {
        Ok(())
    }
}

/// Registers what this module has.
pub fn register(registry: &mut Registry) {
    registry.resource::<KeptValue>();
}
