//! Deployments, daemon sets, stateful sets and jobs, and how they fail.

use serde_json::{Value, json};

use super::{CLUSTER, Client, cluster, deployment, has, nodes};

const APPS: &str = "/apis/apps/v1/namespaces/default";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// What a container waits for, in the first pod whose name starts so.
async fn waiting(client: &Client, prefix: &str) -> Value {
    let pods = client.get(PODS).await;
    let pods = pods["items"].as_array().unwrap();
    let pod = pods.iter().find(|p| p["metadata"]["name"].as_str().unwrap().starts_with(prefix));
    pod.map_or(Value::Null, |p| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone())
}

async fn until_waiting(client: &Client, prefix: &str, reason: &str) {
    for _ in 0..300 {
        if waiting(client, prefix).await == reason {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{prefix} never waited for {reason}");
}

#[tokio::test]
async fn pods_wait_for_a_node_and_the_events_say_so() {
    let (world, client) = cluster();
    client.create(&format!("{APPS}/deployments"), &deployment("web", 1, "nginx")).await;
    let events = "/api/v1/namespaces/default/events";
    client
        .until(events, "told", |l| {
            let text = l["items"].to_string();
            text.contains("FailedScheduling") && text.contains("no nodes available")
        })
        .await;
    let path = format!("{APPS}/deployments/web");
    assert!(!has(&client.get(&path).await, "Available"));
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    client.until(&path, "available", |d| has(d, "Available") && d["status"]["readyReplicas"] == 1).await;
}

#[tokio::test]
async fn a_rollout_replaces_pods_and_spreads_them() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(2)).unwrap();
    let path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
    let done = |d: &Value| {
        let s = &d["status"];
        s["observedGeneration"] == d["metadata"]["generation"]
            && s["updatedReplicas"] == 2
            && s["readyReplicas"] == 2
            && s["replicas"] == 2
    };
    client.until(path, "rolled out", done).await;
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}});
    let (status, _) = client.call("PATCH", path, "application/strategic-merge-patch+json", &restart).await;
    assert_eq!(status, 200);
    let rolled = client.until(path, "rolled out again", |d| d["metadata"]["generation"] == 2 && done(d)).await;
    assert_eq!(rolled["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    let pods = client.get("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns").await;
    let mut hosts: Vec<&str> =
        pods["items"].as_array().unwrap().iter().filter_map(|p| p["spec"]["nodeName"].as_str()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["node-0", "node-1"]);
    let sets = client.get("/apis/apps/v1/namespaces/kube-system/replicasets").await;
    assert_eq!(sets["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_every_node() {
    let (world, client) = cluster();
    let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
    world.set_nodes(CLUSTER, nodes(3)).unwrap();
    client.until(path, "on three nodes", |d| d["status"]["numberReady"] == 3).await;
    let env = json!({"spec": {"template": {"spec": {"containers":
        [{"name": "kube-proxy", "env": [{"name": "A", "value": "b"}]}]}}}});
    client.call("PATCH", path, "application/strategic-merge-patch+json", &env).await;
    let rolled = |d: &Value| {
        d["status"]["observedGeneration"] == 2
            && d["status"]["updatedNumberScheduled"] == 3
            && d["status"]["numberReady"] == 3
    };
    client.until(path, "replaced", rolled).await;
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    client.until(path, "on one node", |d| d["status"]["desiredNumberScheduled"] == 1).await;
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    client.create(&format!("{APPS}/deployments"), &deployment("image", 1, "repo/does-not-exist:1")).await;
    let mut env = deployment("env", 1, "nginx");
    env["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "P", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}}]);
    client.create(&format!("{APPS}/deployments"), &env).await;
    let mut account = deployment("account", 1, "nginx");
    account["spec"]["template"]["spec"]["serviceAccountName"] = json!("irsa");
    client.create(&format!("{APPS}/deployments"), &account).await;
    until_waiting(&client, "image-", "ImagePullBackOff").await;
    until_waiting(&client, "env-", "CreateContainerConfigError").await;
    let failing = client.get(&format!("{APPS}/deployments/account")).await;
    assert!(has(&failing, "ReplicaFailure"), "{failing}");
    let events = client.get("/api/v1/namespaces/default/events").await.to_string();
    for told in ["Back-off pulling image", "secret \\\"database\\\" not found", "serviceaccount \\\"irsa\\\" not found"]
    {
        assert!(events.contains(told), "no event tells `{told}`");
    }
    let secret = json!({"metadata": {"name": "database"}, "stringData": {"password": "x"}});
    client.create("/api/v1/namespaces/default/secrets", &secret).await;
    client.create("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "irsa"}})).await;
    for name in ["env", "account"] {
        client.until(&format!("{APPS}/deployments/{name}"), "available", |d| has(d, "Available")).await;
    }
}

#[tokio::test]
async fn a_crashing_container_leaves_the_log_of_its_last_run() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    client.create(&format!("{APPS}/deployments"), &deployment("bad", 1, "repo/crash-loop:1")).await;
    until_waiting(&client, "bad-", "CrashLoopBackOff").await;
    let pods = client.get(PODS).await;
    let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let log = client.get(&format!("{PODS}/{name}/log?previous=true")).await;
    assert!(log.as_str().unwrap().contains("exit status 1"), "{log}");
    let refused = client.get(&format!("{PODS}/{name}/log")).await;
    assert!(refused["message"].as_str().unwrap().contains("waiting to start: CrashLoopBackOff"), "{refused}");
}

#[tokio::test]
async fn a_stateful_set_has_numbered_pods_with_claims() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    world.set_ebs_driver(CLUSTER, true).unwrap();
    let mut set = deployment("db", 2, "mysql");
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("db");
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {"storageClassName": "gp2",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    client.create(&format!("{APPS}/statefulsets"), &set).await;
    client.until(&format!("{APPS}/statefulsets/db"), "ready", |s| s["status"]["readyReplicas"] == 2).await;
    assert_eq!(client.get(&format!("{PODS}/db-1")).await["status"]["phase"], "Running");
    assert_eq!(world.volumes(CLUSTER).len(), 2);
}

#[tokio::test]
async fn jobs_end_and_their_logs_can_be_read() {
    let (world, client) = cluster();
    world.set_nodes(CLUSTER, nodes(1)).unwrap();
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let job = |name: &str, script: &str| {
        json!({"metadata": {"name": name}, "spec": {"backoffLimit": 1, "template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "c", "image": "busybox", "command": ["sh", "-c", script]}]}}}})
    };
    client.create(jobs, &job("good", "echo hello")).await;
    client.create(jobs, &job("bad", "echo no; exit 3")).await;
    client.until(&format!("{jobs}/good"), "complete", |j| has(j, "Complete")).await;
    let failed = client.until(&format!("{jobs}/bad"), "failed", |j| has(j, "Failed")).await;
    assert_eq!(failed["status"]["failed"], 2);
    let selected = format!("{PODS}?labelSelector=job-name%3Dbad");
    let pods = client.get(&selected).await;
    let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let log = client.get(&format!("{PODS}/{name}/log?tailLines=1")).await;
    assert!(log.as_str().unwrap().contains("exit status 3"), "{log}");
    // Without a policy the pods of a Job stay, as its first version had it.
    client.call("DELETE", &format!("{jobs}/bad"), "", &Value::Null).await;
    assert_eq!(client.get(&selected).await["items"].as_array().unwrap().len(), 2);
    client.delete(&format!("{jobs}/good")).await;
    let gone = client.get(&format!("{PODS}?labelSelector=job-name%3Dgood")).await;
    assert_eq!(gone["items"], json!([]));
}
