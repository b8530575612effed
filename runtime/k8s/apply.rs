//! `k8s::apply`, `k8s::manifest` and `k8s::secret`: many objects from YAML, from an address, or from a few values.

use super::{
    cluster::ClusterRef,
    documents, names,
    patching::{self, DocumentPatch},
};
use crate::{
    bind::{Composite, Part},
    cx::Cx,
    error::{Error, Result},
    http,
    value::{UNKNOWN_OPEN, has_unknown},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is the same for all objects of a composite.
struct Settings<'a> {
    cluster: &'a Value,
    namespace: Option<&'a str>,
    force: Option<bool>,
    wait: Option<bool>,
    adopt: Option<bool>,
}

/// The objects as parts in phases.
fn parts(objects: Vec<Value>, settings: &Settings<'_>) -> Result<Vec<Vec<Part>>> {
    documents::without_duplicates(&objects, settings.namespace)?;
    objects.iter().try_for_each(names::check)?;
    let part = |manifest: Value| {
        let mut args = json!({ "cluster": settings.cluster, "manifest": manifest });
        if let Some(namespace) = settings.namespace {
            args["namespace"] = json!(namespace);
        }
        for (field, value) in [("force", settings.force), ("wait", settings.wait), ("adopt", settings.adopt)] {
            if let Some(value) = value {
                args[field] = json!(value);
            }
        }
        Part { kind: "k8s::object", args }
    };
    let phases = documents::in_phases(objects);
    Ok(phases.into_iter().map(|phase| phase.into_iter().map(part).collect()).collect())
}

fn not_known(cx: &Cx) -> Vec<Vec<Part>> {
    cx.say("its objects are not known until run");
    Vec::new()
}

/// Many objects of Kubernetes, from YAML or from maps.
///
/// Use it for manifests that stand in the playbook or that a step made. Namespaces come first, then definitions (until
/// served), rights and configuration, workloads, webhooks, and objects of the defined kinds. Each becomes a `k8s::object`
/// of its own in the state. It does not wait for workloads (`k8s::wait_rollout` does) unless `wait: true`.
///
/// # Errors
/// YAML that is none (with its line), an object without kind or name, the same object twice, a patch that fits nothing.
///
/// ```rhai
/// k8s::apply(#{ cluster: cluster, namespace: "gitpod", yaml: manifests });
/// ```
///
/// Stands on `k8s::object`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    #[schemars(with = "ClusterRef")]
    pub cluster: Value,
    /// Text of any number of YAML documents; lists in it are expanded, empty documents skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yaml: Option<String>,
    /// Manifests as maps; after those of `yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Value>>")]
    pub objects: Option<Value>,
    /// Namespace for manifests that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Changes to single objects before they are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patches: Option<Vec<DocumentPatch>>,
    /// See `k8s::object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// See `k8s::object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// Takes objects over that exist without being ours. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// The composite; see [`ApplyArgs`].
pub struct Apply;

#[async_trait]
impl Composite for Apply {
    const NAME: &'static str = "k8s::apply";
    type Args = ApplyArgs;

    async fn expand(cx: &Cx, args: &Self::Args) -> Result<Vec<Vec<Part>>> {
        if args.yaml.is_none() && args.objects.is_none() {
            return Err(Error::usage("`k8s::apply` has nothing to apply").hint("give `yaml` or `objects`"));
        }
        let yaml = args.yaml.as_deref().unwrap_or_default();
        let mut objects = match documents::parsed(yaml, "`yaml`") {
            // A plan cannot know what a program would print.
            Err(_) if cx.planning() && yaml.contains(UNKNOWN_OPEN) => return Ok(not_known(cx)),
            other => other?,
        };
        match &args.objects {
            None => {}
            Some(Value::Array(more)) => objects.extend(more.iter().cloned()),
            Some(other) if cx.planning() && has_unknown(other) => return Ok(not_known(cx)),
            Some(_) => return Err(Error::usage("`objects` is no list of maps")),
        }
        patching::apply_all(&mut objects, args.patches.as_deref().unwrap_or_default())?;
        let settings = Settings {
            cluster: &args.cluster,
            namespace: args.namespace.as_deref(),
            force: args.force,
            wait: args.wait,
            adopt: args.adopt,
        };
        parts(objects, &settings)
    }
}

/// The objects of a manifest on the internet, or in a file beside the playbook.
///
/// Use it for what others publish (Calico, cert-manager). The file is fetched once and kept in the stack's folder: later
/// runs see the same content. With `sha256`, another content is refused before anything is applied; without, the digest is
/// shown. On the sandbox a stand-in of the sandbox's own is applied in its place, which is said.
///
/// # Errors
/// An address that cannot be fetched, another digest than the given one, more than 10 MiB, and all errors of `k8s::apply`.
///
/// ```rhai
/// k8s::manifest(#{
///     cluster: cluster,
///     url: "https://github.com/cert-manager/cert-manager/releases/download/v1.18.2/cert-manager.yaml",
///     args: #{ "cert-manager": ["--dns01-recursive-nameservers-only=true"] },
///     patches: [#{ kind: "Deployment", name: "cert-manager", patch: #{ spec: #{ replicas: 2 } } }],
/// });
/// ```
///
/// Stands on `k8s::object` and one GET over HTTPS.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    #[schemars(with = "ClusterRef")]
    pub cluster: Value,
    /// `https://…`, or a path relative to the playbook.
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Namespace for manifests that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Changes to single objects before they are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patches: Option<Vec<DocumentPatch>>,
    /// Flags for the first container of workloads, by the workload's name; a flag that is there is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<BTreeMap<String, Vec<String>>>,
    /// See `k8s::object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// See `k8s::object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// Takes objects over that exist without being ours. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// The composite; see [`ManifestArgs`].
pub struct Manifest;

#[async_trait]
impl Composite for Manifest {
    const NAME: &'static str = "k8s::manifest";
    type Args = ManifestArgs;

    fn reads(args: &Self::Args) -> Option<&str> {
        http::is_local(&args.url).then_some(args.url.as_str())
    }

    async fn expand(cx: &Cx, args: &Self::Args) -> Result<Vec<Vec<Part>>> {
        if cx.planning() && args.url.contains(UNKNOWN_OPEN) {
            return Ok(not_known(cx));
        }
        let fetched = http::fetch(cx, &args.url, args.sha256.as_deref()).await?;
        let origin = format!("`{}`", args.url);
        let text = String::from_utf8(fetched.content).map_err(|_| Error::usage(format!("{origin} is no text")))?;
        let mut objects = documents::parsed(&text, &origin)?;
        if objects.is_empty() {
            return Err(Error::usage(format!("{origin} holds no objects")));
        }
        // A stand-in has not all objects of the file it stands for.
        let fits = |result: Result<()>| match result {
            Err(error) if fetched.stand_in => {
                cx.say(&format!("{error}: left out, since the manifest is a stand-in"));
                Ok(())
            }
            other => other,
        };
        for patch in args.patches.iter().flatten() {
            fits(patching::apply_all(&mut objects, std::slice::from_ref(patch)))?;
        }
        for (name, flags) in args.args.iter().flatten() {
            fits(patching::add_flags(&mut objects, name, flags))?;
        }
        let settings = Settings {
            cluster: &args.cluster,
            namespace: args.namespace.as_deref(),
            force: args.force,
            wait: args.wait,
            adopt: args.adopt,
        };
        parts(objects, &settings)
    }
}

/// A Secret of Kubernetes.
///
/// Use it for passwords, keys and certificates that pods read. The values are sent and kept nowhere else in the clear: the
/// state holds digests.
///
/// # Errors
/// A value that is neither text nor number; all errors of `k8s::object`.
///
/// ```rhai
/// k8s::secret(#{ cluster: cluster, namespace: "gitpod", name: "database",
///                data: #{ host: db.endpoint, port: 3306, username: "gitpod", password: password } });
/// ```
///
/// Stands on `k8s::object`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    #[schemars(with = "ClusterRef")]
    pub cluster: Value,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `kubernetes.io/tls`, `kubernetes.io/dockerconfigjson` …; `Opaque` when left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// Values by key, as they are (not in base64): texts, secrets or numbers.
    pub data: BTreeMap<String, Value>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Takes a secret over that exists without being ours. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// The composite; see [`SecretArgs`].
pub struct SecretObject;

#[async_trait]
impl Composite for SecretObject {
    const NAME: &'static str = "k8s::secret";
    type Args = SecretArgs;

    async fn expand(_cx: &Cx, args: &Self::Args) -> Result<Vec<Vec<Part>>> {
        let manifest = secret_manifest(args)?;
        let settings = Settings { cluster: &args.cluster, namespace: None, force: None, wait: None, adopt: args.adopt };
        parts(vec![manifest], &settings)
    }
}

fn secret_manifest(args: &SecretArgs) -> Result<Value> {
    let mut texts = serde_json::Map::new();
    for (key, value) in &args.data {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                return Err(Error::usage(format!("`data.{key}` of secret `{}` is neither text nor number", args.name))
                    .hint("turn maps into text first, for example with `to_json`"));
            }
        };
        texts.insert(key.clone(), json!(text));
    }
    let mut metadata = json!({ "name": args.name, "namespace": args.namespace });
    if let Some(labels) = &args.labels {
        metadata["labels"] = json!(labels);
    }
    if let Some(annotations) = &args.annotations {
        metadata["annotations"] = json!(annotations);
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": args.secret_type.as_deref().unwrap_or("Opaque"),
        "stringData": texts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_objects_in_phases() {
        let objects = documents::parsed(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: n}}",
            "x",
        );
        let cluster = json!({ "name": "gitpod" });
        let settings = Settings { cluster: &cluster, namespace: Some("n"), force: Some(true), wait: None, adopt: None };
        let phases = parts(objects.unwrap(), &settings).unwrap();
        assert_eq!(phases.len(), 2);
        assert_eq!(phases[0][0].args["manifest"]["kind"], "Namespace");
        assert_eq!(phases[1][0].args["namespace"], "n");
        assert_eq!(phases[1][0].args["force"], true);
        assert!(phases[1][0].args.get("wait").is_none());
    }

    #[test]
    fn secrets_keep_their_taint_until_they_are_sent() {
        let args: SecretArgs = serde_json::from_value(json!({ "cluster": {}, "namespace": "n", "name": "database",
            "data": { "port": 3306, "password": "\u{E002}pw\u{E003}" } }))
        .unwrap();
        let manifest = secret_manifest(&args).unwrap();
        assert_eq!(manifest["stringData"]["port"], "3306");
        assert!(crate::value::has_secret(&manifest));
        let odd: SecretArgs =
            serde_json::from_value(json!({ "cluster": {}, "namespace": "n", "name": "x", "data": { "a": [] } }))
                .unwrap();
        assert!(secret_manifest(&odd).is_err());
    }
}
