//! Clusters: made, shown, listed, deleted.

use base64::Engine;
use serde_json::{Value, json};

use super::{cluster_of, given_tags, in_use, invalid, need, now, paged, refused, role_exists, versions};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::params::Params;
use crate::aws::{Cx, Env, due, ec2, fleet};
use crate::core::store::{Tx, hex_digits};

const LOG_TYPES: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// `CreateCluster`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    if let Some(name) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")?
        && let Some(doc) = cx.tx.get("eks.cluster", &name).cloned()
    {
        return cx.json(&json!({"cluster": show(cx.env, &cx.region, &doc)}));
    }
    let name = cluster_name(&cx.p)?;
    if cx.tx.get("eks.cluster", &name).is_some() {
        return Err(in_use(format!("Cluster already exists with name: {name}")).field("clusterName", name));
    }
    if cx.tx.scan("eks.cluster").count() >= cx.env.quota("eks", "L-1194D53C") {
        return Err(ApiError::new("ResourceLimitExceededException", "Cluster limit exceeded for account"));
    }
    let doc = wanted_cluster(cx, &name)?;
    cx.tx.put("eks.cluster", &name, doc.clone());
    if doc["_bootstrap_admin"] == json!(true) && doc["accessConfig"]["authenticationMode"] != json!("CONFIG_MAP") {
        let (region, account, principal) = (cx.region.clone(), cx.account.clone(), cx.caller.arn.clone());
        super::access::bootstrap(&mut cx.tx, cx.env, (&region, &account), &name, &principal);
    }
    cx.remember(token.as_deref(), &wanted, &name);
    cx.json(&json!({"cluster": show(cx.env, &cx.region, &doc)}))
}

fn cluster_name(p: &Params) -> Result<String, ApiError> {
    let name = need(p, "name")?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !plain || name.len() > 100 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = format!(
            "The cluster name '{name}' is invalid: it must begin with a letter or digit and consist of at most 100 letters, digits, hyphens and underscores"
        );
        return Err(invalid(message).field("clusterName", name));
    }
    Ok(name)
}

fn wanted_cluster(cx: &mut Cx<'_>, name: &str) -> Result<Value, ApiError> {
    let version = cx.p.or("version", versions::DEFAULT).to_owned();
    let offer = versions::offer(&version).ok_or_else(|| invalid("unsupported Kubernetes version"))?;
    let role = need(&cx.p, "roleArn")?;
    check_role(cx, &role)?;
    let mut vpc = vpc_config(cx)?;
    let logging = logging(&cx.p.sub("logging"), None)?;
    let mode = authentication_mode(cx.p.opt("accessConfig.authenticationMode").unwrap_or("CONFIG_MAP"))?.to_owned();
    let bootstrap = cx.p.flag("accessConfig.bootstrapClusterCreatorAdminPermissions").unwrap_or(true);
    let network = network_config(cx, &vpc)?;
    let tags = given_tags(&cx.p)?;
    vpc["clusterSecurityGroupId"] = json!(security_group(cx, name, &vpc, &tags));
    control_plane_interfaces(cx, name, &vpc)?;
    let support = cx.p.or("upgradePolicy.supportType", "EXTENDED").to_owned();
    let mut doc = json!({
        "name": name,
        "arn": cx.arn("eks", &format!("cluster/{name}")),
        "createdAt": now(cx.env),
        "version": version,
        "roleArn": role,
        "resourcesVpcConfig": vpc,
        "kubernetesNetworkConfig": network,
        "logging": logging,
        "status": "CREATING",
        "certificateAuthority": {},
        "platformVersion": offer.platform,
        "tags": tags,
        "encryptionConfig": cx.p.at("encryptionConfig"),
        "health": {"issues": []},
        "accessConfig": {"authenticationMode": mode, "bootstrapClusterCreatorAdminPermissions": bootstrap},
        "upgradePolicy": {"supportType": support},
        "deletionProtection": cx.p.flag("deletionProtection").unwrap_or(false),
        "_bootstrap_admin": bootstrap,
        "_oidc": hex_digits(32).to_uppercase(),
    });
    let next = match &cx.fails {
        Some(reason) => json!({
            "status": "FAILED",
            "health": {"issues": [{"code": "InternalFailure", "message": reason, "resourceIds": []}]},
        }),
        None => json!({"status": "ACTIVE"}),
    };
    due::begin(&mut doc, cx.clock().ready_at("eks-cluster"), next);
    Ok(doc)
}

fn check_role(cx: &Cx<'_>, arn: &str) -> Result<(), ApiError> {
    if !arn.starts_with("arn:aws:iam::") || !arn.contains(":role/") {
        return Err(invalid(format!("The role ARN '{arn}' is invalid")));
    }
    if !role_exists(&cx.tx, &cx.account, arn) {
        let message = format!(
            "Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        );
        return Err(invalid(message));
    }
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let role = cx.tx.get("/iam.role", name);
    // The trust policy is kept as a document or as the text that was sent, perhaps percent-encoded.
    let trusts = role.is_none_or(|role| role["AssumeRolePolicyDocument"].to_string().contains("eks.amazonaws.com"));
    if !trusts {
        let message = format!(
            "Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        );
        return Err(invalid(message));
    }
    Ok(())
}

/// The subnets, groups and endpoint access that a request asks for, checked.
fn vpc_config(cx: &Cx<'_>) -> Result<Value, ApiError> {
    let p = cx.p.sub("resourcesVpcConfig");
    let subnets = p.list("subnetIds");
    if subnets.is_empty() {
        return Err(invalid("Subnets can't be empty"));
    }
    let vpc_id = check_subnets(&cx.tx, &subnets, 2)?;
    let groups = p.list("securityGroupIds");
    check_groups(&cx.tx, &groups, &vpc_id)?;
    let config = json!({
        "subnetIds": subnets,
        "securityGroupIds": groups,
        "vpcId": vpc_id,
        "endpointPublicAccess": p.flag("endpointPublicAccess").unwrap_or(true),
        "endpointPrivateAccess": p.flag("endpointPrivateAccess").unwrap_or(false),
        "publicAccessCidrs": if p.has("publicAccessCidrs") { p.list("publicAccessCidrs") } else { vec!["0.0.0.0/0".to_owned()] },
    });
    check_endpoints(&config)?;
    Ok(config)
}

/// Refuses what no cluster can have: no endpoint at all, or blocks that are none.
pub fn check_endpoints(config: &Value) -> Result<(), ApiError> {
    if config["endpointPublicAccess"] == json!(false) && config["endpointPrivateAccess"] == json!(false) {
        return Err(invalid("Private and public endpoint access cannot be false"));
    }
    for cidr in config["publicAccessCidrs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let parts = cidr.split_once('/');
        let fine = parts
            .is_some_and(|(a, n)| a.parse::<std::net::Ipv4Addr>().is_ok() && n.parse::<u8>().is_ok_and(|n| n <= 32));
        if !fine {
            return Err(invalid(format!("The following CIDRs are invalid in publicAccessCidrs: {cidr}")));
        }
    }
    Ok(())
}

/// Checks that the subnets exist in one VPC and in at least `zones` zones; returns the VPC.
pub fn check_subnets(tx: &Tx<'_>, subnets: &[String], zones: usize) -> Result<String, ApiError> {
    let mut vpc = None;
    let mut seen = std::collections::BTreeSet::new();
    for id in subnets {
        let Some(subnet) = tx.get("subnet", id) else {
            return Err(invalid(format!(
                "The subnet ID '{id}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: InvalidSubnetID.NotFound)"
            )));
        };
        let this = subnet["vpcId"].as_str().unwrap_or_default().to_owned();
        if vpc.get_or_insert_with(|| this.clone()) != &this {
            return Err(invalid("Subnets specified must be in the same VPC"));
        }
        seen.insert(subnet["availabilityZone"].to_string());
    }
    if seen.len() < zones {
        return Err(invalid("Subnets specified must be in at least two different AZs"));
    }
    Ok(vpc.unwrap_or_default())
}

/// Checks that the security groups exist in the VPC.
pub fn check_groups(tx: &Tx<'_>, groups: &[String], vpc_id: &str) -> Result<(), ApiError> {
    for id in groups {
        let fine = tx.get("sg", id).is_some_and(|group| group["vpcId"] == json!(vpc_id));
        if !fine {
            return Err(invalid(format!("The security group '{id}' does not exist in VPC {vpc_id}")));
        }
    }
    Ok(())
}

/// Logging as EKS shows it: the types that are on, then those that are off.
pub fn logging(wanted: &Params, before: Option<&Value>) -> Result<Value, ApiError> {
    let is_on = |setup: &Value, log: &str| {
        setup["clusterLogging"].as_array().into_iter().flatten().any(|entry| {
            entry["enabled"] == json!(true) && entry["types"].as_array().is_some_and(|t| t.contains(&json!(log)))
        })
    };
    let mut on: Vec<&str> = LOG_TYPES.into_iter().filter(|log| before.is_some_and(|b| is_on(b, log))).collect();
    for setup in wanted.items("clusterLogging") {
        let types = setup.list("types");
        if let Some(wrong) = types.iter().find(|t| !LOG_TYPES.contains(&t.as_str())) {
            return Err(invalid(format!("'{wrong}' is not a log type: there are {}", LOG_TYPES.join(", "))));
        }
        on.retain(|log| !types.iter().any(|t| t == log));
        if setup.flag("enabled") == Some(true) {
            on.extend(LOG_TYPES.into_iter().filter(|log| types.iter().any(|t| t == log)));
        }
    }
    let (on, off): (Vec<&str>, Vec<&str>) = LOG_TYPES.into_iter().partition(|log| on.contains(log));
    let entry =
        |types: Vec<&str>, enabled: bool| (!types.is_empty()).then(|| json!({"types": types, "enabled": enabled}));
    let entries: Vec<Value> = [entry(on, true), entry(off, false)].into_iter().flatten().collect();
    Ok(json!({"clusterLogging": entries}))
}

/// A known authentication mode.
pub fn authentication_mode(mode: &str) -> Result<&str, ApiError> {
    match mode {
        "API" | "API_AND_CONFIG_MAP" | "CONFIG_MAP" => Ok(mode),
        _ => Err(invalid(format!("'{mode}' is not an authentication mode"))),
    }
}

/// EKS keeps services out of the VPC's own block: 172.20/16 where the VPC is in 10/8, else 10.100/16.
fn network_config(cx: &Cx<'_>, vpc: &Value) -> Result<Value, ApiError> {
    let block = cx.tx.get("vpc", vpc["vpcId"].as_str().unwrap_or_default()).map(|v| v["cidrBlock"].to_string());
    let inside_ten = block.is_some_and(|b| b.starts_with("\"10."));
    let default = if inside_ten { "172.20.0.0/16" } else { "10.100.0.0/16" };
    let cidr = cx.p.or("kubernetesNetworkConfig.serviceIpv4Cidr", default);
    let private = ["10.", "172.", "192.168."].iter().any(|start| cidr.starts_with(start));
    if !private || !cidr.contains('/') {
        return Err(invalid(format!(
            "serviceIpv4Cidr {cidr} is not within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )));
    }
    Ok(json!({"serviceIpv4Cidr": cidr, "ipFamily": "ipv4", "elasticLoadBalancing": {"enabled": false}}))
}

fn security_group(cx: &mut Cx<'_>, name: &str, vpc: &Value, tags: &Value) -> String {
    let group_name = format!("eks-cluster-sg-{name}-{}", cx.clock().now() % 1_000_000_000);
    let description = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.";
    let mut all = vec![
        ("Name".to_owned(), group_name.clone()),
        (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
        ("aws:eks:cluster-name".to_owned(), name.to_owned()),
    ];
    let given = tags.as_object().into_iter().flatten();
    all.extend(given.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))));
    let vpc_id = vpc["vpcId"].as_str().unwrap_or_default().to_owned();
    ec2::group_for_service(cx, &vpc_id, &group_name, description, &all)
}

/// The control plane puts an interface into each of up to four subnets, so none of these can be deleted.
fn control_plane_interfaces(cx: &mut Cx<'_>, name: &str, vpc: &Value) -> Result<(), ApiError> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut groups = vec![text(&vpc["clusterSecurityGroupId"])];
    groups.extend(vpc["securityGroupIds"].as_array().into_iter().flatten().map(text));
    for subnet in vpc["subnetIds"].as_array().into_iter().flatten().take(4) {
        let description = format!("Amazon EKS {name}");
        let made = fleet::interface(&mut cx.tx, &text(subnet), &groups, &description, "eks")?;
        cx.tx.update("eni", &made, |eni| eni["_eks_cluster"] = json!(name));
    }
    Ok(())
}

/// `DescribeCluster`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let (_, doc) = cluster_of(cx)?;
    cx.json(&json!({"cluster": show(cx.env, &cx.region, &doc)}))
}

/// `ListClusters`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    paged(cx, "clusters", cx.tx.scan("eks.cluster").map(|(name, _)| json!(name)).collect())
}

/// A cluster as EKS shows it: endpoint, certificate authority and issuer come once it is there.
pub fn show(env: &Env, region: &str, doc: &Value) -> Value {
    let mut shown = doc.clone();
    let name = doc["name"].as_str().unwrap_or_default();
    if matches!(doc["status"].as_str(), Some("CREATING" | "FAILED")) {
        if let Some(vpc) = shown["resourcesVpcConfig"].as_object_mut() {
            vpc.remove("clusterSecurityGroupId");
        }
        return shown;
    }
    let ca = base64::engine::general_purpose::STANDARD.encode(env.kube.ca_pem());
    shown["endpoint"] = json!(env.kube.url(&Env::kube_name(region, name)));
    shown["certificateAuthority"] = json!({"data": ca});
    let id = doc["_oidc"].as_str().unwrap_or_default();
    shown["identity"] = json!({"oidc": {"issuer": format!("https://oidc.eks.{region}.amazonaws.com/id/{id}")}});
    shown
}

/// `DeleteCluster`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = cluster_of(cx)?;
    match doc["status"].as_str() {
        Some("DELETING") => return Err(in_use(format!("Cluster {name} is already being deleted"))),
        Some("CREATING" | "UPDATING") => {
            return Err(in_use(format!("Cannot delete because cluster {name} currently has an update in progress")));
        }
        _ => {}
    }
    if doc["deletionProtection"] == json!(true) {
        return Err(refused(format!("Cannot delete cluster {name}: deletion protection is enabled")));
    }
    if cx.tx.any("eks.nodegroup", |ng| ng["clusterName"] == json!(name)) {
        return Err(in_use("Cluster has nodegroups attached").field("clusterName", name));
    }
    doc["status"] = json!("DELETING");
    due::begin(&mut doc, cx.clock().ready_at("eks-cluster-delete"), due::GONE);
    cx.tx.put("eks.cluster", &name, doc.clone());
    cx.json(&json!({"cluster": show(cx.env, &cx.region, &doc)}))
}

/// What goes with a cluster: interfaces, its security group, add-ons, access, updates.
pub fn clean_up(tx: &mut Tx<'_>, name: &str, doc: &Value) {
    tx.delete_where("eni", |eni| eni["_eks_cluster"] == json!(name));
    let group = doc["resourcesVpcConfig"]["clusterSecurityGroupId"].as_str().unwrap_or_default().to_owned();
    // EKS leaves its group where something else still uses it.
    let used = tx.any("eni", |eni| {
        eni["groupSet"].as_array().is_some_and(|set| set.iter().any(|g| g["groupId"] == json!(group)))
    });
    if !used {
        ec2::remove_group(tx, &group);
    }
    for table in ["eks.addon", "eks.access", "eks.pod-identity", "eks.idp", "eks.update"] {
        tx.delete_where(table, |doc| doc["clusterName"] == json!(name) || doc["_cluster"] == json!(name));
    }
}
