//! The token that a request to an EKS cluster carries.

use super::cluster::Cluster;
use crate::{cx::Cx, error::Result, secret::Secret};

/// The bearer token for `cluster`; `None` where a kubeconfig brings its own credentials. `renew` asks for a fresh one.
#[cfg(feature = "aws")]
pub async fn bearer(cx: &Cx, cluster: &Cluster, renew: bool) -> Result<Option<Secret>> {
    use crate::aws::eks::token;
    if !cluster.eks {
        return Ok(None);
    }
    if renew {
        token::forget(cx, &cluster.name);
    }
    Ok(Some(token::token(cx, &cluster.name).await?.secret))
}

/// As above; clusters of EKS need the bindings of AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the same signature as with clouds")]
pub async fn bearer(_cx: &Cx, cluster: &Cluster, _renew: bool) -> Result<Option<Secret>> {
    if !cluster.eks {
        return Ok(None);
    }
    Err(crate::error::Error::usage(format!("cluster `{}` is one of EKS, and this build has no AWS", cluster.name))
        .hint("run with `--kubeconfig FILE`"))
}
