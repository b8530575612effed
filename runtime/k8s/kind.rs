//! Kinds of Kubernetes objects and where the API serves them.
//!
//! The kinds that every cluster has come from a table; all others are looked up once per group-version and cluster.

use crate::error::{Class, Error};
use serde_json::Value;

/// A kind as the API serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `apps/v1`, or `v1` for the core group.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// `(group/version, cluster-wide kinds, kinds in namespaces)`, each kind as `Kind=plural` where the plural is not regular.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "v1",
        "Namespace Node PersistentVolume ComponentStatus=componentstatuses",
        "Pod Service Secret ConfigMap ServiceAccount Endpoints=endpoints Event PersistentVolumeClaim ResourceQuota \
         LimitRange ReplicationController PodTemplate",
    ),
    ("apps/v1", "", "Deployment DaemonSet StatefulSet ReplicaSet ControllerRevision"),
    ("batch/v1", "", "Job CronJob"),
    ("autoscaling/v1", "", "HorizontalPodAutoscaler"),
    ("autoscaling/v2", "", "HorizontalPodAutoscaler"),
    ("policy/v1", "", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "IngressClass=ingressclasses", "Ingress=ingresses NetworkPolicy=networkpolicies"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole ClusterRoleBinding", "Role RoleBinding"),
    ("storage.k8s.io/v1", "StorageClass=storageclasses CSIDriver CSINode VolumeAttachment", ""),
    ("scheduling.k8s.io/v1", "PriorityClass=priorityclasses", ""),
    ("node.k8s.io/v1", "RuntimeClass=runtimeclasses", ""),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", ""),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration ValidatingWebhookConfiguration ValidatingAdmissionPolicy=validatingadmissionpolicies \
         ValidatingAdmissionPolicyBinding",
        "",
    ),
    ("apiregistration.k8s.io/v1", "APIService", ""),
    ("coordination.k8s.io/v1", "", "Lease"),
    ("discovery.k8s.io/v1", "", "EndpointSlice"),
    ("cert-manager.io/v1", "ClusterIssuer", "Certificate CertificateRequest Issuer"),
    ("acme.cert-manager.io/v1", "", "Order Challenge"),
];

/// The kind, when the table has it.
pub fn known(api_version: &str, kind: &str) -> Option<Kind> {
    let (_, wide, inside) = KNOWN.iter().find(|(served, ..)| *served == api_version)?;
    let in_list = |list: &str| {
        list.split_whitespace().find_map(|entry| match entry.split_once('=') {
            Some((name, plural)) => (name == kind).then(|| plural.to_owned()),
            None => (entry == kind).then(|| format!("{}s", entry.to_lowercase())),
        })
    };
    let (plural, namespaced) = match in_list(wide) {
        Some(plural) => (plural, false),
        None => (in_list(inside)?, true),
    };
    Some(Kind { api_version: api_version.to_owned(), kind: kind.to_owned(), plural, namespaced })
}

/// Whether the API's own types know the kind: only these take strategic merge patches.
pub fn is_native(api_version: &str) -> bool {
    KNOWN.iter().any(|(served, ..)| *served == api_version) && !api_version.contains("cert-manager.io")
}

/// `apps` of `apps/v1`; empty for the core group.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// `Deployment.apps`, or `Secret`.
pub fn grouped(api_version: &str, kind: &str) -> String {
    match group(api_version) {
        "" => kind.to_owned(),
        group => format!("{kind}.{group}"),
    }
}

/// `/apis/apps/v1`.
pub fn root(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

impl Kind {
    /// Path of one object, or of the list when there is no name. A kind in namespaces without one means all of them.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = root(&self.api_version);
        if self.namespaced
            && let Some(namespace) = namespace
        {
            path = format!("{path}/namespaces/{}", escaped(namespace));
        }
        path = format!("{path}/{}", self.plural);
        match name {
            Some(name) => format!("{path}/{}", escaped(name)),
            None => path,
        }
    }

    /// `kube-system/Deployment.apps/coredns`: how messages name an object.
    pub fn called(&self, namespace: Option<&str>, name: &str) -> String {
        called(&self.api_version, &self.kind, namespace.filter(|_| self.namespaced), name)
    }
}

/// `kube-system/Deployment.apps/coredns`, or `Namespace/gitpod`.
pub fn called(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> String {
    let kind = grouped(api_version, kind);
    match namespace {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{kind}/{name}"),
        _ => format!("{kind}/{name}"),
    }
}

/// A segment of a path. Names of RBAC objects may hold colons, which are allowed there.
fn escaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The kinds in an `APIResourceList`, without subresources.
pub fn listed(api_version: &str, list: &Value) -> Vec<Kind> {
    let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |resource: &Value| {
        let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
        Some(Kind {
            api_version: api_version.to_owned(),
            kind: resource["kind"].as_str()?.to_owned(),
            plural: plural.to_owned(),
            namespaced: resource["namespaced"].as_bool()?,
        })
    };
    resources.iter().filter_map(kind).collect()
}

/// Code of the error of a kind that is not served.
pub const UNSERVED: &str = "Unserved";

/// What to say when a cluster does not serve a kind.
pub fn unserved(api_version: &str, kind: &str, others: &[Kind]) -> Error {
    let error =
        Error::new(Class::NotFound, format!("the cluster has no kind `{kind}` in `{api_version}`")).code(UNSERVED);
    let near = others
        .iter()
        .map(|other| (strsim::damerau_levenshtein(&other.kind, kind), other))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3);
    match near {
        Some((_, near)) => error.hint(format!("did you mean `{}`?", near.kind)),
        None => error.hint("apply the CustomResourceDefinition that defines it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_knows_plural_and_scope() {
        let path = |api_version, kind| known(api_version, kind).unwrap().path(Some("x"), Some("y"));
        assert_eq!(path("v1", "Secret"), "/api/v1/namespaces/x/secrets/y");
        assert_eq!(path("v1", "Namespace"), "/api/v1/namespaces/y");
        assert_eq!(path("apps/v1", "Deployment"), "/apis/apps/v1/namespaces/x/deployments/y");
        assert_eq!(
            path("networking.k8s.io/v1", "NetworkPolicy"),
            "/apis/networking.k8s.io/v1/namespaces/x/networkpolicies/y"
        );
        assert_eq!(path("cert-manager.io/v1", "ClusterIssuer"), "/apis/cert-manager.io/v1/clusterissuers/y");
        assert!(known("apps/v1beta1", "Deployment").is_none());
        assert!(known("v1", "Deployment").is_none());
    }

    #[test]
    fn names_are_escaped_in_paths_and_shown_as_they_are() {
        let role = known("rbac.authorization.k8s.io/v1", "ClusterRole").unwrap();
        assert!(role.path(None, Some("system:node/x")).ends_with("/clusterroles/system:node%2Fx"));
        assert_eq!(role.called(Some("x"), "a"), "ClusterRole.rbac.authorization.k8s.io/a");
        assert_eq!(called("v1", "Secret", Some("gitpod"), "database"), "gitpod/Secret/database");
    }

    #[test]
    fn discovery_skips_subresources_and_suggests() {
        let list = json!({ "resources": [
            { "name": "widgets", "kind": "Widget", "namespaced": true },
            { "name": "widgets/status", "kind": "Widget", "namespaced": true },
        ]});
        let found = listed("acme.test/v1", &list);
        assert_eq!(found.len(), 1);
        assert!(unserved("acme.test/v1", "Wigdet", &found).hint.unwrap().contains("Widget"));
    }
}
