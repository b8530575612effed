//! What Gitpod's playbooks stand on: cert-manager and the installer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{CLUSTER, Client, cluster, has, nodes};
use crate::k8s::manifests::manifest_for;

/// Applies every object of a manifest, as a playbook does.
pub async fn apply_manifest(client: &Client, url: &str) {
    for document in super::manifests::documents(manifest_for(url).unwrap()) {
        let path = super::manifests::path_of(&document);
        let (status, answer) = client.apply(&path, "test", &document).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn cert_manager_issues_a_real_certificate() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    let url = "https://github.com/cert-manager/cert-manager/releases/download/v1.16.2/cert-manager.yaml";
    apply_manifest(&client, url).await;
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusterissuers.cert-manager.io";
    client.until(crd, "established", |c| has(c, "Established")).await;
    let issuer = json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
        "metadata": {"name": "gitpod-issuer"}, "spec": {"acme": {"email": "a@example.com",
            "server": "https://acme-v02.api.letsencrypt.org/directory", "solvers": []}}});
    let issuers = "/apis/cert-manager.io/v1/clusterissuers";
    let (status, answer) = client.apply(&format!("{issuers}/gitpod-issuer"), "test", &issuer).await;
    assert_eq!(status, 201, "{answer}");
    client.until(&format!("{issuers}/gitpod-issuer"), "ready", |i| has(i, "Ready")).await;
    let names = ["gitpod.example.com", "*.gitpod.example.com", "*.ws.gitpod.example.com"];
    let certificate = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": "https-certificates"}, "spec": {"secretName": "https-certificates", "dnsNames": names,
            "issuerRef": {"name": "gitpod-issuer", "kind": "ClusterIssuer"}}});
    let path = "/apis/cert-manager.io/v1/namespaces/default/certificates/https-certificates";
    client.apply(path, "test", &certificate).await;
    client.until(path, "ready", |c| has(c, "Ready")).await;
    let secret = client.get("/api/v1/namespaces/default/secrets/https-certificates").await;
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let text = |k: &str| String::from_utf8(STANDARD.decode(secret["data"][k].as_str().unwrap()).unwrap()).unwrap();
    let parsed = CertificateDer::from_pem_slice(text("tls.crt").as_bytes()).unwrap();
    assert!(PrivateKeyDer::from_pem_slice(text("tls.key").as_bytes()).is_ok());
    for name in names {
        let found = parsed.as_ref().windows(name.len()).any(|w| w == name.as_bytes());
        assert!(found, "{name} is in the certificate");
    }
}

fn installer(secret: &str) -> Value {
    json!({"metadata": {"name": "installer"}, "spec": {"backoffLimit": 0, "template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "installer", "image": "eu.gcr.io/gitpod-core-dev/build/installer:2022.11.2",
            "args": ["render", "--namespace", "gitpod"]}],
        "volumes": [{"name": "config", "configMap": {"name": "config"}}, {"name": "s", "secret": {"secretName": secret}}]}}}})
}

async fn prepared() -> (crate::k8s::KubeWorld, Client) {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "gitpod"}})).await;
    let config = "certificate:\n  kind: secret\n  name: https-certificates\n";
    let config = json!({"metadata": {"name": "config"}, "data": {"config.yaml": config}});
    client.create("/api/v1/namespaces/gitpod/configmaps", &config).await;
    (world, client)
}

const JOBS: &str = "/apis/batch/v1/namespaces/gitpod/jobs";

#[tokio::test]
async fn the_installer_makes_gitpods_deployments() {
    let (world, client) = prepared().await;
    let secret = json!({"metadata": {"name": "https-certificates"}, "stringData": {"tls.crt": "x"}});
    client.create("/api/v1/namespaces/gitpod/secrets", &secret).await;
    client.create(JOBS, &installer("https-certificates")).await;
    client.until(&format!("{JOBS}/installer"), "complete", |j| has(j, "Complete")).await;
    let path = "/apis/apps/v1/namespaces/gitpod/deployments";
    let ready = |l: &Value| {
        let items = l["items"].as_array().unwrap();
        items.len() == 10 && items.iter().all(|d| has(d, "Available"))
    };
    client.until(path, "ten and available", ready).await;
    let proxy = "/api/v1/namespaces/gitpod/services/proxy";
    client.until(proxy, "given a host", |s| s["status"]["loadBalancer"]["ingress"].is_array()).await;
    let ports: Vec<u16> = world.load_balancers(CLUSTER)[0].ports.iter().map(|p| p.0).collect();
    assert_eq!(ports, [80, 443, 22]);
}

#[tokio::test]
async fn the_installer_says_what_is_missing() {
    for (mounted, told) in [("absent", "secret \\\"absent\\\" not found"), ("other", "https-certificates")] {
        let (_world, client) = prepared().await;
        let other = json!({"metadata": {"name": "other"}});
        client.create("/api/v1/namespaces/gitpod/secrets", &other).await;
        client.create(JOBS, &installer(mounted)).await;
        client.until(&format!("{JOBS}/installer"), "failed", |j| has(j, "Failed")).await;
        let pods = client.get("/api/v1/namespaces/gitpod/pods").await;
        let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
        let log = client.get(&format!("/api/v1/namespaces/gitpod/pods/{name}/log")).await;
        assert!(log.as_str().unwrap().contains(told), "{log}");
    }
}
