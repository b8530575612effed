//! Secrets: values that clouds receive in the clear and nobody else sees.
//!
//! [`Secret`] is for the fields of arguments and outputs. It serialises with the secret markers of [`crate::value`],
//! so the taint follows it into records, scripts and other values. As a last net, every secret ever seen by the process is
//! remembered by [`hide`], through which all output passes.

use crate::value::{SECRET_CLOSE, SECRET_OPEN, SECRET_SHOWN, shown_text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeSet, fmt, sync::RwLock};

/// Shorter texts are too common to be searched for in all output.
const SHORTEST_SEARCHED: usize = 6;
static SEEN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

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
    let Ok(mut seen) = SEEN.write() else { return };
    if !seen.contains(plaintext) {
        seen.insert(plaintext.to_owned());
    }
}

/// `text` without any secret: marked regions and every remembered plaintext become `<secret>`.
pub fn hide(text: &str) -> String {
    let mut text = shown_text(text);
    let Ok(seen) = SEEN.read() else { return text };
    // Longest first: a secret may contain another one.
    let mut found: Vec<&String> = seen.iter().filter(|secret| text.contains(secret.as_str())).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in found {
        text = text.replace(secret.as_str(), SECRET_SHOWN);
    }
    text
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
}
