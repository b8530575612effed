//! A gateway between a network and the internet.

use super::{check_name, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Resource},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::create_internet_gateway::builders::CreateInternetGatewayInputBuilder,
    types::{AttachmentStatus, InternetGateway as Described, ResourceType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An internet gateway, attached to a VPC.
///
/// Public subnets route to it. It is made first and attached after, so an interrupted run attaches it the next time. Deleting
/// detaches it, which AWS refuses as long as public addresses are in use in the VPC. It never makes routes.
///
/// # Errors
/// `Resource.AlreadyAssociated` when the VPC has another gateway; `InternetGatewayLimitExceeded`.
///
/// ```rhai
/// let gateway = aws::ec2::internet_gateway(#{ name: "gitpod", vpc: vpc.id });
/// ```
///
/// Stands on EC2 `CreateInternetGateway`, `AttachInternetGateway`, `DescribeInternetGateways`, `CreateTags`,
/// `DetachInternetGateway`, `DeleteInternetGateway`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InternetGatewayArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Id of the VPC it is attached to. A change detaches it and attaches it there.
    pub vpc: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An internet gateway as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct InternetGatewayObserved {
    /// `igw-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Id of the VPC it is attached to; absent when it is attached to none.
    #[serde(default)]
    pub vpc: Option<String>,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct InternetGateway;

#[async_trait]
impl Resource for InternetGateway {
    const KIND: &'static str = "aws::ec2::internet_gateway";
    type Args = InternetGatewayArgs;
    type Observed = InternetGatewayObserved;
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &InternetGatewayArgs) -> Result<()> {
        check_name(&args.name)
    }

    async fn find(cx: &Cx, _args: &InternetGatewayArgs) -> Result<Option<InternetGatewayObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_internet_gateways().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.internet_gateways().first().map(shown))
    }

    async fn twins(cx: &Cx, of: &InternetGatewayObserved) -> Result<Vec<InternetGatewayObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_internet_gateways().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.internet_gateways().iter().map(shown).filter(|other| other.id != of.id).collect())
    }

    async fn read(cx: &Cx, last: &InternetGatewayObserved) -> Result<Option<InternetGatewayObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_internet_gateways().internet_gateway_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.internet_gateways().first().map(shown)))
    }

    fn tags(observed: &InternetGatewayObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &InternetGatewayArgs, _token: &str) -> Result<InternetGatewayObserved> {
        let clients = clients(cx).await?;
        let input = create_internet_gateway_input(&tagging::wanted(cx, &args.name, &args.tags));
        made(input.send_with(clients.ec2()).await?.internet_gateway, "gateway").map(|gateway| shown(&gateway))
    }

    async fn update(
        cx: &Cx,
        args: &InternetGatewayArgs,
        observed: &InternetGatewayObserved,
        changes: &[Change],
    ) -> Result<()> {
        let clients = clients(cx).await?;
        if touches(changes, "vpc") {
            if let Some(former) = &observed.vpc {
                detach(cx, &observed.id, former).await?;
            }
            let attach = clients.ec2().attach_internet_gateway().internet_gateway_id(&observed.id);
            if let Err(error) = attach.vpc_id(&args.vpc).send().await.map_err(Error::from) {
                // The reply to an earlier try may have been lost.
                let again = Self::read(cx, observed).await?;
                let attached = again.is_some_and(|again| again.vpc.as_ref() == Some(&args.vpc));
                if error.class != Class::Conflict || !attached {
                    return Err(error);
                }
            }
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &InternetGatewayObserved) -> Result<()> {
        if let Some(vpc) = &observed.vpc {
            detach(cx, &observed.id, vpc).await?;
        }
        let clients = clients(cx).await?;
        found(clients.ec2().delete_internet_gateway().internet_gateway_id(&observed.id).send().await).map(drop)
    }
}

async fn detach(cx: &Cx, id: &str, vpc: &str) -> Result<()> {
    let clients = clients(cx).await?;
    found(clients.ec2().detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send().await).map(drop)
}

fn create_internet_gateway_input(tags: &BTreeMap<String, String>) -> CreateInternetGatewayInputBuilder {
    CreateInternetGatewayInputBuilder::default()
        .tag_specifications(tagging::on_creation(ResourceType::InternetGateway, tags))
}

fn shown(gateway: &Described) -> InternetGatewayObserved {
    let tags = tagging::seen(gateway.tags());
    // An attachment to a VPC shows the state `available`, for which the SDK has no name.
    let holds = |state: &AttachmentStatus| !matches!(state, AttachmentStatus::Detaching | AttachmentStatus::Detached);
    let attached = gateway.attachments().iter().find(|one| one.state().is_none_or(holds));
    InternetGatewayObserved {
        id: gateway.internet_gateway_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        vpc: attached.and_then(|one| one.vpc_id.clone()),
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::InternetGatewayAttachment;

    #[test]
    fn only_a_standing_attachment_counts() {
        let with = |state: &str| {
            let attachment = InternetGatewayAttachment::builder().vpc_id("vpc-1").state(state.into()).build();
            shown(&Described::builder().internet_gateway_id("igw-1").attachments(attachment).build()).vpc
        };
        assert_eq!(with("available").as_deref(), Some("vpc-1"));
        assert_eq!(with("detached"), None);
        let changes = crate::bind::compare(
            &serde_json::json!({ "vpc": "vpc-1" }),
            &serde_json::to_value(shown(&Described::builder().internet_gateway_id("igw-1").build())).unwrap(),
            &[],
            &[],
        );
        assert!(touches(&changes, "vpc"), "a gateway that was not attached yet is attached by an update");
    }
}
