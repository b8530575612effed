//! A public address that stays.

use super::{check_name, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Resource},
    cx::Cx,
    error::Result,
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::allocate_address::builders::AllocateAddressInputBuilder,
    types::{Address, DomainType, ResourceType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An elastic IP: a public IPv4 address that stays yours.
///
/// NAT gateways need one each. It is never associated with anything by itself. Releasing it waits until nothing uses it.
///
/// # Errors
/// `AddressLimitExceeded`: accounts begin with five in a region.
///
/// ```rhai
/// let ip = aws::ec2::elastic_ip(#{ name: "gitpod-nat" });
/// print(ip.public_ip);
/// ```
///
/// Stands on EC2 `AllocateAddress`, `DescribeAddresses`, `CreateTags`, `ReleaseAddress`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticIpArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An elastic IP as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct ElasticIpObserved {
    /// `eipalloc-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// The address.
    pub public_ip: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct ElasticIp;

#[async_trait]
impl Resource for ElasticIp {
    const KIND: &'static str = "aws::ec2::elastic_ip";
    type Args = ElasticIpArgs;
    type Observed = ElasticIpObserved;
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &ElasticIpArgs) -> Result<()> {
        check_name(&args.name)
    }

    async fn find(cx: &Cx, _args: &ElasticIpArgs) -> Result<Option<ElasticIpObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_addresses().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.addresses().first().map(shown))
    }

    async fn twins(cx: &Cx, of: &ElasticIpObserved) -> Result<Vec<ElasticIpObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_addresses().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.addresses().iter().map(shown).filter(|other| other.id != of.id).collect())
    }

    async fn read(cx: &Cx, last: &ElasticIpObserved) -> Result<Option<ElasticIpObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_addresses().allocation_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.addresses().first().map(shown)))
    }

    fn tags(observed: &ElasticIpObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &ElasticIpArgs, _token: &str) -> Result<ElasticIpObserved> {
        let clients = clients(cx).await?;
        let tags = tagging::wanted(cx, &args.name, &args.tags);
        let told = allocate_address_input(&tags).send_with(clients.ec2()).await?;
        Ok(ElasticIpObserved {
            id: made(told.allocation_id, "address")?,
            name: tagging::name(&tags),
            public_ip: told.public_ip.unwrap_or_default(),
            tags,
        })
    }

    async fn update(cx: &Cx, args: &ElasticIpArgs, observed: &ElasticIpObserved, changes: &[Change]) -> Result<()> {
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &ElasticIpObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().release_address().allocation_id(&observed.id).send().await).map(drop)
    }
}

fn allocate_address_input(tags: &BTreeMap<String, String>) -> AllocateAddressInputBuilder {
    AllocateAddressInputBuilder::default()
        .domain(DomainType::Vpc)
        .tag_specifications(tagging::on_creation(ResourceType::ElasticIp, tags))
}

fn shown(address: &Address) -> ElasticIpObserved {
    let tags = tagging::seen(address.tags());
    ElasticIpObserved {
        id: address.allocation_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        public_ip: address.public_ip.clone().unwrap_or_default(),
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tagged_as_it_is_allocated() {
        let input = allocate_address_input(&[("k".to_owned(), "v".to_owned())].into());
        assert_eq!(input.get_domain(), &Some(DomainType::Vpc));
        let sent = &input.get_tag_specifications().as_ref().unwrap()[0];
        assert_eq!(sent.resource_type(), Some(&ResourceType::ElasticIp));
    }
}
