//! A route table with its routes and the subnets that follow it.

use super::{check_name, cidr, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::create_route_table::builders::CreateRouteTableInputBuilder,
    types::{
        ResourceType, Route, RouteOrigin, RouteTable as Described, RouteTableAssociation,
        RouteTableAssociationStateCode,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A route table: where packets that leave the associated subnets go.
///
/// Routes and associations are made to be exactly those given: others that appear in the table are removed (the route to
/// the VPC itself, and routes that a VPN propagates, are left alone). It never changes the VPC's main table.
///
/// # Errors
/// `Resource.AlreadyAssociated` when a subnet follows another table; a route without a gateway, or with two.
///
/// ```rhai
/// aws::ec2::route_table(#{ name: "gitpod-public", vpc: vpc.id, subnets: [subnet.id],
///                          routes: [#{ cidr: "0.0.0.0/0", gateway: gateway.id }] });
/// ```
///
/// Stands on EC2 `CreateRouteTable`, `DescribeRouteTables`, `CreateRoute`, `ReplaceRoute`, `DeleteRoute`,
/// `AssociateRouteTable`, `DisassociateRouteTable`, `CreateTags`, `DeleteRouteTable`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTableArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Id of the VPC. A change replaces the table.
    pub vpc: String,
    /// Ids of the subnets that follow it. Default: none.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Its routes besides the one to the VPC itself. Default: none.
    #[serde(default)]
    pub routes: Vec<RouteArgs>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A route: packets to `cidr` go to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteArgs {
    /// IPv4 range of the destinations: `0.0.0.0/0` for the internet.
    pub cidr: String,
    /// Id of an internet gateway. Exactly one of `gateway` and `nat_gateway` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Id of a NAT gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat_gateway: Option<String>,
}

/// A route table as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct RouteTableObserved {
    /// `rtb-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Id of the VPC.
    pub vpc: String,
    /// Ids of the subnets that follow it.
    pub subnets: Vec<String>,
    /// Its routes, by `cidr`.
    pub routes: Vec<RouteArgs>,
    /// Ids of the associations, by subnet.
    pub associations: BTreeMap<String, String>,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct RouteTable;

#[async_trait]
impl Resource for RouteTable {
    const KIND: &'static str = "aws::ec2::route_table";
    type Args = RouteTableArgs;
    type Observed = RouteTableObserved;
    const REPLACE: &'static [&'static str] = &["vpc"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["associations"];
    const OWNERSHIP: Ownership = Ownership::Tags;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &RouteTableArgs) -> Result<()> {
        check_name(&args.name)?;
        for (index, route) in args.routes.iter().enumerate() {
            cidr::check(&format!("routes[{index}].cidr"), &route.cidr, 0..=32)?;
            if route.gateway.is_some() == route.nat_gateway.is_some() {
                let message = format!("the route to `{}` needs one of `gateway` and `nat_gateway`", route.cidr);
                return Err(Error::new(Class::Invalid, message));
            }
            if args.routes[..index].iter().any(|earlier| earlier.cidr == route.cidr) {
                return Err(Error::new(Class::Invalid, format!("there are two routes to `{}`", route.cidr)));
            }
        }
        Ok(())
    }

    async fn find(cx: &Cx, _args: &RouteTableArgs) -> Result<Option<RouteTableObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_route_tables().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.route_tables().first().map(shown))
    }

    async fn twins(cx: &Cx, of: &RouteTableObserved) -> Result<Vec<RouteTableObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_route_tables().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.route_tables().iter().map(shown).filter(|other| other.id != of.id).collect())
    }

    async fn read(cx: &Cx, last: &RouteTableObserved) -> Result<Option<RouteTableObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_route_tables().route_table_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.route_tables().first().map(shown)))
    }

    fn tags(observed: &RouteTableObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        // The order of routes means nothing.
        let mut wanted = wanted.clone();
        if let Some(routes) = wanted.get_mut("routes").and_then(Value::as_array_mut) {
            routes.sort_by_key(|route| route["cidr"].as_str().unwrap_or_default().to_owned());
        }
        compare(&wanted, observed, Self::REPLACE, Self::UNCOMPARED)
    }

    async fn create(cx: &Cx, args: &RouteTableArgs, _token: &str) -> Result<RouteTableObserved> {
        let clients = clients(cx).await?;
        let input = create_route_table_input(args, &tagging::wanted(cx, &args.name, &args.tags));
        made(input.send_with(clients.ec2()).await?.route_table, "route table").map(|table| shown(&table))
    }

    async fn update(cx: &Cx, args: &RouteTableArgs, observed: &RouteTableObserved, changes: &[Change]) -> Result<()> {
        if touches(changes, "routes") {
            put_routes(cx, &args.routes, observed).await?;
        }
        if touches(changes, "subnets") {
            let clients = clients(cx).await?;
            for subnet in args.subnets.iter().filter(|subnet| !observed.subnets.contains(subnet)) {
                let associate = clients.ec2().associate_route_table().route_table_id(&observed.id).subnet_id(subnet);
                if let Err(error) = associate.send().await.map_err(Error::from) {
                    // The reply to an earlier try may have been lost.
                    let again = Self::read(cx, observed).await?;
                    let follows = again.is_some_and(|again| again.subnets.contains(subnet));
                    if error.class != Class::Conflict || !follows {
                        return Err(error);
                    }
                }
            }
            let unwanted = observed.associations.iter().filter(|(subnet, _)| !args.subnets.contains(subnet));
            for (_, association) in unwanted {
                disassociate(cx, association).await?;
            }
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &RouteTableObserved) -> Result<()> {
        for association in observed.associations.values() {
            disassociate(cx, association).await?;
        }
        let clients = clients(cx).await?;
        found(clients.ec2().delete_route_table().route_table_id(&observed.id).send().await).map(drop)
    }
}

/// What has to be done about one route.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Create(&'a RouteArgs),
    Replace(&'a RouteArgs),
    Delete(&'a str),
}

fn steps<'a>(wanted: &'a [RouteArgs], observed: &'a [RouteArgs]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for route in wanted {
        match observed.iter().find(|there| there.cidr == route.cidr) {
            None => steps.push(Step::Create(route)),
            Some(there) if there != route => steps.push(Step::Replace(route)),
            Some(_) => {}
        }
    }
    let unwanted = observed.iter().filter(|there| !wanted.iter().any(|route| route.cidr == there.cidr));
    steps.extend(unwanted.map(|there| Step::Delete(&there.cidr)));
    steps
}

async fn put_routes(cx: &Cx, wanted: &[RouteArgs], observed: &RouteTableObserved) -> Result<()> {
    let clients = clients(cx).await?;
    let ec2 = clients.ec2();
    for step in steps(wanted, &observed.routes) {
        match step {
            Step::Create(route) => {
                let create = ec2.create_route().route_table_id(&observed.id).destination_cidr_block(&route.cidr);
                let create = create.set_gateway_id(route.gateway.clone()).set_nat_gateway_id(route.nat_gateway.clone());
                match create.send().await.map_err(Error::from) {
                    // The reply to an earlier try may have been lost.
                    Err(error) if error.class == Class::Conflict => replace(cx, &observed.id, route).await?,
                    other => other.map(drop)?,
                }
            }
            Step::Replace(route) => replace(cx, &observed.id, route).await?,
            Step::Delete(cidr) => {
                let delete = ec2.delete_route().route_table_id(&observed.id).destination_cidr_block(cidr);
                found(delete.send().await)?;
            }
        }
    }
    Ok(())
}

async fn replace(cx: &Cx, table: &str, route: &RouteArgs) -> Result<()> {
    let clients = clients(cx).await?;
    let replace = clients.ec2().replace_route().route_table_id(table).destination_cidr_block(&route.cidr);
    replace.set_gateway_id(route.gateway.clone()).set_nat_gateway_id(route.nat_gateway.clone()).send().await?;
    Ok(())
}

async fn disassociate(cx: &Cx, association: &str) -> Result<()> {
    let clients = clients(cx).await?;
    found(clients.ec2().disassociate_route_table().association_id(association).send().await).map(drop)
}

fn create_route_table_input(args: &RouteTableArgs, tags: &BTreeMap<String, String>) -> CreateRouteTableInputBuilder {
    CreateRouteTableInputBuilder::default()
        .vpc_id(&args.vpc)
        .tag_specifications(tagging::on_creation(ResourceType::RouteTable, tags))
}

fn shown(table: &Described) -> RouteTableObserved {
    let tags = tagging::seen(table.tags());
    let associations: BTreeMap<String, String> = table.associations().iter().filter_map(associated).collect();
    let mut routes: Vec<RouteArgs> = table.routes().iter().filter_map(route).collect();
    routes.sort();
    RouteTableObserved {
        id: table.route_table_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        vpc: table.vpc_id.clone().unwrap_or_default(),
        subnets: associations.keys().cloned().collect(),
        routes,
        associations,
        tags,
    }
}

fn associated(association: &RouteTableAssociation) -> Option<(String, String)> {
    let state = association.association_state().and_then(|told| told.state());
    let leaving = [RouteTableAssociationStateCode::Disassociating, RouteTableAssociationStateCode::Disassociated];
    if state.is_some_and(|state| leaving.contains(state)) {
        return None;
    }
    Some((association.subnet_id.clone()?, association.route_table_association_id.clone()?))
}

/// Routes that someone made. The one to the VPC itself has the gateway `local`.
fn route(route: &Route) -> Option<RouteArgs> {
    let made_by_call = route.origin().is_none_or(|origin| *origin == RouteOrigin::CreateRoute);
    if !made_by_call || route.gateway_id.as_deref() == Some("local") {
        return None;
    }
    Some(RouteArgs {
        cidr: route.destination_cidr_block.clone()?,
        gateway: route.gateway_id.clone(),
        nat_gateway: route.nat_gateway_id.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn to(cidr: &str, gateway: &str) -> RouteArgs {
        RouteArgs { cidr: cidr.into(), gateway: Some(gateway.into()), nat_gateway: None }
    }

    #[test]
    fn routes_are_reconciled() {
        let wanted = [to("0.0.0.0/0", "igw-1"), to("10.0.0.0/8", "igw-1")];
        let there = [to("0.0.0.0/0", "igw-0"), to("172.16.0.0/12", "igw-0")];
        let expected = vec![Step::Replace(&wanted[0]), Step::Create(&wanted[1]), Step::Delete("172.16.0.0/12")];
        assert_eq!(steps(&wanted, &there), expected);
        assert_eq!(steps(&wanted, &wanted), vec![]);
    }

    #[test]
    fn what_aws_puts_in_by_itself_is_not_ours() {
        let local = Route::builder().destination_cidr_block("192.168.0.0/16").gateway_id("local");
        let local = local.origin(RouteOrigin::CreateRouteTable).build();
        let main = RouteTableAssociation::builder().main(true).route_table_association_id("rtbassoc-1").build();
        let ours = Route::builder().destination_cidr_block("0.0.0.0/0").nat_gateway_id("nat-1").build();
        let table = Described::builder().route_table_id("rtb-1").routes(local).routes(ours).associations(main).build();
        let seen = shown(&table);
        assert_eq!(seen.subnets, Vec::<String>::new());
        assert_eq!(seen.routes.len(), 1);
        let observed = serde_json::to_value(seen).unwrap();
        let wanted = json!({ "name": "n", "routes": [{ "cidr": "0.0.0.0/0", "nat_gateway": "nat-1" }], "subnets": [] });
        assert_eq!(RouteTable::diff(&wanted, &observed), vec![]);
        let wanted = json!({ "routes": [{ "cidr": "0.0.0.0/0", "nat_gateway": "nat-1" }], "subnets": ["subnet-1"] });
        assert!(touches(&RouteTable::diff(&wanted, &observed), "subnets"));
    }

    #[test]
    fn the_order_of_routes_means_nothing() {
        let observed = json!({ "routes": [to("0.0.0.0/0", "igw-1"), to("10.0.0.0/8", "igw-1")] });
        let wanted = json!({ "routes": [to("10.0.0.0/8", "igw-1"), to("0.0.0.0/0", "igw-1")] });
        assert_eq!(RouteTable::diff(&wanted, &observed), vec![]);
    }

    #[test]
    fn a_route_has_one_gateway() {
        let with = |routes: Value| {
            let args = json!({ "name": "n", "vpc": "vpc-1", "routes": routes });
            RouteTable::validate(&serde_json::from_value(args).unwrap())
        };
        assert!(with(json!([{ "cidr": "0.0.0.0/0", "gateway": "igw-1" }])).is_ok());
        assert!(with(json!([{ "cidr": "0.0.0.0/0" }])).is_err());
        assert!(with(json!([{ "cidr": "0.0.0.0/0", "gateway": "igw-1", "nat_gateway": "nat-1" }])).is_err());
        let twice = json!({ "cidr": "0.0.0.0/0", "gateway": "igw-1" });
        assert!(with(json!([twice.clone(), twice])).is_err());
    }
}
