//! What a binding gets to work with: the wire, the clients, the clock, and who asks.

use crate::{
    allowed::Allowed,
    error::{Class, Error, Result},
    wire::Wire,
};
use serde_json::Value;
use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Tag (and Kubernetes label) that names the stack an object belongs to.
pub const TAG_STACK: &str = "gitpod-play/stack";
/// Tag (and Kubernetes annotation) that names the resource's address within the stack.
pub const TAG_RESOURCE: &str = "gitpod-play/resource";

/// Whether writes may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Reads only; the wire refuses everything else.
    Plan,
    /// Reads and writes.
    Run,
}

/// How many times faster than life waits pass. On live clouds it is always 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// This many times faster.
    Times(u32),
    /// As fast as the machine can.
    Max,
}

impl Pace {
    /// How long `life` takes at this pace. Never less than a millisecond, so that no wait becomes a busy loop.
    pub fn scaled(self, life: Duration) -> Duration {
        match self {
            Pace::Times(times) => (life / times.max(1)).max(Duration::from_millis(1)),
            Pace::Max => Duration::from_millis(1),
        }
    }
}

/// Everything that is the same for all calls of one run.
pub struct Run {
    /// The stack's name.
    pub stack: String,
    /// Whether writes may be made.
    pub mode: Mode,
    /// The one place that sends.
    pub wire: Wire,
    /// How fast waits pass.
    pub pace: Pace,
    /// Set when the run is to stop.
    pub cancel: CancellationToken,
    /// The stack's folder on this machine, for files that the playbook writes.
    pub folder: PathBuf,
    /// Where the playbook lives; relative files that it names are looked for here.
    pub playbook_folder: PathBuf,
    /// What the playbook said about each cloud: `target("aws", #{ region: … })`.
    pub targets: BTreeMap<String, Value>,
    /// Other addresses to talk to, by cloud: `--endpoint aws=URL`.
    pub endpoints: BTreeMap<String, String>,
    /// What scripts were allowed beyond the clouds.
    pub allowed: Allowed,
    /// Hears what a binding is doing or waiting for: (step, resource address, words).
    pub heard: Heard,
    /// Hears what a reader should know once, whether or not anybody watches the progress: (step, what).
    pub told: Told,
    /// The clouds' clients, each kind made once.
    pub clients: Clients,
}

/// Hears (step, resource address, words).
pub type Heard = Box<dyn Fn(&str, &str, &str) + Send + Sync>;

/// Hears (step, what).
pub type Told = Box<dyn Fn(&str, Telling<'_>) + Send + Sync>;

/// What a reader should know once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling<'a> {
    /// Something worth knowing that is as it should be.
    Note(&'a str),
    /// Something that a delete leaves in the cloud on purpose.
    Kept(&'a str),
}

/// Clients of any type, at most one of each.
#[derive(Default)]
pub struct Clients(RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Clients {
    /// The client of type `T`, made by `make` on first use.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let key = TypeId::of::<T>();
        if let Some(found) = self.0.read().ok().and_then(|map| map.get(&key).cloned())
            && let Ok(found) = found.downcast::<T>()
        {
            return found;
        }
        let made: Arc<T> = Arc::new(make());
        let Ok(mut map) = self.0.write() else { return made };
        let kept = map.entry(key).or_insert_with(|| made.clone() as Arc<dyn Any + Send + Sync>).clone();
        kept.downcast::<T>().unwrap_or(made)
    }
}

/// The context of one call: the run, and who in it asks.
#[derive(Clone)]
pub struct Cx {
    /// The run.
    pub run: Arc<Run>,
    /// The step that asks.
    pub step: Arc<str>,
    /// The address of the resource it is about (`aws::ec2::vpc/gitpod`); empty for look-ups.
    pub address: Arc<str>,
}

impl Cx {
    /// Whether this is a plan, in which nothing may be written.
    pub fn planning(&self) -> bool {
        self.run.mode == Mode::Plan
    }

    /// The two tags that make an object ours, followed by the wanted ones.
    pub fn tags(&self, wanted: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut tags = wanted.clone();
        tags.insert(TAG_STACK.into(), self.run.stack.clone());
        tags.insert(TAG_RESOURCE.into(), self.address.to_string());
        tags
    }

    /// What the playbook said about the cloud called `name`.
    pub fn target(&self, name: &str) -> Option<&Value> {
        self.run.targets.get(name)
    }

    /// Waits `life` at the run's pace; an error when the run is stopped meanwhile.
    pub async fn sleep(&self, life: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(self.run.pace.scaled(life)) => Ok(()),
            () = self.run.cancel.cancelled() => Err(Error::new(Class::Interrupted, "stopped while waiting")),
        }
    }

    /// Tells the reader, in a line that stays; the same is told once a command.
    pub fn tell(&self, what: Telling<'_>) {
        (self.run.told)(&self.step, what);
    }

    /// Tells the progress display what is being done or waited for.
    pub fn say(&self, words: &str) {
        (self.run.heard)(&self.step, &self.address, words);
    }
}
