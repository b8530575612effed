//! The controllers of a cluster: one loop that looks at whatever changed and takes it a step
//! towards what it should be.
//!
//! A controller is a function of an object. It never remembers: what is to be done follows from the
//! objects alone, so that it goes on after a restart where it was. Only how long something has been
//! waiting is kept in memory ([`Context::elapsed`]).

mod certs;
mod claims;
mod containers;
mod crds;
mod daemonsets;
mod deployments;
mod events;
mod installer;
mod jobs;
mod namespaces;
mod nodes;
mod pace;
mod pods;
mod replicasets;
mod schedule;
mod services;
mod statefulsets;
mod triggers;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    cluster::Cluster,
    store::{ApiResult, Change, Key, Store, Write, now},
};

/// What a controller works with.
pub struct Context {
    cluster: Arc<Cluster>,
    memory: Memory,
}

/// What outlives one turn of the loop.
#[derive(Default)]
struct Memory {
    /// The newest version looked at.
    seen: u64,
    queue: BTreeSet<Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Since when an object (by uid) has been waiting for something.
    since: HashMap<String, HashMap<&'static str, Instant>>,
}

impl Context {
    /// The cluster's objects.
    fn store(&self) -> &Store {
        &self.cluster.store
    }

    /// Whether the object has been waiting for `what` for `simulated_s`. The first call starts the
    /// clock, and `key` is looked at again when it has run.
    fn elapsed(&mut self, key: &Key, object: &Value, what: &'static str, simulated_s: f64) -> bool {
        self.elapsed_at_least(key, object, what, simulated_s, 0.0)
    }

    /// As [`Context::elapsed`], but not before `least_real_s` of real time: a deadline that a
    /// client sets must leave the simulation, however fast, the time to do its work.
    fn elapsed_at_least(
        &mut self,
        key: &Key,
        object: &Value,
        what: &'static str,
        simulated_s: f64,
        least_real_s: f64,
    ) -> bool {
        let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let now = Instant::now();
        let since = *self.memory.since.entry(uid).or_default().entry(what).or_insert(now);
        let real_s = (simulated_s / self.cluster.pace).clamp(least_real_s, 1e9);
        let due = since + Duration::from_secs_f64(real_s);
        if due > now {
            self.wake_at(key, due);
        }
        due <= now
    }

    /// Starts the clock for `what` anew.
    fn restart(&mut self, object: &Value, what: &'static str) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or("");
        if let Some(waits) = self.memory.since.get_mut(uid) {
            waits.remove(what);
        }
    }

    fn wake_at(&mut self, key: &Key, due: Instant) {
        self.memory.timers.insert((due, key.clone()));
    }

    /// Has `key` looked at in this turn.
    fn enqueue(&mut self, key: Key) {
        self.memory.queue.insert(key);
    }

    /// Sets the status of the object at `key`, when it says something new.
    fn set_status(&self, key: &Key, status: Value) -> ApiResult<()> {
        let set = |old: &Value| {
            let mut new = old.clone();
            new["status"] = status;
            Ok(new)
        };
        self.store().update(key, &Write::simulated_status(), set).map(|_| ())
    }

    /// Changes an object as a controller.
    fn change(&self, key: &Key, change: impl FnOnce(&mut Value)) -> ApiResult<()> {
        let edit = |old: &Value| {
            let mut new = old.clone();
            change(&mut new);
            Ok(new)
        };
        self.store().update(key, &Write::simulation(), edit).map(|_| ())
    }

    /// The objects of `resource` that `owner` controls.
    fn owned(&self, owner: &Value, resource: &str) -> Vec<Arc<Value>> {
        let uid = owner["metadata"]["uid"].as_str().unwrap_or("");
        self.store().read().owned(uid, resource)
    }
}

/// A field of an object's metadata; empty when absent.
fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

/// The key of an object of `resource`.
fn key_of(resource: &str, object: &Value) -> Key {
    Key::new(resource, meta(object, "namespace"), meta(object, "name"))
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|d| char::from_digit(d.into(), 16)).collect()
}

fn terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The `ownerReferences` of what `owner` controls.
fn controlled_by(owner: &Value) -> Value {
    json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true}])
}

/// The conditions of `object` with one of them set; its times stay when nothing changes.
fn with_condition(object: &Value, name: &str, status: bool, reason: &str, message: &str) -> Value {
    let mut all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let status = if status { "True" } else { "False" };
    let fresh = json!({"type": name, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now()});
    match all.iter_mut().find(|c| c["type"] == name) {
        Some(found) if found["status"] == status => {
            if found["reason"] != reason || found["message"] != message {
                found["reason"] = json!(reason);
                found["message"] = json!(message);
            }
        }
        Some(found) => *found = fresh,
        None => all.push(fresh),
    }
    Value::Array(all)
}

/// Runs the controllers of a cluster until the cluster is gone.
pub async fn run(cluster: Weak<Cluster>) {
    let Some(first) = cluster.upgrade() else { return };
    let mut changed = first.store.changed.subscribe();
    let mut memory = Memory { seen: first.store.read().version(), ..Memory::default() };
    memory.queue.extend(first.store.read().keys());
    drop(first);
    loop {
        let Some(strong) = cluster.upgrade() else { return };
        changed.borrow_and_update();
        let mut context = Context { cluster: strong, memory };
        turn(&mut context);
        memory = context.memory;
        drop(context.cluster);
        if !memory.queue.is_empty() {
            // Others in this process have timers and sockets, which nobody looks at while a task runs.
            tokio::task::yield_now().await;
            continue;
        }
        let next = memory.timers.first().map(|(due, _)| *due);
        let later = Instant::now() + Duration::from_hours(1);
        tokio::select! {
            result = changed.changed() => if result.is_err() { return },
            () = tokio::time::sleep_until(next.unwrap_or(later)) => {}
        }
    }
}

/// Objects that are reconciled in one turn.
const A_TURN: usize = 8;

/// One turn: notes what changed and which timers have run, and reconciles the first of those objects.
fn turn(context: &mut Context) {
    let (changes, newest) = {
        let objects = context.store().read();
        (objects.changes_since(context.memory.seen), objects.version())
    };
    context.memory.seen = newest;
    if let Some(changes) = changes {
        for change in &changes {
            note(context, change);
        }
    } else {
        let all = context.store().read().keys();
        context.memory.queue.extend(all);
    }
    let now = Instant::now();
    while context.memory.timers.first().is_some_and(|(due, _)| *due <= now) {
        context.memory.queue.extend(context.memory.timers.pop_first().map(|(_, key)| key));
    }
    for _ in 0..A_TURN {
        let Some(key) = context.memory.queue.pop_first() else { return };
        let found = context.store().read().find(&key).cloned();
        if let Some(object) = found {
            // What a controller is refused (the object went, its namespace ends) it tries again
            // when something changes.
            let _ = reconcile(context, &key, &object);
        }
    }
}

fn note(context: &mut Context, change: &Change) {
    if change.new.is_none() {
        context.memory.since.remove(meta(&change.last, "uid"));
    }
    let keys = triggers::triggered(context, change);
    context.memory.queue.extend(keys);
}

fn reconcile(context: &mut Context, key: &Key, object: &Arc<Value>) -> ApiResult<()> {
    match key.resource.as_str() {
        "/namespaces" => namespaces::reconcile(context, key, object),
        "/nodes" => nodes::reconcile(context, key, object),
        "/pods" => pods::reconcile(context, key, object),
        "/services" => services::reconcile(context, key, object),
        "/persistentvolumeclaims" => claims::reconcile(context, key, object),
        "/persistentvolumes" => claims::reconcile_volume(context, key, object),
        "apps/deployments" => deployments::reconcile(context, key, object),
        "apps/replicasets" => replicasets::reconcile(context, key, object),
        "apps/statefulsets" => statefulsets::reconcile(context, key, object),
        "apps/daemonsets" => daemonsets::reconcile(context, key, object),
        "batch/jobs" => jobs::reconcile(context, key, object),
        "apiextensions.k8s.io/customresourcedefinitions" => crds::reconcile(context, key, object),
        "cert-manager.io/issuers" | "cert-manager.io/clusterissuers" => certs::reconcile_issuer(context, key, object),
        "cert-manager.io/certificates" => certs::reconcile(context, key, object),
        _ => Ok(()),
    }
}
