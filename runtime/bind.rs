//! The one adapter between scripts and async Rust: the traits a binding implements, and the registry that holds them.
//!
//! A binding is one of five things:
//!
//! | trait | script | in a plan |
//! |---|---|---|
//! | [`Resource`] | `aws::ec2::vpc(#{…})` declares what shall be; the engine converges it | read and compared |
//! | [`Lookup`] | `aws::ec2::find_vpc(#{…})` reads | done |
//! | [`Wait`] | `k8s::wait_rollout(#{…})` polls until something is so | asked once |
//! | [`Action`] | `k8s::restart(#{…})` does something once, and knows when it is done already | `pending` only |
//! | [`Composite`] | `k8s::apply(#{…})` stands for several resources | its parts are planned |
//!
//! Arguments come as one map. They are checked against the type (`deny_unknown_fields`), secrets are revealed only in what
//! `create`, `update` and `perform` get, and only the fields that the script set are compared.

mod compare;
mod erased;
mod known;
mod registry;

pub use compare::compare;
pub use erased::{AnyAction, AnyComposite, AnyLookup, AnyResource, AnyWait, ArgumentError, ResourceMeta};
pub use registry::{Binding, Entry, Registry};

use crate::{cx::Cx, error::Result};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// The map a script hands over, as a type.
pub trait Arguments: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {}
impl<T: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static> Arguments for T {}

/// What a script gets back, as a type.
pub trait Outputs: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {}
impl<T: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static> Outputs for T {}

/// How the engine knows that an object it finds is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// By our two tags on it, which [`Resource::tags`] shows.
    Tags,
    /// It has no tags; it is ours when the log holds our intent to make it (its name is deterministic).
    Intent,
    /// It is a part of something that is ours (a route of our route table, a rule of our group).
    Part,
}

/// Whether an object can be used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// Not yet; the words say what is waited for: `status CREATING`.
    Pending(String),
    /// It never will (`CREATE_FAILED`); the words are the cloud's reason. The engine deletes it and makes it again in a
    /// later run.
    Broken(String),
}

/// What a change does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is changed in place.
    Update,
    /// It is deleted and made again.
    Replace,
}

/// One field that is not as wanted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Dotted path: `scaling.max`.
    pub field: String,
    /// What is there.
    pub old: Value,
    /// What is wanted.
    pub new: Value,
    /// What the change does.
    pub effect: Effect,
}

/// A kind of object that the engine converges. See `docs/architecture.md` for when each function is called.
#[async_trait]
pub trait Resource: Send + Sync + 'static {
    /// `aws::ec2::vpc`: the name in scripts, and the first half of every address.
    const KIND: &'static str;
    /// What is wanted. Its doc comment is the kind's manual.
    type Args: Arguments;
    /// What scripts see. Every comparable field of `Args` must stand here under the same name and in the same form.
    type Observed: Outputs;
    /// Top-level fields whose change replaces the object.
    const REPLACE: &'static [&'static str] = &[];
    /// Top-level fields that cannot be read back, or only say how to work (`cluster`, `skip_final_snapshot`).
    const UNCOMPARED: &'static [&'static str] = &[];
    /// Outputs that an update in place changes (`latest_version`); a plan shows them as not known until run.
    const CHANGED_BY_UPDATE: &'static [&'static str] = &[];
    /// Top-level fields that are all `find` looks by: a plan looks when these are known, whatever else is not yet.
    const FIND_BY: &'static [&'static str] = &[];
    /// Fields that hold the name of a resource of a kind that it stands on, where they hold no id: `("cluster", "aws::eks::cluster")`.
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[];
    /// Outputs that only a comparison needs (a whole live object); the state log leaves them out.
    const UNRECORDED: &'static [&'static str] = &[];
    /// Whether the state log is the only place where it exists: then it is gone when its record is.
    const ONLY_RECORDED: bool = false;
    /// How we know it is ours.
    const OWNERSHIP: Ownership;
    /// Whether the same create may be sent twice: the cloud takes the token, or refuses or replaces what has the name. What may
    /// not is looked for much longer before it is made again.
    const REPEATABLE: bool = false;
    /// Whether there are clouds that take our tags by a second call only, so that an object without any may be ours.
    const TAGGED_LATER: bool = false;
    /// Whether deleting it loses data: then `--allow-delete NAME` is asked for.
    const STATEFUL: bool = false;
    /// Seconds of life between two looks while waiting.
    const POLL_S: u64 = 5;
    /// Seconds of life after which waiting for it ends.
    const TIMEOUT_S: u64 = 1800;

    /// The second half of the address; unique in a stack among this kind. `args` may hold unknowns.
    fn name(args: &Value) -> Option<String>;

    /// Checks what the type cannot: ranges, CIDRs, names that the cloud would refuse. Runs before anything is sent.
    fn validate(_args: &Self::Args) -> Result<()> {
        Ok(())
    }

    /// Checks the arguments as the script gave them, secret markers included.
    fn check_raw(_args: &Value) -> Result<()> {
        Ok(())
    }

    /// Looks for the object without a record: by our tags, or by its deterministic name.
    async fn find(cx: &Cx, args: &Self::Args) -> Result<Option<Self::Observed>>;

    /// Looks for what a create may have left whose answer nobody heard, in order to delete it.
    async fn find_intended(cx: &Cx, args: &Self::Args) -> Result<Option<Self::Observed>> {
        Self::find(cx, args).await
    }

    /// Others that carry both of our tags, as `of` does: a create that was sent again may have made two. Not for kinds that are
    /// [`Resource::REPEATABLE`].
    async fn twins(_cx: &Cx, _of: &Self::Observed) -> Result<Vec<Self::Observed>> {
        Ok(Vec::new())
    }

    /// Reads the object again; `None` when it is gone (or on its way out and no longer usable).
    async fn read(cx: &Cx, last: &Self::Observed) -> Result<Option<Self::Observed>>;

    /// Its tags, for [`Ownership::Tags`].
    fn tags(_observed: &Self::Observed) -> Option<&BTreeMap<String, String>> {
        None
    }

    /// Whether it can be used yet.
    fn readiness(_observed: &Self::Observed) -> Readiness {
        Readiness::Ready
    }

    /// Whether it holds data right now (a bucket with objects). Asked only where [`Resource::STATEFUL`].
    async fn holds_data(_cx: &Cx, _observed: &Self::Observed) -> Result<bool> {
        Ok(true)
    }

    /// What deleting it means for its data, for who has to allow it.
    fn loss(_observed: &Self::Observed) -> &'static str {
        "the data in it would be lost"
    }

    /// What its deletion leaves to others to take away, and is still there (the volumes of a namespace): they may need what is
    /// deleted next. Asked when it is gone itself.
    async fn remains(_cx: &Cx, _last: &Self::Observed) -> Result<Option<String>> {
        Ok(None)
    }

    /// What differs. The default compares the fields that the script set with the observed fields of the same name:
    /// maps by the wanted keys only, lists of plain values without regard to order.
    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        compare(wanted, observed, Self::REPLACE, Self::UNCOMPARED)
    }

    /// Makes the object. `token` is the same over retries and restarts; it goes into the API's idempotency field.
    /// The engine then reads until [`Readiness::Ready`].
    async fn create(cx: &Cx, args: &Self::Args, token: &str) -> Result<Self::Observed>;

    /// Changes it in place.
    async fn update(cx: &Cx, args: &Self::Args, observed: &Self::Observed, changes: &[Change]) -> Result<()>;

    /// Deletes it; success when it is gone already. The engine then reads until it is.
    async fn delete(cx: &Cx, observed: &Self::Observed) -> Result<()>;
}

/// A read.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// `aws::ec2::find_vpc`.
    const NAME: &'static str;
    /// What to look for.
    type Args: Arguments;
    /// What is found. `Option` becomes `()` in scripts.
    type Output: Outputs;
    /// Whether secrets reach [`Lookup::look`] in the clear; else they carry their markers.
    const REVEALED: bool = true;
    /// Whether it may look at all, by what is known of the arguments: unknowns may stand among them.
    fn may(_cx: &Cx, _args: &Value) -> Result<()> {
        Ok(())
    }
    /// Looks.
    async fn look(cx: &Cx, args: &Self::Args) -> Result<Self::Output>;
}

/// The answer to one look of a [`Wait`].
#[derive(Debug, Clone)]
pub enum Polled<T> {
    /// It is so.
    Ready(T),
    /// Not yet, because…
    Pending(String),
}

/// Waits until something is so.
#[async_trait]
pub trait Wait: Send + Sync + 'static {
    /// `k8s::wait_rollout`.
    const NAME: &'static str;
    /// What to wait for. A field `timeout_s` overrides [`Wait::TIMEOUT_S`].
    type Args: Arguments;
    /// What is so in the end.
    type Output: Outputs;
    /// Seconds of life between two looks.
    const POLL_S: u64 = 5;
    /// Seconds of life after which waiting ends with an error.
    const TIMEOUT_S: u64 = 900;
    /// Looks once.
    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>>;
    /// When the deadline passed: why it is not so (events, container states, last log lines).
    async fn explain(_cx: &Cx, _args: &Self::Args) -> Option<String> {
        None
    }
}

/// What an [`Action`] still has to do.
#[derive(Debug, Clone)]
pub enum Todo<T> {
    /// Nothing; this is its output.
    Done(T),
    /// This, in one line: `restart deployment kube-system/coredns`.
    Needed(String),
}

/// Does something once and knows when it is done already.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// `k8s::restart`.
    const NAME: &'static str;
    /// What to do.
    type Args: Arguments;
    /// What came of it.
    type Output: Outputs;
    /// Done once for each distinct map of arguments: the log remembers it, and nothing is asked again.
    const ONCE: bool = false;
    /// Whether it is still to be done. Reads only.
    async fn pending(cx: &Cx, args: &Self::Args) -> Result<Todo<Self::Output>>;
    /// Does it. Called again after a crash, so it must not matter how often.
    async fn perform(cx: &Cx, args: &Self::Args) -> Result<Self::Output>;
}

/// One resource of a [`Composite`].
#[derive(Debug, Clone)]
pub struct Part {
    /// The kind of resource.
    pub kind: &'static str,
    /// Its arguments, as a script would write them.
    pub args: Value,
}

/// Stands for several resources.
#[async_trait]
pub trait Composite: Send + Sync + 'static {
    /// `k8s::apply`.
    const NAME: &'static str;
    /// What is wanted.
    type Args: Arguments;
    /// The file of the user that it reads, as scripts name it.
    fn reads(_args: &Self::Args) -> Option<&str> {
        None
    }
    /// The resources in phases: each phase is converged at once, the next one after it is ready. Reads only, and nothing of the
    /// clouds: an error is one whatever they hold.
    async fn expand(cx: &Cx, args: &Self::Args) -> Result<Vec<Vec<Part>>>;
}
