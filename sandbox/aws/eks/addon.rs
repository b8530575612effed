//! Add-ons.

use serde_json::{Value, json};

use super::catalogue::{self, ADDONS, Addon};
use super::{
    active_cluster_of, cluster_of, given_tags, in_use, invalid, need, not_found, now, paged, role_exists, texts, update,
};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due};
use crate::core::store::Tx;

const TABLE: &str = "eks.addon";

/// Whether what an add-on consists of runs in its cluster.
pub fn runs(tx: &Tx<'_>, cluster: &str, name: &str) -> bool {
    tx.any(TABLE, |doc| {
        doc["clusterName"] == cluster
            && doc["addonName"] == name
            && matches!(doc["status"].as_str(), Some("ACTIVE" | "UPDATING"))
    })
}

/// `DescribeAddonVersions`.
pub fn versions(cx: &Cx<'_>) -> Outcome {
    let kubernetes = cx.p.opt("kubernetesVersion");
    let (types, owners, publishers) = (texts(&cx.p, "types"), texts(&cx.p, "owners"), texts(&cx.p, "publishers"));
    let fits = |wanted: &[String], value: &Value| wanted.is_empty() || wanted.iter().any(|w| *value == json!(w));
    let shown: Vec<Value> = ADDONS
        .iter()
        .filter(|addon| cx.p.opt("addonName").is_none_or(|name| name == addon.name))
        .map(|addon| addon.show(kubernetes))
        .filter(|doc| {
            fits(&types, &doc["type"]) && fits(&owners, &doc["owner"]) && fits(&publishers, &doc["publisher"])
        })
        .filter(|doc| doc["addonVersions"].as_array().is_some_and(|v| !v.is_empty()))
        .collect();
    paged(cx, "addons", shown)
}

/// `DescribeAddonConfiguration`.
pub fn configuration(cx: &Cx<'_>) -> Outcome {
    let addon = known(&need(&cx.p, "addonName")?)?;
    let version = need(&cx.p, "addonVersion")?;
    let schema = r#"{"$schema":"http://json-schema.org/draft-06/schema#","type":"object"}"#;
    cx.json(&json!({"addonName": addon.name, "addonVersion": version, "configurationSchema": schema}))
}

fn known(name: &str) -> Result<&'static Addon, ApiError> {
    catalogue::find(name).ok_or_else(|| invalid(format!("Addon {name} specified is not supported")))
}

/// The version asked for (the default one when none is), which must fit the cluster.
fn version(cx: &Cx<'_>, addon: &Addon, kubernetes: &str) -> Result<String, ApiError> {
    let offered = addon.versions_for(kubernetes);
    match cx.p.opt("addonVersion") {
        None => Ok(offered[0].clone()),
        Some(wanted) if offered.iter().any(|v| v == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            let message = format!(
                "Addon version specified is not supported: {wanted} of {} for Kubernetes {kubernetes}; supported are {}",
                addon.name,
                offered.join(", ")
            );
            Err(invalid(message))
        }
    }
}

fn check(cx: &Cx<'_>) -> Result<(), ApiError> {
    if let Some(role) = cx.p.opt("serviceAccountRoleArn").filter(|role| !role_exists(&cx.tx, &cx.account, role)) {
        return Err(invalid(format!("The role {role} cannot be found")));
    }
    if let Some(mode) = cx.p.opt("resolveConflicts").filter(|m| !["OVERWRITE", "NONE", "PRESERVE"].contains(m)) {
        return Err(invalid(format!("'{mode}' is not a way to resolve conflicts")));
    }
    if let Some(values) = cx.p.opt("configurationValues") {
        let fine = values.trim().is_empty() || serde_norway::from_str::<Value>(values).is_ok_and(|v| v.is_object());
        if !fine {
            return Err(invalid(
                "ConfigurationValue provided in request is not supported: it is not a JSON or YAML object",
            ));
        }
    }
    Ok(())
}

/// `CreateAddon`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")?
        && let Some(doc) = cx.tx.get(TABLE, &id)
    {
        return cx.json(&json!({"addon": show(cx, doc)}));
    }
    let (cluster, cluster_doc) = active_cluster_of(cx)?;
    let addon = known(&need(&cx.p, "addonName")?)?;
    let id = format!("{cluster}/{}", addon.name);
    if cx.tx.get(TABLE, &id).is_some() {
        return Err(in_use("Addon already exists.").field("clusterName", cluster).field("addonName", addon.name));
    }
    let version = version(cx, addon, cluster_doc["version"].as_str().unwrap_or_default())?;
    check(cx)?;
    let mut doc = json!({
        "addonName": addon.name,
        "clusterName": cluster,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": cx.arn("eks", &format!("addon/{cluster}/{}/{}", addon.name, uuid::Uuid::new_v4())),
        "createdAt": now(cx.env),
        "modifiedAt": now(cx.env),
        "serviceAccountRoleArn": cx.p.opt("serviceAccountRoleArn"),
        "configurationValues": cx.p.opt("configurationValues"),
        "tags": given_tags(&cx.p)?,
        "publisher": addon.owner,
        "owner": if addon.owner == "community" { "community" } else { "aws" },
    });
    let next = match &cx.fails {
        Some(reason) => json!({
            "status": "CREATE_FAILED",
            "health": {"issues": [{"code": "InternalFailure", "message": reason, "resourceIds": []}]},
        }),
        None => json!({"status": "ACTIVE"}),
    };
    due::begin(&mut doc, cx.clock().ready_at("eks-addon"), next);
    cx.tx.put(TABLE, &id, doc.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.json(&json!({"addon": show(cx, &doc)}))
}

/// An add-on as EKS shows it: one that runs as a deployment is degraded while there is no node.
fn show(cx: &Cx<'_>, doc: &Value) -> Value {
    let mut shown = doc.clone();
    let needs_nodes = doc["addonName"].as_str().and_then(catalogue::find).is_some_and(|addon| addon.needs_nodes);
    let cluster = &doc["clusterName"];
    let has_nodes = cx.tx.any("eks.nodegroup", |ng| {
        ng["clusterName"] == *cluster && matches!(ng["status"].as_str(), Some("ACTIVE" | "UPDATING"))
    });
    if doc["status"] == json!("ACTIVE") && needs_nodes && !has_nodes {
        shown["status"] = json!("DEGRADED");
        let message = "The add-on is unhealthy because it doesn't have the desired number of replicas.";
        shown["health"] =
            json!({"issues": [{"code": "InsufficientNumberOfReplicas", "message": message, "resourceIds": []}]});
    }
    shown
}

fn addon_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (cluster, _) = cluster_of(cx)?;
    let name = need(&cx.p, "addonName")?;
    let id = format!("{cluster}/{name}");
    match cx.tx.get(TABLE, &id) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(not_found(format!("No addon: {name} found in cluster: {cluster}"))
            .field("clusterName", cluster)
            .field("addonName", name)),
    }
}

/// `DescribeAddon`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let (_, doc) = addon_of(cx)?;
    cx.json(&json!({"addon": show(cx, &doc)}))
}

/// `ListAddons`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (cluster, _) = cluster_of(cx)?;
    let found = cx.tx.select(TABLE, |addon| addon["clusterName"] == json!(cluster));
    paged(cx, "addons", found.into_iter().map(|addon| addon["addonName"].clone()).collect())
}

/// `DeleteAddon`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = addon_of(cx)?;
    if doc["status"] == json!("DELETING") {
        return Err(in_use("Addon is already being deleted"));
    }
    doc["status"] = json!("DELETING");
    due::begin(&mut doc, cx.clock().ready_at("eks-addon-delete"), due::GONE);
    cx.tx.put(TABLE, &id, doc.clone());
    cx.json(&json!({"addon": show(cx, &doc)}))
}

/// `UpdateAddon`.
pub fn update(cx: &mut Cx<'_>) -> Outcome {
    if let Some(update) = update::replayed(cx)? {
        return cx.json(&json!({"update": update}));
    }
    let (id, mut doc) = addon_of(cx)?;
    let (cluster, cluster_doc) = cluster_of(cx)?;
    if matches!(doc["status"].as_str(), Some("CREATING" | "UPDATING" | "DELETING")) {
        return Err(in_use(format!("Addon cannot be updated as it is in status {}", doc["status"])));
    }
    check(cx)?;
    let addon = known(doc["addonName"].as_str().unwrap_or_default())?;
    let mut params = Vec::new();
    if cx.p.has("addonVersion") {
        let version = version(cx, addon, cluster_doc["version"].as_str().unwrap_or_default())?;
        params.push(("AddonVersion", version.clone()));
        doc["addonVersion"] = json!(version);
    }
    for (member, kind) in
        [("serviceAccountRoleArn", "ServiceAccountRoleArn"), ("configurationValues", "ConfigurationValues")]
    {
        if let Some(value) = cx.p.opt(member).map(str::to_owned) {
            doc[member] = json!(value);
            params.push((kind, value));
        }
    }
    if let Some(mode) = cx.p.opt("resolveConflicts") {
        params.push(("ResolveConflicts", mode.to_owned()));
    }
    doc["status"] = json!("UPDATING");
    doc["modifiedAt"] = now(cx.env);
    due::begin(&mut doc, cx.clock().ready_at("eks-addon"), json!({"status": "ACTIVE"}));
    cx.tx.put(TABLE, &id, doc);
    let update = update::record(cx, &cluster, Some(("addon", addon.name)), "AddonUpdate", &params, "eks-addon");
    update::answer(cx, &update)
}
