//! `k8s::get`, `k8s::find`, `k8s::list`, `k8s::version`: what is in a cluster.

use super::{
    call::Call,
    cluster::{Cluster, ClusterRef, cluster},
    manifest::Identity,
    place::Place,
};
use crate::{
    bind::Lookup,
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects a page of a list.
const PAGE: &str = "500";

/// One object of Kubernetes.
///
/// Use `k8s::get` for what must be there, `k8s::find` for what may be missing (then it gives `()`). They never change
/// anything. What the server keeps about managers is left out; a Secret's data is marked secret.
///
/// # Errors
/// `k8s::get`: the object is not there. Both: the cluster cannot be reached, or refuses.
///
/// ```rhai
/// let service = k8s::find(#{ cluster: cluster, api_version: "v1", kind: "Service", namespace: "gitpod", name: "proxy" });
/// ```
///
/// Stands on GET of the object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectQuery {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Service`, `Deployment` …
    pub kind: String,
    /// Its namespace; `default` when left out. Not for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectQuery {
    /// The cluster and the place that are asked for.
    pub async fn place(&self, cx: &Cx) -> Result<(std::sync::Arc<Cluster>, Place)> {
        place(cx, &self.cluster, &self.api_version, &self.kind, self.namespace.as_deref(), &self.name).await
    }
}

/// The cluster behind a reference, and an object's place in it.
pub async fn place(
    cx: &Cx,
    reference: &ClusterRef,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<(std::sync::Arc<Cluster>, Place)> {
    let cluster = cluster(cx, reference).await?;
    let identity = Identity {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let place = Place::of(cx, &cluster, &identity, None).await?;
    Ok((cluster, place))
}

/// The object as scripts see it.
pub fn for_scripts(mut object: Value) -> Value {
    let secret = super::manifest::is_secret(&object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if let Some(data) = object.get_mut("data").and_then(Value::as_object_mut).filter(|_| secret) {
        for value in data.values_mut() {
            let marked = crate::secret::Secret::new(value.as_str().unwrap_or_default()).marked();
            *value = Value::String(marked);
        }
    }
    object
}

/// The look-up `k8s::get`; see [`ObjectQuery`].
pub struct Get;

#[async_trait]
impl Lookup for Get {
    const NAME: &'static str = "k8s::get";
    type Args = ObjectQuery;
    type Output = Value;

    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let (cluster, place) = args.place(cx).await?;
        Ok(for_scripts(cluster.send(cx, &place.get()).await?))
    }
}

/// The look-up `k8s::find`; see [`ObjectQuery`].
pub struct Find;

#[async_trait]
impl Lookup for Find {
    const NAME: &'static str = "k8s::find";
    type Args = ObjectQuery;
    type Output = Option<Value>;

    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let (cluster, place) = match args.place(cx).await {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        Ok(cluster.send_maybe(cx, &place.get()).await?.map(for_scripts))
    }
}

/// The objects of a kind.
///
/// Use it to look at what a chart, an operator or the cluster itself made. It never changes anything. Without a namespace
/// those of all namespaces are listed.
///
/// # Errors
/// The cluster cannot be reached, refuses, or does not serve the kind.
///
/// ```rhai
/// let services = k8s::list(#{ cluster: cluster, api_version: "v1", kind: "Service", labels: #{ app: "gitpod" } });
/// ```
///
/// Stands on GET of the list, page by page.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Service`, `Deployment` …
    pub kind: String,
    /// The namespace; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels that the objects have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// `a=b,c=d`.
pub fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// All objects of a list, page by page.
pub async fn list_all(cx: &Cx, cluster: &Cluster, resource: &str, path: &str, labels: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let mut call = Call::get(resource, path, &format!("the list of `{resource}`")).with("limit", PAGE);
        if !labels.is_empty() {
            call = call.with("labelSelector", labels);
        }
        if !next.is_empty() {
            call = call.with("continue", next.clone());
        }
        let mut page = cluster.send(cx, &call).await?;
        if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
            items.extend(found);
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() && token != next => token.clone_into(&mut next),
            _ => return Ok(items),
        }
    }
}

impl ListQuery {
    /// The objects.
    pub async fn all(&self, cx: &Cx) -> Result<Vec<Value>> {
        let cluster = cluster(cx, &self.cluster).await?;
        let kind = cluster.kind(cx, &self.api_version, &self.kind).await?;
        let path = kind.path(self.namespace.as_deref(), None);
        list_all(cx, &cluster, &kind.plural, &path, &selector(&self.labels.clone().unwrap_or_default())).await
    }
}

/// The look-up `k8s::list`; see [`ListQuery`].
pub struct List;

#[async_trait]
impl Lookup for List {
    const NAME: &'static str = "k8s::list";
    type Args = ListQuery;
    type Output = Vec<Value>;

    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let mut items = args.all(cx).await?;
        for item in &mut items {
            // Items of a list do not say what they are.
            if let Some(map) = item.as_object_mut() {
                map.insert("apiVersion".into(), Value::String(args.api_version.clone()));
                map.insert("kind".into(), Value::String(args.kind.clone()));
            }
        }
        Ok(items.into_iter().map(for_scripts).collect())
    }
}

/// The version of a cluster's API server.
///
/// Use it to check what an installer demands. It never changes anything.
///
/// # Errors
/// The cluster cannot be reached or refuses.
///
/// ```rhai
/// let version = k8s::version(#{ cluster: cluster });
/// ```
///
/// Stands on GET of `/version`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionQuery {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
}

/// A version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// `1`.
    pub major: i64,
    /// `33`.
    pub minor: i64,
    /// `v1.33.4-eks-…`.
    pub git_version: String,
}

/// The look-up; see [`VersionQuery`].
pub struct ServerVersion;

#[async_trait]
impl Lookup for ServerVersion {
    const NAME: &'static str = "k8s::version";
    type Args = VersionQuery;
    type Output = Version;

    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let cluster = cluster(cx, &args.cluster).await?;
        let told = cluster.send(cx, &Call::get("version", "/version", "the cluster's version")).await?;
        version(&told)
            .ok_or_else(|| Error::failed("the cluster's version cannot be understood").because(told.to_string()))
    }
}

fn version(told: &Value) -> Option<Version> {
    // EKS writes the minor as `33+`.
    let number = |field: &str| told[field].as_str()?.trim_end_matches('+').parse().ok();
    Some(Version {
        major: number("major")?,
        minor: number("minor")?,
        git_version: told["gitVersion"].as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_of_eks_are_understood() {
        let told = json!({ "major": "1", "minor": "33+", "gitVersion": "v1.33.4-eks-1" });
        assert_eq!(version(&told).unwrap().minor, 33);
        assert_eq!(version(&json!({})), None);
    }

    #[test]
    fn scripts_see_secrets_as_secrets() {
        let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "managedFields": [] }, "data": { "k": "aHVudGVyMg==" } });
        let seen = for_scripts(object);
        assert!(crate::value::has_secret(&seen["data"]));
        assert!(seen["metadata"].get("managedFields").is_none());
    }
}
