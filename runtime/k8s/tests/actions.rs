//! `k8s::delete`, `k8s::patch`, `k8s::restart`.

use super::{Lab, deployment, namespace};
use serde_json::{Value, json};

#[expect(clippy::needless_pass_by_value, reason = "callers write the fields where they call")]
fn about(fields: Value) -> Value {
    let mut args = json!({ "cluster": { "name": "lab" }, "api_version": "apps/v1", "kind": "Deployment", "namespace": "gitpod", "name": "server" });
    args.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    args
}

#[tokio::test]
async fn patches_are_made_once_and_leave_declared_fields_alone() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let args = Lab::args(deployment("server", 1, "x"));
    let seen = lab.converge(&args).await.unwrap();
    let patch = about(json!({ "patch": { "spec": { "template": { "spec": { "containers": [
        { "name": "main", "env": [{ "name": "FELIX_AWSSRCDSTCHECK", "value": "Disable" }] }] } } } } }));
    assert!(lab.act("k8s::patch", &patch).await.unwrap().0);
    let (needed, live) = lab.act("k8s::patch", &patch).await.unwrap();
    assert!(!needed);
    let env = &live["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(env.as_array().unwrap().len(), 2, "{env}");
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
    let operations = about(json!({ "patch": [{ "op": "add", "path": "/metadata/annotations/x", "value": "y" }] }));
    assert!(lab.act("k8s::patch", &operations).await.unwrap().0);
    assert!(!lab.act("k8s::patch", &operations).await.unwrap().0);
}

#[tokio::test]
async fn a_restart_is_made_once_for_each_reason() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let args = Lab::args(deployment("server", 1, "x"));
    let seen = lab.converge(&args).await.unwrap();
    let restart = |once: &str| json!({ "cluster": { "name": "lab" }, "kind": "deployment", "namespace": "gitpod", "name": "server", "once": once });
    assert!(lab.act("k8s::restart", &restart("calico")).await.unwrap().0);
    assert!(!lab.act("k8s::restart", &restart("calico")).await.unwrap().0);
    assert!(lab.act("k8s::restart", &restart("again")).await.unwrap().0);
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_absence_is_fine() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    lab.converge(&Lab::args(deployment("server", 1, "x"))).await.unwrap();
    assert!(lab.act("k8s::delete", &about(json!({}))).await.unwrap().0);
    assert!(!lab.act("k8s::delete", &about(json!({}))).await.unwrap().0);
    let unserved =
        json!({ "cluster": { "name": "lab" }, "api_version": "acme.test/v9", "kind": "Widget", "name": "w" });
    assert!(!lab.act("k8s::delete", &unserved).await.unwrap().0);
}
