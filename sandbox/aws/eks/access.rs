//! Access entries and the access policies associated with them.

use serde_json::{Value, json};

use super::{cluster_of, given_tags, in_use, invalid, need, not_found, now, paged, refused};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, Env};
use crate::core::store::Tx;

const TABLE: &str = "eks.access";

const POLICIES: [&str; 9] = [
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSHybridPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSViewPolicy",
];

fn policy_arn(name: &str) -> String {
    format!("arn:aws:eks::aws:cluster-access-policy/{name}")
}

/// Every operation of access.
pub fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "ListAccessPolicies" => {
            let all = POLICIES.iter().map(|name| json!({"name": name, "arn": policy_arn(name)})).collect();
            paged(cx, "accessPolicies", all)
        }
        "CreateAccessEntry" => create(cx),
        "DescribeAccessEntry" => {
            let (_, doc) = entry_of(cx)?;
            cx.json(&json!({"accessEntry": doc}))
        }
        "ListAccessEntries" => list(cx),
        "UpdateAccessEntry" => update(cx),
        "DeleteAccessEntry" => {
            let (id, _) = entry_of(cx)?;
            cx.tx.delete(TABLE, &id);
            cx.json(&json!({}))
        }
        "AssociateAccessPolicy" => associate(cx),
        "ListAssociatedAccessPolicies" => {
            let (_, doc) = entry_of(cx)?;
            let policies = doc["_policies"].as_array().cloned().unwrap_or_default();
            let page = crate::aws::query::page(
                policies,
                cx.p.int("maxResults")?,
                cx.p.opt("nextToken"),
                "InvalidParameterException",
            )?;
            cx.json(&json!({
                "clusterName": doc["clusterName"], "principalArn": doc["principalArn"],
                "associatedAccessPolicies": page.0, "nextToken": page.1,
            }))
        }
        "DisassociateAccessPolicy" => disassociate(cx),
        _ => cx.unknown_operation(),
    }
}

/// The cluster, which must take access entries.
fn open_cluster(cx: &Cx<'_>) -> Result<String, ApiError> {
    let (name, doc) = cluster_of(cx)?;
    if doc["accessConfig"]["authenticationMode"] == json!("CONFIG_MAP") {
        return Err(refused(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
        ));
    }
    Ok(name)
}

fn check_principal(cx: &Cx<'_>, arn: &str) -> Result<(), ApiError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let (sort, name) = match parts[..] {
        ["arn", "aws", "iam", "", account, resource] if account.len() == 12 => {
            resource.split_once('/').ok_or_else(|| invalid("The principalArn parameter format is not valid"))?
        }
        _ => return Err(invalid("The principalArn parameter format is not valid")),
    };
    let table = match sort {
        "role" => "/iam.role",
        "user" => "/iam.user",
        _ => return Err(invalid("The principalArn parameter format is not valid")),
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    let own = parts[4] == cx.account;
    if own && *arn != cx.caller.arn && cx.tx.get(table, name).is_none() {
        return Err(invalid("The specified principalArn is invalid: invalid principal."));
    }
    Ok(())
}

fn entry(env: &Env, at: (&str, &str), cluster: &str, principal: &str, wanted: &Value) -> Value {
    let (region, account) = at;
    let name = principal.rsplit('/').next().unwrap_or(principal);
    let sort = if principal.contains(":user/") { "user" } else { "role" };
    let id = uuid::Uuid::new_v4();
    let member = |name: &str, default: Value| wanted.get(name).filter(|v| !v.is_null()).cloned().unwrap_or(default);
    json!({
        "clusterName": cluster,
        "principalArn": principal,
        "kubernetesGroups": member("kubernetesGroups", json!([])),
        "accessEntryArn": format!("arn:aws:eks:{region}:{account}:access-entry/{cluster}/{sort}/{account}/{name}/{id}"),
        "createdAt": now(env),
        "modifiedAt": now(env),
        "tags": member("tags", json!({})),
        "username": member("username", json!(principal)),
        "type": member("type", json!("STANDARD")),
        "_policies": [],
    })
}

/// Makes the entry of the cluster's creator, its administrator.
pub fn bootstrap(tx: &mut Tx<'_>, env: &Env, at: (&str, &str), cluster: &str, principal: &str) {
    let mut doc = entry(env, at, cluster, principal, &json!({}));
    doc["_policies"] = json!([{
        "policyArn": policy_arn("AmazonEKSClusterAdminPolicy"), "accessScope": {"type": "cluster", "namespaces": []},
        "associatedAt": now(env), "modifiedAt": now(env),
    }]);
    tx.put(TABLE, &format!("{cluster}/{principal}"), doc);
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")?
        && let Some(doc) = cx.tx.get(TABLE, &id)
    {
        return cx.json(&json!({"accessEntry": doc}));
    }
    let cluster = open_cluster(cx)?;
    let principal = need(&cx.p, "principalArn")?;
    check_principal(cx, &principal)?;
    let sort = cx.p.or("type", "STANDARD");
    if !["STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX"].contains(&sort) {
        return Err(invalid(format!("'{sort}' is not a type of access entries")));
    }
    if cx.p.list("kubernetesGroups").iter().any(|group| group.starts_with("system:")) {
        return Err(invalid("The kubernetes group name must not begin with system:"));
    }
    given_tags(&cx.p)?;
    let id = format!("{cluster}/{principal}");
    if cx.tx.get(TABLE, &id).is_some() {
        return Err(in_use("The specified access entry resource is already in use on this cluster.")
            .field("clusterName", cluster));
    }
    let doc = entry(cx.env, (&cx.region, &cx.account), &cluster, &principal, &cx.p.0);
    cx.tx.put(TABLE, &id, doc.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.json(&json!({"accessEntry": doc}))
}

fn entry_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let cluster = open_cluster(cx)?;
    let id = format!("{cluster}/{}", need(&cx.p, "principalArn")?);
    match cx.tx.get(TABLE, &id) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(not_found("The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'.")
            .field("clusterName", cluster)),
    }
}

fn list(cx: &mut Cx<'_>) -> Outcome {
    let cluster = open_cluster(cx)?;
    let policy = cx.p.opt("associatedPolicyArn").map(str::to_owned);
    let found = cx.tx.select(TABLE, |doc| {
        let has = |arn: &String| {
            doc["_policies"].as_array().is_some_and(|all| all.iter().any(|p| p["policyArn"] == json!(arn)))
        };
        doc["clusterName"] == json!(cluster) && policy.as_ref().is_none_or(has)
    });
    paged(cx, "accessEntries", found.into_iter().map(|doc| doc["principalArn"].clone()).collect())
}

fn update(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = entry_of(cx)?;
    for member in ["kubernetesGroups", "username"] {
        if let Some(value) = cx.p.at(member) {
            doc[member] = value.clone();
        }
    }
    doc["modifiedAt"] = now(cx.env);
    cx.tx.put(TABLE, &id, doc.clone());
    cx.json(&json!({"accessEntry": doc}))
}

fn associate(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = entry_of(cx)?;
    let arn = need(&cx.p, "policyArn")?;
    if !POLICIES.iter().any(|name| policy_arn(name) == arn) {
        return Err(invalid("The policyArn parameter format is not valid"));
    }
    if doc["type"] != json!("STANDARD") {
        return Err(refused("Access policies can only be associated with access entries of type STANDARD"));
    }
    let scope = cx.p.sub("accessScope");
    let namespaces = scope.list("namespaces");
    match scope.or("type", "") {
        "cluster" if namespaces.is_empty() => {}
        "namespace" if !namespaces.is_empty() => {}
        _ => {
            return Err(invalid(
                "accessScope must be of type cluster without namespaces, or of type namespace with some",
            ));
        }
    }
    let time = now(cx.env);
    let association = json!({
        "policyArn": arn, "accessScope": {"type": scope.or("type", ""), "namespaces": namespaces},
        "associatedAt": time, "modifiedAt": time,
    });
    if let Some(policies) = doc["_policies"].as_array_mut() {
        policies.retain(|p| p["policyArn"] != association["policyArn"]);
        policies.push(association.clone());
    }
    cx.tx.put(TABLE, &id, doc.clone());
    cx.json(&json!({
        "clusterName": doc["clusterName"], "principalArn": doc["principalArn"], "associatedAccessPolicy": association,
    }))
}

fn disassociate(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = entry_of(cx)?;
    let arn = json!(need(&cx.p, "policyArn")?);
    let Some(policies) = doc["_policies"].as_array_mut() else { return cx.json(&json!({})) };
    let before = policies.len();
    policies.retain(|p| p["policyArn"] != arn);
    if policies.len() == before {
        return Err(not_found("The specified policyArn is not associated with the access entry"));
    }
    cx.tx.put(TABLE, &id, doc);
    cx.json(&json!({}))
}
