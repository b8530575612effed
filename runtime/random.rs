//! Random values that are made once and kept for as long as the stack lives.

use crate::{
    bind::{Change, Ownership, Registry, Resource},
    cx::Cx,
    error::{Error, Result},
    secret::Secret,
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A random secret, made by the first run and the same in every later one.
///
/// For passwords (`random::password`, hexadecimal) and keys (`random::key`, base64). It is kept, encrypted, in the state log
/// and nowhere else; it is never made again while the stack lives, whatever else changes.
///
/// - `name`: unique in the stack among its kind.
/// - `bytes`: how many random bytes; 18 by default for passwords, 32 for keys; 8 to 1024.
///
/// # Errors
/// `bytes` is out of range.
///
/// ```rhai
/// let password = random::password(#{ name: "database", bytes: 18 }).value;
/// ```
///
/// Stands on no API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Unique in the stack among its kind.
    pub name: String,
    /// How many random bytes; 8 to 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
}

/// What was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// The secret itself.
    pub value: Secret,
}

/// `bytes` random bytes as hexadecimal digits.
pub struct Password;

/// `bytes` random bytes as base64.
pub struct Key;

fn bytes(args: &Wanted, default: usize) -> Result<Vec<u8>> {
    let count = args.bytes.unwrap_or(default);
    if !(8..=1024).contains(&count) {
        return Err(Error::usage(format!("`bytes` is {count}: it takes 8 to 1024")));
    }
    Ok((0..count).map(|_| rand::random::<u8>()).collect())
}

macro_rules! random_kind {
    ($type:ty, $kind:literal, $default:literal, $encode:expr) => {
        #[async_trait]
        impl Resource for $type {
            const KIND: &'static str = $kind;
            type Args = Wanted;
            type Observed = Made;
            const ONLY_RECORDED: bool = true;
            const OWNERSHIP: Ownership = Ownership::Intent;
            const REPEATABLE: bool = true;

            fn name(args: &Value) -> Option<String> {
                args["name"].as_str().map(str::to_owned)
            }
            fn validate(args: &Wanted) -> Result<()> {
                bytes(args, $default).map(drop)
            }
            async fn find(_: &Cx, _: &Wanted) -> Result<Option<Made>> {
                Ok(None)
            }
            async fn read(_: &Cx, last: &Made) -> Result<Option<Made>> {
                Ok(Some(last.clone()))
            }
            /// Never: what is wanted of a value that is out in the world cannot change.
            fn diff(_: &Value, _: &Value) -> Vec<Change> {
                Vec::new()
            }
            async fn create(_: &Cx, args: &Wanted, _: &str) -> Result<Made> {
                let encode: fn(Vec<u8>) -> String = $encode;
                Ok(Made { name: args.name.clone(), value: Secret::new(encode(bytes(args, $default)?)) })
            }
            async fn update(_: &Cx, _: &Wanted, _: &Made, _: &[Change]) -> Result<()> {
                Ok(())
            }
            async fn delete(_: &Cx, _: &Made) -> Result<()> {
                Ok(())
            }
        }
    };
}

random_kind!(Password, "random::password", 18, |bytes| hex::encode(bytes));
random_kind!(Key, "random::key", 32, |bytes| STANDARD.encode(bytes));

/// Registers what this module has.
pub fn register(registry: &mut Registry) {
    registry.resource::<Password>();
    registry.resource::<Key>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded_and_values_differ() {
        let wanted = |bytes| Wanted { name: "x".into(), bytes };
        assert!(Password::validate(&wanted(Some(7))).is_err());
        assert!(Key::validate(&wanted(Some(1025))).is_err());
        assert_eq!(bytes(&wanted(None), 18).unwrap().len(), 18);
        assert_ne!(bytes(&wanted(None), 18).unwrap(), bytes(&wanted(None), 18).unwrap());
    }
}
