//! Tests of kinds against the simulated cloud: made, found, read, brought in line and deleted as the engine does it.

use crate::{
    aws,
    bind::{Binding, Effect, Ownership, Readiness, Registry},
    cx::{Clients, Cx, Mode, Pace, Run},
    error::{Class, Error, Result},
    wire::Wire,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Looks until something is so; each takes some milliseconds.
const PATIENCE: u32 = 200;

/// A simulated cloud, and a run that works on it.
pub struct Lab {
    pub sandbox: sandbox::Sandbox,
    pub registry: Registry,
    pub run: Arc<Run>,
    /// Kind, address and arguments of what was declared.
    pub made: Vec<(&'static str, String, Value)>,
}

impl Lab {
    /// Starts it.
    pub async fn start(mode: Mode) -> Self {
        let options = sandbox::Options { pace: sandbox::core::clock::Pace::Max, ..Default::default() };
        let sandbox = sandbox::Sandbox::start(options).await.unwrap();
        let mut registry = Registry::default();
        aws::register(&mut registry);
        let run = Arc::new(run(&sandbox, mode));
        Self { sandbox, registry, run, made: Vec::new() }
    }

    /// The context of a call about `address`.
    pub fn cx(&self, address: &str) -> Cx {
        Cx { run: self.run.clone(), step: "test".into(), address: address.into() }
    }

    /// Makes one and checks what the engine builds upon.
    pub async fn declare(&mut self, kind: &'static str, args: Value) -> Value {
        let resource = self.registry.kind(kind).unwrap();
        resource.check(&args).unwrap().unwrap();
        let address = format!("{kind}/{}", resource.name(&args).unwrap());
        let cx = self.cx(&address);
        assert_eq!(resource.find(&cx, &args).await.unwrap(), None, "{address} before it is made");
        let made = resource.create(&cx, &args, &format!("token-{address}")).await.unwrap();
        let seen = self.in_line(kind, &cx, &args, made).await;
        if resource.meta().ownership == Ownership::Tags {
            let tags = resource.tags(&seen).unwrap().unwrap();
            assert_eq!(tags.get(crate::cx::TAG_RESOURCE), Some(&address));
            let found = resource.find(&cx, &args).await.unwrap();
            assert_eq!(found, Some(seen.clone()), "{address} is found as it is read");
        }
        self.made.push((kind, address, args));
        seen
    }

    /// Reads and updates until nothing differs.
    pub async fn in_line(&self, kind: &str, cx: &Cx, args: &Value, mut seen: Value) -> Value {
        let resource = self.registry.kind(kind).unwrap();
        for _ in 0..PATIENCE {
            seen = resource.read(cx, &seen).await.unwrap().unwrap();
            match resource.readiness(&seen).unwrap() {
                Readiness::Ready => {}
                Readiness::Pending(_) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Readiness::Broken(why) => panic!("{}: {why}", cx.address),
            }
            let changes = resource.diff(args, &seen);
            if changes.is_empty() {
                return seen;
            }
            assert!(changes.iter().all(|change| change.effect == Effect::Update), "{}: {changes:?}", cx.address);
            resource.update(cx, args, &seen, &changes).await.unwrap();
        }
        panic!("{} never came in line: {:?}", cx.address, resource.diff(args, &seen));
    }

    /// Finds it and deletes it.
    pub async fn delete(&self, kind: &str, address: &str, args: &Value) {
        let (resource, cx) = (self.registry.kind(kind).unwrap(), self.cx(address));
        let seen = resource.find(&cx, args).await.unwrap();
        self.delete_seen(kind, address, seen.unwrap_or_else(|| panic!("{address} is not there"))).await;
    }

    /// Deletes what was read as `seen`, as soon as nothing uses it, and waits until it is gone.
    pub async fn delete_seen(&self, kind: &str, address: &str, mut seen: Value) {
        let (resource, cx) = (self.registry.kind(kind).unwrap(), self.cx(address));
        let mut deleted: Result<()> = Err(Error::failed("not tried"));
        for _ in 0..PATIENCE {
            deleted = resource.delete(&cx, &seen).await;
            match &deleted {
                Err(error) if error.class == Class::InUse => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => break,
            }
        }
        deleted.unwrap_or_else(|error| panic!("{address}: {error}"));
        for _ in 0..PATIENCE {
            if let Some(again) = resource.read(&cx, &seen).await.unwrap() {
                seen = again;
            } else {
                resource.delete(&cx, &seen).await.unwrap_or_else(|error| panic!("{address} again: {error}"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{address} never went away: {seen}");
    }

    /// Calls a look-up.
    pub async fn look(&self, name: &str, args: Value) -> Result<Value> {
        let Some(Binding::Lookup(lookup)) = self.registry.get(name).map(|entry| entry.binding.clone()) else {
            panic!("no look-up {name}")
        };
        lookup.check(&args).unwrap();
        lookup.look(&self.cx(""), &args).await
    }
}

/// A run on `sandbox`.
pub fn run(sandbox: &sandbox::Sandbox, mode: Mode) -> Run {
    let endpoints = [
        ("aws", sandbox.aws_url.clone()),
        ("aws.access_key_id", sandbox.access_key.clone()),
        ("aws.secret_access_key", sandbox.secret_key.clone()),
    ];
    Run {
        stack: "lab".into(),
        mode,
        wire: Wire::new(mode == Mode::Run, None, Box::new(|| Ok(()))),
        pace: Pace::Max,
        cancel: tokio_util::sync::CancellationToken::new(),
        folder: std::env::temp_dir(),
        playbook_folder: std::env::temp_dir(),
        targets: [("aws".to_owned(), json!({ "region": "eu-west-1" }))].into(),
        allowed: crate::allowed::Allowed::default(),
        endpoints: endpoints.map(|(name, value)| (name.to_owned(), value)).into(),
        heard: Box::new(|_, _, _| {}),
        told: Box::new(|_, _| {}),
        clients: Clients::default(),
    }
}
