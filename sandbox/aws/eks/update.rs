//! Updates: of a cluster's configuration and version; their records.

use serde_json::{Value, json};

use super::{active_cluster_of, cluster, cluster_of, in_use, invalid, need, not_found, now, paged, versions};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::params::Params;
use crate::aws::{Cx, due};

/// Keeps the record of an update that ends `kind` (of durations) from now; returns it as EKS shows it.
///
/// `about` names the node group or add-on that it is of; none for the cluster itself.
pub fn record(
    cx: &mut Cx<'_>,
    cluster: &str,
    about: Option<(&str, &str)>,
    what: &str,
    params: &[(&str, String)],
    kind: &str,
) -> Value {
    let id = uuid::Uuid::new_v4().to_string();
    let params: Vec<Value> = params.iter().map(|(name, value)| json!({"type": name, "value": value})).collect();
    let mut doc = json!({
        "id": id,
        "status": "InProgress",
        "type": what,
        "params": params,
        "createdAt": now(cx.env),
        "errors": [],
        "_cluster": cluster,
        "_about": about.map(|(sort, name)| format!("{sort}/{name}")),
    });
    let next = match &cx.fails {
        Some(reason) => json!({
            "status": "Failed",
            "errors": [{"errorCode": "Unknown", "errorMessage": reason, "resourceIds": []}],
        }),
        None => json!({"status": "Successful"}),
    };
    due::begin(&mut doc, cx.clock().ready_at(kind), next);
    cx.tx.put("eks.update", &id, doc.clone());
    doc
}

/// The update that an earlier call with the same token began.
pub fn replayed(cx: &Cx<'_>) -> Result<Option<Value>, ApiError> {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let id = cx.replay(cx.p.opt("clientRequestToken"), &wanted, "InvalidParameterException")?;
    Ok(id.and_then(|id| cx.tx.get("eks.update", &id).cloned()))
}

/// Remembers the update under the token of the call and answers it.
pub fn answer(cx: &mut Cx<'_>, update: &Value) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    cx.remember(token.as_deref(), &wanted, update["id"].as_str().unwrap_or_default());
    cx.json(&json!({"update": update}))
}

fn idle_cluster(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (name, doc) = active_cluster_of(cx)?;
    if doc["status"] == json!("UPDATING") {
        let message = format!("Cannot update because cluster {name} currently has an update in progress");
        return Err(in_use(message).field("clusterName", name));
    }
    Ok((name, doc))
}

/// `UpdateClusterConfig`.
pub fn cluster_config(cx: &mut Cx<'_>) -> Outcome {
    if let Some(update) = replayed(cx)? {
        return cx.json(&json!({"update": update}));
    }
    let (name, mut doc) = idle_cluster(cx)?;
    let kinds = ["resourcesVpcConfig", "logging", "accessConfig", "upgradePolicy", "deletionProtection"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| cx.p.has(kind)).collect();
    let [kind] = given[..] else {
        return Err(invalid("Only one type of update can be allowed, and one must be given"));
    };
    let (what, params) = match kind {
        "resourcesVpcConfig" => vpc_change(cx, &mut doc)?,
        "logging" => {
            let logging = cluster::logging(&cx.p.sub("logging"), Some(&doc["logging"]))?;
            let shown = logging.to_string();
            change(&mut doc, "logging", logging, "No changes needed for the logging config provided")?;
            ("LoggingUpdate", vec![("ClusterLogging", shown)])
        }
        "accessConfig" => access_change(&cx.p, &mut doc)?,
        "upgradePolicy" => {
            let support = cx.p.or("upgradePolicy.supportType", "").to_owned();
            if !["STANDARD", "EXTENDED"].contains(&support.as_str()) {
                return Err(invalid(format!("'{support}' is not a support type")));
            }
            let policy = json!({"supportType": support});
            change(&mut doc, "upgradePolicy", policy, "No changes needed for the upgrade policy provided")?;
            ("UpgradePolicyUpdate", vec![("UpgradePolicy", support)])
        }
        _ => {
            let on = cx.p.flag("deletionProtection").unwrap_or(false);
            change(
                &mut doc,
                "deletionProtection",
                json!(on),
                "No changes needed for the deletion protection provided",
            )?;
            ("DeletionProtectionUpdate", vec![("DeletionProtection", on.to_string())])
        }
    };
    doc["status"] = json!("UPDATING");
    due::begin(&mut doc, cx.clock().ready_at("eks-update"), json!({"status": "ACTIVE"}));
    cx.tx.put("eks.cluster", &name, doc);
    let update = record(cx, &name, None, what, &params, "eks-update");
    answer(cx, &update)
}

fn change(doc: &mut Value, member: &str, value: Value, same: &str) -> Result<(), ApiError> {
    if doc[member] == value {
        return Err(invalid(same));
    }
    doc[member] = value;
    Ok(())
}

type Change = (&'static str, Vec<(&'static str, String)>);

fn vpc_change(cx: &mut Cx<'_>, doc: &mut Value) -> Result<Change, ApiError> {
    let p = cx.p.sub("resourcesVpcConfig");
    let mut config = doc["resourcesVpcConfig"].clone();
    let mut params = Vec::new();
    let vpc_id = config["vpcId"].as_str().unwrap_or_default().to_owned();
    let moves = p.has("subnetIds") || p.has("securityGroupIds");
    if p.has("subnetIds") {
        let subnets = p.list("subnetIds");
        if cluster::check_subnets(&cx.tx, &subnets, 2)? != vpc_id {
            return Err(invalid("Provided subnets belong to a different VPC than the cluster"));
        }
        params.push(("SubnetIds", json!(subnets).to_string()));
        config["subnetIds"] = json!(subnets);
    }
    if p.has("securityGroupIds") {
        let groups = p.list("securityGroupIds");
        cluster::check_groups(&cx.tx, &groups, &vpc_id)?;
        params.push(("SecurityGroupIds", json!(groups).to_string()));
        config["securityGroupIds"] = json!(groups);
    }
    for (member, kind) in
        [("endpointPublicAccess", "EndpointPublicAccess"), ("endpointPrivateAccess", "EndpointPrivateAccess")]
    {
        if let Some(on) = p.flag(member) {
            config[member] = json!(on);
            params.push((kind, on.to_string()));
        }
    }
    if p.has("publicAccessCidrs") {
        config["publicAccessCidrs"] = json!(p.list("publicAccessCidrs"));
        params.push(("PublicAccessCidrs", config["publicAccessCidrs"].to_string()));
    }
    cluster::check_endpoints(&config)?;
    change(
        doc,
        "resourcesVpcConfig",
        config,
        "Cluster is already at the desired configuration with the given VPC config",
    )?;
    Ok((if moves { "VpcConfigUpdate" } else { "EndpointAccessUpdate" }, params))
}

/// The mode only goes forward: CONFIG_MAP, then both, then API.
fn access_change(p: &Params, doc: &mut Value) -> Result<Change, ApiError> {
    const ORDER: [&str; 3] = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];
    let mode = cluster::authentication_mode(p.or("accessConfig.authenticationMode", ""))?.to_owned();
    let place = |mode: &str| ORDER.iter().position(|m| *m == mode);
    let before = doc["accessConfig"]["authenticationMode"].as_str().unwrap_or_default().to_owned();
    if place(&mode) < place(&before) {
        let message = format!("Unsupported authentication mode update from {before} to {mode}");
        return Err(invalid(message));
    }
    let mut config = doc["accessConfig"].clone();
    config["authenticationMode"] = json!(mode);
    change(doc, "accessConfig", config, "No changes needed for the access config provided")?;
    Ok(("AccessConfigUpdate", vec![("AuthenticationMode", mode)]))
}

/// `UpdateClusterVersion`: one minor version up, never down.
pub fn cluster_version(cx: &mut Cx<'_>) -> Outcome {
    if let Some(update) = replayed(cx)? {
        return cx.json(&json!({"update": update}));
    }
    let (name, mut doc) = idle_cluster(cx)?;
    let version = need(&cx.p, "version")?;
    let before = doc["version"].as_str().unwrap_or_default().to_owned();
    if version == before {
        return Err(invalid(format!(
            "Cluster is already at the desired configuration with Kubernetes version {version}"
        )));
    }
    let Some(offer) = versions::offer(&version) else {
        return Err(invalid(format!("unsupported Kubernetes version {version}")));
    };
    if versions::index(&before).map(|i| i + 1) != versions::index(&version) {
        return Err(invalid(format!("Unsupported Kubernetes minor version update from {before} to {version}")));
    }
    // The kubelet may be up to three minor versions behind.
    let behind = cx.tx.any("eks.nodegroup", |ng| {
        let minor = |v: &str| v.split('.').nth(1).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
        ng["clusterName"] == json!(name) && minor(ng["version"].as_str().unwrap_or_default()) + 3 < minor(&version)
    });
    if behind {
        return Err(invalid(format!(
            "Nodegroups of cluster {name} must be updated before the cluster goes to {version}"
        )));
    }
    doc["status"] = json!("UPDATING");
    let next = match cx.fails {
        Some(_) => json!({"status": "ACTIVE"}),
        None => json!({"status": "ACTIVE", "version": version, "platformVersion": offer.platform}),
    };
    due::begin(&mut doc, cx.clock().ready_at("eks-version-update"), next);
    cx.tx.put("eks.cluster", &name, doc);
    let params = [("Version", version), ("PlatformVersion", offer.platform.to_owned())];
    let update = record(cx, &name, None, "VersionUpdate", &params, "eks-version-update");
    answer(cx, &update)
}

/// What an update is of, from the query: a node group, an add-on, or the cluster.
fn about(p: &Params) -> Value {
    let of = |sort: &str, name: &str| p.opt(name).map(|n| format!("{sort}/{n}"));
    json!(of("nodegroup", "nodegroupName").or_else(|| of("addon", "addonName")))
}

/// `ListUpdates`, newest first.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = cluster_of(cx)?;
    let about = about(&cx.p);
    let mut found = cx.tx.select("eks.update", |u| u["_cluster"] == json!(name) && u["_about"] == about);
    let time = |update: &Value| update["createdAt"].as_f64().unwrap_or(0.0);
    found.sort_by(|a, b| time(b).total_cmp(&time(a)));
    paged(cx, "updateIds", found.into_iter().map(|u| u["id"].clone()).collect())
}

/// `DescribeUpdate`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = cluster_of(cx)?;
    let id = need(&cx.p, "updateId")?;
    let about = about(&cx.p);
    let found = cx.tx.get("eks.update", &id).filter(|u| u["_cluster"] == json!(name) && u["_about"] == about);
    match found {
        Some(update) => cx.json(&json!({"update": update})),
        None => Err(not_found(format!("No update found for ID: {id}"))),
    }
}
