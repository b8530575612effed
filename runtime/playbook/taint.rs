//! The two tainted values as types of the script language, and how to find them inside other values.
//!
//! A value that is unknown or secret as a whole has a type of its own, so that no built-in function can look into it.
//! Interpolated into text it becomes a marked region (see [`crate::value`]); [`super::guard`] watches over those.

use crate::value::{SECRET_CLOSE, SECRET_OPEN, UNKNOWN_CLOSE, UNKNOWN_OPEN, has_marked_secret, shown_text};
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};
use std::sync::Arc;

/// Lists and maps are searched to this depth; what is deeper counts as clean, and limits keep values shallower.
const DEEPEST: usize = 64;

/// What a plan cannot know: the output called by this path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown(pub Arc<str>);

/// A secret, with its markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretText(pub ImmutableString);

/// What taints a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taint {
    Unknown(Unknown),
    Secret,
}

impl Unknown {
    /// The unknown called `path`.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// As a region of a text.
    pub fn marked(&self) -> String {
        format!("{UNKNOWN_OPEN}{}{UNKNOWN_CLOSE}", self.0)
    }

    /// A part of it. Paths do not grow without end, however long a script digs.
    pub fn part(&self, suffix: &str) -> Self {
        if self.0.len() > 512 { self.clone() } else { Self(format!("{}{suffix}", self.0).into()) }
    }
}

impl SecretText {
    /// `text` when all of it is one secret region.
    pub fn whole(text: &str) -> Option<Self> {
        let inner = text.strip_prefix(SECRET_OPEN)?.strip_suffix(SECRET_CLOSE)?;
        (!inner.contains([SECRET_OPEN, SECRET_CLOSE, UNKNOWN_OPEN])).then(|| Self(text.into()))
    }

    /// `plaintext` as a secret.
    pub fn new(plaintext: &str) -> Self {
        Self(crate::secret::Secret::new(plaintext).marked().into())
    }
}

/// `text` without secret markers.
pub(super) fn plain(text: &str) -> String {
    text.replace([SECRET_OPEN, SECRET_CLOSE], "")
}

/// What taints `text`. An unknown weighs more than a secret: what holds both is not known.
pub(super) fn of_text(text: &str) -> Option<Taint> {
    if let Some(open) = text.find(UNKNOWN_OPEN) {
        let path = &text[open + UNKNOWN_OPEN.len_utf8()..];
        let path = path.split(UNKNOWN_CLOSE).next().unwrap_or(path);
        return Some(Taint::Unknown(Unknown::new(&shown_text(path))));
    }
    has_marked_secret(text).then_some(Taint::Secret)
}

/// What taints `value` itself, without looking into lists and maps.
pub(super) fn of(value: &Dynamic) -> Option<Taint> {
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return Some(Taint::Unknown(unknown.clone()));
    }
    if value.is::<SecretText>() {
        return Some(Taint::Secret);
    }
    value.read_lock::<ImmutableString>().and_then(|text| of_text(&text))
}

/// What taints `value` anywhere inside.
pub(super) fn deep(value: &Dynamic) -> Option<Taint> {
    search(value, DEEPEST)
}

fn search(value: &Dynamic, depth: usize) -> Option<Taint> {
    if let Some(found) = of(value) {
        return Some(found);
    }
    let depth = depth.checked_sub(1)?;
    if let Some(list) = value.read_lock::<Array>() {
        return heavier(list.iter().filter_map(|item| search(item, depth)));
    }
    if let Some(map) = value.read_lock::<Map>() {
        return heavier(map.iter().filter_map(|(key, item)| of_text(key).or_else(|| search(item, depth))));
    }
    let function = value.read_lock::<FnPtr>()?;
    heavier(function.curry().iter().filter_map(|item| search(item, depth)))
}

fn heavier(found: impl Iterator<Item = Taint>) -> Option<Taint> {
    let mut secret = None;
    for taint in found {
        if let Taint::Unknown(_) = taint {
            return Some(taint);
        }
        secret = Some(taint);
    }
    secret
}
