//! The bindings against the simulated Kubernetes: made, found, read, brought in line and deleted as the engine does it.

mod actions;
mod applied;
mod objects;
mod waits;

use crate::{
    allowed::Allowed,
    bind::{Binding, Change, Polled, Readiness, Registry, Todo},
    cx::{Clients, Cx, Mode, Pace, Run, TAG_RESOURCE, TAG_STACK},
    error::Result,
    k8s::{
        call::{APPLY, Call, MERGE},
        cluster::{ClusterRef, cluster},
    },
    wire::Wire,
};
use sandbox::k8s::{KubeWorld, NodeSpec};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Name of the cluster in all tests.
const CLUSTER: &str = "lab";
/// Looks until something is so; each takes some milliseconds.
const PATIENCE: u32 = 400;

/// A simulated cluster, and a run that works on it.
struct Lab {
    /// Serves as long as it is held.
    _world: KubeWorld,
    registry: Registry,
    run: Arc<Run>,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let world = KubeWorld::open(None, 1.0e6).unwrap();
        world.ensure_cluster(CLUSTER, "1.33").unwrap();
        world.set_nodes(CLUSTER, vec![NodeSpec::new("node-a"), NodeSpec::new("node-b")]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), world.kubeconfig(CLUSTER)).unwrap();
        let mut registry = Registry::default();
        crate::k8s::register(&mut registry);
        let run = Arc::new(run(folder.path(), Mode::Run));
        tokio::task::yield_now().await;
        Self { _world: world, registry, run, folder }
    }

    /// The same cluster, as a plan sees it.
    fn planning(&self) -> Arc<Run> {
        Arc::new(run(self.folder.path(), Mode::Plan))
    }

    fn cx(&self, address: &str) -> Cx {
        Cx { run: self.run.clone(), step: "test".into(), address: address.into() }
    }

    /// Reads and writes so far.
    fn counts(&self) -> (u64, u64) {
        self.run.wire.counts()
    }

    fn object(&self) -> Arc<dyn crate::bind::AnyResource> {
        self.registry.kind("k8s::object").unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write the manifest where they call")]
    fn args(manifest: Value) -> Value {
        json!({ "cluster": { "name": CLUSTER }, "manifest": manifest })
    }

    fn context(&self, args: &Value) -> Cx {
        self.cx(&format!("k8s::object/{}", self.object().name(args).unwrap()))
    }

    /// Converges as the engine does; what it looks like in the end.
    async fn converge(&self, args: &Value) -> Result<Value> {
        let (object, cx) = (self.object(), self.context(args));
        object.check(args)?.unwrap();
        let mut seen = match object.find(&cx, args).await? {
            Some(seen) => {
                let tags = object.tags(&seen)?.unwrap();
                assert_eq!(tags.get(TAG_STACK).map(String::as_str), Some("lab"), "not ours");
                assert_eq!(tags.get(TAG_RESOURCE).map(String::as_str), Some(&*cx.address), "not ours");
                seen
            }
            None => object.create(&cx, args, "token").await?,
        };
        for _ in 0..PATIENCE {
            if let Readiness::Pending(_) = object.readiness(&seen)? {
                tokio::time::sleep(Duration::from_millis(5)).await;
                seen = object.read(&cx, &seen).await?.unwrap();
                continue;
            }
            let changes = object.diff(args, &seen);
            if changes.is_empty() {
                return Ok(seen);
            }
            object.update(&cx, args, &seen, &changes).await?;
            seen = object.read(&cx, &seen).await?.unwrap();
            let left = object.diff(args, &seen);
            assert!(left.is_empty(), "an update leaves {left:?}");
        }
        panic!("{} does not settle: {:?}", cx.address, object.readiness(&seen));
    }

    /// What a plan says of `args` now.
    async fn changes(&self, args: &Value, seen: &Value) -> Vec<Change> {
        let cx = Cx { run: self.planning(), ..self.context(args) };
        let again = self.object().read(&cx, seen).await.unwrap().unwrap();
        self.object().diff(args, &again)
    }

    async fn delete(&self, seen: &Value) {
        let (object, cx) = (self.object(), self.cx("k8s::object/x"));
        object.delete(&cx, seen).await.unwrap();
        for _ in 0..PATIENCE {
            if object.read(&cx, seen).await.unwrap().is_none() {
                return object.delete(&cx, seen).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never goes: {seen}");
    }

    /// Converges what a composite stands for; the arguments of its parts.
    async fn expand(&self, name: &str, args: Value) -> Result<Vec<Value>> {
        let Some(Binding::Composite(composite)) = self.registry.get(name).map(|entry| entry.binding.clone()) else {
            panic!("no composite `{name}`")
        };
        composite.check(&args).unwrap();
        let mut parts = Vec::new();
        for part in composite.expand(&self.cx(""), &args).await?.into_iter().flatten() {
            self.converge(&part.args).await?;
            parts.push(part.args);
        }
        Ok(parts)
    }

    async fn look(&self, name: &str, args: Value) -> Result<Value> {
        let Some(Binding::Lookup(lookup)) = self.registry.get(name).map(|entry| entry.binding.clone()) else {
            panic!("no look-up `{name}`")
        };
        lookup.check(&args).unwrap();
        lookup.look(&self.cx(""), &args).await
    }

    /// Waits as the engine does, without a deadline worth the name.
    async fn wait(&self, name: &str, args: Value) -> Result<Value> {
        let Some(Binding::Wait(wait)) = self.registry.get(name).map(|entry| entry.binding.clone()) else {
            panic!("no wait `{name}`")
        };
        wait.check(&args).unwrap();
        let mut why = String::new();
        for _ in 0..PATIENCE {
            match wait.poll(&self.cx(""), &args).await? {
                Polled::Ready(output) => return Ok(output),
                Polled::Pending(words) => why = words,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{name} waits in vain: {why}; {:?}", wait.explain(&self.cx(""), &args).await);
    }

    /// Does it unless done; whether something was to do.
    async fn act(&self, name: &str, args: &Value) -> Result<(bool, Value)> {
        let Some(Binding::Action(action)) = self.registry.get(name).map(|entry| entry.binding.clone()) else {
            panic!("no action `{name}`")
        };
        action.check(args).unwrap();
        Ok(match action.pending(&self.cx(""), args).await? {
            Todo::Done(output) => (false, output),
            Todo::Needed(_) => (true, action.perform(&self.cx(""), args).await?),
        })
    }

    /// Changes an object behind our back, as `manager`.
    async fn meddle(&self, path: &str, manager: &str, patch: Value) {
        self.meddle_by(MERGE, path, manager, patch).await;
    }

    async fn meddle_by(&self, media: &'static str, path: &str, manager: &str, patch: Value) {
        let cx = self.cx("");
        let cluster = cluster(&cx, &ClusterRef { name: CLUSTER.into(), ..ClusterRef::default() }).await.unwrap();
        let mut call = Call::patch("things", path, media, &patch, "it").with("fieldManager", manager);
        if media == APPLY {
            call = call.with("force", "true");
        }
        cluster.send(&cx, &call).await.unwrap();
    }
}

fn run(folder: &std::path::Path, mode: Mode) -> Run {
    Run {
        stack: "lab".into(),
        mode,
        wire: Wire::new(mode == Mode::Run, None, Box::new(|| Ok(()))),
        pace: Pace::Max,
        cancel: tokio_util::sync::CancellationToken::new(),
        folder: folder.join("stack"),
        playbook_folder: folder.to_owned(),
        targets: std::collections::BTreeMap::new(),
        allowed: Allowed { net: ["127.0.0.1".to_owned()].into(), ..Allowed::default() },
        endpoints: [("kubeconfig".to_owned(), folder.join("kubeconfig").display().to_string())].into(),
        heard: Box::new(|_, _, _| {}),
        told: Box::new(|_, _| {}),
        clients: Clients::default(),
    }
}

/// A namespace, which most tests need first.
async fn namespace(lab: &Lab, name: &str) {
    let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    lab.converge(&Lab::args(manifest)).await.unwrap();
}

/// A deployment with one container.
fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "gitpod" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } }, "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{ "name": "main", "image": image,
                "resources": { "requests": { "cpu": "1000m", "memory": "1024Mi" } },
                "ports": [{ "containerPort": 80 }], "env": [{ "name": "A", "value": "1" }] }],
                "volumes": [{ "name": "tmp", "emptyDir": {} }] } } } })
}
