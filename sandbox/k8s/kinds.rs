//! The kinds that a cluster serves: the built-in ones and those of its CustomResourceDefinitions.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::merge::schema::{self, Node};

/// One served version of a kind.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, clippy::struct_field_names)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Name of the kind.
    pub kind: String,
    /// Resource name, as in URLs.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Short names for kubectl.
    pub short_names: Vec<String>,
    /// Categories such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` has an endpoint of its own.
    pub has_status: bool,
    /// Whether there is a `scale` endpoint.
    pub has_scale: bool,
    /// Whether Kubernetes itself defines it.
    pub builtin: bool,
    /// Schema for merging.
    pub node: Arc<Node>,
    /// `additionalPrinterColumns` of a custom resource.
    pub columns: Value,
}

impl Kind {
    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// `plural.group`, as error messages write it.
    pub fn qualified(&self) -> String {
        qualified(&self.group, &self.plural)
    }
}

/// `plural.group`, or only the plural in the core group.
pub fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// `group/version`, or only the version in the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// group, version, kind, plural, short names; then n: namespaced, s: status, c: scale, a: category `all`.
const BUILTIN: &str = "
_ v1 ConfigMap configmaps cm n
_ v1 Endpoints endpoints ep n
_ v1 Event events ev n
_ v1 LimitRange limitranges limits n
_ v1 Namespace namespaces ns s
_ v1 Node nodes no s
_ v1 PersistentVolumeClaim persistentvolumeclaims pvc ns
_ v1 PersistentVolume persistentvolumes pv s
_ v1 Pod pods po nsa
_ v1 PodTemplate podtemplates - n
_ v1 ReplicationController replicationcontrollers rc nsca
_ v1 ResourceQuota resourcequotas quota ns
_ v1 Secret secrets - n
_ v1 ServiceAccount serviceaccounts sa n
_ v1 Service services svc nsa
apps v1 ControllerRevision controllerrevisions - n
apps v1 DaemonSet daemonsets ds nsa
apps v1 Deployment deployments deploy nsca
apps v1 ReplicaSet replicasets rs nsca
apps v1 StatefulSet statefulsets sts nsca
batch v1 Job jobs - nsa
batch v1 CronJob cronjobs cj nsa
autoscaling v2 HorizontalPodAutoscaler horizontalpodautoscalers hpa nsa
autoscaling v1 HorizontalPodAutoscaler horizontalpodautoscalers hpa nsa
networking.k8s.io v1 Ingress ingresses ing ns
networking.k8s.io v1 IngressClass ingressclasses - -
networking.k8s.io v1 NetworkPolicy networkpolicies netpol n
policy v1 PodDisruptionBudget poddisruptionbudgets pdb ns
rbac.authorization.k8s.io v1 ClusterRole clusterroles - -
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings - -
rbac.authorization.k8s.io v1 Role roles - n
rbac.authorization.k8s.io v1 RoleBinding rolebindings - n
storage.k8s.io v1 StorageClass storageclasses sc -
storage.k8s.io v1 CSIDriver csidrivers - -
storage.k8s.io v1 CSINode csinodes - -
storage.k8s.io v1 VolumeAttachment volumeattachments - s
storage.k8s.io v1 CSIStorageCapacity csistoragecapacities - n
scheduling.k8s.io v1 PriorityClass priorityclasses pc -
coordination.k8s.io v1 Lease leases - n
discovery.k8s.io v1 EndpointSlice endpointslices - n
node.k8s.io v1 RuntimeClass runtimeclasses - -
certificates.k8s.io v1 CertificateSigningRequest certificatesigningrequests csr s
admissionregistration.k8s.io v1 MutatingWebhookConfiguration mutatingwebhookconfigurations - -
admissionregistration.k8s.io v1 ValidatingWebhookConfiguration validatingwebhookconfigurations - -
admissionregistration.k8s.io v1 ValidatingAdmissionPolicy validatingadmissionpolicies - s
admissionregistration.k8s.io v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings - -
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions crd,crds s
apiregistration.k8s.io v1 APIService apiservices - s
flowcontrol.apiserver.k8s.io v1 FlowSchema flowschemas - s
flowcontrol.apiserver.k8s.io v1 PriorityLevelConfiguration prioritylevelconfigurations - s
";

/// A kind that is only posted to, never stored.
#[derive(Debug, Clone, Copy)]
pub struct Review {
    /// API group; the version is always `v1`.
    pub group: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    /// Resource name.
    pub plural: &'static str,
    /// Whether it is posted into a namespace.
    pub namespaced: bool,
}

const fn review(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool) -> Review {
    Review { group, kind, plural, namespaced }
}

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The kinds that are only posted to.
pub const REVIEWS: [Review; 6] = [
    review(AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    review(AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    review(AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", false),
    review(AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews", true),
    review(AUTHENTICATION, "TokenReview", "tokenreviews", false),
    review(AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", false),
];

fn from_line(line: &str) -> Option<Kind> {
    let [group, version, kind, plural, short, flags] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let group = if group == "_" { "" } else { group };
    let short = Some(short).filter(|s| *s != "-");
    Some(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short.into_iter().flat_map(|s| s.split(',')).map(String::from).collect(),
        categories: flags.contains('a').then(|| "all".to_owned()).into_iter().collect(),
        namespaced: flags.contains('n'),
        has_status: flags.contains('s'),
        has_scale: flags.contains('c'),
        builtin: true,
        node: schema::builtin(group, version, kind),
        columns: Value::Null,
    })
}

/// The built-in kinds.
pub fn builtins() -> &'static [Arc<Kind>] {
    static ALL: OnceLock<Vec<Arc<Kind>>> = OnceLock::new();
    ALL.get_or_init(|| BUILTIN.lines().filter_map(from_line).map(Arc::new).collect())
}

/// The kinds that a CustomResourceDefinition adds, once it is established.
pub fn from_crd(crd: &Value) -> Vec<Arc<Kind>> {
    let established = crd["status"]["conditions"].as_array().into_iter().flatten();
    let mut established = established.filter(|c| c["type"] == "Established");
    if !established.any(|c| c["status"] == "True") {
        return Vec::new();
    }
    let spec = &crd["spec"];
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let texts = |v: &Value| v.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|v| v["served"] == true)
        .map(|v| {
            let names = &spec["names"];
            Arc::new(Kind {
                group: text(&spec["group"]),
                version: text(&v["name"]),
                kind: text(&names["kind"]),
                plural: text(&names["plural"]),
                singular: text(&names["singular"]),
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                has_status: v["subresources"]["status"].is_object(),
                has_scale: v["subresources"]["scale"].is_object(),
                builtin: false,
                node: schema::with_metadata(schema::from_crd(&v["schema"]["openAPIV3Schema"])),
                columns: v["additionalPrinterColumns"].clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BUILTIN, builtins};

    #[test]
    fn every_line_of_the_table_is_a_kind() {
        assert_eq!(builtins().len(), BUILTIN.lines().filter(|l| !l.is_empty()).count());
        let deployment = builtins().iter().find(|k| k.kind == "Deployment").unwrap();
        assert!(deployment.namespaced && deployment.has_scale && deployment.has_status);
        assert_eq!(deployment.api_version(), "apps/v1");
    }
}
