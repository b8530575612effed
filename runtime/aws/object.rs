//! What the kinds of all services share: reading what may be absent, sorting changes, and remembering within a run what
//! only the arguments say.

use crate::{
    bind::{Change, Effect},
    cx::Cx,
    error::{Error, Result},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Mutex};

/// Turns "the cloud says that it is not there" into `None`.
pub fn found<T>(answer: Result<T, impl Into<Error>>) -> Result<Option<T>> {
    match answer.map_err(Into::into) {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes "it is not there" as success: for deletes.
pub fn gone<T>(answer: Result<T>) -> Result<()> {
    found(answer).map(drop)
}

/// Whether one of `changes` is about the top-level field `field`.
pub fn touches(changes: &[Change], field: &str) -> bool {
    changes.iter().any(|change| change.field.split('.').next() == Some(field))
}

/// The text in `field` of a map of arguments.
pub fn text(args: &Value, field: &str) -> Option<String> {
    args.get(field)?.as_str().map(str::to_owned)
}

/// Adds a change in place of `field`.
pub fn changed(changes: &mut Vec<Change>, field: &str, old: &Value, new: &Value) {
    changes.push(Change { field: field.to_owned(), old: old.clone(), new: new.clone(), effect: Effect::Update });
}

/// A failure that says which field the cloud left out of its answer.
pub fn absent(what: &str) -> Error {
    Error::failed(format!("AWS left out {what}"))
}

/// What updates of this run set on fields that no read shows, or that are read only where the playbook sets them.
#[derive(Default)]
struct Remembered(Mutex<HashMap<(String, String), Value>>);

/// Remembers that `field` of the object called `object` (kind and name) now is `value`.
pub fn remember(cx: &Cx, object: &str, field: &str, value: Value) {
    let remembered = cx.run.clients.get_or_insert(Remembered::default);
    if let Ok(mut map) = remembered.0.lock() {
        map.insert((object.to_owned(), field.to_owned()), value);
    }
}

/// What [`remember`] heard last in this run.
pub fn remembered(cx: &Cx, object: &str, field: &str) -> Option<Value> {
    let remembered = cx.run.clients.get_or_insert(Remembered::default);
    remembered.0.lock().ok()?.get(&(object.to_owned(), field.to_owned())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use serde_json::json;

    #[test]
    fn changes_are_found_by_their_first_part() {
        let change = Change { field: "tags.team".into(), old: Value::Null, new: json!("x"), effect: Effect::Update };
        assert!(touches(std::slice::from_ref(&change), "tags"));
        assert!(!touches(&[change], "tag"));
    }

    #[test]
    fn only_absence_becomes_none() {
        assert_eq!(found::<u8>(Err(Error::new(Class::NotFound, "x"))).unwrap(), None);
        assert!(found::<u8>(Err(Error::new(Class::Denied, "x"))).is_err());
        assert!(gone::<u8>(Err(Error::new(Class::NotFound, "x"))).is_ok());
    }
}
