//! Between a cluster and its cloud: tokens, load balancers, faults, nodes, volumes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{CLUSTER, Client, cluster, has, nodes};
use crate::k8s::{Cloud, Fault, KubeWorld, LoadBalancer};

/// A cloud that notes what it is asked.
#[derive(Default)]
struct Notebook {
    lines: Mutex<Vec<String>>,
    fault: Mutex<Option<Fault>>,
}

impl Notebook {
    fn note(&self, line: String) {
        let mut lines = self.lines.lock().unwrap();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
}

impl Cloud for Notebook {
    fn load_balancer_wanted(&self, wanted: &LoadBalancer) -> Option<String> {
        let ports: Vec<String> = wanted.ports.iter().map(|p| p.0.to_string()).collect();
        self.note(format!("wanted {}/{} {}", wanted.namespace, wanted.service, ports.join(",")));
        None
    }

    fn load_balancer_gone(&self, gone: &LoadBalancer) {
        self.note(format!("gone {}/{} {}", gone.namespace, gone.service, gone.host.as_deref().unwrap_or("-")));
    }

    fn accepts(&self, _cluster: &str, access_key: &str) -> bool {
        access_key == "AKIAKNOWN"
    }

    fn fault(&self, _cluster: &str, method: &str, _path: &str) -> Option<Fault> {
        if method == "POST" { self.fault.lock().unwrap().take() } else { None }
    }
}

fn token(key: &str, signed: jiff::Timestamp, headers: &str) -> String {
    let date = signed.strftime("%Y%m%dT%H%M%SZ");
    let url = format!(
        "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Credential={key}%2F\
         20260101%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date={date}&X-Amz-SignedHeaders={headers}&X-Amz-Signature=0"
    );
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

#[tokio::test]
async fn tokens_of_known_keys_are_let_in() {
    let (world, client) = cluster();
    world.set_cloud(Arc::new(Notebook::default()));
    let now = jiff::Timestamp::now();
    let signed = "host%3Bx-k8s-aws-id";
    let status = async |token: String| {
        let client = client.with_token(&token);
        client.call("GET", "/api/v1/nodes", "", &Value::Null).await.0.as_u16()
    };
    assert_eq!(status(token("AKIAKNOWN", now, signed)).await, 200);
    assert_eq!(status(token("AKIASTRANGER", now, signed)).await, 401);
    assert_eq!(status(token("AKIAKNOWN", now, "host")).await, 401);
    let old = now - jiff::SignedDuration::from_mins(16);
    assert_eq!(status(token("AKIAKNOWN", old, signed)).await, 401);
    assert_eq!(status("guess".to_owned()).await, 401);
    let (version, _) = client.with_token("guess").call("GET", "/version", "", &Value::Null).await;
    assert_eq!(version, 200);
}

#[tokio::test]
async fn a_load_balancer_comes_and_goes_with_its_service() {
    let (world, client) = cluster();
    let cloud = Arc::new(Notebook::default());
    world.set_cloud(cloud.clone());
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "gitpod"}})).await;
    let ports: Vec<Value> = [80, 443].iter().map(|p| json!({"name": format!("p{p}"), "port": p})).collect();
    let service = json!({"metadata": {"name": "proxy"}, "spec": {"type": "LoadBalancer", "ports": ports}});
    client.create("/api/v1/namespaces/gitpod/services", &service).await;
    let path = "/api/v1/namespaces/gitpod/services/proxy";
    client.until(path, "held", |s| s["metadata"]["finalizers"].is_array()).await;
    world.set_load_balancer_host(CLUSTER, "gitpod", "proxy", "lb.example.com").unwrap();
    let shown = client.get(path).await;
    assert_eq!(shown["status"]["loadBalancer"]["ingress"][0]["hostname"], "lb.example.com");
    let balancers = world.load_balancers(CLUSTER);
    assert_eq!(balancers[0].host.as_deref(), Some("lb.example.com"));
    assert!(balancers[0].ports.iter().all(|p| p.1 >= 30_000 && p.2 == "TCP"), "{balancers:?}");
    for _ in 0..100 {
        if cloud.lines.lock().unwrap().iter().any(|l| l.starts_with("wanted")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, _) = client.delete("/api/v1/namespaces/gitpod").await;
    assert_eq!(status, 200);
    client.until("/api/v1/namespaces/gitpod", "gone", |n| n["reason"] == "NotFound").await;
    assert_eq!(*cloud.lines.lock().unwrap(), ["wanted gitpod/proxy 80,443", "gone gitpod/proxy lb.example.com"]);
    assert!(world.load_balancers(CLUSTER).is_empty());
}

#[tokio::test]
async fn nothing_new_comes_into_a_namespace_that_ends() {
    let world = KubeWorld::open(None, 1.0).unwrap();
    world.ensure_cluster(CLUSTER, "1.33").unwrap();
    let client = Client::of(&world);
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "gitpod"}})).await;
    let (_, ending) = client.delete("/api/v1/namespaces/gitpod").await;
    assert_eq!(ending["status"]["phase"], "Terminating");
    let late = json!({"metadata": {"name": "late"}});
    let path = "/api/v1/namespaces/gitpod/configmaps";
    let (status, refused) = client.call("POST", path, "application/json", &late).await;
    let cause = &refused["details"]["causes"][0]["reason"];
    assert_eq!((status.as_u16(), cause), (403, &json!("NamespaceTerminating")));
}

#[tokio::test]
async fn faults_are_met_before_and_after_the_work() {
    let (world, client) = cluster();
    let cloud = Arc::new(Notebook::default());
    world.set_cloud(cloud.clone());
    let path = "/api/v1/namespaces/default/configmaps";
    let body = |n: &str| json!({"metadata": {"name": n}});
    *cloud.fault.lock().unwrap() = Some(Fault::Refuse(503, "not now".to_owned()));
    let (status, _) = client.call("POST", path, "application/json", &body("a")).await;
    assert_eq!(status, 503);
    for (fault, name, there) in [(Fault::Drop, "b", false), (Fault::LoseReply, "c", true)] {
        *cloud.fault.lock().unwrap() = Some(fault.clone());
        let reply = client.send("POST", path, "application/json", &body(name).to_string()).await;
        assert!(reply.is_none(), "{fault:?} answers nothing");
        let found = client.get(&format!("{path}/{name}")).await;
        assert_eq!(found["kind"] == "ConfigMap", there, "{fault:?}: {found}");
    }
}

#[tokio::test]
async fn nodes_keep_their_identity_and_need_a_network_plugin() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(2)).unwrap();
    let path = "/api/v1/nodes/node-0";
    let node = client.until(path, "ready", |n| has(n, "Ready")).await;
    assert_eq!(node["status"]["allocatable"]["pods"], "110");
    assert!(node["status"]["nodeInfo"]["containerRuntimeVersion"].as_str().unwrap().starts_with("containerd://1.7"));
    let mark = json!({"metadata": {"annotations": {"mine": "1"}}});
    client.call("PATCH", path, "application/merge-patch+json", &mark).await;
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    let again = client.get(path).await;
    assert_eq!(again["metadata"]["uid"], node["metadata"]["uid"]);
    assert_eq!(again["metadata"]["annotations"]["mine"], "1");
    assert_eq!(client.get("/api/v1/nodes/node-1").await["reason"], "NotFound");
    assert_eq!(world.ready_nodes(CLUSTER), ["node-0"]);
    // Without the plugin, a new node stays unready.
    client.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node").await;
    world.set_nodes(CLUSTER, nodes(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.ready_nodes(CLUSTER), ["node-0"]);
    let late = client.get("/api/v1/nodes/node-1").await;
    assert!(late["status"]["conditions"].to_string().contains("cni plugin not initialized"), "{late}");
}

#[tokio::test]
async fn a_claim_gets_its_volume_with_its_first_pod() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    let claim = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "gp2",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}});
    client.create("/api/v1/namespaces/default/persistentvolumeclaims", &claim).await;
    let pod = json!({"metadata": {"name": "db"}, "spec": {"containers": [{"name": "c", "image": "mysql"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}});
    client.create("/api/v1/namespaces/default/pods", &pod).await;
    // Without the driver nothing makes the volume, and nothing deletes it.
    client.until("/api/v1/namespaces/default/events", "waiting", |l| l.to_string().contains("ebs.csi.aws.com")).await;
    assert_eq!(world.volumes(CLUSTER), []);
    world.set_ebs_driver(CLUSTER, true).unwrap();
    client.until("/api/v1/namespaces/default/pods/db", "ready", |p| has(p, "Ready")).await;
    let volumes = world.volumes(CLUSTER);
    assert_eq!((volumes[0].claim.as_str(), volumes[0].size_gib), ("data", 20));
    client.delete("/api/v1/namespaces/default/pods/db").await;
    world.set_ebs_driver(CLUSTER, false).unwrap();
    client.delete("/api/v1/namespaces/default/persistentvolumeclaims/data").await;
    let released = |l: &Value| l["items"][0]["status"]["phase"] == "Released";
    client.until("/api/v1/persistentvolumes", "released", released).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(world.volumes(CLUSTER)[0].released);
    world.set_ebs_driver(CLUSTER, true).unwrap();
    client.until("/api/v1/persistentvolumes", "empty", |l| l["items"] == json!([])).await;
}

#[tokio::test]
async fn clusters_that_come_back_ask_no_other_cloud_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = "/api/v1/namespaces/default/services/proxy";
    {
        let world = KubeWorld::open(Some(dir.path()), super::PACE).unwrap();
        world.set_cloud(Arc::new(Notebook::default()));
        world.ensure_cluster(CLUSTER, "1.33").unwrap();
        let service = json!({"metadata": {"name": "proxy"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
        let client = Client::of(&world);
        client.create("/api/v1/namespaces/default/services", &service).await;
        client.until(path, "held", |s| s["metadata"]["finalizers"].is_array()).await;
        world.set_load_balancer_host(CLUSTER, "default", "proxy", "lb.example.com").unwrap();
    }
    let world = KubeWorld::prepare(Some(dir.path()), super::PACE).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.clusters().is_empty());
    let cloud = Arc::new(Notebook::default());
    world.set_cloud(cloud.clone());
    world.reopen().unwrap();
    let client = Client::of(&world);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(client.get(path).await["status"]["loadBalancer"]["ingress"][0]["hostname"], "lb.example.com");
    assert_eq!(*cloud.lines.lock().unwrap(), ["wanted default/proxy 80"]);
}
