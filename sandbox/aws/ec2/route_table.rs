//! Route tables, routes and associations.

use serde_json::{Value, json};

use super::vpc::block;
use super::{Kind, find, in_use, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) const KIND: Kind = Kind {
    table: "rtb",
    ids: "RouteTableId",
    noun: "routeTable ID",
    missing: "InvalidRouteTableID.NotFound",
    set: "routeTableSet",
    filters: &[
        ("route-table-id", "routeTableId"),
        ("vpc-id", "vpcId"),
        ("association.main", "associationSet.main"),
        ("association.subnet-id", "associationSet.subnetId"),
        ("association.route-table-association-id", "associationSet.routeTableAssociationId"),
        ("association.route-table-id", "associationSet.routeTableId"),
        ("route.destination-cidr-block", "routeSet.destinationCidrBlock"),
        ("route.gateway-id", "routeSet.gatewayId"),
        ("route.nat-gateway-id", "routeSet.natGatewayId"),
        ("route.state", "routeSet.state"),
        ("owner-id", "ownerId"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateRouteTable" => create(cx),
        "DescribeRouteTables" => describe(cx),
        "DeleteRouteTable" => delete(cx),
        "CreateRoute" => create_route(cx),
        "ReplaceRoute" => replace_route(cx),
        "DeleteRoute" => delete_route(cx),
        "AssociateRouteTable" => associate(cx),
        "DisassociateRouteTable" => disassociate(cx),
        "ReplaceRouteTableAssociation" => replace_association(cx),
        _ => return None,
    })
}

fn new_table(cx: &mut Cx<'_>, vpc: &str, cidr: &str, tag_set: &Value) -> Value {
    let id = cx.tx.new_id("rtb");
    json!({
        "routeTableId": id,
        "vpcId": vpc,
        "ownerId": cx.account,
        "routeSet": [{"destinationCidrBlock": cidr, "gatewayId": "local", "state": "active", "origin": "CreateRouteTable"}],
        "associationSet": [],
        "propagatingVgwSet": [],
        "tagSet": tag_set,
    })
}

/// The main route table of a VPC that is being made.
pub(super) fn create_main(cx: &mut Cx<'_>, vpc: &str, cidr: &str) {
    let mut table = new_table(cx, vpc, cidr, &json!([]));
    let (id, association) = (text(&table, "routeTableId").to_owned(), cx.tx.new_id("rtbassoc"));
    table["associationSet"] = json!([{
        "main": true,
        "routeTableAssociationId": association,
        "routeTableId": id,
        "associationState": {"state": "associated"},
    }]);
    cx.tx.put("rtb", &id, table);
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let vpc = find(cx, &super::vpc::KIND, cx.p.req("VpcId")?)?;
    let tag_set = tags::specified(cx, "route-table")?;
    let table = new_table(cx, text(&vpc, "vpcId"), text(&vpc, "cidrBlock"), &tag_set);
    cx.tx.put("rtb", text(&table, "routeTableId"), table.clone());
    cx.ec2(&json!({"routeTable": table}))
}

/// Routes whose target is gone show as `blackhole`.
fn describe(cx: &mut Cx<'_>) -> Outcome {
    let mut all = cx.tx.select("rtb", |_| true);
    for table in &mut all {
        for route in table["routeSet"].as_array_mut().into_iter().flatten() {
            let gateway = text(route, "gatewayId");
            let alive = match route["natGatewayId"].as_str() {
                Some(id) => cx.tx.get("natgw", id).is_some_and(|g| g["state"] != json!("deleted")),
                None if gateway.starts_with("igw-") => {
                    cx.tx.get("igw", gateway).is_some_and(|g| g["attachmentSet"][0].is_object())
                }
                None => true,
            };
            route["state"] = json!(if alive { "active" } else { "blackhole" });
        }
    }
    KIND.answer(cx, all)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("RouteTableId")?.to_owned();
    let table = find(cx, &KIND, &id)?;
    if table["associationSet"].as_array().is_some_and(|a| !a.is_empty()) {
        return Err(in_use("routeTable", &id));
    }
    cx.tx.delete("rtb", &id);
    cx.ec2_done()
}

/// A route of the call: destination and target, both checked.
fn route(cx: &Cx<'_>, table: &Value) -> Result<Value, ApiError> {
    let mut route = destination(cx)?;
    let vpc = text(table, "vpcId");
    if let Some(id) = cx.p.opt("GatewayId") {
        let Some(gateway) = cx.tx.get("igw", id) else {
            let message = format!("The gateway ID '{id}' does not exist");
            return Err(ApiError::new("InvalidInternetGatewayID.NotFound", message));
        };
        if gateway["attachmentSet"][0]["vpcId"] != *vpc {
            let message = format!(
                "route table {} and network gateway {id} belong to different networks",
                text(table, "routeTableId")
            );
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        route["gatewayId"] = json!(id);
    } else if let Some(id) = cx.p.opt("NatGatewayId") {
        let gateway = cx.tx.get("natgw", id).filter(|g| !["deleting", "deleted"].contains(&text(g, "state")));
        if gateway.is_none() {
            let message = format!("The natGateway ID '{id}' does not exist");
            return Err(ApiError::new("InvalidNatGatewayID.NotFound", message));
        }
        route["natGatewayId"] = json!(id);
    } else if let Some(id) = cx.p.opt("NetworkInterfaceId") {
        find(cx, &super::interface::KIND, id)?;
        route["networkInterfaceId"] = json!(id);
    } else {
        let message = "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId";
        return Err(ApiError::new("MissingParameter", message));
    }
    route["state"] = json!("active");
    route["origin"] = json!("CreateRoute");
    Ok(route)
}

fn destination(cx: &Cx<'_>) -> Result<Value, ApiError> {
    if let Some(v6) = cx.p.opt("DestinationIpv6CidrBlock") {
        Ok(json!({"destinationIpv6CidrBlock": v6}))
    } else {
        let cidr = block("destinationCidrBlock", cx.p.req("DestinationCidrBlock")?)?;
        Ok(json!({"destinationCidrBlock": cidr.to_string()}))
    }
}

fn same_destination(a: &Value, b: &Value) -> bool {
    ["destinationCidrBlock", "destinationIpv6CidrBlock"].iter().all(|name| a[*name] == b[*name])
}

fn create_route(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("RouteTableId")?.to_owned();
    let table = find(cx, &KIND, &id)?;
    let route = route(cx, &table)?;
    let routes = table["routeSet"].as_array().cloned().unwrap_or_default();
    if routes.iter().any(|other| same_destination(other, &route)) {
        let message = format!("The route identified by {} already exists.", text(&route, "destinationCidrBlock"));
        return Err(ApiError::new("RouteAlreadyExists", message));
    }
    cx.tx.update("rtb", &id, |table| table["routeSet"].as_array_mut().into_iter().for_each(|r| r.push(route.clone())));
    cx.ec2_done()
}

fn replace_route(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("RouteTableId")?.to_owned();
    let table = find(cx, &KIND, &id)?;
    let route = route(cx, &table)?;
    let at = position(&table, &route)?;
    cx.tx.update("rtb", &id, |table| table["routeSet"][at] = route);
    cx.ec2_done()
}

fn delete_route(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("RouteTableId")?.to_owned();
    let table = find(cx, &KIND, &id)?;
    let at = position(&table, &destination(cx)?)?;
    if table["routeSet"][at]["gatewayId"] == json!("local") {
        return Err(ApiError::new("InvalidParameterValue", "cannot remove local route in route table"));
    }
    cx.tx.update("rtb", &id, |table| table["routeSet"].as_array_mut().into_iter().for_each(|r| drop(r.remove(at))));
    cx.ec2_done()
}

fn position(table: &Value, route: &Value) -> Result<usize, ApiError> {
    let routes = table["routeSet"].as_array().cloned().unwrap_or_default();
    routes.iter().position(|other| same_destination(other, route)).ok_or_else(|| {
        let (id, to) = (text(table, "routeTableId"), text(route, "destinationCidrBlock"));
        let message = format!("no route with destination-cidr-block {to} in route table {id}");
        ApiError::new("InvalidRoute.NotFound", message)
    })
}

fn associate(cx: &mut Cx<'_>) -> Outcome {
    let (id, subnet) = (cx.p.req("RouteTableId")?.to_owned(), cx.p.req("SubnetId")?.to_owned());
    let table = find(cx, &KIND, &id)?;
    let subnet_doc = find(cx, &super::subnet::KIND, &subnet)?;
    if table["vpcId"] != subnet_doc["vpcId"] {
        let message = format!("Route table {id} and subnet {subnet} belong to different networks");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let of_subnet = |table: &Value| {
        let associations = table["associationSet"].as_array();
        associations.and_then(|all| all.iter().find(|a| a["subnetId"] == *subnet).cloned())
    };
    if let Some((table_id, existing)) = cx.tx.scan("rtb").find_map(|(id, t)| Some((id.clone(), of_subnet(t)?))) {
        if table_id == id {
            return cx.ec2(&json!({"associationId": existing["routeTableAssociationId"], "associationState": {"state": "associated"}}));
        }
        let message = format!("the specified association for route table {id} conflicts with an existing association");
        return Err(ApiError::new("Resource.AlreadyAssociated", message));
    }
    let association = cx.tx.new_id("rtbassoc");
    bind(cx, &id, &subnet, &association);
    cx.ec2(&json!({"associationId": association, "associationState": {"state": "associated"}}))
}

fn bind(cx: &mut Cx<'_>, table: &str, subnet: &str, association: &str) {
    let entry = json!({
        "main": false,
        "routeTableAssociationId": association,
        "routeTableId": table,
        "subnetId": subnet,
        "associationState": {"state": "associated"},
    });
    cx.tx.update("rtb", table, |table| {
        table["associationSet"].as_array_mut().into_iter().for_each(|a| a.push(entry.clone()));
    });
}

/// The table and entry of an association.
fn association(cx: &Cx<'_>, id: &str) -> Result<(String, Value), ApiError> {
    let entry = |table: &Value| {
        let all = table["associationSet"].as_array();
        all.and_then(|all| all.iter().find(|a| a["routeTableAssociationId"] == *id).cloned())
    };
    cx.tx.scan("rtb").find_map(|(table, doc)| Some((table.clone(), entry(doc)?))).ok_or_else(|| {
        ApiError::new("InvalidAssociationID.NotFound", format!("The association ID '{id}' does not exist"))
    })
}

fn unbind(cx: &mut Cx<'_>, table: &str, test: impl Fn(&Value) -> bool) {
    cx.tx.update("rtb", table, |table| {
        table["associationSet"].as_array_mut().into_iter().for_each(|a| a.retain(|e| !test(e)));
    });
}

fn disassociate(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("AssociationId")?.to_owned();
    let (table, entry) = association(cx, &id)?;
    if entry["main"] == json!(true) {
        let message = format!("cannot disassociate the main route table association {id}");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    unbind(cx, &table, |e| e["routeTableAssociationId"] == *id);
    cx.ec2_done()
}

fn replace_association(cx: &mut Cx<'_>) -> Outcome {
    let (old, table) = (cx.p.req("AssociationId")?.to_owned(), cx.p.req("RouteTableId")?.to_owned());
    find(cx, &KIND, &table)?;
    let (from, entry) = association(cx, &old)?;
    let fresh = cx.tx.new_id("rtbassoc");
    unbind(cx, &from, |e| e["routeTableAssociationId"] == *old);
    bind(cx, &table, text(&entry, "subnetId"), &fresh);
    if entry["main"] == json!(true) {
        cx.tx.update("rtb", &table, |doc| {
            for e in doc["associationSet"].as_array_mut().into_iter().flatten() {
                if e["routeTableAssociationId"] == *fresh {
                    e["main"] = json!(true);
                    e["subnetId"] = Value::Null;
                }
            }
        });
    }
    cx.ec2(&json!({"newAssociationId": fresh, "associationState": {"state": "associated"}}))
}

/// A deleted subnet leaves its route table.
pub(super) fn forget_subnet(cx: &mut Cx<'_>, subnet: &str) {
    let tables: Vec<String> = cx.tx.scan("rtb").map(|(id, _)| id.clone()).collect();
    for table in tables {
        unbind(cx, &table, |entry| entry["subnetId"] == *subnet);
    }
}
