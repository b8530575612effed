//! `aws::route53::find_zone`.

use super::{
    check_name, plain_id,
    zone::{ZoneObserved, named, observe},
};
use crate::{aws, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Looks for a public hosted zone by name.
///
/// Use it for records in a zone that something else made. Of several zones of one name the first is taken. It never changes
/// anything.
///
/// # Errors
/// The caller may not list zones.
///
/// ```rhai
/// let zone = aws::route53::find_zone(#{ name: "gitpod.example.com" });
/// if zone == () { fail("there is no zone"); }
/// ```
///
/// Stands on ListHostedZonesByName, GetHostedZone, ListTagsForResource.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindZoneArgs {
    /// Name of the domain.
    pub name: String,
}

/// See [`FindZoneArgs`].
pub struct FindZone;

#[async_trait]
impl Lookup for FindZone {
    const NAME: &'static str = "aws::route53::find_zone";
    type Args = FindZoneArgs;
    type Output = Option<ZoneObserved>;

    async fn look(cx: &Cx, args: &FindZoneArgs) -> Result<Option<ZoneObserved>> {
        check_name(&args.name)?;
        let aws = aws::clients(cx).await?;
        match named(aws.route53(), &args.name).await?.first() {
            Some(zone) => observe(cx, plain_id(zone.id())).await,
            None => Ok(None),
        }
    }
}
