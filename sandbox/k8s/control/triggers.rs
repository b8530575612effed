//! Which objects a change concerns.

use serde_json::Value;

use super::{Context, meta, nodes};
use crate::k8s::store::{Change, Key, Objects};

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
    if change.new.is_none() && !change.key.namespace.is_empty() {
        keys.push(Key::new("/namespaces", "", &change.key.namespace));
    }
    match change.key.resource.as_str() {
        "/nodes" => node_changed(&objects, change, &mut keys),
        "/pods" => pod_changed(&objects, change, &mut keys),
        _ => other_changed(&objects, change, &mut keys),
    }
    keys
}

/// The keys of the objects of a resource that are wanted.
fn list(objects: &Objects, resource: &str, namespace: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Key> {
    let found = objects.list(resource, namespace, "", "");
    let found = found.iter().filter(|o| wanted(o));
    found.map(|o| Key::new(resource, meta(o, "namespace"), meta(o, "name"))).collect()
}

fn node_changed(objects: &Objects, change: &Change, keys: &mut Vec<Key>) {
    keys.extend(list(objects, "/pods", "", is_pending));
    keys.extend(list(objects, "apps/daemonsets", "", |_| true));
    if change.new.is_none() {
        let name = change.key.name.as_str();
        keys.extend(list(objects, "/pods", "", |p| p["spec"]["nodeName"] == name));
    }
}

fn pod_changed(objects: &Objects, change: &Change, keys: &mut Vec<Key>) {
    let pod = &change.last;
    if let (true, Some(node)) = (nodes::is_network_plugin(pod), pod["spec"]["nodeName"].as_str()) {
        keys.push(Key::new("/nodes", "", node));
    }
    if change.new.is_none() {
        keys.extend(list(objects, "/pods", "", |p| p["spec"]["nodeName"].is_null()));
    }
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let claims = volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
    keys.extend(claims.map(|c| Key::new("/persistentvolumeclaims", &change.key.namespace, c)));
}

fn other_changed(objects: &Objects, change: &Change, keys: &mut Vec<Key>) {
    let namespace = change.key.namespace.as_str();
    let (gone, born) = (change.new.is_none(), change.old.is_none());
    match change.key.resource.as_str() {
        "/secrets" | "/configmaps" | "/persistentvolumeclaims" => {
            keys.extend(list(objects, "/pods", namespace, is_pending));
            let certificate = &change.last["metadata"]["annotations"]["cert-manager.io/certificate-name"];
            if let (true, Some(name)) = (gone, certificate.as_str()) {
                keys.push(Key::new(CERT_MANAGER[2], namespace, name));
            }
            if gone && change.key.resource == "/persistentvolumeclaims" {
                keys.extend(list(objects, "/persistentvolumes", "", |_| true));
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
                keys.extend(list(objects, resource, namespace, |_| true));
            }
        }
        "storage.k8s.io/storageclasses" if born => {
            keys.extend(list(objects, "/persistentvolumeclaims", "", |_| true));
        }
        "storage.k8s.io/csidrivers" if born => {
            keys.extend(list(objects, "/persistentvolumeclaims", "", |_| true));
            keys.extend(list(objects, "/persistentvolumes", "", |_| true));
        }
        "apps/deployments" if change.key.name.contains("cert-manager") => {
            keys.extend(CERT_MANAGER.iter().flat_map(|r| list(objects, r, "", |_| true)));
        }
        "cert-manager.io/issuers" | "cert-manager.io/clusterissuers" => {
            keys.extend(list(objects, CERT_MANAGER[2], "", |_| true));
        }
        _ => {}
    }
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|o| o["uid"].as_str())
}

fn is_pending(pod: &Value) -> bool {
    !matches!(pod["status"]["phase"].as_str(), Some("Running" | "Succeeded" | "Failed"))
}
