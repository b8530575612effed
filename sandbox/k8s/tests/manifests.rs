//! The stand-ins for manifests: found by their URL, whole, and accepted by a cluster.

use serde::Deserialize as _;
use serde_json::Value;

use super::{CLUSTER, cluster, has, nodes};
use crate::k8s::manifests::manifest_for;

const CALICO: &str = "https://raw.githubusercontent.com/projectcalico/calico/v3.28.2/manifests/calico-vxlan.yaml";
const CERT_MANAGER: &str = "https://github.com/cert-manager/cert-manager/releases/download/v1.17.2/cert-manager.yaml";
const LOAD_BALANCER: &str =
    "https://github.com/kubernetes-sigs/aws-load-balancer-controller/releases/download/v2.13.0/v2_13_0_full.yaml";

/// The objects of a manifest.
pub fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text)
        .map(|d| Value::deserialize(d).expect("every document is YAML"))
        .filter(Value::is_object)
        .collect()
}

/// Where an object of a built-in kind, or of cert-manager's, is applied.
pub fn path_of(object: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]).to_lowercase());
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    format!("/{root}/{version}/{namespace}{kind}s/{}", text(&object["metadata"]["name"]))
}

#[test]
fn manifests_are_found_by_file_name() {
    for url in [CALICO, CERT_MANAGER, LOAD_BALANCER, "https://x/external-dns.yaml?raw=true"] {
        let text = manifest_for(url).unwrap_or_else(|| panic!("{url} has a stand-in"));
        assert!(text.starts_with("# A stand-in"), "{url}");
        assert!(documents(text).len() > 3, "{url}");
    }
    assert_eq!(manifest_for("https://example.com/other.yaml"), None);
    assert_eq!(manifest_for("https://example.com/v1_full.yaml"), None);
}

#[tokio::test]
async fn calico_takes_the_place_of_the_aws_plugin() {
    let (world, client) = cluster();
    client.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node").await;
    super::gitpod::apply_manifest(&client, CALICO).await;
    let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node";
    world.set_nodes(CLUSTER, nodes(2)).unwrap();
    client.until(path, "on every node", |d| d["status"]["numberReady"] == 2).await;
    client.until("/api/v1/nodes/node-1", "ready", |n| has(n, "Ready")).await;
    let controllers = "/apis/apps/v1/namespaces/kube-system/deployments/calico-kube-controllers";
    client.until(controllers, "available", |d| has(d, "Available")).await;
}

#[tokio::test]
async fn the_load_balancer_controller_needs_cert_manager() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    super::gitpod::apply_manifest(&client, CERT_MANAGER).await;
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let established = |l: &Value| l["items"].as_array().unwrap().iter().all(|c| has(c, "Established"));
    client.until(crd, "established", established).await;
    super::gitpod::apply_manifest(&client, LOAD_BALANCER).await;
    let path = "/apis/apps/v1/namespaces/kube-system/deployments/aws-load-balancer-controller";
    client.until(path, "available", |d| has(d, "Available")).await;
}

#[tokio::test]
async fn applying_a_manifest_again_changes_nothing() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    for url in [CALICO, CERT_MANAGER] {
        super::gitpod::apply_manifest(&client, url).await;
    }
    let deployments = |l: &Value| l["items"].as_array().unwrap().iter().all(|d| has(d, "Available"));
    client.until("/apis/apps/v1/deployments", "available", deployments).await;
    let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node";
    client.until(path, "rolled out", |d| d["status"]["numberReady"] == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for document in [CALICO, CERT_MANAGER].iter().flat_map(|url| documents(manifest_for(url).unwrap())) {
        let path = path_of(&document);
        let before = client.get(&path).await;
        let (_, after) = client.apply(&path, "test", &document).await;
        assert_eq!(before, after, "{path}");
    }
}
