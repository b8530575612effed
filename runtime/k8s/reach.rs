//! Whether a script may talk to the cluster that it names: to those of its cloud, and to what the command line allows.
//!
//! A request carries a token of the caller, so an endpoint that a script made up must not get one. A kubeconfig that a
//! script names can run programs and read files; one that `--kubeconfig` names is the caller's own.

use super::cluster::ClusterRef;
use crate::{
    cx::Cx,
    error::{Class, Error, Result},
    process::check_variables,
};
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use std::path::{Path, PathBuf};
use url::Url;

/// Code of the error for an endpoint that EKS does not have for the cluster (any more).
pub const NOT_THERE: &str = "NoSuchEndpoint";
/// How the names of EKS's endpoints end.
const EKS_HOSTS: [&str; 4] = [".eks.amazonaws.com", ".eks.amazonaws.com.cn", ".on.aws", ".eks.amazonaws-us-gov.com"];

/// Whether the endpoint in `wanted` is the one that EKS has for the cluster of that name, or a host that is allowed.
pub async fn check_endpoint(cx: &Cx, wanted: &ClusterRef) -> Result<()> {
    let endpoint = wanted.endpoint.as_deref().unwrap_or_default();
    let Ok(url) = Url::parse(endpoint) else {
        return Err(Error::usage(format!("endpoint `{endpoint}` of cluster `{}` is no URL", wanted.name)));
    };
    if url.scheme() != "https" {
        return Err(Error::usage(format!("endpoint `{endpoint}` of cluster `{}` is no `https://`", wanted.name)));
    }
    let host = url.host_str().unwrap_or_default();
    let allowed = cx.run.allowed.check_net(host, url.port());
    let Err(refused) = allowed else { return Ok(()) };
    let eks = endpoint_in_eks(cx, &wanted.name).await?;
    if eks.as_deref() == Some(endpoint) {
        return Ok(());
    }
    let is_eks = cx.run.endpoints.contains_key("aws") || EKS_HOSTS.iter().any(|end| host.ends_with(end));
    let cause = match eks {
        Some(other) => format!("EKS has cluster `{}` at `{other}`", wanted.name),
        None => format!("EKS has no cluster `{}`", wanted.name),
    };
    let refused = refused.because(cause);
    Err(if is_eks { refused.code(NOT_THERE) } else { refused })
}

#[cfg(feature = "aws")]
async fn endpoint_in_eks(cx: &Cx, name: &str) -> Result<Option<String>> {
    let clients = crate::aws::clients(cx).await?;
    match clients.eks().describe_cluster().name(name).send().await {
        Ok(told) => Ok(told.cluster.and_then(|cluster| cluster.endpoint)),
        Err(error) => match Error::from(error) {
            error if error.is_not_found() => Ok(None),
            error => Err(error),
        },
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same signature as with clouds")]
async fn endpoint_in_eks(_cx: &Cx, _name: &str) -> Result<Option<String>> {
    Ok(None)
}

/// The kubeconfig that a script names: it lies in the playbook's folder, and what it reads, runs and reaches is allowed.
pub fn scripts_kubeconfig(cx: &Cx, path: &str) -> Result<PathBuf> {
    let real = cx.run.allowed.check_read(&cx.run.playbook_folder, path)?;
    let file = Kubeconfig::read_from(&real)
        .map_err(|mistake| Error::usage(format!("cannot use kubeconfig `{path}`")).because(mistake.to_string()))?;
    let in_file = |error: Error| error.because(format!("kubeconfig `{path}` wants it"));
    for cluster in file.clusters.iter().filter_map(|named| named.cluster.as_ref()) {
        check_cluster(cx, cluster).map_err(in_file)?;
    }
    for user in file.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()) {
        check_user(cx, user).map_err(in_file)?;
    }
    Ok(real)
}

fn check_cluster(cx: &Cx, cluster: &Cluster) -> Result<()> {
    check_files(cx, [&cluster.certificate_authority])?;
    let proxy = cluster.proxy_url.as_ref().filter(|url| !url.is_empty());
    for (field, url) in cluster.server.iter().map(|url| ("server", url)).chain(proxy.map(|url| ("proxy-url", url))) {
        let url = Url::parse(url)
            .map_err(|mistake| Error::usage(format!("{field} `{url}` is no URL")).because(mistake.to_string()))?;
        cx.run.allowed.check_net(url.host_str().unwrap_or_default(), url.port())?;
    }
    Ok(())
}

fn check_user(cx: &Cx, user: &AuthInfo) -> Result<()> {
    check_files(cx, [&user.token_file, &user.client_certificate, &user.client_key])?;
    if let Some(exec) = &user.exec {
        let program = exec.command.as_deref().unwrap_or_default();
        cx.run.allowed.check_run(program)?;
        let variables = exec.env.iter().flatten().filter_map(|pair| pair.get("name"));
        check_variables(&cx.run.allowed, program, variables.map(String::as_str))?;
    }
    if user.auth_provider.is_some() {
        return Err(Error::new(Class::Usage, "a script's kubeconfig cannot have an `auth-provider`")
            .hint("name the file on the command line: `--kubeconfig FILE`"));
    }
    Ok(())
}

fn check_files<const N: usize>(cx: &Cx, files: [&Option<String>; N]) -> Result<()> {
    for file in files.into_iter().flatten() {
        // Names in the file count from its folder, and are whole by now.
        cx.run.allowed.check_read(&cx.run.playbook_folder.canonicalize().unwrap_or_default(), &whole(file))?;
    }
    Ok(())
}

fn whole(file: &str) -> String {
    Path::new(file).canonicalize().map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}
