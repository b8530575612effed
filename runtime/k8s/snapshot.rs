//! The first look at declared objects, many at once: one list a kind, chosen by the label of the stack, in place of one
//! read an object. Only the first look at an object in a run may come from a list, and only from one that is fresh and
//! was made after our last write; whoever waits for a change reads the object itself.

use super::{cluster::Cluster, lookups::list_all, place::Place};
use crate::{
    cx::{Cx, TAG_STACK},
    error::Class,
};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a list may stand for the cluster.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Lists of one cluster, by path.
#[derive(Default)]
pub struct Snapshots {
    lists: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Listed>>>>,
    /// Objects that were looked at in this run.
    looked_at: Mutex<HashSet<String>>,
    writes: AtomicU64,
}

/// One list, as far as there is one.
#[derive(Default)]
struct Listed {
    /// When it was asked for, after how many writes, and the objects by their uid.
    taken: Option<(Instant, u64, HashMap<String, Value>)>,
    /// Whether this identity may not list the kind.
    denied: bool,
}

impl Snapshots {
    /// Notes a write: all lists are of the past.
    pub fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that an object was looked at; whether it is the first time.
    pub fn looked_at(&self, uid: &str) -> bool {
        self.looked_at.lock().is_ok_and(|mut seen| seen.insert(uid.to_owned()))
    }

    fn listed(&self, path: &str) -> Option<Arc<tokio::sync::Mutex<Listed>>> {
        Some(self.lists.lock().ok()?.entry(path.to_owned()).or_default().clone())
    }
}

impl Cluster {
    /// The object called `uid`, when this is the first look at it and a list of the stack's objects holds it. `None` says
    /// nothing: then the object itself is to be read.
    pub async fn first_look(&self, cx: &Cx, place: &Place, uid: &str) -> Option<Value> {
        if uid.is_empty() || !self.snapshots.looked_at(uid) {
            return None;
        }
        let path = place.kind.path(None, None);
        let listed = self.snapshots.listed(&path)?;
        // Held while the list is asked for, so that others wait for it and do not ask again.
        let mut listed = listed.lock().await;
        if listed.denied {
            return None;
        }
        let writes = self.snapshots.writes.load(Ordering::SeqCst);
        let fresh = listed.taken.as_ref().is_some_and(|(at, after, _)| at.elapsed() < FRESH_FOR && *after == writes);
        if !fresh {
            let at = Instant::now();
            let selector = format!("{TAG_STACK}={}", cx.run.stack);
            match list_all(cx, self, &place.kind.plural, &path, &selector).await {
                Ok(items) => listed.taken = Some((at, writes, by_uid(items, place))),
                Err(error) => {
                    listed.denied = error.class == Class::Denied;
                    return None;
                }
            }
        }
        listed.taken.as_ref().and_then(|(_, _, objects)| objects.get(uid).cloned())
    }
}

/// Items of a list do not say what they are.
fn by_uid(items: Vec<Value>, place: &Place) -> HashMap<String, Value> {
    let named = |mut item: Value| {
        let uid = item["metadata"]["uid"].as_str()?.to_owned();
        item["apiVersion"] = json!(place.kind.api_version);
        item["kind"] = json!(place.kind.kind);
        Some((uid, item))
    };
    items.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_look_counts_as_one() {
        let snapshots = Snapshots::default();
        assert!(snapshots.looked_at("a"));
        assert!(!snapshots.looked_at("a"));
    }
}
