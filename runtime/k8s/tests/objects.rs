//! `k8s::object`.

use super::{Lab, deployment, namespace};
use crate::{error::Class, k8s::call::APPLY};
use serde_json::{Value, json};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/gitpod/deployments/server";

fn fields(changes: &[crate::bind::Change]) -> Vec<&str> {
    changes.iter().map(|change| change.field.as_str()).collect()
}

#[tokio::test]
async fn a_second_run_reads_once_and_writes_nothing() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let args = Lab::args(deployment("server", 2, "server:1"));
    let seen = lab.converge(&args).await.unwrap();
    assert_eq!((&seen["object_kind"], &seen["namespace"]), (&json!("Deployment"), &json!("gitpod")));
    let (reads, writes) = lab.counts();
    let again = lab.object().read(&lab.context(&args), &seen).await.unwrap().unwrap();
    assert_eq!(lab.object().diff(&args, &again), vec![]);
    assert_eq!(lab.counts(), (reads + 1, writes));
}

#[tokio::test]
async fn a_second_run_lists_a_kind_in_place_of_many_reads() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let all: Vec<Value> = (0..5).map(|n| Lab::args(deployment(&format!("server-{n}"), 1, "x"))).collect();
    let mut seen = Vec::new();
    for args in &all {
        seen.push(lab.converge(args).await.unwrap());
    }
    let run = lab.planning();
    let looks = all.iter().zip(&seen).map(|(args, seen)| {
        let cx = crate::cx::Cx { run: run.clone(), ..lab.context(args) };
        let object = lab.object();
        async move {
            let again = object.read(&cx, seen).await.unwrap().unwrap();
            assert_eq!(object.diff(args, &again), vec![], "a listed object is compared as one that is read");
        }
    });
    futures::future::join_all(looks).await;
    assert_eq!(run.wire.counts(), (1, 0));
    // Whoever looks again reads the object itself.
    let cx = crate::cx::Cx { run: run.clone(), ..lab.context(&all[0]) };
    lab.meddle("/apis/apps/v1/namespaces/gitpod/deployments/server-0", "kubectl", json!({ "spec": { "replicas": 4 } }))
        .await;
    let again = lab.object().read(&cx, &seen[0]).await.unwrap().unwrap();
    assert_eq!(fields(&lab.object().diff(&all[0], &again)), ["spec.replicas"]);
}

#[tokio::test]
async fn edits_are_shown_applied_and_removed_fields_go() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let seen = lab.converge(&Lab::args(deployment("server", 2, "server:1"))).await.unwrap();
    let mut edited = deployment("server", 3, "server:2");
    edited["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("env");
    let args = Lab::args(edited);
    let changes = lab.changes(&args, &seen).await;
    assert_eq!(
        fields(&changes),
        ["spec.replicas", "spec.template.spec.containers[main].image", "spec.template.spec.containers[main].env"]
    );
    assert_eq!((&changes[0].old, &changes[0].new), (&json!(2), &json!(3)));
    let writes = lab.counts().1;
    lab.converge(&args).await.unwrap();
    assert_eq!(lab.counts().1, writes + 1, "one write for all changes");
    let query = json!({ "cluster": { "name": "lab" }, "api_version": "apps/v1", "kind": "Deployment", "namespace": "gitpod", "name": "server" });
    let live = lab.look("k8s::get", query).await.unwrap();
    assert!(live["spec"]["template"]["spec"]["containers"][0].get("env").is_none());
    // Another spelling of the same is no change.
    let mut spelled = args.clone();
    spelled["manifest"]["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "cpu": 1, "memory": "1Gi" } });
    assert_eq!(lab.changes(&spelled, &seen).await, vec![]);
}

#[tokio::test]
async fn drift_is_shown_and_undone_and_what_programs_set_only_with_force() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let args = Lab::args(deployment("server", 2, "server:1"));
    let seen = lab.converge(&args).await.unwrap();
    // Fields of others are theirs.
    lab.meddle(DEPLOYMENT, "operator", json!({ "metadata": { "annotations": { "their": "own" } } })).await;
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
    lab.meddle(DEPLOYMENT, "kubectl-edit", json!({ "spec": { "replicas": 4 } })).await;
    assert_eq!(fields(&lab.changes(&args, &seen).await), ["spec.replicas"]);
    lab.converge(&args).await.unwrap();
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
    lab.meddle(DEPLOYMENT, "autoscaler", json!({ "spec": { "replicas": 5 } })).await;
    let changes = lab.changes(&args, &seen).await;
    assert_eq!(fields(&changes), ["spec.replicas"]);
    assert_eq!((&changes[0].old, &changes[0].new), (&json!(5), &json!(2)));
    let error = lab.converge(&args).await.err().unwrap();
    assert_eq!(error.class, Class::Conflict);
    assert!(error.cause.as_deref().unwrap().contains("`autoscaler`"), "{error}");
    assert!(error.hint.unwrap().contains("force: true"));
    let mut forced = args.clone();
    forced["force"] = json!(true);
    lab.converge(&forced).await.unwrap();
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
}

#[tokio::test]
async fn secrets_are_sent_in_the_clear_and_kept_nowhere() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let secret = crate::secret::Secret::new("correct-horse-battery");
    let manifest = |value: Value| {
        json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": { "name": "database", "namespace": "gitpod" },
            "stringData": { "password": value, "port": "3306" } })
    };
    let args = Lab::args(manifest(json!(secret.marked())));
    let seen = lab.converge(&args).await.unwrap();
    assert!(!seen.to_string().contains("correct-horse") && !seen.to_string().contains("Y29ycmVjdC"), "{seen}");
    let query = json!({ "cluster": { "name": "lab" }, "api_version": "v1", "kind": "Secret", "namespace": "gitpod", "name": "database" });
    let live = lab.look("k8s::get", query).await.unwrap();
    assert_eq!(crate::value::revealed(&live["data"]["password"]), json!("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"));
    assert_eq!(lab.changes(&args, &seen).await, vec![]);
    let other = Lab::args(manifest(json!(crate::secret::Secret::new("another-password").marked())));
    let changes = lab.changes(&other, &seen).await;
    assert_eq!(fields(&changes), ["data.password"]);
    assert_eq!(crate::value::shown(&changes[0].new), json!("<secret>"));
    lab.converge(&other).await.unwrap();
    assert_eq!(lab.changes(&other, &seen).await, vec![]);
    // Someone else's change to the data is seen.
    lab.meddle("/api/v1/namespaces/gitpod/secrets/database", "kubectl", json!({ "data": { "port": "MQ==" } })).await;
    assert_eq!(fields(&lab.changes(&other, &seen).await), ["data.port"]);
}

#[tokio::test]
async fn what_is_not_ours_is_told_apart() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "gitpod" }, "data": { "a": "1" } });
    lab.meddle_by(APPLY, "/api/v1/namespaces/gitpod/configmaps/theirs", "helm", theirs.clone()).await;
    let args = Lab::args(theirs);
    let (object, cx) = (lab.object(), lab.context(&args));
    let found = object.find(&cx, &args).await.unwrap().unwrap();
    assert!(object.tags(&found).unwrap().unwrap().is_empty());
    // Adopted: the engine goes on to what differs, which is who manages it.
    let changes = object.diff(&args, &found);
    assert_eq!(fields(&changes), ["managed by"]);
    object.update(&cx, &args, &found, &changes).await.unwrap();
    assert_eq!(lab.changes(&args, &found).await, vec![]);
    let seen = object.read(&cx, &found).await.unwrap().unwrap();
    assert_eq!(object.tags(&seen).unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn definitions_are_waited_for_and_their_objects_found_by_discovery() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.acme.test" }, "spec": { "group": "acme.test", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] } });
    let widget = json!({ "apiVersion": "acme.test/v1", "kind": "Widget", "metadata": { "name": "w", "namespace": "gitpod" }, "spec": { "size": 3 } });
    let early = lab.object().find(&lab.context(&Lab::args(widget.clone())), &Lab::args(widget.clone())).await.unwrap();
    assert_eq!(early, None, "a kind that is not served has no objects");
    let crd = lab.converge(&Lab::args(definition.clone())).await.unwrap();
    assert_eq!(crd["state"], "ready");
    let seen = lab.converge(&Lab::args(widget.clone())).await.unwrap();
    assert_eq!(seen["plural"], "widgets");
    assert_eq!(lab.changes(&Lab::args(widget), &seen).await, vec![]);
    assert_eq!(lab.changes(&Lab::args(definition), &crd).await, vec![]);
    lab.delete(&seen).await;
    lab.delete(&crd).await;
}

#[tokio::test]
async fn a_namespace_is_gone_when_all_in_it_is() {
    let lab = Lab::start().await;
    namespace(&lab, "gitpod").await;
    let inside = lab.converge(&Lab::args(deployment("server", 1, "x"))).await.unwrap();
    let args = Lab::args(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "gitpod" } }));
    let seen = lab.converge(&args).await.unwrap();
    lab.delete(&seen).await;
    assert_eq!(lab.object().read(&lab.cx(""), &inside).await.unwrap(), None);
    // Deleting what is gone is success.
    lab.object().delete(&lab.cx(""), &inside).await.unwrap();
}

#[tokio::test]
async fn a_plan_never_writes() {
    let lab = Lab::start().await;
    let args = Lab::args(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "gitpod" } }));
    let cx = crate::cx::Cx { run: lab.planning(), ..lab.context(&args) };
    assert_eq!(lab.object().find(&cx, &args).await.unwrap(), None);
    assert_eq!(lab.object().create(&cx, &args, "t").await.err().unwrap().class, Class::Refused);
    assert_eq!(lab.object().find(&cx, &args).await.unwrap(), None);
}
