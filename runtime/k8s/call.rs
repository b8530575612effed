//! The one way to a cluster's API: every request asks the wire first, carries a token, and fails with our errors.

use super::{auth, cluster::Cluster};
use crate::{
    cx::Cx,
    error::{Class, Error, Result},
    secret::Secret,
};
use http::{Method, StatusCode, header};
use kube::client::Body;
use serde_json::Value;

/// A server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";
/// A strategic merge patch; native kinds only.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// A merge patch after RFC 7386.
pub const MERGE: &str = "application/merge-patch+json";
/// A patch of operations after RFC 6902.
pub const OPERATIONS: &str = "application/json-patch+json";

/// A request to a cluster, without anything sent.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    media: &'static str,
    body: Vec<u8>,
    /// `deployments`, `pods/log`: for the record.
    resource: String,
    /// `cannot read `default/Deployment.apps/x``: for the error.
    failure: String,
}

impl Call {
    /// A read of `path`; `what` completes `cannot read …`.
    pub fn get(resource: &str, path: impl Into<String>, what: &str) -> Self {
        Self::new(Method::GET, resource, path, format!("cannot read {what}"))
    }

    /// A patch of the given media type.
    pub fn patch(resource: &str, path: impl Into<String>, media: &'static str, body: &Value, what: &str) -> Self {
        let verb = if media == APPLY { "apply" } else { "patch" };
        let mut call = Self::new(Method::PATCH, resource, path, format!("cannot {verb} {what}"));
        call.media = media;
        call.body = body.to_string().into_bytes();
        call
    }

    /// A deletion in the background: what the object owns goes after it. With `uid`, only that very object.
    pub fn delete(resource: &str, path: impl Into<String>, uid: Option<&str>, what: &str) -> Self {
        let mut call = Self::new(Method::DELETE, resource, path, format!("cannot delete {what}"));
        let mut options =
            serde_json::json!({ "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background" });
        if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
            options["preconditions"] = serde_json::json!({ "uid": uid });
        }
        call.body = options.to_string().into_bytes();
        call
    }

    fn new(method: Method, resource: &str, path: impl Into<String>, failure: String) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            media: "application/json",
            body: Vec::new(),
            resource: resource.to_owned(),
            failure,
        }
    }

    /// The same call with a query parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Whether it could change something. A server-side dry run does not.
    pub fn writes(&self) -> bool {
        let reads = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let dry = self.query.iter().any(|(name, value)| *name == "dryRun" && value == "All");
        let review = self.method == Method::POST && self.resource.ends_with("reviews");
        !(reads || dry || review)
    }

    fn request(&self, bearer: Option<&Secret>) -> Result<http::Request<Body>> {
        let mut target = self.path.clone();
        if !self.query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
            target = format!("{target}?{query}");
        }
        let mut request = http::Request::builder().method(self.method.clone()).uri(target);
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.media);
        }
        if let Some(token) = bearer {
            let mut value = header::HeaderValue::try_from(format!("Bearer {}", token.reveal()))
                .map_err(|_| Error::failed("the cluster's token is no header value"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        request
            .body(Body::from(self.body.clone()))
            .map_err(|mistake| Error::usage(self.failure.clone()).because(mistake.to_string()))
    }
}

impl Cluster {
    /// Sends, and reads the answer as JSON.
    pub async fn send(&self, cx: &Cx, call: &Call) -> Result<Value> {
        let answer = self.send_text(cx, call).await?;
        serde_json::from_str(&answer).map_err(|mistake| {
            Error::new(Class::Passing, call.failure.clone()).because(format!("the answer is no JSON: {mistake}"))
        })
    }

    /// Sends, and gives the answer as it is. `None` in place of an error when the object is not there.
    pub async fn send_maybe(&self, cx: &Cx, call: &Call) -> Result<Option<Value>> {
        match self.send(cx, call).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// Sends, and gives the text of the answer.
    pub async fn send_text(&self, cx: &Cx, call: &Call) -> Result<String> {
        let sent = self.sent(cx, call).await;
        sent.map_err(|error| error.of_call(format!("{} {}", call.method, call.resource)))
    }

    async fn sent(&self, cx: &Cx, call: &Call) -> Result<String> {
        let bearer = auth::bearer(cx, self, false).await?;
        let (status, text) = self.attempt(cx, call, bearer.as_ref()).await?;
        if status != StatusCode::UNAUTHORIZED || bearer.is_none() {
            return answered(call, status, text);
        }
        // A token can end before its time (the role was changed, the clock is off): one more try with a fresh one.
        let bearer = auth::bearer(cx, self, true).await?;
        let (status, text) = self.attempt(cx, call, bearer.as_ref()).await?;
        answered(call, status, text)
    }

    async fn attempt(&self, cx: &Cx, call: &Call, bearer: Option<&Secret>) -> Result<(StatusCode, String)> {
        let request = call.request(bearer)?;
        let ticket = cx.run.wire.begin("k8s", &format!("{} {}", call.method, call.resource), call.writes())?;
        if call.writes() {
            self.snapshots.wrote();
        }
        let answer = match self.client.send(request).await {
            Ok(response) => {
                let status = response.status();
                response.into_body().collect_bytes().await.map(|bytes| (status, bytes))
            }
            Err(mistake) => Err(mistake),
        };
        match answer {
            Ok((status, bytes)) => {
                ticket.answered(status.as_str());
                Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(mistake) => {
                ticket.answered("no reply");
                Err(unreached(&self.name, &mistake).context(call.failure.clone()))
            }
        }
    }

    /// The `APIResourceList` of a group-version.
    pub(super) async fn discover(&self, cx: &Cx, api_version: &str) -> Result<Value> {
        let path = super::kind::root(api_version);
        self.send(cx, &Call::get("discovery", path, &format!("the kinds of `{api_version}`"))).await
    }
}

/// Code of errors that mean that the cluster could not be reached at all.
pub const UNREACHED: &str = "Unreached";

fn unreached(cluster: &str, mistake: &kube::Error) -> Error {
    let mut words = mistake.to_string();
    let mut next = std::error::Error::source(mistake);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        next = error.source();
    }
    let lower = words.to_lowercase();
    if ["certificate", "unknownissuer"].iter().any(|sign| lower.contains(sign)) {
        return Error::failed(format!("the certificate of cluster `{cluster}` is not trusted"))
            .because(words)
            .hint("the cluster may have been made anew: look at `certificate_authority` or the kubeconfig");
    }
    Error::new(Class::Passing, format!("cluster `{cluster}` cannot be reached")).because(words).code(UNREACHED)
}

fn answered(call: &Call, status: StatusCode, text: String) -> Result<String> {
    if status.is_success() {
        return Ok(text);
    }
    // The path of a cluster that is gone, or a proxy in between, answers without a Status.
    let told = serde_json::from_str(&text).unwrap_or(Value::Null);
    Err(refused(&call.failure, status.as_u16(), &told))
}

/// An API's refusal as our error.
pub fn refused(failure: &str, status: u16, told: &Value) -> Error {
    let reason = told["reason"].as_str().unwrap_or_default();
    let message = told["message"].as_str().unwrap_or_default();
    let causes: Vec<&Value> = told["details"]["causes"].as_array().into_iter().flatten().collect();
    let has_cause = |name: &str| causes.iter().any(|cause| cause["reason"] == name);
    if has_cause("FieldManagerConflict") {
        return conflict(failure, &causes);
    }
    // Of a field that no such object has, the API says so with a 500.
    let unknown_field = message.contains("field not declared in schema");
    // And of a value of the wrong type, or a Secret's data that is no base64.
    let wrong_type =
        message.starts_with("failed to create typed") || message.starts_with("failed to convert new object");
    let class = match status {
        500 if unknown_field || wrong_type => Class::Invalid,
        409 if message.contains("the object has been modified") => Class::Passing,
        // The namespace is about to go; the same call succeeds once it has been made anew.
        403 if has_cause("NamespaceTerminating") => Class::Passing,
        401 | 403 => Class::Denied,
        404 | 410 => Class::NotFound,
        409 => Class::Conflict,
        429 | 500..=599 => Class::Passing,
        _ => Class::Invalid,
    };
    let mut cause = if reason.is_empty() { format!("the cluster answered {status}") } else { reason.to_owned() };
    if !message.is_empty() {
        cause = format!("{cause}: {message}");
    }
    for detail in &causes {
        let text = detail["message"].as_str().unwrap_or_default();
        if !text.is_empty() && !cause.contains(text) {
            cause = format!("{cause}; {}: {text}", detail["field"].as_str().unwrap_or("cause"));
        }
    }
    let error = Error::new(class, failure).because(cause).code(if reason.is_empty() { "Http" } else { reason });
    match (class, reason) {
        (Class::Invalid, _) if unknown_field => error.hint("look for a typing mistake in the field that is named"),
        (Class::NotFound, _) if message.starts_with("namespaces ") => error.hint("make the namespace first"),
        (Class::Denied, "Unauthorized") => {
            error.hint("the cluster does not know this identity: give it an access entry (`aws::eks::access_entry`)")
        }
        (Class::Denied, _) => {
            error.hint("give this identity the right to do it (`k8s::object` of kind `ClusterRoleBinding`)")
        }
        (Class::Invalid, _) if message.contains("immutable") => error
            .hint("the field cannot be changed: delete the object (`k8s::delete`), then run the same command again"),
        _ => error,
    }
}

/// Code of a conflict with people only.
pub const SET_BY_HAND: &str = "SetByHand";
/// How the managers are called that people work with; a program that sets a field goes on setting it.
const BY_HAND: [&str; 8] = ["kubectl", "k9s", "lens", "openlens", "freelens", "headlamp", "dashboard", "mozilla"];

/// Another manager set fields that the manifest sets to something else.
fn conflict(failure: &str, causes: &[&Value]) -> Error {
    let manager = |cause: &&Value| {
        cause["message"].as_str().and_then(|it| it.split('"').nth(1)).unwrap_or("another manager").to_owned()
    };
    let fields: Vec<String> = causes
        .iter()
        .map(|cause| {
            let field = cause["field"].as_str().unwrap_or("?").trim_start_matches('.');
            format!("`{field}` is set by `{}`", manager(cause))
        })
        .collect();
    let by_hand = |name: String| BY_HAND.iter().any(|begin| name.to_lowercase().starts_with(begin));
    let code = if causes.iter().all(|cause| by_hand(manager(cause))) { SET_BY_HAND } else { "FieldManagerConflict" };
    Error::new(Class::Conflict, failure)
        .because(fields.join(", "))
        .code(code)
        .hint("say `force: true` to take these fields over, or leave them out of the manifest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dry_runs_and_reviews_are_reads() {
        let apply = || Call::patch("deployments", "/x", APPLY, &json!({}), "x");
        assert!(apply().writes());
        assert!(!apply().with("dryRun", "All").writes());
        assert!(!Call::get("pods", "/x", "x").writes());
        assert!(Call::delete("pods", "/x", None, "x").writes());
        let review = Call::new(Method::POST, "selfsubjectaccessreviews", "/x", String::new());
        assert!(!review.writes());
    }

    #[test]
    fn refusals_have_class_cause_and_hint() {
        let class = |status, told| refused("cannot x", status, &told).class;
        assert_eq!(class(404, json!({})), Class::NotFound);
        assert_eq!(class(409, json!({ "reason": "AlreadyExists" })), Class::Conflict);
        assert_eq!(class(422, json!({})), Class::Invalid);
        assert_eq!(class(503, Value::Null), Class::Passing);
        assert_eq!(class(403, json!({})), Class::Denied);
        let going = json!({ "details": { "causes": [{ "reason": "NamespaceTerminating" }] } });
        assert_eq!(class(403, going), Class::Passing);
        let typo =
            json!({ "message": "failed to create typed patch object: .spec.Type: field not declared in schema" });
        assert_eq!(class(500, typo), Class::Invalid);
        let raced =
            json!({ "reason": "Conflict", "message": "the object has been modified; please apply your changes" });
        assert_eq!(class(409, raced), Class::Passing);
        let invalid = json!({ "reason": "Invalid", "message": "spec.x: field is immutable" });
        assert!(refused("cannot x", 422, &invalid).hint.unwrap().contains("k8s::delete"));
    }

    #[test]
    fn a_conflict_names_managers_and_fields() {
        let told = json!({ "reason": "Conflict", "details": { "causes": [{ "reason": "FieldManagerConflict",
            "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas" }] } });
        let error = refused("cannot apply `x`", 409, &told);
        assert_eq!(error.cause.as_deref(), Some("`spec.replicas` is set by `kubectl`"));
        assert!(error.hint.unwrap().contains("force: true"));
    }

    #[test]
    fn queries_are_encoded() {
        let call = Call::get("pods", "/api/v1/pods", "pods").with("labelSelector", "a=b,c in (d)");
        let request = call.request(Some(&Secret::new("t"))).unwrap();
        assert_eq!(request.uri().to_string(), "/api/v1/pods?labelSelector=a%3Db%2Cc+in+%28d%29");
    }
}
