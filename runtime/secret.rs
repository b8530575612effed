//! Secrets: values that clouds receive in the clear and nobody else sees.
//!
//! [`Secret`] is for the fields of arguments and outputs. It serialises with the secret markers of [`crate::value`],
//! so the taint follows it into records, scripts and other values. As a last net, every secret ever seen by the process is
//! remembered by [`hide`], through which all output passes, in every form in which a protocol may carry it ([`forms`]).

mod forms;

use crate::value::{SECRET_CLOSE, SECRET_OPEN, SECRET_SHOWN, shown_text};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// Shorter texts are too common to be searched for in all output.
pub const SHORTEST_SEARCHED: usize = 6;
static SEEN: RwLock<Seen> = RwLock::new(Seen { secrets: BTreeSet::new(), forms: BTreeSet::new(), finder: None });

/// Every secret of this process.
struct Seen {
    secrets: BTreeSet<String>,
    forms: BTreeSet<String>,
    /// Finds all forms in one pass over a text; made anew at the first text after a new secret.
    finder: Option<Arc<AhoCorasick>>,
}

/// A secret text. `Debug` and `Display` show `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the plaintext (markers are dropped) and remembers it for [`hide`].
    pub fn new(plaintext: impl Into<String>) -> Self {
        let plaintext = plaintext.into().replace([SECRET_OPEN, SECRET_CLOSE], "");
        remember(&plaintext);
        Self(plaintext)
    }

    /// The plaintext, for the call that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The tainted text that scripts and records carry.
    pub fn marked(&self) -> String {
        format!("{SECRET_OPEN}{}{SECRET_CLOSE}", self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET_SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET_SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.marked())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "secret" })
    }
}

/// Remembers a plaintext, so that [`hide`] finds it in any later output.
pub fn remember(plaintext: &str) {
    if plaintext.len() < SHORTEST_SEARCHED {
        return;
    }
    if SEEN.read().unwrap_or_else(PoisonError::into_inner).secrets.contains(plaintext) {
        return;
    }
    let forms = forms::all(plaintext);
    let mut seen = SEEN.write().unwrap_or_else(PoisonError::into_inner);
    seen.secrets.insert(plaintext.to_owned());
    seen.forms.extend(forms.into_iter().filter(|form| form.len() >= SHORTEST_SEARCHED));
    seen.finder = None;
}

/// `text` without any secret: marked regions and every remembered plaintext, in any of its forms, become `<secret>`.
pub fn hide(text: &str) -> String {
    let text = shown_text(text);
    match finder() {
        Some(finder) if finder.is_match(&text) => {
            let mut hidden = String::with_capacity(text.len());
            finder.replace_all_with(&text, &mut hidden, |_, _, hidden| {
                hidden.push_str(SECRET_SHOWN);
                true
            });
            hidden
        }
        _ => text,
    }
}

/// Whether a remembered plaintext, in any of its forms, stands in `text` outside of marked regions.
pub fn stands_in(text: &str) -> bool {
    text.len() >= SHORTEST_SEARCHED && finder().is_some_and(|finder| finder.is_match(&shown_text(text)))
}

/// Finds the longest form that begins at a place: a secret may contain another one. `None` before the first secret.
fn finder() -> Option<Arc<AhoCorasick>> {
    {
        let seen = SEEN.read().unwrap_or_else(PoisonError::into_inner);
        if seen.finder.is_some() || seen.forms.is_empty() {
            return seen.finder.clone();
        }
    }
    let mut seen = SEEN.write().unwrap_or_else(PoisonError::into_inner);
    if seen.finder.is_none() {
        // Built anew whenever a secret is learnt, and searched in short texts: a table of all states costs more than it saves.
        let built = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::LeftmostLongest)
            .build(&seen.forms);
        // It can only fail for more text than a process can hold.
        seen.finder = built.ok().map(Arc::new);
    }
    seen.finder.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_keeps_its_taint_through_json() {
        let secret = Secret::new("hunter2-and-more");
        let json = serde_json::to_value(&secret).unwrap();
        assert!(crate::value::has_secret(&json));
        assert_eq!(serde_json::from_value::<Secret>(json).unwrap(), secret);
        assert_eq!(format!("{secret:?} {secret}"), "<secret> <secret>");
    }

    #[test]
    fn hide_finds_unmarked_copies() {
        let secret = Secret::new("correct-horse-battery");
        assert_eq!(hide(&format!("sent {} twice", secret.reveal())), "sent <secret> twice");
    }

    #[test]
    fn the_longest_of_two_secrets_is_hidden() {
        let (short, long) = (Secret::new("tr0mbone-"), Secret::new("tr0mbone-and-viola"));
        assert_eq!(hide(&format!("{} {}", long.reveal(), short.reveal())), "<secret> <secret>");
    }

    #[test]
    fn hide_finds_a_secret_that_json_escaped() {
        let key = Secret::new("line one of a key\nline \"two\" of a key\n");
        let line = serde_json::json!({ "go_on": format!("run --set key={}", key.reveal()) }).to_string();
        assert_eq!(hide(&line), r#"{"go_on":"run --set key=<secret>"}"#);
    }
}
