//! Where an object is: its kind as the cluster serves it, its namespace and its name.

use super::{call::Call, cluster::Cluster, kind::Kind, manifest::Identity};
use crate::{cx::Cx, error::Result};

/// Where an object is, all of it known.
pub struct Place {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; none for kinds without one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Place {
    /// The place that a manifest names in a cluster.
    pub async fn of(cx: &Cx, cluster: &Cluster, identity: &Identity, namespace: Option<&str>) -> Result<Self> {
        let kind = cluster.kind(cx, &identity.api_version, &identity.kind).await?;
        let namespace = identity.namespace.as_deref().or(namespace).unwrap_or("default");
        let namespace = kind.namespaced.then(|| namespace.to_owned());
        Ok(Self { kind, namespace, name: identity.name.clone() })
    }

    /// Path of the object in the API.
    pub fn path(&self) -> String {
        self.kind.path(self.namespace.as_deref(), Some(&self.name))
    }

    /// `` `gitpod/Secret/database` ``, for messages.
    pub fn called(&self) -> String {
        format!("`{}`", self.kind.called(self.namespace.as_deref(), &self.name))
    }

    /// The call that reads it.
    pub fn get(&self) -> Call {
        Call::get(&self.kind.plural, self.path(), &self.called())
    }
}
