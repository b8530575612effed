//! The objects of one cluster: versions, ownership, finalizers, garbage collection, change log.

mod defaults;
pub mod error;
mod journal;
mod objects;
mod pod_defaults;
mod remove;
mod validate;
mod write;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

pub use defaults::move_string_data;
pub use error::{ApiError, ApiResult};
use journal::Journal;
pub use objects::Objects;
pub use write::suffix;

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `GROUP/PLURAL`; the core group is empty.
    pub resource: String,
    /// Namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key of these parts.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Group and plural.
    pub fn parts(&self) -> (&str, &str) {
        self.resource.split_once('/').unwrap_or(("", &self.resource))
    }
}

/// One change.
#[derive(Debug)]
pub struct Change {
    /// The resource version that it made.
    pub version: u64,
    /// What changed.
    pub key: Key,
    /// The object before, unless it was created.
    pub old: Option<Arc<Value>>,
    /// The object after, unless it was removed.
    pub new: Option<Arc<Value>>,
    /// The object as a watcher gets it: the new one, or the old one with the new version.
    pub last: Arc<Value>,
}

/// Who writes. It decides what may be written, and no request can choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A client, through the API.
    Client,
    /// The simulation: a controller, the kubelet, the cloud.
    Simulation,
}

/// Which part of an object a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status, where that has an endpoint of its own.
    Main,
    /// The status alone.
    Status,
    /// As `Main`, by server-side apply, which has accounted for the fields already.
    Applied,
    /// As `Status`, by server-side apply.
    AppliedStatus,
}

/// How an object is written.
#[derive(Debug, Clone)]
pub struct Write {
    /// Field manager.
    pub manager: String,
    /// Who writes.
    pub writer: Writer,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
    /// What is written.
    pub part: Part,
}

impl Write {
    /// A write that the simulation makes, to the whole object.
    pub fn simulation() -> Self {
        Self {
            manager: "kube-controller-manager".to_owned(),
            writer: Writer::Simulation,
            dry_run: false,
            part: Part::Main,
        }
    }

    /// A write that the simulation makes to the status.
    pub fn simulated_status() -> Self {
        Self { part: Part::Status, ..Self::simulation() }
    }
}

/// The current time as Kubernetes writes it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The objects of a cluster behind one lock, and a signal for every change.
#[derive(Debug)]
pub struct Store {
    objects: Mutex<Objects>,
    /// The newest resource version.
    pub changed: watch::Sender<u64>,
}

impl Store {
    /// Opens the store kept in `path`, or one in memory.
    ///
    /// # Errors
    /// When the journal cannot be used.
    pub fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let objects = match path {
            None => Objects::default(),
            Some(path) => {
                let (journal, found) = Journal::open(path)?;
                Objects::recover(journal, found)
            }
        };
        Ok(Self { changed: watch::channel(objects.version()).0, objects: Mutex::new(objects) })
    }

    /// The objects, to read.
    pub fn read(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on the objects, writes what it changed to the journal, and tells the watchers.
    ///
    /// # Errors
    /// Those of `change`, and 500 when the journal cannot be written.
    pub fn with<T>(&self, change: impl FnOnce(&mut Objects) -> ApiResult<T>) -> ApiResult<T> {
        let mut objects = self.read();
        let result = change(&mut objects);
        let written = objects.flush();
        let version = objects.version();
        drop(objects);
        self.changed.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        written.map_err(|e| ApiError::new(500, "InternalError", format!("the journal cannot be written: {e}")))?;
        result
    }

    /// The object at `key`.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn get(&self, key: &Key) -> ApiResult<Arc<Value>> {
        self.read().get(key)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As the API does.
    pub fn create(&self, key: &Key, object: Value, write: &Write) -> ApiResult<Arc<Value>> {
        self.with(|o| o.create(key, object, write))
    }

    /// Changes an object.
    ///
    /// # Errors
    /// As the API does, or as `change` does.
    pub fn update(
        &self,
        key: &Key,
        write: &Write,
        change: impl FnOnce(&Value) -> ApiResult<Value>,
    ) -> ApiResult<Arc<Value>> {
        self.with(|o| o.update(key, write, change))
    }

    /// Deletes an object; says whether it is still there, waiting for finalizers.
    ///
    /// # Errors
    /// As the API does.
    pub fn delete(&self, key: &Key, options: &Value, dry_run: bool) -> ApiResult<(Arc<Value>, bool)> {
        self.with(|o| o.delete(key, options, dry_run))
    }
}
