//! Elastic Load Balancing v2: network and application load balancers, without listeners and target groups.

use serde_json::{Value, json};

use super::elb::set_tags;
use super::http::{ApiError, Outcome};
use super::{Cx, Env, Protocol, Service, due, ec2, query};
use crate::core::store::{Tx, hex_digits};

/// Network and application load balancers.
pub const SERVICE: Service = Service {
    name: "elasticloadbalancing",
    protocol: Protocol::Query("http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"),
    version: Some("2015-12-01"),
    routes: &[],
    handle,
};

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "DescribeLoadBalancers" => describe(cx),
        "CreateLoadBalancer" => create(cx),
        "DeleteLoadBalancer" => delete(cx),
        "DescribeTags" => tags(cx),
        "AddTags" | "RemoveTags" => change_tags(cx),
        "DescribeLoadBalancerAttributes" => attributes(cx),
        "DescribeTargetGroups" => cx.query(&json!({"TargetGroups": []})),
        "DescribeListeners" => cx.query(&json!({"Listeners": []})),
        _ => cx.unknown_operation(),
    }
}

/// `provisioning` becomes `active`.
pub fn settle(tx: &mut Tx<'_>, env: &Env) {
    due::pass(tx, &env.clock, "elbv2");
}

fn missing(arn: &str) -> ApiError {
    ApiError::new("LoadBalancerNotFound", format!("Load balancer '{arn}' not found"))
}

fn find(cx: &Cx<'_>, arn: &str) -> Result<Value, ApiError> {
    cx.tx.get("elbv2", arn).cloned().ok_or_else(|| missing(arn))
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let (asked, names) = (cx.p.list("LoadBalancerArns"), cx.p.list("Names"));
    let mut found = Vec::new();
    for arn in &asked {
        found.push(find(cx, arn)?);
    }
    for name in &names {
        let hit = cx.tx.scan("elbv2").find(|(_, doc)| doc["LoadBalancerName"] == **name);
        found.push(hit.map(|(_, doc)| doc.clone()).ok_or_else(|| missing(name))?);
    }
    if asked.is_empty() && names.is_empty() {
        found = cx.tx.select("elbv2", |_| true);
    }
    let size = cx.p.int("PageSize")?.unwrap_or(400);
    let (page, next) = query::page(found, Some(size), cx.p.opt("Marker"), "ValidationError")?;
    cx.query(&json!({"LoadBalancers": page, "NextMarker": next}))
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("Name")?.to_owned();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.len() > 32 || !name.chars().all(fine) || name.starts_with("internal-") {
        let message = format!(
            "The load balancer name '{name}' can only contain 32 characters that are alphanumeric or hyphens(-)"
        );
        return Err(ApiError::new("ValidationError", message));
    }
    if cx.tx.any("elbv2", |doc| doc["LoadBalancerName"] == *name) {
        let message = format!("A load balancer with the same name '{name}' exists, but with different settings");
        return Err(ApiError::new("DuplicateLoadBalancerName", message));
    }
    let kind = cx.p.or("Type", "application").to_owned();
    let mut subnets = cx.p.list("Subnets");
    subnets.extend(cx.p.items("SubnetMappings").iter().filter_map(|m| m.opt("SubnetId").map(str::to_owned)));
    if subnets.is_empty() || (kind == "application" && subnets.len() < 2) {
        let message = "At least two subnets in two different Availability Zones must be specified";
        return Err(ApiError::new("ValidationError", message));
    }
    let (groups, suffix) = (cx.p.list("SecurityGroups"), hex_digits(16));
    let brief = if kind == "network" { "net" } else { "app" };
    let arn = cx.arn("elasticloadbalancing", &format!("loadbalancer/{brief}/{name}/{suffix}"));
    let sort = format!("{kind}_load_balancer");
    let (mut interfaces, mut zones, mut vpc) = (Vec::new(), Vec::new(), Value::Null);
    for subnet in &subnets {
        let eni = ec2::new_interface(cx, subnet, &groups, &format!("ELB {brief}/{name}/{suffix}"), &sort)
            .map_err(|error| ApiError::new("SubnetNotFound", error.message))?;
        interfaces.push(eni["networkInterfaceId"].clone());
        zones.push(json!({"ZoneName": eni["availabilityZone"], "SubnetId": subnet, "LoadBalancerAddresses": []}));
        vpc = eni["vpcId"].clone();
    }
    let given: Vec<Value> = cx.p.tags("Tags").iter().map(|(k, v)| json!({"Key": k, "Value": v})).collect();
    let host = match kind.as_str() {
        "network" => format!("{name}-{suffix}.elb.{}.amazonaws.com", cx.region),
        _ => format!("{name}-{}.{}.elb.amazonaws.com", cx.clock().now() % 10_000_000_000, cx.region),
    };
    let mut doc = json!({
        "LoadBalancerArn": arn, "DNSName": host,
        "CanonicalHostedZoneId": crate::world::hosted_zone(&cx.region, kind == "network"),
        "CreatedTime": cx.clock().iso_now(), "LoadBalancerName": name, "Scheme": cx.p.or("Scheme", "internet-facing"),
        "VpcId": vpc, "State": {"Code": "provisioning"}, "Type": kind, "AvailabilityZones": zones,
        "SecurityGroups": groups, "IpAddressType": "ipv4", "_enis": interfaces, "_tags": given,
    });
    let next = match &cx.fails {
        Some(reason) => json!({"State": {"Code": "failed", "Reason": reason}}),
        None => json!({"State": {"Code": "active"}}),
    };
    due::begin(&mut doc, cx.clock().ready_at("load-balancer"), next);
    cx.tx.put("elbv2", &arn, doc.clone());
    cx.query(&json!({"LoadBalancers": [doc]}))
}

/// One that is not there is fine, as on AWS.
fn delete(cx: &mut Cx<'_>) -> Outcome {
    let arn = cx.p.req("LoadBalancerArn")?.to_owned();
    if let Some(doc) = cx.tx.delete("elbv2", &arn) {
        for eni in doc["_enis"].as_array().into_iter().flatten() {
            ec2::delete_interface(&mut cx.tx, eni.as_str().unwrap_or_default());
        }
    }
    cx.query(&json!({}))
}

fn tags(cx: &mut Cx<'_>) -> Outcome {
    let mut all = Vec::new();
    for arn in cx.p.list("ResourceArns") {
        all.push(json!({"ResourceArn": arn, "Tags": find(cx, &arn)?["_tags"]}));
    }
    cx.query(&json!({"TagDescriptions": all}))
}

fn change_tags(cx: &mut Cx<'_>) -> Outcome {
    let add = cx.op == "AddTags";
    let keys = cx.p.list("TagKeys").into_iter().map(|key| (key, String::new())).collect();
    let changes = if add { cx.p.tags("Tags") } else { keys };
    for arn in cx.p.list("ResourceArns") {
        find(cx, &arn)?;
        cx.tx.update("elbv2", &arn, |doc| set_tags(doc, &changes, add));
    }
    cx.query(&json!({}))
}

fn attributes(cx: &mut Cx<'_>) -> Outcome {
    find(cx, cx.p.req("LoadBalancerArn")?)?;
    cx.query(&json!({"Attributes": [
        {"Key": "deletion_protection.enabled", "Value": "false"},
        {"Key": "load_balancing.cross_zone.enabled", "Value": "false"},
    ]}))
}
