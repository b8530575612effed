//! The simulated Kubernetes over HTTPS, as a client sees it.

mod cloud;
mod gitpod;
mod manifests;
mod protocol;
mod workloads;

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{KubeWorld, NodeSpec};

/// Simulated time is short in tests.
pub const PACE: f64 = 200.0;
/// The cluster of the tests.
pub const CLUSTER: &str = "eu-west-1.gitpod";

/// A client of one cluster.
#[derive(Clone)]
pub struct Client {
    url: String,
    token: String,
    tls: Arc<ClientConfig>,
}

/// A world with one cluster, and a client of it.
pub fn cluster() -> (KubeWorld, Client) {
    let world = KubeWorld::open(None, PACE).unwrap();
    world.ensure_cluster(CLUSTER, "1.33").unwrap();
    let client = Client::of(&world);
    (world, client)
}

/// Nodes with all of Gitpod's labels.
pub fn nodes(count: usize) -> Vec<NodeSpec> {
    let labels = ["meta", "ide", "services", "workspace_services", "workspace_regular", "workspace_headless"];
    let node = |n| {
        let mut node = NodeSpec::new(&format!("node-{n}"));
        node.labels = labels.iter().map(|l| (format!("gitpod.io/workload_{l}"), "true".to_owned())).collect();
        node
    };
    (0..count).map(node).collect()
}

impl Client {
    /// A client that trusts the world's authority.
    pub fn of(world: &KubeWorld) -> Self {
        use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(world.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { url: world.url(CLUSTER), token: world.admin_token().to_owned(), tls: Arc::new(tls) }
    }

    /// The same client with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Sends a request; `None` when the connection was closed without an answer.
    pub async fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Option<http::Response<Incoming>> {
        let (host, prefix) = self.url.trim_start_matches("https://").split_once('/').unwrap();
        let stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/{prefix}{path}"))
            .header("host", host)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind)
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        sender.send_request(request).await.ok()
    }

    /// Sends a request and reads a JSON answer with its status.
    pub async fn call(&self, method: &str, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.send(method, path, kind, &body).await.expect("an answer");
        let status = reply.status();
        let bytes = reply.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    /// The object at `path`; an error status is its own answer.
    pub async fn get(&self, path: &str) -> Value {
        self.call("GET", path, "", &Value::Null).await.1
    }

    /// Creates an object, which must succeed.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call("POST", path, "application/json", body).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    /// Applies an object as `manager`.
    pub async fn apply(&self, path: &str, manager: &str, body: &Value) -> (StatusCode, Value) {
        let path = format!("{path}{}fieldManager={manager}", if path.contains('?') { '&' } else { '?' });
        self.call("PATCH", &path, "application/apply-patch+yaml", body).await
    }

    /// Deletes an object, with what it owns.
    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        self.call("DELETE", path, "application/json", &options).await
    }

    /// Waits until the object at `path` is as wanted.
    pub async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..400 {
            last = self.get(path).await;
            if wanted(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} did not become {what}: {last:#}");
    }
}

/// Whether a condition is true.
pub fn has(object: &Value, condition: &str) -> bool {
    super::cluster::condition_is_true(object, condition)
}

/// A deployment of one container.
pub fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]}}}})
}
