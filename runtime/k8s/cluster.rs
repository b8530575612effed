//! Which cluster is meant, and the connection to it: made once a run for each cluster.

use super::{
    kind::{self, Kind},
    reach,
    snapshot::Snapshots,
};
use crate::{
    cx::Cx,
    error::{Class, Error, Result},
    http::ensure_crypto,
    wire::{call_timeout, is_on_this_machine},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};

/// Seconds until a connection must stand.
const CONNECT_TIMEOUT_S: u64 = 10;
/// Seconds of silence after which a call counts as lost.
const SILENCE_TIMEOUT_S: u64 = 60;
/// Entry of the run's endpoints: the file that `--kubeconfig` names.
pub const KUBECONFIG: &str = "kubeconfig";

/// A cluster, as `aws::eks::cluster` gives it; more fields than these are allowed and ignored.
///
/// Under `--kubeconfig FILE` that file is used instead, whatever stands here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRef {
    /// Its name.
    pub name: String,
    /// URL of its API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Certificate of the authority that vouches for it: PEM in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// Region of an EKS cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A kubeconfig file, in place of endpoint and authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// The context in it; its current one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// A connection to a cluster.
pub struct Cluster {
    /// The cluster's name, for messages and tokens.
    pub name: String,
    pub(super) client: kube::Client,
    /// Whether each request needs a token of EKS; a kubeconfig brings its own credentials.
    pub(super) eks: bool,
    /// What discovery found, by `group/version`.
    kinds: RwLock<HashMap<String, Arc<Vec<Kind>>>>,
    pub(super) snapshots: Snapshots,
}

/// Connections of this run, by what they were made from.
#[derive(Default)]
struct Connections(tokio::sync::Mutex<HashMap<ClusterRef, Arc<Cluster>>>);

impl std::hash::Hash for ClusterRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, &self.endpoint, &self.kubeconfig).hash(state);
    }
}

/// The connection to `wanted`, made at the first call.
///
/// # Errors
/// [`Class::Usage`] when the reference is incomplete or a kubeconfig cannot be used.
pub async fn cluster(cx: &Cx, wanted: &ClusterRef) -> Result<Arc<Cluster>> {
    let key = match cx.run.endpoints.get(KUBECONFIG) {
        Some(path) => ClusterRef { name: wanted.name.clone(), kubeconfig: Some(path.clone()), ..ClusterRef::default() },
        None => wanted.clone(),
    };
    let connections = cx.run.clients.get_or_insert(Connections::default);
    let mut connections = connections.0.lock().await;
    if let Some(found) = connections.get(&key) {
        return Ok(found.clone());
    }
    let made = Arc::new(connect(cx, &key).await?);
    connections.insert(key, made.clone());
    Ok(made)
}

/// The connection to the cluster of a recorded object; `None` where EKS has no cluster at that endpoint any more, and so no
/// object in it.
///
/// # Errors
/// As [`cluster`].
pub async fn recorded(cx: &Cx, wanted: &ClusterRef) -> Result<Option<Arc<Cluster>>> {
    match cluster(cx, wanted).await {
        Err(error) if error.code.as_deref() == Some(reach::NOT_THERE) => Ok(None),
        other => other.map(Some),
    }
}

async fn connect(cx: &Cx, wanted: &ClusterRef) -> Result<Cluster> {
    ensure_crypto();
    let (mut config, proxy) = match &wanted.kubeconfig {
        Some(path) => {
            // The command line's own file may do what it wants.
            let own = cx.run.endpoints.contains_key(KUBECONFIG);
            let path = if own { PathBuf::from(path) } else { reach::scripts_kubeconfig(cx, path)? };
            from_kubeconfig(&path, wanted.context.clone()).await?
        }
        None => (from_reference(cx, wanted).await?, None),
    };
    config.connect_timeout = Some(Duration::from_secs(CONNECT_TIMEOUT_S));
    config.read_timeout = Some(call_timeout(SILENCE_TIMEOUT_S));
    config.write_timeout = Some(call_timeout(SILENCE_TIMEOUT_S));
    config.proxy_url = proxy.or_else(|| proxy_to(&config.cluster_url));
    // The engine retries, so that each attempt is counted and recorded.
    config.default_retry = false;
    let client = kube::Client::try_from(config).map_err(|mistake| {
        Error::usage(format!("cannot set up a connection to cluster `{}`", wanted.name)).because(mistake.to_string())
    })?;
    let eks = wanted.kubeconfig.is_none();
    Ok(Cluster { name: wanted.name.clone(), client, eks, kinds: RwLock::default(), snapshots: Snapshots::default() })
}

/// The proxy that `HTTPS_PROXY` and its like name for a server, unless `NO_PROXY` names the server or it is on this machine.
fn proxy_to(server: &http::Uri) -> Option<http::Uri> {
    if is_on_this_machine(&server.to_string()) {
        return None;
    }
    let proxy = Matcher::from_env().intercept(server)?;
    let Some((user, password)) = proxy.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned())) else {
        return Some(proxy.uri().clone());
    };
    let mut with_user = url::Url::parse(&proxy.uri().to_string()).ok()?;
    with_user.set_username(&user).ok()?;
    with_user.set_password(Some(&password)).ok()?;
    with_user.as_str().parse().ok()
}

/// Reads the file that `--kubeconfig` names, so that a mistake in it is found before anything else.
pub fn check_kubeconfig(path: &Path) -> Result<()> {
    let unusable = |why: String| {
        Error::usage(format!("cannot use kubeconfig `{}`", path.display()))
            .because(why)
            .hint("`kubectl config view` shows what a kubeconfig holds")
    };
    let file = Kubeconfig::read_from(path).map_err(|mistake| unusable(mistake.to_string()))?;
    if file.clusters.is_empty() {
        return Err(unusable("it names no cluster".to_owned()));
    }
    Ok(())
}

/// What a kubeconfig says about a context, and the proxy that it names itself.
async fn from_kubeconfig(path: &Path, context: Option<String>) -> Result<(kube::Config, Option<http::Uri>)> {
    let unusable = |why: String| Error::usage(format!("cannot use kubeconfig `{}`", path.display())).because(why);
    let file = Kubeconfig::read_from(path).map_err(|mistake| unusable(mistake.to_string()))?;
    let proxy = match proxy_in(&file, context.as_deref()) {
        Some(url) => Some(url.parse().map_err(|_| unusable(format!("`proxy-url: {url}` is no URL")))?),
        None => None,
    };
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(file, &options).await;
    Ok((config.map_err(|mistake| unusable(mistake.to_string()))?, proxy))
}

/// `proxy-url` of the cluster of `context`, or of the current one.
fn proxy_in<'a>(file: &'a Kubeconfig, context: Option<&'a str>) -> Option<&'a str> {
    let name = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|it| it.name == name)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|it| it.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.as_deref().filter(|url| !url.is_empty())
}

async fn from_reference(cx: &Cx, wanted: &ClusterRef) -> Result<kube::Config> {
    let config = referred(wanted)?;
    reach::check_endpoint(cx, wanted).await?;
    Ok(config)
}

fn referred(wanted: &ClusterRef) -> Result<kube::Config> {
    let missing = |field: &str| {
        Error::usage(format!("cluster `{}` has no `{field}`", wanted.name))
            .hint("hand over what `aws::eks::cluster` returns, or run with `--kubeconfig FILE`")
    };
    let endpoint = wanted.endpoint.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| missing("endpoint"))?;
    let uri: http::Uri = endpoint
        .parse()
        .map_err(|_| Error::usage(format!("endpoint `{endpoint}` of cluster `{}` is no URL", wanted.name)))?;
    let authority = wanted.certificate_authority.as_deref().ok_or_else(|| missing("certificate_authority"))?;
    let mut config = kube::Config::new(uri);
    config.root_cert = Some(certificates(authority).ok_or_else(|| {
        Error::new(Class::Usage, format!("the certificate authority of cluster `{}` is no PEM in base64", wanted.name))
    })?);
    Ok(config)
}

/// The certificates in base64 of PEM.
fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let pem = STANDARD.decode(text.trim()).ok()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found: Vec<Vec<u8>> = found.ok()?.iter().map(|der| der.to_vec()).collect();
    (!found.is_empty()).then_some(found)
}

impl Cluster {
    /// The kind as this cluster serves it: from the table, else asked for once per group-version.
    ///
    /// # Errors
    /// [`Class::NotFound`] when the cluster does not serve it (yet).
    pub async fn kind(&self, cx: &Cx, api_version: &str, wanted: &str) -> Result<Kind> {
        if let Some(known) = kind::known(api_version, wanted) {
            return Ok(known);
        }
        let remembered = self.kinds.read().ok().and_then(|kinds| kinds.get(api_version).cloned());
        let find = |kinds: &[Kind]| kinds.iter().find(|kind| kind.kind == wanted).cloned();
        if let Some(found) = remembered.as_deref().and_then(|kinds| find(kinds)) {
            return Ok(found);
        }
        let list = match self.discover(cx, api_version).await {
            Err(error) if error.is_not_found() => return Err(kind::unserved(api_version, wanted, &[])),
            other => other?,
        };
        let kinds = Arc::new(kind::listed(api_version, &list));
        if let Ok(mut remembered) = self.kinds.write() {
            remembered.insert(api_version.to_owned(), kinds.clone());
        }
        find(&kinds).ok_or_else(|| kind::unserved(api_version, wanted, &kinds))
    }
}

/// Whether the EKS cluster behind `wanted` is gone, so that nothing in it can be left. Asked when it cannot be reached.
pub async fn is_gone(cx: &Cx, wanted: &ClusterRef) -> bool {
    if wanted.kubeconfig.is_some() || cx.run.endpoints.contains_key(KUBECONFIG) {
        return false;
    }
    eks_cluster_is_gone(cx, &wanted.name).await
}

#[cfg(feature = "aws")]
async fn eks_cluster_is_gone(cx: &Cx, name: &str) -> bool {
    let Ok(clients) = crate::aws::clients(cx).await else { return false };
    match clients.eks().describe_cluster().name(name).send().await {
        Ok(_) => false,
        Err(error) => Error::from(error).is_not_found(),
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same signature as with clouds")]
async fn eks_cluster_is_gone(_cx: &Cx, _name: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_an_eks_cluster_fits_as_it_is() {
        let output = serde_json::json!({ "name": "gitpod", "endpoint": "https://x", "certificate_authority": "eA==",
            "arn": "arn:aws:eks:…", "version": "1.33", "tags": { "a": "b" } });
        let reference: ClusterRef = serde_json::from_value(output).unwrap();
        assert_eq!(reference.endpoint.as_deref(), Some("https://x"));
    }

    #[test]
    fn the_proxy_is_that_of_the_context() {
        let file: Kubeconfig = serde_json::from_value(serde_json::json!({
            "current-context": "near",
            "contexts": [{ "name": "near", "context": { "cluster": "a", "user": "u" } },
                         { "name": "far", "context": { "cluster": "b", "user": "u" } }],
            "clusters": [{ "name": "a", "cluster": { "server": "https://a" } },
                         { "name": "b", "cluster": { "server": "https://b", "proxy-url": "http://proxy:3128" } }],
        }))
        .unwrap();
        assert_eq!(proxy_in(&file, None), None);
        assert_eq!(proxy_in(&file, Some("far")), Some("http://proxy:3128"));
        assert_eq!(proxy_in(&file, Some("nowhere")), None);
    }

    #[test]
    fn incomplete_references_say_what_is_missing() {
        let reference = ClusterRef { name: "lab".into(), ..ClusterRef::default() };
        let error = referred(&reference).err().unwrap();
        assert!(error.message.contains("`endpoint`") && error.hint.unwrap().contains("--kubeconfig"));
        let reference = ClusterRef {
            endpoint: Some("https://x".into()),
            certificate_authority: Some("no base64".into()),
            ..reference
        };
        assert!(referred(&reference).err().unwrap().message.contains("PEM"));
    }
}
