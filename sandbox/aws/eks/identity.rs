//! Pod identity associations, and OIDC identity providers of clusters.

use serde_json::{Value, json};

use super::{
    active_cluster_of, cluster_of, given_tags, in_use, invalid, need, not_found, now, paged, role_exists, update,
};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due};
use crate::core::store::hex_digits;

const PODS: &str = "eks.pod-identity";
const PROVIDERS: &str = "eks.idp";

/// Every operation of identities.
pub fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreatePodIdentityAssociation" => create(cx),
        "DescribePodIdentityAssociation" => {
            let (_, doc) = association_of(cx)?;
            cx.json(&json!({"association": doc}))
        }
        "ListPodIdentityAssociations" => list(cx),
        "UpdatePodIdentityAssociation" => change(cx),
        "DeletePodIdentityAssociation" => {
            let (id, doc) = association_of(cx)?;
            cx.tx.delete(PODS, &id);
            cx.json(&json!({"association": doc}))
        }
        "AssociateIdentityProviderConfig" => associate(cx),
        "ListIdentityProviderConfigs" => {
            let (cluster, _) = cluster_of(cx)?;
            let found = cx.tx.select(PROVIDERS, |doc| doc["clusterName"] == json!(cluster));
            let shown =
                found.iter().map(|doc| json!({"type": "oidc", "name": doc["identityProviderConfigName"]})).collect();
            paged(cx, "identityProviderConfigs", shown)
        }
        "DescribeIdentityProviderConfig" => {
            let (_, doc) = provider_of(cx)?;
            cx.json(&json!({"identityProviderConfig": {"oidc": doc}}))
        }
        "DisassociateIdentityProviderConfig" => {
            let (id, mut doc) = provider_of(cx)?;
            doc["status"] = json!("DELETING");
            due::begin(&mut doc, cx.clock().ready_at("eks-update"), due::GONE);
            let cluster = doc["clusterName"].as_str().unwrap_or_default().to_owned();
            cx.tx.put(PROVIDERS, &id, doc);
            let update = update::record(cx, &cluster, None, "DisassociateIdentityProviderConfig", &[], "eks-update");
            update::answer(cx, &update)
        }
        _ => cx.unknown_operation(),
    }
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.wanted_without(&["clientRequestToken"]);
    let token = cx.p.opt("clientRequestToken").map(str::to_owned);
    if let Some(id) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")?
        && let Some(doc) = cx.tx.get(PODS, &id)
    {
        return cx.json(&json!({"association": doc}));
    }
    let (cluster, _) = active_cluster_of(cx)?;
    let (namespace, account) = (need(&cx.p, "namespace")?, need(&cx.p, "serviceAccount")?);
    let role = need(&cx.p, "roleArn")?;
    if !role_exists(&cx.tx, &cx.account, &role) {
        return Err(invalid(format!("Role provided in the request does not exist: {role}")));
    }
    let same = |doc: &Value| {
        doc["clusterName"] == json!(cluster)
            && doc["namespace"] == json!(namespace)
            && doc["serviceAccount"] == json!(account)
    };
    if cx.tx.any(PODS, same) {
        return Err(in_use("Association already exists: the service account has one").field("clusterName", cluster));
    }
    let id = format!("a-{}", hex_digits(17));
    let doc = json!({
        "clusterName": cluster,
        "namespace": namespace,
        "serviceAccount": account,
        "roleArn": role,
        "associationArn": cx.arn("eks", &format!("podidentityassociation/{cluster}/{id}")),
        "associationId": id,
        "tags": given_tags(&cx.p)?,
        "createdAt": now(cx.env),
        "modifiedAt": now(cx.env),
    });
    cx.tx.put(PODS, &id, doc.clone());
    cx.remember(token.as_deref(), &wanted, &id);
    cx.json(&json!({"association": doc}))
}

fn association_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (cluster, _) = cluster_of(cx)?;
    let id = need(&cx.p, "associationId")?;
    match cx.tx.get(PODS, &id).filter(|doc| doc["clusterName"] == json!(cluster)) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(not_found(format!("Association not found: {id}")).field("clusterName", cluster)),
    }
}

fn list(cx: &mut Cx<'_>) -> Outcome {
    let (cluster, _) = cluster_of(cx)?;
    let fits = |doc: &Value, member: &str| cx.p.opt(member).is_none_or(|wanted| doc[member] == json!(wanted));
    let found = cx.tx.select(PODS, |doc| {
        doc["clusterName"] == json!(cluster) && fits(doc, "namespace") && fits(doc, "serviceAccount")
    });
    let shown = found.iter().map(|doc| {
        let members = ["clusterName", "namespace", "serviceAccount", "associationArn", "associationId"];
        members.iter().map(|m| ((*m).to_owned(), doc[*m].clone())).collect::<serde_json::Map<_, _>>().into()
    });
    paged(cx, "associations", shown.collect())
}

fn change(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = association_of(cx)?;
    if let Some(role) = cx.p.opt("roleArn") {
        if !role_exists(&cx.tx, &cx.account, role) {
            return Err(invalid(format!("Role provided in the request does not exist: {role}")));
        }
        doc["roleArn"] = json!(role);
    }
    doc["modifiedAt"] = now(cx.env);
    cx.tx.put(PODS, &id, doc.clone());
    cx.json(&json!({"association": doc}))
}

fn associate(cx: &mut Cx<'_>) -> Outcome {
    let (cluster, _) = active_cluster_of(cx)?;
    let oidc = cx.p.sub("oidc");
    let name = need(&oidc, "identityProviderConfigName")?;
    if !need(&oidc, "issuerUrl")?.starts_with("https://") {
        return Err(invalid("issuerUrl must begin with https://"));
    }
    need(&oidc, "clientId")?;
    if cx.tx.any(PROVIDERS, |doc| doc["clusterName"] == json!(cluster)) {
        return Err(in_use("The cluster has an identity provider already"));
    }
    let mut doc = oidc.0;
    doc["clusterName"] = json!(cluster);
    doc["status"] = json!("CREATING");
    doc["identityProviderConfigArn"] =
        json!(cx.arn("eks", &format!("identityproviderconfig/{cluster}/oidc/{name}/{}", uuid::Uuid::new_v4())));
    doc["tags"] = given_tags(&cx.p)?;
    due::begin(&mut doc, cx.clock().ready_at("eks-update"), json!({"status": "ACTIVE"}));
    let tags = doc["tags"].clone();
    cx.tx.put(PROVIDERS, &format!("{cluster}/{name}"), doc);
    let update = update::record(cx, &cluster, None, "AssociateIdentityProviderConfig", &[], "eks-update");
    cx.json(&json!({"update": update, "tags": tags}))
}

fn provider_of(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let (cluster, _) = cluster_of(cx)?;
    let name = need(&cx.p.sub("identityProviderConfig"), "name")?;
    let id = format!("{cluster}/{name}");
    match cx.tx.get(PROVIDERS, &id) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(not_found(format!("Identity provider config is not associated with cluster {cluster}"))),
    }
}
