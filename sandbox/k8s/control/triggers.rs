//! Which objects a change concerns.

use serde_json::Value;

use super::{Context, meta, nodes};
use crate::k8s::store::{Change, Key};

const CERT_MANAGER: [&str; 3] =
    ["cert-manager.io/issuers", "cert-manager.io/clusterissuers", "cert-manager.io/certificates"];

/// The keys to look at after a change.
pub fn triggered(context: &Context, change: &Change) -> Vec<Key> {
    let mut keys = vec![change.key.clone()];
    let objects = context.store().read();
    let versions = [change.old.as_deref(), change.new.as_deref()];
    for uid in versions.into_iter().flatten().flat_map(owner_uids) {
        keys.extend(objects.key_of_uid(uid).cloned());
    }
    let list = |resource: &str, namespace: &str, wanted: &dyn Fn(&Value) -> bool| -> Vec<Key> {
        let found = objects.list(resource, namespace, "", "");
        let found = found.iter().filter(|o| wanted(o));
        found.map(|o| Key::new(resource, meta(o, "namespace"), meta(o, "name"))).collect()
    };
    let namespace = change.key.namespace.as_str();
    let (gone, born) = (change.new.is_none(), change.old.is_none());
    match change.key.resource.as_str() {
        "/nodes" => {
            keys.extend(list("/pods", "", &is_pending));
            keys.extend(list("apps/daemonsets", "", &|_| true));
            if gone {
                let name = change.key.name.as_str();
                keys.extend(list("/pods", "", &|p| p["spec"]["nodeName"] == name));
            }
        }
        "/pods" => {
            let pod = &change.last;
            if let (true, Some(node)) = (nodes::is_network_plugin(pod), pod["spec"]["nodeName"].as_str()) {
                keys.push(Key::new("/nodes", "", node));
            }
            if gone {
                keys.extend(list("/pods", "", &|p| p["spec"]["nodeName"].is_null()));
            }
            let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
            let claims = volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
            keys.extend(claims.map(|c| Key::new("/persistentvolumeclaims", namespace, c)));
        }
        "/secrets" | "/configmaps" | "/persistentvolumeclaims" => {
            keys.extend(list("/pods", namespace, &is_pending));
            let certificate = &change.last["metadata"]["annotations"]["cert-manager.io/certificate-name"];
            if let (true, Some(name)) = (gone, certificate.as_str()) {
                keys.push(Key::new(CERT_MANAGER[2], namespace, name));
            }
        }
        "/persistentvolumes" => {
            let claim = &change.last["spec"]["claimRef"];
            let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
            let (ns, name) = (text(&claim["namespace"]), text(&claim["name"]));
            keys.push(Key::new("/persistentvolumeclaims", &ns, &name));
        }
        "/serviceaccounts" if born => {
            for resource in ["apps/replicasets", "apps/daemonsets", "apps/statefulsets", "batch/jobs"] {
                keys.extend(list(resource, namespace, &|_| true));
            }
        }
        "storage.k8s.io/storageclasses" if born => {
            keys.extend(list("/persistentvolumeclaims", "", &|_| true));
        }
        "apps/deployments" if change.key.name.contains("cert-manager") => {
            keys.extend(CERT_MANAGER.iter().flat_map(|r| list(r, "", &|_| true)));
        }
        "cert-manager.io/issuers" | "cert-manager.io/clusterissuers" => {
            keys.extend(list(CERT_MANAGER[2], "", &|_| true));
        }
        _ => {}
    }
    if gone && !namespace.is_empty() {
        keys.push(Key::new("/namespaces", "", namespace));
        if change.key.resource == "/persistentvolumeclaims" {
            keys.extend(list("/persistentvolumes", "", &|_| true));
        }
    }
    keys
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|o| o["uid"].as_str())
}

fn is_pending(pod: &Value) -> bool {
    !matches!(pod["status"]["phase"].as_str(), Some("Running" | "Succeeded" | "Failed"))
}
