//! The traits of [`crate::bind`] over JSON, so that the engine and the script host need not know the types.

use super::{
    Action, Change, Composite, Lookup, Ownership, Part, Polled, Readiness, Resource, Todo, Wait, known::known_values,
};
use crate::{
    cx::Cx,
    error::{Class, Error, Result},
    value::{has_unknown, revealed},
};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData};

/// A mistake in a map of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentError {
    /// Dotted path of the field: `scaling.max`; empty for the map itself.
    pub path: String,
    /// What is wrong with it, in one line.
    pub message: String,
}

/// What is constant about a kind.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each mirrors a constant of the trait")]
pub struct ResourceMeta {
    /// See [`Resource::KIND`].
    pub kind: &'static str,
    /// See [`Resource::REPLACE`].
    pub replace: &'static [&'static str],
    /// See [`Resource::UNCOMPARED`].
    pub uncompared: &'static [&'static str],
    /// See [`Resource::CHANGED_BY_UPDATE`].
    pub changed_by_update: &'static [&'static str],
    /// See [`Resource::FIND_BY`].
    pub find_by: &'static [&'static str],
    /// See [`Resource::STANDS_ON`].
    pub stands_on: &'static [(&'static str, &'static str)],
    /// See [`Resource::UNRECORDED`].
    pub unrecorded: &'static [&'static str],
    /// See [`Resource::ONLY_RECORDED`].
    pub only_recorded: bool,
    /// See [`Resource::OWNERSHIP`].
    pub ownership: Ownership,
    /// See [`Resource::REPEATABLE`].
    pub repeatable: bool,
    /// See [`Resource::TAGGED_LATER`].
    pub tagged_later: bool,
    /// See [`Resource::STATEFUL`].
    pub stateful: bool,
    /// See [`Resource::POLL_S`].
    pub poll_s: u64,
    /// See [`Resource::TIMEOUT_S`].
    pub timeout_s: u64,
}

/// [`Resource`] over JSON. Arguments may carry secret markers; what reaches the kind has them removed.
#[async_trait]
pub trait AnyResource: Send + Sync {
    /// What is constant about the kind.
    fn meta(&self) -> ResourceMeta;
    /// See [`Resource::name`].
    fn name(&self, args: &Value) -> Option<String>;
    /// Checks the arguments against the type, and against the kind's own rules when no unknown stands in them.
    fn check(&self, args: &Value) -> Result<Result<(), ArgumentError>>;
    /// See [`Resource::find`].
    async fn find(&self, cx: &Cx, args: &Value) -> Result<Option<Value>>;
    /// See [`Resource::find_intended`].
    async fn find_intended(&self, cx: &Cx, args: &Value) -> Result<Option<Value>>;
    /// See [`Resource::twins`].
    async fn twins(&self, cx: &Cx, of: &Value) -> Result<Vec<Value>>;
    /// See [`Resource::read`].
    async fn read(&self, cx: &Cx, last: &Value) -> Result<Option<Value>>;
    /// See [`Resource::tags`].
    fn tags(&self, observed: &Value) -> Result<Option<BTreeMap<String, String>>>;
    /// See [`Resource::readiness`].
    fn readiness(&self, observed: &Value) -> Result<Readiness>;
    /// See [`Resource::holds_data`].
    async fn holds_data(&self, cx: &Cx, observed: &Value) -> Result<bool>;
    /// See [`Resource::loss`].
    fn loss(&self, observed: &Value) -> Result<&'static str>;
    /// See [`Resource::remains`].
    async fn remains(&self, cx: &Cx, last: &Value) -> Result<Option<String>>;
    /// See [`Resource::diff`].
    fn diff(&self, wanted: &Value, observed: &Value) -> Vec<Change>;
    /// See [`Resource::create`].
    async fn create(&self, cx: &Cx, args: &Value, token: &str) -> Result<Value>;
    /// See [`Resource::update`].
    async fn update(&self, cx: &Cx, args: &Value, observed: &Value, changes: &[Change]) -> Result<()>;
    /// See [`Resource::delete`].
    async fn delete(&self, cx: &Cx, observed: &Value) -> Result<()>;
}

/// [`Lookup`] over JSON.
#[async_trait]
pub trait AnyLookup: Send + Sync {
    /// Checks the arguments against the type.
    fn check(&self, args: &Value) -> Result<(), ArgumentError>;
    /// See [`Lookup::may`].
    fn may(&self, cx: &Cx, args: &Value) -> Result<()>;
    /// See [`Lookup::look`].
    async fn look(&self, cx: &Cx, args: &Value) -> Result<Value>;
}

/// [`Wait`] over JSON.
#[async_trait]
pub trait AnyWait: Send + Sync {
    /// Checks the arguments against the type.
    fn check(&self, args: &Value) -> Result<(), ArgumentError>;
    /// Seconds of life between two looks, and until the deadline.
    fn pace_s(&self) -> (u64, u64);
    /// See [`Wait::poll`].
    async fn poll(&self, cx: &Cx, args: &Value) -> Result<Polled<Value>>;
    /// See [`Wait::explain`].
    async fn explain(&self, cx: &Cx, args: &Value) -> Option<String>;
}

/// [`Action`] over JSON.
#[async_trait]
pub trait AnyAction: Send + Sync {
    /// Checks the arguments against the type.
    fn check(&self, args: &Value) -> Result<(), ArgumentError>;
    /// See [`Action::ONCE`].
    fn once(&self) -> bool;
    /// See [`Action::pending`].
    async fn pending(&self, cx: &Cx, args: &Value) -> Result<Todo<Value>>;
    /// See [`Action::perform`].
    async fn perform(&self, cx: &Cx, args: &Value) -> Result<Value>;
}

/// [`Composite`] over JSON.
#[async_trait]
pub trait AnyComposite: Send + Sync {
    /// Checks the arguments against the type.
    fn check(&self, args: &Value) -> Result<(), ArgumentError>;
    /// See [`Composite::reads`].
    fn reads(&self, args: &Value) -> Option<String>;
    /// See [`Composite::expand`].
    async fn expand(&self, cx: &Cx, args: &Value) -> Result<Vec<Vec<Part>>>;
}

/// The field of every resource's arguments that is the engine's and not the kind's.
pub const ADOPT: &str = "adopt";

/// A binding's type, seen through JSON.
pub(super) struct Typed<T>(pub(super) PhantomData<T>);

#[async_trait]
impl<R: Resource> AnyResource for Typed<R> {
    fn meta(&self) -> ResourceMeta {
        ResourceMeta {
            kind: R::KIND,
            replace: R::REPLACE,
            uncompared: R::UNCOMPARED,
            changed_by_update: R::CHANGED_BY_UPDATE,
            find_by: R::FIND_BY,
            stands_on: R::STANDS_ON,
            unrecorded: R::UNRECORDED,
            only_recorded: R::ONLY_RECORDED,
            ownership: R::OWNERSHIP,
            repeatable: R::REPEATABLE,
            tagged_later: R::TAGGED_LATER,
            stateful: R::STATEFUL,
            poll_s: R::POLL_S,
            timeout_s: R::TIMEOUT_S,
        }
    }
    fn name(&self, args: &Value) -> Option<String> {
        R::name(args)
    }
    fn check(&self, args: &Value) -> Result<Result<(), ArgumentError>> {
        R::check_raw(args)?;
        let mut args = std::borrow::Cow::Borrowed(args);
        if !R::ONLY_RECORDED && args.get(ADOPT).is_some() {
            args.to_mut().as_object_mut().and_then(|map| map.shift_remove(ADOPT));
        }
        match check::<R::Args>(&args) {
            Ok(None) => Ok(Ok(known_values::<R>(&args)?)),
            Ok(Some(typed)) => R::validate(&typed).map(Ok),
            Err(mistake) => Ok(Err(mistake)),
        }
    }
    async fn find(&self, cx: &Cx, args: &Value) -> Result<Option<Value>> {
        R::find(cx, &typed::<R::Args>(args)?).await?.map(|found| json(&found)).transpose()
    }
    async fn find_intended(&self, cx: &Cx, args: &Value) -> Result<Option<Value>> {
        R::find_intended(cx, &typed::<R::Args>(args)?).await?.map(|found| json(&found)).transpose()
    }
    async fn twins(&self, cx: &Cx, of: &Value) -> Result<Vec<Value>> {
        R::twins(cx, &typed::<R::Observed>(of)?).await?.iter().map(json).collect()
    }
    async fn read(&self, cx: &Cx, last: &Value) -> Result<Option<Value>> {
        R::read(cx, &typed::<R::Observed>(last)?).await?.map(|found| json(&found)).transpose()
    }
    fn tags(&self, observed: &Value) -> Result<Option<BTreeMap<String, String>>> {
        Ok(R::tags(&typed::<R::Observed>(observed)?).cloned())
    }
    fn readiness(&self, observed: &Value) -> Result<Readiness> {
        Ok(R::readiness(&typed::<R::Observed>(observed)?))
    }
    async fn holds_data(&self, cx: &Cx, observed: &Value) -> Result<bool> {
        R::holds_data(cx, &typed::<R::Observed>(observed)?).await
    }
    fn loss(&self, observed: &Value) -> Result<&'static str> {
        Ok(R::loss(&typed::<R::Observed>(observed)?))
    }
    async fn remains(&self, cx: &Cx, last: &Value) -> Result<Option<String>> {
        R::remains(cx, &typed::<R::Observed>(last)?).await
    }
    fn diff(&self, wanted: &Value, observed: &Value) -> Vec<Change> {
        R::diff(wanted, observed)
    }
    async fn create(&self, cx: &Cx, args: &Value, token: &str) -> Result<Value> {
        json(&R::create(cx, &typed::<R::Args>(args)?, token).await?)
    }
    async fn update(&self, cx: &Cx, args: &Value, observed: &Value, changes: &[Change]) -> Result<()> {
        let changes: Vec<Change> = changes
            .iter()
            .map(|change| Change { old: revealed(&change.old), new: revealed(&change.new), ..change.clone() })
            .collect();
        R::update(cx, &typed::<R::Args>(args)?, &typed::<R::Observed>(observed)?, &changes).await
    }
    async fn delete(&self, cx: &Cx, observed: &Value) -> Result<()> {
        R::delete(cx, &typed::<R::Observed>(observed)?).await
    }
}

#[async_trait]
impl<L: Lookup> AnyLookup for Typed<L> {
    fn check(&self, args: &Value) -> Result<(), ArgumentError> {
        check::<L::Args>(args).map(drop)
    }
    fn may(&self, cx: &Cx, args: &Value) -> Result<()> {
        L::may(cx, args).map_err(of_arguments)
    }
    async fn look(&self, cx: &Cx, args: &Value) -> Result<Value> {
        let args = if L::REVEALED { typed::<L::Args>(args)? } else { read::<L::Args>(args.clone())? };
        json(&L::look(cx, &args).await?)
    }
}

#[async_trait]
impl<W: Wait> AnyWait for Typed<W> {
    fn check(&self, args: &Value) -> Result<(), ArgumentError> {
        check::<W::Args>(args).map(drop)
    }
    fn pace_s(&self) -> (u64, u64) {
        (W::POLL_S, W::TIMEOUT_S)
    }
    async fn poll(&self, cx: &Cx, args: &Value) -> Result<Polled<Value>> {
        Ok(match W::poll(cx, &typed::<W::Args>(args)?).await? {
            Polled::Ready(output) => Polled::Ready(json(&output)?),
            Polled::Pending(why) => Polled::Pending(why),
        })
    }
    async fn explain(&self, cx: &Cx, args: &Value) -> Option<String> {
        W::explain(cx, &typed::<W::Args>(args).ok()?).await
    }
}

#[async_trait]
impl<A: Action> AnyAction for Typed<A> {
    fn check(&self, args: &Value) -> Result<(), ArgumentError> {
        check::<A::Args>(args).map(drop)
    }
    fn once(&self) -> bool {
        A::ONCE
    }
    async fn pending(&self, cx: &Cx, args: &Value) -> Result<Todo<Value>> {
        Ok(match A::pending(cx, &typed::<A::Args>(args)?).await? {
            Todo::Done(output) => Todo::Done(json(&output)?),
            Todo::Needed(what) => Todo::Needed(what),
        })
    }
    async fn perform(&self, cx: &Cx, args: &Value) -> Result<Value> {
        json(&A::perform(cx, &typed::<A::Args>(args)?).await?)
    }
}

#[async_trait]
impl<C: Composite> AnyComposite for Typed<C> {
    fn check(&self, args: &Value) -> Result<(), ArgumentError> {
        check::<C::Args>(args).map(drop)
    }
    fn reads(&self, args: &Value) -> Option<String> {
        C::reads(&check::<C::Args>(args).ok()??).map(str::to_owned)
    }
    async fn expand(&self, cx: &Cx, args: &Value) -> Result<Vec<Vec<Part>>> {
        // Parts keep the taint of the arguments, so these are not revealed.
        let typed = serde_json::from_value(args.clone())
            .map_err(|mistake| Error::usage(format!("bad arguments: {mistake}")))?;
        C::expand(cx, &typed).await.map_err(of_arguments)
    }
}

/// The typed arguments, or the first mistake with its path. With unknowns inside only the field names are checked.
fn check<T: DeserializeOwned + schemars::JsonSchema>(args: &Value) -> Result<Option<T>, ArgumentError> {
    if has_unknown(args) {
        return known_fields::<T>(args).map(|()| None);
    }
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(revealed(args), &mut track);
    T::deserialize(deserializer).map(Some).map_err(|mistake| {
        let path = track.path().to_string();
        ArgumentError { path: if path == "." { String::new() } else { path }, message: mistake.to_string() }
    })
}

fn known_fields<T: schemars::JsonSchema>(args: &Value) -> Result<(), ArgumentError> {
    let schema = schemars::schema_for!(T).to_value();
    let (Some(fields), Some(args)) = (schema["properties"].as_object(), args.as_object()) else { return Ok(()) };
    if let Some(odd) = args.keys().find(|key| !fields.contains_key(*key))
        && schema["additionalProperties"] == Value::Bool(false)
    {
        let known: Vec<String> = fields.keys().map(|key| format!("`{key}`")).collect();
        let message = format!("unknown field `{odd}`, expected one of {}", known.join(", "));
        return Err(ArgumentError { path: odd.clone(), message });
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match required.into_iter().find(|key| !args.contains_key(*key)) {
        Some(missing) => Err(ArgumentError { path: String::new(), message: format!("missing field `{missing}`") }),
        None => Ok(()),
    }
}

/// The same error, as one that holds whatever the clouds hold.
fn of_arguments(error: Error) -> Error {
    Error { of_arguments: true, ..error }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    read(revealed(value))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|mistake| {
        Error::new(Class::Failed, format!("a recorded value does not fit its type at `{}`", mistake.path()))
            .because(mistake.inner().to_string())
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|mistake| Error::failed("an output is no JSON").because(mistake.to_string()))
}

#[cfg(test)]
#[path = "erased_test.rs"]
mod tests;
