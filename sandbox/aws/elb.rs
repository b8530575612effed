//! Elastic Load Balancing, classic. Kubernetes makes most of them: see `world/balancers.rs`.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, ec2, query};

/// Classic load balancers.
pub const SERVICE: Service = Service {
    name: "elasticloadbalancing",
    protocol: Protocol::Query("http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/"),
    version: Some("2012-06-01"),
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
        "DescribeInstanceHealth" => health(cx),
        "DescribeLoadBalancerAttributes" => attributes(cx),
        _ => cx.unknown_operation(),
    }
}

fn find(cx: &Cx<'_>, name: &str) -> Result<Value, ApiError> {
    cx.tx.get("elb", name).cloned().ok_or_else(|| {
        ApiError::new("LoadBalancerNotFound", format!("There is no ACTIVE Load Balancer named '{name}'"))
    })
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let names = cx.p.list("LoadBalancerNames");
    let mut found = Vec::new();
    for name in &names {
        found.push(find(cx, name)?);
    }
    if names.is_empty() {
        found = cx.tx.select("elb", |_| true);
    }
    let size = cx.p.int("PageSize")?.unwrap_or(400);
    let (page, next) = query::page(found, Some(size), cx.p.opt("Marker"), "ValidationError")?;
    cx.query(&json!({"LoadBalancerDescriptions": page, "NextMarker": next}))
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("LoadBalancerName")?.to_owned();
    if name.len() > 32 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        let message = "LoadBalancer name must contain only alphanumeric characters or hyphens, 32 at most";
        return Err(ApiError::new("ValidationError", message));
    }
    if let Some(there) = cx.tx.get("elb", &name) {
        return cx.query(&json!({"DNSName": there["DNSName"]}));
    }
    if cx.tx.scan("elb").count() >= cx.env.quota("elasticloadbalancing", "L-E9E9831D") {
        return Err(ApiError::new(
            "TooManyLoadBalancers",
            "The quota for the number of load balancers has been reached.",
        ));
    }
    let (subnets, groups) = (cx.p.list("Subnets"), cx.p.list("SecurityGroups"));
    if subnets.is_empty() {
        return Err(ApiError::new("ValidationError", "Either AvailabilityZones or SubnetIds must be specified"));
    }
    let (mut interfaces, mut zones, mut vpc) = (Vec::new(), Vec::new(), Value::Null);
    for subnet in &subnets {
        let eni = ec2::new_interface(cx, subnet, &groups, &format!("ELB {name}"), "load_balancer")
            .map_err(|error| ApiError::new("SubnetNotFound", error.message))?;
        interfaces.push(eni["networkInterfaceId"].clone());
        zones.push(eni["availabilityZone"].clone());
        vpc = eni["vpcId"].clone();
    }
    let host = format!("{name}-{}.{}.elb.amazonaws.com", cx.clock().now() % 10_000_000_000, cx.region);
    let listeners: Vec<Value> =
        cx.p.items("Listeners").iter().map(|l| json!({"Listener": l.0, "PolicyNames": []})).collect();
    let given: Vec<Value> = cx.p.tags("Tags").iter().map(|(k, v)| json!({"Key": k, "Value": v})).collect();
    let doc = json!({
        "LoadBalancerName": name, "DNSName": host, "CanonicalHostedZoneName": host,
        "CanonicalHostedZoneNameID": crate::world::hosted_zone(&cx.region, false),
        "ListenerDescriptions": listeners, "AvailabilityZones": zones, "Subnets": subnets, "VPCId": vpc,
        "Instances": [], "SecurityGroups": groups, "CreatedTime": cx.clock().iso_now(),
        "Scheme": cx.p.or("Scheme", "internet-facing"), "_enis": interfaces, "_tags": given,
    });
    cx.tx.put("elb", &name, doc);
    cx.query(&json!({"DNSName": host}))
}

/// One that is not there is fine, as on AWS.
fn delete(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("LoadBalancerName")?.to_owned();
    if let Some(doc) = cx.tx.delete("elb", &name) {
        for eni in doc["_enis"].as_array().into_iter().flatten() {
            ec2::delete_interface(&mut cx.tx, eni.as_str().unwrap_or_default());
        }
    }
    cx.query(&json!({}))
}

fn tags(cx: &mut Cx<'_>) -> Outcome {
    let mut all = Vec::new();
    for name in cx.p.list("LoadBalancerNames") {
        all.push(json!({"LoadBalancerName": name, "Tags": find(cx, &name)?["_tags"]}));
    }
    cx.query(&json!({"TagDescriptions": all}))
}

fn change_tags(cx: &mut Cx<'_>) -> Outcome {
    let add = cx.op == "AddTags";
    let changes = cx.p.tags("Tags");
    for name in cx.p.list("LoadBalancerNames") {
        find(cx, &name)?;
        cx.tx.update("elb", &name, |doc| set_tags(doc, &changes, add));
    }
    cx.query(&json!({}))
}

/// Sets or takes away tags of a load balancer.
pub(super) fn set_tags(doc: &mut Value, changes: &[(String, String)], add: bool) {
    let mut tags = doc["_tags"].as_array().cloned().unwrap_or_default();
    for (key, value) in changes {
        tags.retain(|tag| tag["Key"] != **key);
        if add {
            tags.push(json!({"Key": key, "Value": value}));
        }
    }
    doc["_tags"] = Value::Array(tags);
}

fn health(cx: &mut Cx<'_>) -> Outcome {
    let doc = find(cx, cx.p.req("LoadBalancerName")?)?;
    let state = |i: &Value| json!({"InstanceId": i["InstanceId"], "State": "InService", "ReasonCode": "N/A", "Description": "N/A"});
    let states: Vec<Value> = doc["Instances"].as_array().into_iter().flatten().map(state).collect();
    cx.query(&json!({"InstanceStates": states}))
}

fn attributes(cx: &mut Cx<'_>) -> Outcome {
    find(cx, cx.p.req("LoadBalancerName")?)?;
    cx.query(&json!({"LoadBalancerAttributes": {
        "CrossZoneLoadBalancing": {"Enabled": false},
        "AccessLog": {"Enabled": false},
        "ConnectionDraining": {"Enabled": false, "Timeout": 300},
        "ConnectionSettings": {"IdleTimeout": 60},
    }}))
}
