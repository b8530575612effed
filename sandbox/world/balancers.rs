//! Load balancers that Kubernetes asks for: classic ones, or network ones by annotation.

use serde_json::{Value, json};

use super::Cluster;
use crate::aws::http::ApiError;
use crate::aws::{Env, ec2};
use crate::core::store::Tx;
use crate::k8s::LoadBalancer;

const PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";

fn annotation<'a>(wanted: &'a LoadBalancer, name: &str) -> Option<&'a str> {
    wanted.annotations.get(&format!("{PREFIX}{name}")).map(String::as_str)
}

fn is_network(wanted: &LoadBalancer) -> bool {
    annotation(wanted, "type").is_some_and(|kind| kind.starts_with("nlb") || kind == "external")
}

fn is_internal(wanted: &LoadBalancer) -> bool {
    annotation(wanted, "scheme") == Some("internal") || annotation(wanted, "internal").is_some_and(|v| v != "false")
}

/// What tells load balancers of Services apart: cluster, namespace, name and uid.
fn service_id(wanted: &LoadBalancer) -> String {
    format!("{}/{}/{}/{}", wanted.cluster, wanted.namespace, wanted.service, wanted.uid)
}

/// As the cloud controller names it: `a` and the uid, 32 characters at most.
fn name(wanted: &LoadBalancer) -> String {
    let uid: String = wanted.uid.chars().filter(|c| *c != '-').collect();
    format!("a{uid}").chars().take(32).collect()
}

/// Makes the load balancer of a Service, or brings the ports of the one that is there up to date; returns its host
/// name, `None` while no subnet suits (as the real controller keeps trying).
pub(super) fn ensure(env: &Env, cluster: &Cluster, wanted: &LoadBalancer) -> Option<String> {
    let made: Result<Option<String>, ApiError> = env.store.tx(&cluster.region, |tx| {
        let id = service_id(wanted);
        for table in ["elb", "elbv2"] {
            let found =
                tx.scan(table).find(|(_, doc)| doc["_service"] == *id).map(|(key, doc)| (key.clone(), doc.clone()));
            if let Some((key, mut doc)) = found {
                if table == "elb" {
                    doc["ListenerDescriptions"] = listeners(wanted);
                    tx.put(table, &key, doc.clone());
                }
                return Ok(doc["DNSName"].as_str().map(str::to_owned));
            }
        }
        if tx.get("vpc", &cluster.vpc).is_none() {
            return Ok(None);
        }
        make(tx, env, cluster, wanted)
    });
    made.ok().flatten()
}

fn make(tx: &mut Tx<'_>, env: &Env, cluster: &Cluster, wanted: &LoadBalancer) -> Result<Option<String>, ApiError> {
    let subnets = subnets(tx, cluster, is_internal(wanted));
    if subnets.is_empty() {
        return Ok(None);
    }
    let network = is_network(wanted);
    let (name, internal) = (name(wanted), is_internal(wanted));
    let tags = [
        (format!("kubernetes.io/cluster/{}", cluster.name), "owned".to_owned()),
        ("kubernetes.io/service-name".to_owned(), format!("{}/{}", wanted.namespace, wanted.service)),
    ];
    let groups = if network { Vec::new() } else { vec![group(tx, env, cluster, wanted, &tags[..1])?] };
    let arn = format!(
        "arn:aws:elasticloadbalancing:{}:{}:loadbalancer/net/{name}/{}",
        cluster.region,
        env.options.account_id,
        crate::core::store::hex_digits(16)
    );
    let (sort, about) = if network {
        ("network_load_balancer", format!("ELB {}", arn.split_once("loadbalancer/").map_or("", |(_, rest)| rest)))
    } else {
        ("load_balancer", format!("ELB {name}"))
    };
    let mut interfaces = Vec::new();
    for subnet in &subnets {
        let eni = ec2::interface_in(tx, subnet, &groups, &about, sort)?;
        let id = ec2::text(&eni, "networkInterfaceId").to_owned();
        if !internal {
            tx.update("eni", &id, |eni| {
                eni["association"] = json!({"publicIp": ec2::public_ip(&id), "ipOwnerId": "amazon-elb"});
            });
        }
        interfaces.push(id);
    }
    let mut doc = if network {
        network_balancer(env, cluster, &name, &arn, &subnets)
    } else {
        classic_balancer(tx, env, cluster, wanted, &name, &groups, &subnets)
    };
    doc["Scheme"] = json!(if internal { "internal" } else { "internet-facing" });
    doc["CreatedTime"] = json!(env.clock.iso_now());
    doc["_tags"] = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    doc["_service"] = json!(service_id(wanted));
    doc["_enis"] = json!(interfaces);
    let host = doc["DNSName"].as_str().map(str::to_owned);
    tx.put(if network { "elbv2" } else { "elb" }, if network { &arn } else { &name }, doc);
    Ok(host)
}

/// One subnet of each zone: those with the role's tag, or any public ones where none has it.
fn subnets(tx: &Tx<'_>, cluster: &Cluster, internal: bool) -> Vec<Value> {
    let role = if internal { "kubernetes.io/role/internal-elb" } else { "kubernetes.io/role/elb" };
    let in_vpc = |s: &Value| s["vpcId"] == *cluster.vpc;
    let tagged = |s: &Value| {
        let mut tags = s["tagSet"].as_array().into_iter().flatten();
        tags.any(|tag| tag["key"] == *role && (tag["value"] == "1" || tag["value"] == ""))
    };
    let mut found = tx.select("subnet", |s| in_vpc(s) && tagged(s));
    if found.is_empty() {
        found = tx.select("subnet", |s| in_vpc(s) && s["mapPublicIpOnLaunch"] == json!(!internal));
    }
    found.sort_by(|a, b| ec2::text(a, "availabilityZone").cmp(ec2::text(b, "availabilityZone")));
    found.dedup_by(|a, b| a["availabilityZone"] == b["availabilityZone"]);
    found
}

/// The security group of a classic load balancer, open for its ports.
fn group(
    tx: &mut Tx<'_>,
    env: &Env,
    cluster: &Cluster,
    wanted: &LoadBalancer,
    tags: &[(String, String)],
) -> Result<String, ApiError> {
    let owner = ec2::Owner { region: &cluster.region, account: &env.options.account_id };
    let tag_set: Value = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let (name, about) = (
        format!("k8s-elb-{}", name(wanted)),
        format!("Security group for Kubernetes ELB {} ({}/{})", name(wanted), wanted.namespace, wanted.service),
    );
    let group = ec2::group_in(tx, &owner, &name, &about, &cluster.vpc, &tag_set)?;
    let id = ec2::text(&group, "groupId").to_owned();
    for (port, _, _) in &wanted.ports {
        ec2::allow_port_in(tx, &owner, &id, *port);
    }
    Ok(id)
}

fn listeners(wanted: &LoadBalancer) -> Value {
    let listener = |(port, node_port, _): &(u16, u16, String)| {
        json!({
            "Listener": {"Protocol": "TCP", "LoadBalancerPort": port, "InstanceProtocol": "TCP", "InstancePort": node_port},
            "PolicyNames": [],
        })
    };
    wanted.ports.iter().map(listener).collect()
}

/// Hosted zones of load balancers, for alias records: region, classic, network.
const ZONES: &[(&str, &str, &str)] = &[
    ("us-east-1", "Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
    ("us-east-2", "Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
    ("us-west-2", "Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
    ("eu-west-1", "Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    ("eu-west-2", "ZHURV8PSTC4K8", "ZD4D7Y8KGAS4G"),
    ("eu-central-1", "Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
];

/// The hosted zone that alias records to load balancers of a region name.
pub fn hosted_zone(region: &str, network: bool) -> &'static str {
    let zone = ZONES.iter().find(|(known, ..)| *known == region).unwrap_or(&ZONES[0]);
    if network { zone.2 } else { zone.1 }
}

fn classic_balancer(
    tx: &Tx<'_>,
    env: &Env,
    cluster: &Cluster,
    wanted: &LoadBalancer,
    name: &str,
    groups: &[String],
    subnets: &[Value],
) -> Value {
    let region = &cluster.region;
    let number = env.clock.now() % 10_000_000_000;
    let host = format!("{name}-{number}.{region}.elb.amazonaws.com");
    let of_cluster = format!("{}/", cluster.name);
    let lives = |i: &Value| matches!(i["instanceState"]["name"].as_str(), Some("pending" | "running"));
    let machines = tx.select("instance", |i| lives(i) && ec2::text(i, "_nodegroup").starts_with(&of_cluster));
    let first_node_port = wanted.ports.first().map_or(0, |(_, node_port, _)| *node_port);
    json!({
        "LoadBalancerName": name,
        "DNSName": host,
        "CanonicalHostedZoneName": host,
        "CanonicalHostedZoneNameID": hosted_zone(region, false),
        "ListenerDescriptions": listeners(wanted),
        "Policies": {"AppCookieStickinessPolicies": [], "LBCookieStickinessPolicies": [], "OtherPolicies": []},
        "BackendServerDescriptions": [],
        "AvailabilityZones": subnets.iter().map(|s| s["availabilityZone"].clone()).collect::<Vec<_>>(),
        "Subnets": subnets.iter().map(|s| s["subnetId"].clone()).collect::<Vec<_>>(),
        "VPCId": cluster.vpc,
        "Instances": machines.iter().map(|i| json!({"InstanceId": i["instanceId"]})).collect::<Vec<_>>(),
        "HealthCheck": {"Target": format!("TCP:{first_node_port}"), "Interval": 10, "Timeout": 5, "UnhealthyThreshold": 6, "HealthyThreshold": 2},
        "SourceSecurityGroup": {"OwnerAlias": env.options.account_id, "GroupName": format!("k8s-elb-{name}")},
        "SecurityGroups": groups,
    })
}

fn network_balancer(env: &Env, cluster: &Cluster, name: &str, arn: &str, subnets: &[Value]) -> Value {
    let region = &cluster.region;
    let suffix = arn.rsplit('/').next().unwrap_or_default();
    let zone =
        |s: &Value| json!({"ZoneName": s["availabilityZone"], "SubnetId": s["subnetId"], "LoadBalancerAddresses": []});
    json!({
        "LoadBalancerArn": arn,
        "LoadBalancerName": name,
        "DNSName": format!("{name}-{suffix}.elb.{region}.amazonaws.com"),
        "CanonicalHostedZoneId": hosted_zone(region, true),
        "VpcId": cluster.vpc,
        "State": {"Code": "provisioning"},
        "Type": "network",
        "AvailabilityZones": subnets.iter().map(zone).collect::<Vec<_>>(),
        "SecurityGroups": [],
        "IpAddressType": "ipv4",
        "_ready_at": env.clock.ready_at("load-balancer"),
        "_next": {"State": {"Code": "active"}},
    })
}

/// Removes the load balancer of a Service; one that is not there is fine.
pub(super) fn remove(env: &Env, cluster: &Cluster, gone: &LoadBalancer) {
    let id = service_id(gone);
    remove_where(env, cluster, |service| service == id);
}

/// Removes the load balancers of this cluster whose Services are not there any more.
pub(super) fn remove_others(env: &Env, cluster: &Cluster, wanted: &[LoadBalancer]) {
    let (prefix, keep) = (format!("{}/", cluster.kube_name()), wanted.iter().map(service_id).collect::<Vec<_>>());
    remove_where(env, cluster, |service| service.starts_with(&prefix) && !keep.iter().any(|k| k == service));
}

fn remove_where(env: &Env, cluster: &Cluster, test: impl Fn(&str) -> bool) {
    let removed: Result<(), ApiError> = env.store.tx(&cluster.region, |tx| {
        for table in ["elb", "elbv2"] {
            for doc in tx.select(table, |doc| doc["_service"].as_str().is_some_and(&test)) {
                for eni in doc["_enis"].as_array().into_iter().flatten() {
                    ec2::delete_interface(tx, eni.as_str().unwrap_or_default());
                }
                let (key, own_groups) =
                    if table == "elb" { ("LoadBalancerName", true) } else { ("LoadBalancerArn", false) };
                for group in doc["SecurityGroups"].as_array().into_iter().flatten().filter(|_| own_groups) {
                    ec2::remove_group(tx, group.as_str().unwrap_or_default());
                }
                tx.delete(table, ec2::text(&doc, key));
            }
        }
        Ok(())
    });
    // A journal that cannot be written shows at the next call, which fails with it.
    drop(removed);
}
