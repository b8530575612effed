//! VPC endpoints.

use serde_json::{Value, json};

use super::{Kind, find, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

const KIND: Kind = Kind {
    table: "vpce",
    ids: "VpcEndpointId",
    noun: "VpcEndpoint Id",
    missing: "InvalidVpcEndpointId.NotFound",
    set: "vpcEndpointSet",
    filters: &[
        ("vpc-endpoint-id", "vpcEndpointId"),
        ("vpc-id", "vpcId"),
        ("service-name", "serviceName"),
        ("vpc-endpoint-type", "vpcEndpointType"),
        ("vpc-endpoint-state", "state"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateVpcEndpoint" => create(cx),
        "DescribeVpcEndpoints" => KIND.describe(cx),
        "DeleteVpcEndpoints" => delete(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let token = cx.p.opt("ClientToken").map(str::to_owned);
    let wanted = cx.wanted_without(&["ClientToken", "Action", "Version"]);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "IdempotentParameterMismatch")?
        && let Some(endpoint) = cx.tx.get("vpce", &id).cloned()
    {
        return cx.ec2(&json!({"vpcEndpoint": endpoint, "clientToken": token}));
    }
    let vpc = find(cx, &super::vpc::KIND, cx.p.req("VpcId")?)?;
    let service = cx.p.req("ServiceName")?.to_owned();
    if !service.starts_with(&format!("com.amazonaws.{}.", cx.region)) {
        let message = format!("The Vpc Endpoint Service '{service}' does not exist");
        return Err(ApiError::new("InvalidServiceName", message));
    }
    let kind = cx.p.or("VpcEndpointType", "Gateway").to_owned();
    let (tables, subnets, groups) = (cx.p.list("RouteTableId"), cx.p.list("SubnetId"), cx.p.list("SecurityGroupId"));
    let (tag_set, id) = (tags::specified(cx, "vpc-endpoint")?, cx.tx.new_id("vpce"));
    for table in &tables {
        find(cx, &super::route_table::KIND, table)?;
        let list = format!("pl-{}", &id[5..13]);
        let route =
            json!({"destinationPrefixListId": list, "gatewayId": id, "state": "active", "origin": "CreateRoute"});
        cx.tx.update("rtb", table, |t| t["routeSet"].as_array_mut().into_iter().for_each(|r| r.push(route.clone())));
    }
    let mut interfaces = Vec::new();
    for subnet in &subnets {
        let eni = super::new_interface(cx, subnet, &groups, &format!("VPC Endpoint Interface {id}"), "vpc_endpoint")?;
        interfaces.push(eni["networkInterfaceId"].clone());
    }
    let endpoint = json!({
        "vpcEndpointId": id,
        "vpcEndpointType": kind,
        "vpcId": vpc["vpcId"],
        "serviceName": service,
        "state": if kind == "Gateway" { "available" } else { "pending" },
        "policyDocument": cx.p.or("PolicyDocument", r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#),
        "routeTableIdSet": tables,
        "subnetIdSet": subnets,
        "groupSet": groups.iter().map(|g| json!({"groupId": g})).collect::<Vec<Value>>(),
        "networkInterfaceIdSet": interfaces,
        "privateDnsEnabled": cx.p.flag("PrivateDnsEnabled").unwrap_or(false),
        "requesterManaged": false,
        "creationTimestamp": cx.clock().iso_now(),
        "ownerId": cx.account,
        "tagSet": tag_set,
        "_ready_at": cx.clock().ready_at("vpc-endpoint"),
        "_next": {"state": "available"},
    });
    cx.tx.put("vpce", &id, endpoint.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.ec2(&json!({"vpcEndpoint": endpoint, "clientToken": token}))
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let mut failed = Vec::new();
    for id in cx.p.list("VpcEndpointId") {
        let Some(endpoint) = cx.tx.delete("vpce", &id) else {
            let message = format!("The VpcEndpoint Id '{id}' does not exist");
            failed
                .push(json!({"resourceId": id, "error": {"code": "InvalidVpcEndpoint.NotFound", "message": message}}));
            continue;
        };
        for eni in endpoint["networkInterfaceIdSet"].as_array().into_iter().flatten() {
            cx.tx.delete("eni", eni.as_str().unwrap_or_default());
        }
        for table in cx.tx.select("rtb", |_| true) {
            let keep = |r: &Value| r["gatewayId"] != *id;
            cx.tx.update("rtb", text(&table, "routeTableId"), |t| {
                t["routeSet"].as_array_mut().into_iter().for_each(|routes| routes.retain(keep));
            });
        }
    }
    cx.ec2(&json!({"unsuccessful": failed}))
}
