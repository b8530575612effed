//! `k8s::apply`, `k8s::manifest`, `k8s::secret`.

use super::Lab;
use crate::{cx::Mode, error::Class};
use serde_json::json;
use std::sync::Arc;

const YAML: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'web:1', args: ['--v=2']}]
      volumes: [{name: s, secret: {secretName: s, defaultMode: 0600}}]
---
# nothing here
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: web}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: '1'}}
";

#[tokio::test]
async fn yaml_is_ordered_patched_and_applied_without_differences() {
    let lab = Lab::start().await;
    let patches = json!([{ "kind": "ConfigMap", "name": "conf", "patch": { "data": { "b": "2" } } }]);
    let args = json!({ "cluster": { "name": "lab" }, "yaml": YAML, "namespace": "web", "patches": patches });
    let parts = lab.expand("k8s::apply", args.clone()).await.unwrap();
    let kinds: Vec<&str> = parts.iter().map(|part| part["manifest"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Namespace", "ConfigMap", "Deployment"]);
    let writes = lab.counts().1;
    lab.expand("k8s::apply", args).await.unwrap();
    assert_eq!(lab.counts().1, writes, "a second run writes nothing");
    let twice = json!({ "cluster": { "name": "lab" }, "yaml": format!("{YAML}---{YAML}"), "namespace": "web" });
    assert!(lab.expand("k8s::apply", twice).await.err().unwrap().message.contains("twice"));
    let nothing = json!({ "cluster": { "name": "lab" } });
    assert_eq!(lab.expand("k8s::apply", nothing).await.err().unwrap().class, Class::Usage);
}

#[tokio::test]
async fn manifests_come_from_files_with_digest_flags_and_patches() {
    let lab = Lab::start().await;
    std::fs::write(lab.folder.path().join("web.yaml"), YAML).unwrap();
    let digest = crate::http::sha256(YAML.as_bytes());
    let args = |digest: &str| json!({ "cluster": { "name": "lab" }, "url": "web.yaml", "sha256": digest, "namespace": "web", "args": { "web": ["--v=4"] } });
    let parts = lab.expand("k8s::manifest", args(&digest)).await.unwrap();
    assert_eq!(parts[2]["manifest"].pointer("/spec/template/spec/containers/0/args"), Some(&json!(["--v=4"])));
    let writes = lab.counts().1;
    let error = lab.expand("k8s::manifest", args(&"0".repeat(64))).await.err().unwrap();
    assert!(error.cause.unwrap().contains(&digest));
    assert_eq!(lab.counts().1, writes);
}

#[tokio::test]
async fn fetched_files_are_kept_and_stand_ins_are_not() {
    let lab = Lab::start().await;
    let server = serve(YAML).await;
    let url = format!("http://{server}/web.yaml");
    let first = crate::http::fetch(&lab.cx(""), &url, None).await.unwrap();
    let reads = lab.counts().0;
    assert_eq!(crate::http::fetch(&lab.cx(""), &url, Some(&first.sha256)).await.unwrap().content, YAML.as_bytes());
    assert_eq!(lab.counts().0, reads, "the second one comes from the cache");
    let mut run = super::run(&lab.folder.path().join("other"), Mode::Run);
    run.endpoints.insert("manifests".into(), format!("http://{server}"));
    let cx = crate::cx::Cx { run: Arc::new(run), ..lab.cx("") };
    let stand_in = crate::http::fetch(&cx, "https://example.com/x.yaml", Some(&"0".repeat(64))).await.unwrap();
    assert!(stand_in.stand_in);
    assert!(!cx.run.folder.join("cache").exists());
    let lost = crate::http::fetch(&lab.cx(""), &format!("http://{server}/404"), None).await.err().unwrap();
    assert_eq!(lost.class, Class::NotFound);
}

/// Answers every GET with `body`, and those of `/404` with that.
async fn serve(body: &'static str) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let status = if request[..read].starts_with(b"GET /404") { "404 Not Found" } else { "200 OK" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_secret_is_one_object() {
    let lab = Lab::start().await;
    super::namespace(&lab, "gitpod").await;
    let args =
        json!({ "cluster": { "name": "lab" }, "namespace": "gitpod", "name": "database", "data": { "port": 3306 } });
    lab.expand("k8s::secret", args.clone()).await.unwrap();
    let writes = lab.counts().1;
    lab.expand("k8s::secret", args).await.unwrap();
    assert_eq!(lab.counts().1, writes);
}

#[tokio::test]
async fn a_plan_takes_what_is_not_known_yet() {
    let lab = Lab::start().await;
    let composite = |name: &str| match lab.registry.get(name).map(|entry| entry.binding.clone()) {
        Some(crate::bind::Binding::Composite(composite)) => composite,
        _ => panic!("no composite `{name}`"),
    };
    let cx = crate::cx::Cx { run: lab.planning(), ..lab.cx("") };
    let unknown = crate::value::unknown("cluster");
    for args in [
        json!({ "cluster": unknown, "yaml": crate::value::unknown("rendered.stdout") }),
        json!({ "cluster": unknown, "objects": crate::value::unknown("chart.objects") }),
    ] {
        assert_eq!(composite("k8s::apply").expand(&cx, &args).await.unwrap().len(), 0);
    }
    let args = json!({ "cluster": unknown, "yaml": YAML });
    let phases = composite("k8s::apply").expand(&cx, &args).await.unwrap();
    assert_eq!(phases.iter().map(Vec::len).sum::<usize>(), 3);
    let name = lab.object().name(&phases[2][0].args);
    assert_eq!(name.as_deref(), Some("default/Deployment.apps/web"));
}
