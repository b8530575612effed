//! Reading and writing: apply, conflicts, dry run, watch, paging, discovery, persistence.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{CLUSTER, Client, PACE, cluster, deployment};
use crate::k8s::KubeWorld;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_a_conflict_names_its_field() {
    let (_world, client) = cluster();
    let path = format!("{MAPS}/a");
    let (status, first) = client.apply(&path, "one", &map("a", "1")).await;
    assert_eq!(status, 201);
    let (status, again) = client.apply(&path, "one", &map("a", "1")).await;
    assert_eq!((status.as_u16(), &again), (200, &first));
    let (status, refused) = client.apply(&path, "two", &map("a", "2")).await;
    assert_eq!(status, 409);
    assert_eq!(refused["details"]["causes"][0]["field"], ".data.k", "{refused}");
    assert_eq!(refused["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (status, taken) = client.apply(&format!("{path}?force=true"), "two", &map("a", "2")).await;
    assert_eq!((status.as_u16(), &taken["data"]["k"]), (200, &json!("2")));
}

#[tokio::test]
async fn a_dry_run_keeps_nothing_but_refuses_as_a_real_one() {
    let (_world, client) = cluster();
    let (status, shown) = client.apply(&format!("{MAPS}/a?dryRun=All"), "one", &map("a", "1")).await;
    assert_eq!((status.as_u16(), &shown["data"]["k"]), (201, &json!("1")));
    assert_eq!(client.get(&format!("{MAPS}/a")).await["reason"], "NotFound");
    let bad = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {}});
    let path = "/apis/apps/v1/namespaces/default/deployments/x?dryRun=All";
    let (status, refused) = client.apply(path, "one", &bad).await;
    assert_eq!((status.as_u16(), &refused["reason"]), (422, &json!("Invalid")));
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_refused_and_an_unknown_one_when_asked() {
    let (_world, client) = cluster();
    let number = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": 5}});
    let (status, refused) = client.apply(&format!("{MAPS}/a"), "one", &number).await;
    assert_eq!(status, 500, "as the real server has it");
    assert!(refused["message"].as_str().unwrap().contains(".data.k: expected string"), "{refused}");
    let strange = json!({"metadata": {"name": "a"}, "date": {"k": "v"}});
    let path = format!("{MAPS}?fieldValidation=Strict");
    let (status, refused) = client.call("POST", &path, "application/json", &strange).await;
    assert_eq!(status, 400);
    assert!(refused["message"].as_str().unwrap().contains("unknown field \"date\""), "{refused}");
    let created = client.create(MAPS, &strange).await;
    assert!(created["date"].is_null(), "dropped: {created}");
}

#[tokio::test]
async fn a_client_cannot_pass_for_a_controller() {
    let (_world, client) = cluster();
    let mut forged = deployment("web", 1, "nginx");
    forged["status"] = json!({"readyReplicas": 9});
    let path = "/apis/apps/v1/namespaces/default/deployments?fieldManager=kube-controller-manager";
    let created = client.create(path, &forged).await;
    assert!(created["status"]["readyReplicas"].is_null(), "{created}");
}

#[tokio::test]
async fn a_watch_tells_of_each_change_and_of_leaving_its_selector() {
    let (_world, client) = cluster();
    client.create(MAPS, &map("old", "0")).await;
    let query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan\
                 &labelSelector=!hidden";
    let reply = client.send("GET", &format!("{MAPS}?{query}"), "", "").await.unwrap();
    let mut body = reply.into_body();
    client.create(MAPS, &map("new", "1")).await;
    let hide = json!({"metadata": {"labels": {"hidden": "yes"}}});
    client.call("PATCH", &format!("{MAPS}/new"), "application/merge-patch+json", &hide).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
        for line in chunk.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let event: Value = serde_json::from_slice(line).unwrap();
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
            seen.push(format!("{} {name}", event["type"].as_str().unwrap()));
        }
    }
    assert_eq!(seen, ["ADDED old", "BOOKMARK -", "ADDED new", "DELETED new"]);
    let old = format!("{MAPS}?watch=true&resourceVersion=999999999");
    assert_eq!(client.send("GET", &old, "", "").await.unwrap().status(), 200, "a future version waits");
}

#[tokio::test]
async fn lists_page_and_select() {
    let (_world, client) = cluster();
    for n in 0..5 {
        client.create(MAPS, &map(&format!("m{n}"), "1")).await;
    }
    let first = client.get(&format!("{MAPS}?limit=3")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = client.get(&format!("{MAPS}?limit=3&continue={token}")).await;
    let count = |l: &Value| l["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest)), (3, 2));
    assert!(rest["metadata"]["continue"].is_null());
    let one = client.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm2")).await;
    assert_eq!(count(&one), 1);
}

#[tokio::test]
async fn stale_writes_are_refused() {
    let (_world, client) = cluster();
    let mut first = client.create(MAPS, &map("a", "1")).await;
    first["data"]["k"] = json!("2");
    let path = format!("{MAPS}/a");
    let (status, _) = client.call("PUT", &path, "application/json", &first).await;
    assert_eq!(status, 200);
    first["data"]["k"] = json!("3");
    let (status, refused) = client.call("PUT", &path, "application/json", &first).await;
    assert_eq!((status.as_u16(), &refused["reason"]), (409, &json!("Conflict")));
}

#[tokio::test]
async fn a_new_cluster_looks_like_eks() {
    let (world, client) = cluster();
    assert_eq!(client.get("/version").await["gitVersion"], "v1.33.4-eks-sandbox");
    let system = "/apis/apps/v1/namespaces/kube-system";
    assert_eq!(client.get(&format!("{system}/daemonsets/aws-node")).await["kind"], "DaemonSet");
    assert_eq!(client.get(&format!("{system}/deployments/coredns")).await["spec"]["replicas"], 2);
    assert_eq!(client.get("/api/v1/nodes").await["items"], json!([]));
    assert_eq!(client.get("/apis/storage.k8s.io/v1/storageclasses/gp2").await["kind"], "StorageClass");
    world.ensure_cluster(CLUSTER, "1.34").unwrap();
    assert_eq!(client.get("/version").await["minor"], "34");
    let config: Value = serde_norway::from_str(&world.kubeconfig(CLUSTER)).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], world.url(CLUSTER));
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let token = {
        let world = KubeWorld::open(Some(dir.path()), PACE).unwrap();
        world.ensure_cluster(CLUSTER, "1.33").unwrap();
        let client = Client::of(&world);
        client.create(MAPS, &map("a", "1")).await;
        let (status, _) = client.delete(&format!("{MAPS}/a")).await;
        assert_eq!(status, 200);
        client.create(MAPS, &map("b", "2")).await;
        // As a kill leaves it: what is on disk now is all that there will be.
        let kept = tempfile::tempdir().unwrap();
        copy(dir.path(), kept.path());
        drop(world);
        std::fs::remove_dir_all(dir.path()).unwrap();
        copy(kept.path(), dir.path());
        client.token
    };
    let world = KubeWorld::open(Some(dir.path()), PACE).unwrap();
    let client = Client::of(&world);
    assert_eq!(client.token, token);
    assert_eq!(client.get(&format!("{MAPS}/b")).await["data"]["k"], "2");
    assert_eq!(client.get(&format!("{MAPS}/a")).await["reason"], "NotFound");
    let reply = client.send("GET", &format!("{MAPS}?watch=true&resourceVersion=2"), "", "").await.unwrap();
    let line = reply.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(event["object"]["code"], 410, "what was before the restart is no longer known: {event}");
    world.remove_cluster(CLUSTER).unwrap();
    assert_eq!(client.get("/version").await["code"], 404);
    drop(world);
    assert!(KubeWorld::open(Some(dir.path()), PACE).unwrap().clusters().is_empty());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn many_requests_in_a_second() {
    let (_world, client) = cluster();
    let start = std::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let client = client.clone();
        tasks.spawn(async move { client.apply(&format!("{MAPS}/m{n}"), "one", &map(&format!("m{n}"), "1")).await.0 });
    }
    while let Some(status) = tasks.join_next().await {
        assert_eq!(status.unwrap(), 201);
    }
    assert!(start.elapsed().as_secs() < 10, "{:?} for 200 connections and applies", start.elapsed());
}
