//! EKS: clusters, node groups, add-ons, access, updates.

mod access;
mod addon;
mod catalogue;
mod cluster;
mod identity;
mod launch;
mod nodegroup;
mod nodes;
mod tags;
mod update;
mod update_nodegroup;
mod versions;

use serde_json::{Map, Value, json};

use super::due;
use super::http::{ApiError, Outcome};
use super::params::Params;
use super::query;
use super::rest::Route;
use super::{Cx, Env, Protocol, Service};
use crate::core::store::Tx;

pub use addon::runs as addon_runs;
pub use nodes::kube_nodes;

/// The image of EKS's own nodes of a Kubernetes version; `None` when EKS does not offer it.
pub fn image_of_version(env: &Env, version: &str) -> Option<String> {
    versions::offer(version).map(|_| nodegroup::eks_image(env, &json!(version)))
}

/// Elastic Kubernetes Service.
pub const SERVICE: Service =
    Service { name: "eks", protocol: Protocol::RestJson, version: None, routes: ROUTES, handle };

const ROUTES: &[Route] = &[
    ("POST", "/clusters", "CreateCluster"),
    ("GET", "/clusters", "ListClusters"),
    ("GET", "/cluster-versions", "DescribeClusterVersions"),
    ("GET", "/clusters/{name}", "DescribeCluster"),
    ("DELETE", "/clusters/{name}", "DeleteCluster"),
    ("POST", "/clusters/{name}/update-config", "UpdateClusterConfig"),
    ("POST", "/clusters/{name}/updates", "UpdateClusterVersion"),
    ("GET", "/clusters/{name}/updates", "ListUpdates"),
    ("GET", "/clusters/{name}/updates/{updateId}", "DescribeUpdate"),
    ("POST", "/clusters/{clusterName}/node-groups", "CreateNodegroup"),
    ("GET", "/clusters/{clusterName}/node-groups", "ListNodegroups"),
    ("GET", "/clusters/{clusterName}/node-groups/{nodegroupName}", "DescribeNodegroup"),
    ("DELETE", "/clusters/{clusterName}/node-groups/{nodegroupName}", "DeleteNodegroup"),
    ("POST", "/clusters/{clusterName}/node-groups/{nodegroupName}/update-config", "UpdateNodegroupConfig"),
    ("POST", "/clusters/{clusterName}/node-groups/{nodegroupName}/update-version", "UpdateNodegroupVersion"),
    ("GET", "/addons/supported-versions", "DescribeAddonVersions"),
    ("GET", "/addons/configuration-schemas", "DescribeAddonConfiguration"),
    ("POST", "/clusters/{clusterName}/addons", "CreateAddon"),
    ("GET", "/clusters/{clusterName}/addons", "ListAddons"),
    ("GET", "/clusters/{clusterName}/addons/{addonName}", "DescribeAddon"),
    ("DELETE", "/clusters/{clusterName}/addons/{addonName}", "DeleteAddon"),
    ("POST", "/clusters/{clusterName}/addons/{addonName}/update", "UpdateAddon"),
    ("GET", "/access-policies", "ListAccessPolicies"),
    ("POST", "/clusters/{clusterName}/access-entries", "CreateAccessEntry"),
    ("GET", "/clusters/{clusterName}/access-entries", "ListAccessEntries"),
    ("GET", "/clusters/{clusterName}/access-entries/{principalArn}", "DescribeAccessEntry"),
    ("DELETE", "/clusters/{clusterName}/access-entries/{principalArn}", "DeleteAccessEntry"),
    ("POST", "/clusters/{clusterName}/access-entries/{principalArn}", "UpdateAccessEntry"),
    ("POST", "/clusters/{clusterName}/access-entries/{principalArn}/access-policies", "AssociateAccessPolicy"),
    ("GET", "/clusters/{clusterName}/access-entries/{principalArn}/access-policies", "ListAssociatedAccessPolicies"),
    (
        "DELETE",
        "/clusters/{clusterName}/access-entries/{principalArn}/access-policies/{policyArn}",
        "DisassociateAccessPolicy",
    ),
    ("POST", "/clusters/{clusterName}/pod-identity-associations", "CreatePodIdentityAssociation"),
    ("GET", "/clusters/{clusterName}/pod-identity-associations", "ListPodIdentityAssociations"),
    ("GET", "/clusters/{clusterName}/pod-identity-associations/{associationId}", "DescribePodIdentityAssociation"),
    ("POST", "/clusters/{clusterName}/pod-identity-associations/{associationId}", "UpdatePodIdentityAssociation"),
    ("DELETE", "/clusters/{clusterName}/pod-identity-associations/{associationId}", "DeletePodIdentityAssociation"),
    ("GET", "/clusters/{clusterName}/identity-provider-configs", "ListIdentityProviderConfigs"),
    ("POST", "/clusters/{clusterName}/identity-provider-configs/associate", "AssociateIdentityProviderConfig"),
    ("POST", "/clusters/{clusterName}/identity-provider-configs/describe", "DescribeIdentityProviderConfig"),
    ("POST", "/clusters/{clusterName}/identity-provider-configs/disassociate", "DisassociateIdentityProviderConfig"),
    ("GET", "/clusters/{clusterName}/fargate-profiles", "ListFargateProfiles"),
    ("GET", "/tags/{resourceArn}", "ListTagsForResource"),
    ("POST", "/tags/{resourceArn}", "TagResource"),
    ("DELETE", "/tags/{resourceArn}", "UntagResource"),
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateCluster" => cluster::create(cx),
        "ListClusters" => cluster::list(cx),
        "DescribeCluster" => cluster::describe(cx),
        "DeleteCluster" => cluster::delete(cx),
        "DescribeClusterVersions" => versions::describe(cx),
        "UpdateClusterConfig" => update::cluster_config(cx),
        "UpdateClusterVersion" => update::cluster_version(cx),
        "ListUpdates" => update::list(cx),
        "DescribeUpdate" => update::describe(cx),
        "CreateNodegroup" => nodegroup::create(cx),
        "ListNodegroups" => nodegroup::list(cx),
        "DescribeNodegroup" => nodegroup::describe(cx),
        "DeleteNodegroup" => nodegroup::delete(cx),
        "UpdateNodegroupConfig" => update_nodegroup::config(cx),
        "UpdateNodegroupVersion" => update_nodegroup::version(cx),
        "DescribeAddonVersions" => addon::versions(cx),
        "DescribeAddonConfiguration" => addon::configuration(cx),
        "CreateAddon" => addon::create(cx),
        "ListAddons" => addon::list(cx),
        "DescribeAddon" => addon::describe(cx),
        "DeleteAddon" => addon::delete(cx),
        "UpdateAddon" => addon::update(cx),
        "ListFargateProfiles" => {
            cluster_of(cx)?;
            cx.json(&json!({"fargateProfileNames": []}))
        }
        "ListTagsForResource" => tags::list(cx),
        "TagResource" => tags::add(cx),
        "UntagResource" => tags::remove(cx),
        op if op.contains("Access") => access::handle(cx),
        op if op.contains("Identity") => identity::handle(cx),
        _ => cx.unknown_operation(),
    }
}

/// Lets everything whose time has come become what it is to become: clusters, node groups with their machines,
/// add-ons, updates.
pub fn settle(tx: &mut Tx<'_>, env: &Env, region: &str) {
    for passed in due::pass(tx, &env.clock, "eks.nodegroup") {
        nodegroup::passed(tx, env, region, &passed);
    }
    due::pass(tx, &env.clock, "eks.addon");
    due::pass(tx, &env.clock, "eks.update");
    due::pass(tx, &env.clock, "eks.idp");
    for passed in due::pass(tx, &env.clock, "eks.cluster") {
        if passed.gone {
            cluster::clean_up(tx, &passed.id, &passed.doc);
        }
    }
}

/// `InvalidParameterException`.
fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

/// `InvalidRequestException`.
fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidRequestException", message)
}

/// `ResourceInUseException`.
fn in_use(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceInUseException", message).status(409)
}

/// `ResourceNotFoundException`.
fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceNotFoundException", message).status(404)
}

/// A parameter that must be given.
fn need(p: &Params, name: &str) -> Result<String, ApiError> {
    let given = p.opt(name).filter(|text| !text.is_empty());
    given.map(str::to_owned).ok_or_else(|| invalid(format!("{name} can't be blank")))
}

/// The texts of a parameter that may come as a list or once in the query.
fn texts(p: &Params, name: &str) -> Vec<String> {
    match p.opt(name) {
        Some(one) => vec![one.to_owned()],
        None => p.list(name),
    }
}

/// Answers one page of `items` as member `key`.
fn paged(cx: &Cx<'_>, key: &str, items: Vec<Value>) -> Outcome {
    let size = cx.p.int("maxResults")?.unwrap_or(100);
    if !(1..=100).contains(&size) {
        return Err(invalid(format!("maxResults must be between 1 and 100, not {size}")));
    }
    let (items, next) = query::page(items, Some(size), cx.p.opt("nextToken"), "InvalidParameterException")?;
    cx.json(&json!({key: items, "nextToken": next}))
}

/// Unix milliseconds as the number of seconds that JSON services show.
fn seconds(at_ms: i64) -> Value {
    #[allow(clippy::cast_precision_loss)]
    let seconds = at_ms as f64 / 1000.0;
    json!(seconds)
}

/// The time now, in seconds.
fn now(env: &Env) -> Value {
    seconds(env.clock.now())
}

/// Tags given as an object of texts.
///
/// # Errors
/// `InvalidParameterException` for keys that are reserved or too long.
fn given_tags(p: &Params) -> Result<Value, ApiError> {
    let tags = p.at("tags").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    for (key, value) in &tags {
        let length = value.as_str().map_or(257, str::len);
        if key.is_empty() || key.len() > 128 || length > 256 || key.starts_with("aws:") {
            return Err(invalid(format!("tag `{key}` is invalid")));
        }
    }
    if tags.len() > 50 {
        return Err(invalid("a resource takes at most 50 tags"));
    }
    Ok(Value::Object(tags))
}

/// Name and document of the cluster that `clusterName` (or `name`) says.
///
/// # Errors
/// `ResourceNotFoundException`.
fn cluster_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = match cx.p.opt("clusterName") {
        Some(name) => name.to_owned(),
        None => need(&cx.p, "name")?,
    };
    match cx.tx.get("eks.cluster", &name) {
        Some(doc) => Ok((name, doc.clone())),
        None => Err(not_found(format!("No cluster found for name: {name}.")).field("clusterName", name)),
    }
}

/// The same, for calls that need the cluster active.
fn active_cluster_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (name, doc) = cluster_of(cx)?;
    match doc["status"].as_str() {
        Some("ACTIVE" | "UPDATING") => Ok((name, doc)),
        status => {
            let status = status.unwrap_or_default();
            Err(refused(format!("Cluster '{name}' is not in ACTIVE status but {status}")).field("clusterName", name))
        }
    }
}

/// Whether a role of this account exists, by its ARN. Roles of other accounts count as existing.
fn role_exists(tx: &Tx<'_>, account: &str, arn: &str) -> bool {
    let Some(path) = arn.strip_prefix(&format!("arn:aws:iam::{account}:role/")) else {
        return arn.starts_with("arn:aws:iam::") && arn.contains(":role/");
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    tx.get("/iam.role", name).is_some_and(|role| role["Arn"] == json!(arn))
}
