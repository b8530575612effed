//! Where scripts come from: the folder of the playbook, and the files embedded in the binary.

use std::{collections::BTreeMap, sync::Arc};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The embedded scripts by the path under which they are imported, without `.rhai`: `std/aws`, `playbooks/aws`.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    embedded: BTreeMap<String, Arc<str>>,
}

impl Sources {
    /// What this binary was built with: `stdlib/` as `std/…`, and `playbooks/`.
    pub fn embedded() -> Self {
        EMBEDDED.iter().fold(Self::default(), |sources, (path, text)| sources.with(path, *text))
    }

    /// The same, with one more script.
    #[must_use]
    pub fn with(mut self, path: &str, text: impl Into<Arc<str>>) -> Self {
        self.embedded.insert(path.trim_end_matches(".rhai").to_owned(), text.into());
        self
    }

    /// The script embedded under `path`, with or without `.rhai`.
    pub fn get(&self, path: &str) -> Option<Arc<str>> {
        self.embedded.get(path.trim_end_matches(".rhai")).cloned()
    }

    /// All embedded scripts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.embedded.iter().map(|(path, text)| (path.as_str(), text))
    }
}
