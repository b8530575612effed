//! The waits.

use super::{Lab, deployment, namespace};
use crate::bind::Binding;
use serde_json::json;

fn cluster() -> serde_json::Value {
    json!({ "name": "lab" })
}

#[tokio::test]
async fn workloads_and_nodes_come_up() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    lab.converge(&Lab::args(calico())).await.unwrap();
    let labels = json!({ "topology.kubernetes.io/zone": "eu-west-1a" });
    let nodes =
        lab.wait("k8s::wait_nodes", json!({ "cluster": cluster(), "labels": labels, "count": 2 })).await.unwrap();
    assert_eq!(nodes.as_array().unwrap().len(), 2);
    assert_eq!((&nodes[0]["ready"], &nodes[0]["max_pods"]), (&json!(true), &json!(110)));
    lab.converge(&Lab::args(deployment("server", 2, "x"))).await.unwrap();
    let rollout = json!({ "cluster": cluster(), "kind": "deployment", "namespace": "gitpod", "name": "server" });
    assert_eq!(lab.wait("k8s::wait_rollout", rollout).await.unwrap(), json!({ "replicas": 2, "ready": 2 }));
    let available = json!({ "cluster": cluster(), "api_version": "apps/v1", "kind": "Deployment", "namespace": "gitpod",
        "name": "server", "condition": "Available" });
    assert_eq!(lab.wait("k8s::wait_condition", available).await.unwrap()["metadata"]["name"], "server");
    let mut waited = Lab::args(deployment("waited", 1, "x"));
    waited["wait"] = json!(true);
    assert_eq!(lab.converge(&waited).await.unwrap()["state"], "ready");
}

#[tokio::test]
async fn load_balancers_jobs_and_absence() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    lab.converge(&Lab::args(calico())).await.unwrap();
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "proxy", "namespace": "gitpod" },
        "spec": { "type": "LoadBalancer", "ports": [{ "name": "https", "port": 443 }] } });
    let seen = lab.converge(&Lab::args(service)).await.unwrap();
    let wanted = json!({ "cluster": cluster(), "namespace": "gitpod", "name": "proxy" });
    let address = lab.wait("k8s::wait_load_balancer", wanted).await.unwrap();
    assert!(address["hostname"].as_str().unwrap().contains('.'), "{address}");
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once", "namespace": "gitpod" },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }] } } } });
    lab.converge(&Lab::args(job)).await.unwrap();
    let done = lab
        .wait("k8s::wait_job", json!({ "cluster": cluster(), "namespace": "gitpod", "name": "once" }))
        .await
        .unwrap();
    assert_eq!(done["succeeded"], 1);
    lab.delete(&seen).await;
    let gone =
        json!({ "cluster": cluster(), "api_version": "v1", "kind": "Service", "namespace": "gitpod", "name": "proxy" });
    lab.wait("k8s::wait_gone", gone).await.unwrap();
    let none = json!({ "cluster": cluster(), "api_version": "v1", "kind": "Pod", "labels": { "app": "nothing" } });
    lab.wait("k8s::wait_gone", none).await.unwrap();
}

#[tokio::test]
async fn a_failed_job_tells_why_at_once() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    lab.converge(&Lab::args(calico())).await.unwrap();
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once", "namespace": "gitpod" },
        "spec": { "backoffLimit": 0, "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox", "command": ["/bin/sh", "-c", "exit 3"] }] } } } });
    lab.converge(&Lab::args(job)).await.unwrap();
    let wanted = json!({ "cluster": cluster(), "namespace": "gitpod", "name": "once" });
    let error = lab.wait("k8s::wait_job", wanted).await.err().unwrap();
    assert!(error.message.contains("`gitpod/Job.batch/once` failed"), "{error}");
    let cause = error.cause.unwrap();
    assert!(cause.contains("BackoffLimitExceeded") && cause.contains("container `main`: ended with code 3"), "{cause}");
}

#[tokio::test]
async fn a_rollout_that_hangs_is_explained() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    lab.converge(&Lab::args(calico())).await.unwrap();
    let missing = json!([{ "name": "s", "secret": { "secretName": "database" } }]);
    for (name, image, volumes, words) in [
        ("absent", "registry.test/does-not-exist:1", json!([]), "ImagePull"),
        ("crashing", "crash-loop:1", json!([]), "CrashLoopBackOff"),
        ("unmounted", "server:1", missing, "`unmounted"),
    ] {
        let mut manifest = deployment(name, 1, image);
        manifest["spec"]["template"]["spec"]["volumes"] = volumes;
        lab.converge(&Lab::args(manifest)).await.unwrap();
        let args = json!({ "cluster": cluster(), "kind": "deployment", "namespace": "gitpod", "name": name });
        let Some(Binding::Wait(wait)) = lab.registry.get("k8s::wait_rollout").map(|entry| entry.binding.clone()) else {
            panic!("no wait")
        };
        let mut said = String::new();
        for _ in 0..super::PATIENCE {
            said = wait.explain(&lab.cx(""), &args).await.unwrap_or_default();
            if said.contains(words) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(said.contains(words) && said.starts_with("0 of 1 pods are available"), "{name}: {said}");
    }
}

#[tokio::test]
async fn look_ups_see_what_is_there() {
    let lab = Lab::start().await;
    let version = lab.look("k8s::version", json!({ "cluster": cluster() })).await.unwrap();
    assert_eq!(version["minor"], 33);
    let query = json!({ "cluster": cluster(), "api_version": "v1", "kind": "ConfigMap", "name": "nothing" });
    assert_eq!(lab.look("k8s::find", query.clone()).await.unwrap(), serde_json::Value::Null);
    assert!(lab.look("k8s::get", query).await.err().unwrap().is_not_found());
    let list =
        lab.look("k8s::list", json!({ "cluster": cluster(), "api_version": "v1", "kind": "Namespace" })).await.unwrap();
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .any(|item| item["metadata"]["name"] == "default" && item["kind"] == "Namespace")
    );
    assert_eq!(lab.look("k8s::nodes", json!({ "cluster": cluster() })).await.unwrap().as_array().unwrap().len(), 2);
    let odd = json!({ "cluster": cluster(), "api_version": "acme.test/v9", "kind": "Widget" });
    assert!(lab.look("k8s::list", odd).await.err().unwrap().message.contains("`Widget`"));
}

/// The network plugin without which nodes are not ready.
fn calico() -> serde_json::Value {
    json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "calico-node", "namespace": "kube-system" },
        "spec": { "selector": { "matchLabels": { "k8s-app": "calico-node" } }, "template": {
            "metadata": { "labels": { "k8s-app": "calico-node" } },
            "spec": { "hostNetwork": true, "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "calico-node", "image": "calico/node:v3.30" }] } } } })
}
