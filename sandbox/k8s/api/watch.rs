//! Watching: changes as they happen, one JSON line each.

use std::{io, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    call::{Call, Target},
    reply::{self, Reply},
};
use crate::k8s::{
    cluster::Cluster,
    selector,
    store::{Change, Store},
    table,
};

/// How long a watch lasts when the client does not say.
const DEFAULT_LIFE_S: u64 = 1800;
/// How often a client that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
/// How many events may wait for a slow client.
const BACKLOG: usize = 256;

/// Whether the request is a watch.
pub fn wanted(call: &Call) -> bool {
    call.flag("watch")
}

struct Watcher {
    store: Arc<Store>,
    target: Target,
    labels: String,
    fields: String,
    as_table: bool,
    bookmarks: bool,
    out: mpsc::Sender<io::Result<Bytes>>,
}

/// The client went away; there is nobody to send to.
struct Gone;

/// Starts a watch.
pub fn watch(cluster: &Arc<Cluster>, call: &Call, target: &Target) -> Reply {
    let mut fields = call.query("fieldSelector").to_owned();
    if let Some(name) = &target.name {
        fields = format!("metadata.name={name}");
    }
    let (out, rest) = mpsc::channel(BACKLOG);
    let watcher = Watcher {
        store: cluster.store.clone(),
        target: target.clone(),
        labels: call.query("labelSelector").to_owned(),
        fields,
        as_table: table::wanted(&call.headers),
        bookmarks: call.flag("allowWatchBookmarks"),
        out,
    };
    let initial = call.flag("sendInitialEvents");
    let start = call.query("resourceVersion").parse::<u64>().ok().filter(|v| *v > 0 && !initial);
    let life_s = call.query("timeoutSeconds").parse().ok().filter(|s| *s > 0);
    let life = Duration::from_secs(life_s.unwrap_or(DEFAULT_LIFE_S));
    tokio::spawn(async move {
        // The end of a watch is the end of its stream, whichever way it came.
        let _ = tokio::time::timeout(life, watcher.run(start, initial)).await;
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(rest));
    reply::typed(200, "application/json", body)
}

impl Watcher {
    async fn line(&self, kind: &str, object: &Value) -> Result<(), Gone> {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.out.send(Ok(Bytes::from(line))).await.map_err(|_| Gone)
    }

    async fn event(&self, kind: &str, object: &Value) -> Result<(), Gone> {
        if self.as_table {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let table = table::table(&self.target.kind, &[object], &metadata);
            return self.line(kind, &table).await;
        }
        self.line(kind, &self.target.show(object)).await
    }

    async fn bookmark(&self, version: u64, ends_initial: bool) -> Result<(), Gone> {
        let mut object = json!({"kind": self.target.kind.kind,
            "apiVersion": self.target.kind.api_version(),
            "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}});
        if ends_initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.line("BOOKMARK", &object).await
    }

    async fn send_all(&self, end_with_bookmark: bool) -> Result<u64, Gone> {
        let (items, version) = {
            let objects = self.store.read();
            let t = &self.target;
            let found = objects.list(&t.resource, &t.namespace, &self.labels, &self.fields);
            (found, objects.version())
        };
        for object in items {
            self.event("ADDED", &object).await?;
        }
        if end_with_bookmark && self.bookmarks {
            self.bookmark(version, true).await?;
        }
        Ok(version)
    }

    fn matches(&self, object: Option<&Arc<Value>>) -> bool {
        object.is_some_and(|o| selector::labels(&self.labels, o) && selector::fields(&self.fields, o))
    }

    async fn change(&self, change: &Change) -> Result<(), Gone> {
        let here = change.key.resource == self.target.resource
            && (self.target.namespace.is_empty() || change.key.namespace == self.target.namespace);
        if !here {
            return Ok(());
        }
        // An object that leaves the selector is gone as far as this client can see.
        match (self.matches(change.old.as_ref()), self.matches(change.new.as_ref())) {
            (false, true) => self.event("ADDED", &change.last).await,
            (true, true) => self.event("MODIFIED", &change.last).await,
            (true, false) => self.event("DELETED", &change.last).await,
            (false, false) => Ok(()),
        }
    }

    async fn expired(&self, seen: u64, newest: u64) -> Result<(), Gone> {
        let message = format!("too old resource version: {seen} ({newest})");
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": message, "reason": "Expired", "code": 410});
        self.line("ERROR", &status).await
    }

    async fn run(&self, start: Option<u64>, initial: bool) -> Result<(), Gone> {
        let mut signal = self.store.changed.subscribe();
        let mut seen = match start {
            Some(version) => version,
            None => self.send_all(initial).await?,
        };
        let mut beat = tokio::time::interval(BOOKMARK_EVERY);
        beat.tick().await;
        loop {
            signal.borrow_and_update();
            let (new, newest) = {
                let objects = self.store.read();
                (objects.changes_since(seen), objects.version())
            };
            let Some(new) = new else { return self.expired(seen, newest).await };
            for change in new {
                self.change(&change).await?;
            }
            seen = seen.max(newest);
            tokio::select! {
                result = signal.changed() => result.map_err(|_| Gone)?,
                () = self.out.closed() => return Err(Gone),
                _ = beat.tick() => if self.bookmarks {
                    self.bookmark(seen, false).await?;
                },
            }
        }
    }
}
