//! A gateway by which private subnets reach the internet.

use super::{check_name, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Readiness, Resource},
    cx::Cx,
    error::Result,
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::create_nat_gateway::builders::CreateNatGatewayInputBuilder,
    types::{Filter, NatGateway as Described, ResourceType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A NAT gateway: lets instances in private subnets reach the internet, and nobody reach them.
///
/// It stands in a public subnet and costs by the hour; one for all zones is cheaper, one a zone survives the loss of a zone.
/// It takes a minute or two to become available and as long to be deleted. It never makes routes.
///
/// # Errors
/// `Resource.AlreadyAssociated` when the address is in use; a gateway that ends `failed`, with AWS's reason.
///
/// ```rhai
/// let nat = aws::ec2::nat_gateway(#{ name: "gitpod", subnet: subnet.id, elastic_ip: ip.id });
/// ```
///
/// Stands on EC2 `CreateNatGateway` (with its token), `DescribeNatGateways`, `CreateTags`, `DeleteNatGateway`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatGatewayArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Id of the public subnet it stands in. A change replaces it.
    pub subnet: String,
    /// Allocation id of its elastic IP. A change replaces it.
    pub elastic_ip: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A NAT gateway as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct NatGatewayObserved {
    /// `nat-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Id of its subnet.
    pub subnet: String,
    /// Allocation id of its elastic IP.
    pub elastic_ip: String,
    /// The address others see.
    pub public_ip: String,
    /// `pending`, `available`, `failed` or `deleting`.
    pub status: String,
    /// AWS's reason, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct NatGateway;

#[async_trait]
impl Resource for NatGateway {
    const KIND: &'static str = "aws::ec2::nat_gateway";
    type Args = NatGatewayArgs;
    type Observed = NatGatewayObserved;
    const REPLACE: &'static [&'static str] = &["subnet", "elastic_ip"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const TIMEOUT_S: u64 = 900;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &NatGatewayArgs) -> Result<()> {
        check_name(&args.name)
    }

    async fn find(cx: &Cx, _args: &NatGatewayArgs) -> Result<Option<NatGatewayObserved>> {
        let clients = clients(cx).await?;
        let mut filters = tagging::ours(cx);
        // Deleted ones are shown for another hour.
        filters.push(Filter::builder().name("state").values("pending").values("available").values("failed").build());
        let told = clients.ec2().describe_nat_gateways().set_filter(Some(filters)).send().await?;
        // One that works before one that failed.
        let mut all: Vec<_> = told.nat_gateways().iter().filter_map(shown).collect();
        all.sort_by_key(|one| one.status == "failed");
        Ok(all.into_iter().next())
    }

    async fn read(cx: &Cx, last: &NatGatewayObserved) -> Result<Option<NatGatewayObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_nat_gateways().nat_gateway_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.nat_gateways().first().and_then(shown)))
    }

    fn tags(observed: &NatGatewayObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &NatGatewayObserved) -> Readiness {
        match observed.status.as_str() {
            "available" => Readiness::Ready,
            "failed" => Readiness::Broken(observed.failure.clone().unwrap_or_else(|| "status failed".to_owned())),
            other => Readiness::Pending(format!("status {other}")),
        }
    }

    async fn create(cx: &Cx, args: &NatGatewayArgs, token: &str) -> Result<NatGatewayObserved> {
        let clients = clients(cx).await?;
        let input = create_nat_gateway_input(args, token, &tagging::wanted(cx, &args.name, &args.tags));
        let gateway = made(input.send_with(clients.ec2()).await?.nat_gateway, "gateway")?;
        made(shown(&gateway), "gateway")
    }

    async fn update(cx: &Cx, args: &NatGatewayArgs, observed: &NatGatewayObserved, changes: &[Change]) -> Result<()> {
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &NatGatewayObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().delete_nat_gateway().nat_gateway_id(&observed.id).send().await).map(drop)
    }
}

fn create_nat_gateway_input(
    args: &NatGatewayArgs,
    token: &str,
    tags: &BTreeMap<String, String>,
) -> CreateNatGatewayInputBuilder {
    CreateNatGatewayInputBuilder::default()
        .subnet_id(&args.subnet)
        .allocation_id(&args.elastic_ip)
        .client_token(token)
        .tag_specifications(tagging::on_creation(ResourceType::Natgateway, tags))
}

/// `None` for one that is deleted, which AWS goes on showing.
fn shown(gateway: &Described) -> Option<NatGatewayObserved> {
    let status = gateway.state.as_ref().map_or("pending", |state| state.as_str());
    if status == "deleted" {
        return None;
    }
    let tags = tagging::seen(gateway.tags());
    let address = gateway.nat_gateway_addresses().first();
    let failure = match (&gateway.failure_code, &gateway.failure_message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.clone().or_else(|| message.clone()),
    };
    Some(NatGatewayObserved {
        id: gateway.nat_gateway_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        subnet: gateway.subnet_id.clone().unwrap_or_default(),
        elastic_ip: address.and_then(|one| one.allocation_id.clone()).unwrap_or_default(),
        public_ip: address.and_then(|one| one.public_ip.clone()).unwrap_or_default(),
        status: status.to_owned(),
        failure,
        tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::NatGatewayState;

    fn described(state: NatGatewayState) -> Described {
        Described::builder()
            .nat_gateway_id("nat-1")
            .state(state)
            .failure_code("InsufficientFreeAddressesInSubnet")
            .build()
    }

    #[test]
    fn states_mean_what_aws_means() {
        let readiness = |state| shown(&described(state)).as_ref().map(NatGateway::readiness);
        assert_eq!(readiness(NatGatewayState::Available), Some(Readiness::Ready));
        assert_eq!(readiness(NatGatewayState::Deleting), Some(Readiness::Pending("status deleting".to_owned())));
        let why = "InsufficientFreeAddressesInSubnet".to_owned();
        assert_eq!(readiness(NatGatewayState::Failed), Some(Readiness::Broken(why)));
        assert_eq!(readiness(NatGatewayState::Deleted), None);
    }

    #[test]
    fn the_token_is_sent() {
        let args = serde_json::json!({ "name": "n", "subnet": "subnet-1", "elastic_ip": "eipalloc-1" });
        let input = create_nat_gateway_input(&serde_json::from_value(args).unwrap(), "token-1", &BTreeMap::new());
        assert_eq!(input.get_client_token().as_deref(), Some("token-1"));
    }
}
