//! AWS and Kubernetes as one: nodes of node groups, load balancers of Services, and what holds what.

mod client;

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use sandbox::core::clock::Pace;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

fn options(dir: &std::path::Path) -> Options {
    Options { dir: Some(dir.into()), pace: Pace::Max, verify_signatures: false, ..Options::default() }
}

/// A client of one cluster's API.
struct Kube {
    host: String,
    prefix: String,
    token: String,
    tls: Arc<ClientConfig>,
}

impl Kube {
    fn new(sandbox: &Sandbox, cluster: &Value) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(sandbox.env().kube.ca_pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let endpoint = cluster["endpoint"].as_str().unwrap().trim_start_matches("https://");
        let (host, prefix) = endpoint.split_once('/').unwrap();
        let token = sandbox.env().kube.admin_token().to_owned();
        Self { host: host.to_owned(), prefix: prefix.to_owned(), token, tls: Arc::new(tls) }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let stream = tokio::net::TcpStream::connect(&self.host).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await.unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} /{}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.prefix,
            self.host,
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // The server may close without the goodbye of TLS.
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let (begin, end) = (body.find('{').unwrap_or(0), body.rfind('}').map_or(0, |at| at + 1));
        serde_json::from_str(&body[begin..end]).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, &Value::Null).await
    }
}

/// Asks until the answer is as wanted.
async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, wanted: impl Fn(&T) -> bool) -> T {
    for _ in 0..300 {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come about in six seconds");
}

/// Two public subnets for load balancers.
async fn network(client: &Client) -> (String, Vec<String>) {
    let (vpc, first) = client::vpc_with_gateway(client).await;
    let second = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.1.0/24"), ("AvailabilityZone", "eu-west-1b")];
    let second = client.ec2("CreateSubnet", &second).await.unwrap().text("subnetId");
    for subnet in [&first, &second] {
        let tag = [("ResourceId.1", subnet.as_str()), ("Tag.1.Key", "kubernetes.io/role/elb"), ("Tag.1.Value", "1")];
        assert_eq!(client.ec2("CreateTags", &tag).await.unwrap().status, 200);
    }
    (vpc, vec![first, second])
}

async fn role(client: &Client, name: &str, service: &str) -> String {
    let trust =
        json!({"Statement": {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}});
    let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
    client.iam("CreateRole", &parameters).await.unwrap().text("Arn")
}

/// A cluster `c` with a node group `n` of two machines; returns the cluster as EKS describes it.
async fn cluster(client: &Client, subnets: &[String]) -> Value {
    let (control, node) =
        (role(client, "control", "eks.amazonaws.com").await, role(client, "node", "ec2.amazonaws.com").await);
    let body =
        json!({"name": "c", "version": "1.33", "roleArn": control, "resourcesVpcConfig": {"subnetIds": subnets}});
    let (status, made) = client.eks("POST", "/clusters", &body).await;
    assert_eq!((status, &made["cluster"]["status"]), (200, &json!("CREATING")), "{made}");
    let body = json!({"nodegroupName": "n", "nodeRole": node, "subnets": subnets, "labels": {"team": "a"},
        "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2}});
    let (status, made) = client.eks("POST", "/clusters/c/node-groups", &body).await;
    assert_eq!(status, 200, "{made}");
    client.eks("GET", "/clusters/c", &Value::Null).await.1["cluster"].clone()
}

async fn node_count(kube: &Kube) -> usize {
    kube.get("/api/v1/nodes").await["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn machines_are_nodes_and_services_hold_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(options(dir.path())).await.unwrap();
    let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
    let (vpc, subnets) = network(&client).await;
    let described = cluster(&client, &subnets).await;
    let kube = Kube::new(&sandbox, &described);
    assert_eq!(node_count(&kube).await, 2);
    let node = kube.get("/api/v1/nodes").await["items"][0].clone();
    assert_eq!(node["metadata"]["labels"]["team"], "a");
    let machine = node["spec"]["providerID"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let found = client.ec2("DescribeInstances", &[("InstanceId.1", &machine)]).await.unwrap();
    assert!(found.body.contains("eks:nodegroup-name"), "{}", found.body);

    let more = json!({"scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 3}});
    let (status, _) = client.eks("POST", "/clusters/c/node-groups/n/update-config", &more).await;
    assert_eq!(status, 200);
    until(|| node_count(&kube), |count| *count == 3).await;

    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "proxy"},
        "spec": {"type": "LoadBalancer", "selector": {"a": "b"}, "ports": [{"name": "s", "port": 443}]}});
    kube.call("POST", "/api/v1/namespaces/default/services", &service).await;
    let path = "/api/v1/namespaces/default/services/proxy";
    let host = |service: &Value| service["status"]["loadBalancer"]["ingress"][0]["hostname"].clone();
    let shown = until(|| kube.get(path), |service| host(service).is_string()).await;
    let balancers = client.elb("DescribeLoadBalancers", &[]).await.unwrap();
    assert_eq!(json!(balancers.text("DNSName")), host(&shown));
    assert_eq!(balancers.text("VPCId"), vpc);
    for subnet in &subnets {
        let refused = client.ec2("DeleteSubnet", &[("SubnetId", subnet)]).await.unwrap();
        assert_eq!(refused.text("Code"), "DependencyViolation");
    }

    kube.call("DELETE", path, &Value::Null).await;
    until(
        || async { client.elb("DescribeLoadBalancers", &[]).await.unwrap().texts("DNSName").len() },
        |count| *count == 0,
    )
    .await;
    assert_eq!(client.eks("DELETE", "/clusters/c/node-groups/n", &Value::Null).await.0, 200);
    until(|| node_count(&kube), |count| *count == 0).await;
    assert_eq!(client.eks("DELETE", "/clusters/c", &Value::Null).await.0, 200);
    assert_eq!(client.eks("GET", "/clusters/c", &Value::Null).await.0, 404);
    assert!(sandbox.env().kube.clusters().is_empty());
    for subnet in &subnets {
        let gone = client.ec2("DeleteSubnet", &[("SubnetId", subnet)]).await.unwrap();
        assert_eq!(gone.status, 200, "{}", gone.body);
    }
}

#[tokio::test]
async fn both_sides_find_themselves_again() {
    let dir = tempfile::tempdir().unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "proxy"},
        "spec": {"type": "LoadBalancer", "selector": {"a": "b"}, "ports": [{"name": "s", "port": 443}]}});
    let path = "/api/v1/namespaces/default/services/proxy";
    let host = |service: &Value| service["status"]["loadBalancer"]["ingress"][0]["hostname"].clone();
    let mut before = None;
    for turn in 0..2 {
        let sandbox = Sandbox::start(options(dir.path())).await.unwrap();
        let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
        if turn == 0 {
            let (_, subnets) = network(&client).await;
            let described = cluster(&client, &subnets).await;
            Kube::new(&sandbox, &described).call("POST", "/api/v1/namespaces/default/services", &service).await;
        }
        let (_, described) = client.eks("GET", "/clusters/c", &Value::Null).await;
        let kube = Kube::new(&sandbox, &described["cluster"]);
        let shown = until(|| kube.get(path), |service| host(service).is_string()).await;
        let uids: Vec<Value> = kube.get("/api/v1/nodes").await["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["metadata"]["uid"].clone())
            .collect();
        assert_eq!(uids.len(), 2);
        // Longer than a tick, in which a second load balancer would be made.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let balancers = client.elb("DescribeLoadBalancers", &[]).await.unwrap().texts("DNSName");
        assert_eq!(balancers.len(), 1);
        let now = (host(&shown), uids, balancers);
        assert!(before.as_ref().is_none_or(|before| *before == now), "{before:?} became {now:?}");
        before = Some(now);
    }
}
