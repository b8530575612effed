//! Machine images.

use super::tagging::filter;
use crate::{aws::clients, bind::Lookup, cx::Cx, error::Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Looks up the newest machine image (AMI) of an owner whose name fits a pattern.
///
/// Gives `()` when there is none in the region. Note that "newest" changes when the owner publishes one: a launch template
/// that uses it then gets a new version.
///
/// # Errors
/// None of its own.
///
/// ```rhai
/// let image = aws::ec2::find_image(#{ owner: "099720109477", name: "ubuntu-eks/k8s_1.33/images/*",
///                                     architecture: "x86_64" });
/// ```
///
/// Stands on EC2 `DescribeImages`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindImageArgs {
    /// Account of the owner (`099720109477` is Canonical), or `self`, `amazon`.
    pub owner: String,
    /// Name, with `*` and `?` as wildcards.
    pub name: String,
    /// `x86_64` or `arm64`. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// A machine image.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, ISO 8601.
    pub created: String,
    /// Its root device: `/dev/sda1`.
    pub root_device: String,
}

pub(super) struct FindImage;

#[async_trait]
impl Lookup for FindImage {
    const NAME: &'static str = "aws::ec2::find_image";
    type Args = FindImageArgs;
    type Output = Option<Image>;

    async fn look(cx: &Cx, args: &FindImageArgs) -> Result<Option<Image>> {
        let clients = clients(cx).await?;
        let mut ask = clients.ec2().describe_images().owners(&args.owner);
        ask = ask.filters(filter("name", &args.name)).filters(filter("state", "available"));
        if let Some(architecture) = &args.architecture {
            ask = ask.filters(filter("architecture", architecture));
        }
        let images = ask.send().await?.images.unwrap_or_default();
        Ok(newest(images.into_iter().map(|image| Image {
            id: image.image_id.unwrap_or_default(),
            name: image.name.unwrap_or_default(),
            created: image.creation_date.unwrap_or_default(),
            root_device: image.root_device_name.unwrap_or_default(),
        })))
    }
}

/// The newest; of two made at once the one whose name is later, so that the choice is always the same.
fn newest(images: impl Iterator<Item = Image>) -> Option<Image> {
    images.max_by(|left, right| (&left.created, &left.name, &left.id).cmp(&(&right.created, &right.name, &right.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, created: &str) -> Image {
        Image { id: id.into(), name: id.into(), created: created.into(), root_device: "/dev/sda1".into() }
    }

    #[test]
    fn the_newest_is_chosen_by_date_not_by_order() {
        let images = [
            image("a", "2026-01-02T00:00:00.000Z"),
            image("b", "2026-03-01T00:00:00.000Z"),
            image("c", "2026-02-01T00:00:00.000Z"),
        ];
        assert_eq!(newest(images.into_iter()).unwrap().id, "b");
        assert_eq!(newest(std::iter::empty()), None);
    }
}
