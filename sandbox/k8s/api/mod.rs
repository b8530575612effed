//! The API of one cluster: from a request to an answer.

mod call;
mod logs;
mod objects;
mod patch;
pub mod reply;
mod watch;

use std::sync::Arc;

use axum::body::Bytes;
use http::{Method, request::Parts};
use serde_json::{Value, json};

use self::{
    call::{Call, ResourcePath, Target},
    reply::Reply,
};
use super::{
    Fault, auth,
    cluster::Cluster,
    discovery,
    kinds::{Kind, REVIEWS, Review},
    store::{ApiError, ApiResult},
};

/// Answers a request to `cluster`; `None` when the connection shall be closed instead. `path` is
/// the path below the cluster's.
pub async fn answer(cluster: &Arc<Cluster>, parts: Parts, path: String, body: Bytes) -> Option<Reply> {
    let query = parts.uri.query().unwrap_or("");
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let call = Call { method: parts.method, path, query, headers: parts.headers, body };
    if let Err(error) = authorize(cluster, &call) {
        return Some(reply::refusal(&error));
    }
    let fault = cluster.cloud().fault(&cluster.name, call.method.as_str(), &call.path);
    let loses_reply = fault == Some(Fault::LoseReply);
    let mut late = None;
    match fault {
        Some(Fault::Drop) => return None,
        Some(Fault::Refuse(code, message)) => return Some(reply::refusal(&injected(code, message))),
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Late(time)) => late = Some(time),
        Some(Fault::LoseReply) | None => {}
    }
    let reply = route(cluster, &call).unwrap_or_else(|e| reply::refusal(&e));
    if let Some(time) = late {
        tokio::time::sleep(time).await;
    }
    (!loses_reply).then_some(reply)
}

fn injected(code: u16, message: String) -> ApiError {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut error = ApiError::new(code, reason, message);
    error.details = json!({"retryAfterSeconds": 1});
    error
}

fn authorize(cluster: &Cluster, call: &Call) -> ApiResult<()> {
    if matches!(call.path.as_str(), "/version" | "/healthz" | "/readyz" | "/livez") {
        return Ok(());
    }
    let token = call.header("authorization").strip_prefix("Bearer ").unwrap_or("");
    let known = token == cluster.admin_token
        || auth::access_key(token, jiff::Timestamp::now()).is_ok_and(|key| {
            let cloud = cluster.cloud();
            cloud.accepts(&cluster.name, &key) && auth::url(token).is_ok_and(|url| cloud.signed(&cluster.name, &url))
        });
    if known { Ok(()) } else { Err(ApiError::new(401, "Unauthorized", "Unauthorized")) }
}

fn route(cluster: &Arc<Cluster>, call: &Call) -> ApiResult<Reply> {
    let segments: Vec<&str> = call.path.split('/').filter(|s| !s.is_empty()).collect();
    let (kinds, kinds_version) = {
        let objects = cluster.store.read();
        (objects.kinds(), objects.kinds_version())
    };
    if let Some(reply) = documents(cluster, call, &segments, &kinds, kinds_version) {
        return reply;
    }
    let path = ResourcePath::parse(&segments).ok_or_else(ApiError::no_endpoint)?;
    let review = REVIEWS.iter().find(|r| r.group == path.group && r.plural == path.plural);
    if let Some(review) = review {
        return answer_review(call, review);
    }
    let same = |k: &&Arc<Kind>| k.plural == path.plural && k.group == path.group && k.version == path.version;
    let kind = kinds.iter().find(same).ok_or_else(ApiError::no_endpoint)?;
    let target = Target {
        kind: kind.clone(),
        resource: format!("{}/{}", path.group, path.plural),
        namespace: path.namespace.to_owned(),
        name: path.name.map(String::from),
        subresource: path.subresource.to_owned(),
    };
    match (&call.method, &target.name) {
        (&Method::GET, _) if watch::wanted(call) => Ok(watch::watch(cluster, call, &target)),
        (&Method::PATCH, Some(_)) => patch::patch(cluster, call, &target),
        _ => objects::answer(cluster, call, &target),
    }
}

/// Which format of aggregated discovery the client takes; kubectl before 1.30 knows `v2beta1` only.
fn aggregated_format(call: &Call) -> Option<&'static str> {
    let accept = call.header("accept");
    if !accept.contains("as=APIGroupDiscoveryList") {
        return None;
    }
    let stable = accept.split(',').any(|a| a.split(';').any(|p| p.trim() == "v=v2"));
    if stable { Some("v2") } else { accept.contains("v=v2beta1").then_some("v2beta1") }
}

fn aggregated(kinds: &[Arc<Kind>], core: bool, format: &str) -> Reply {
    let body = discovery::aggregated(kinds, core, format).to_string();
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={format};as=APIGroupDiscoveryList");
    reply::typed(200, &content_type, body)
}

/// Answers what is not about objects; `None` for all else.
fn documents(
    cluster: &Cluster,
    call: &Call,
    segments: &[&str],
    kinds: &[Arc<Kind>],
    kinds_version: u64,
) -> Option<ApiResult<Reply>> {
    let found = |value: Option<Value>| value.map(|v| reply::json(200, &v)).ok_or_else(ApiError::no_endpoint);
    let format = aggregated_format(call);
    Some(match segments {
        [] => {
            let paths = ["/api", "/apis", "/healthz", "/openapi/v2", "/openapi/v3", "/version"];
            found(Some(json!({"paths": paths})))
        }
        ["version"] => found(Some(version(&cluster.version()))),
        ["healthz" | "readyz" | "livez"] => Ok(reply::typed(200, "text/plain", "ok")),
        [root @ ("api" | "apis")] if format.is_some() => Ok(aggregated(kinds, *root == "api", format.unwrap_or("v2"))),
        ["api"] => found(Some(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": []}))),
        ["apis"] => found(Some(discovery::group_list(kinds))),
        ["apis", group] => {
            let groups = discovery::groups(kinds);
            let one = groups.iter().find(|(g, _)| g == group);
            found(one.map(|(g, versions)| discovery::group_document(g, versions)))
        }
        ["api", version] => found(discovery::resource_list(kinds, "", version)),
        ["apis", group, version] => found(discovery::resource_list(kinds, group, version)),
        ["openapi", "v3"] => {
            let prefix = format!("/clusters/{}", cluster.name);
            found(Some(discovery::openapi_index(kinds, &prefix, kinds_version)))
        }
        ["openapi", "v3", "api", version] => found(Some(discovery::openapi_document(kinds, "", version))),
        ["openapi", "v3", "apis", group, version] => found(Some(discovery::openapi_document(kinds, group, version))),
        // An empty protobuf document: clients insist on the format, and use nothing of it.
        ["openapi", "v2"] => {
            let format = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
            Ok(reply::typed(200, format, ""))
        }
        _ => return None,
    })
}

fn version(version: &str) -> Value {
    let full = Cluster::full_version(version);
    let mut numbers = full.split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
    json!({"major": major, "minor": minor, "gitVersion": format!("v{full}-eks-sandbox"),
        "gitCommit": "sandbox", "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z",
        "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64"})
}

fn answer_review(call: &Call, review: &Review) -> ApiResult<Reply> {
    if call.method != Method::POST {
        return Err(objects::not_allowed());
    }
    let mut object = call.parse()?;
    if !object.is_object() {
        return Err(ApiError::bad_request("body must be an object"));
    }
    let admin = json!({"username": "sandbox-admin", "groups": ["system:masters"]});
    object["apiVersion"] = json!(format!("{}/v1", review.group));
    object["kind"] = json!(review.kind);
    object["status"] = match review.kind {
        "SelfSubjectRulesReview" => json!({"resourceRules": [{"verbs": ["*"], "apiGroups": ["*"],
            "resources": ["*"]}], "nonResourceRules": [], "incomplete": false}),
        "SelfSubjectReview" => json!({"userInfo": admin}),
        "TokenReview" => json!({"authenticated": true, "user": admin}),
        _ => json!({"allowed": true}),
    };
    Ok(reply::json(201, &object))
}
