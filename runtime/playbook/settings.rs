//! Settings: defaults of the playbook, files, and `--set`, laid over each other and checked against the defaults' types.

mod layer;
mod place;
mod rule;
mod tree;

pub use layer::SettingsLayer;
pub(super) use place::{Places, places};
pub(super) use rule::{Declared, Rule};
pub(super) use tree::{Node, Tree};

use super::Position;
use serde_json::Value;

/// One setting, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dotted path: `workspaces.max`.
    pub path: String,
    /// What holds in this run. Secrets carry their markers: pass it through [`crate::value::shown`] before it is shown.
    pub value: Value,
    /// What holds when nobody says otherwise.
    pub default: Value,
    /// Where the value comes from: `default`, or [`SettingsLayer::origin`].
    pub origin: String,
    /// What may stand there: `text`, `whole number`, `one of "a", "b"`.
    pub kind: String,
    /// The comment at its default.
    pub description: String,
    /// Where the default stands.
    pub at: Option<Position>,
}

/// All settings of a playbook, by path.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// In the order of the playbook.
    pub entries: Vec<Setting>,
}

impl Settings {
    /// The setting called `path`.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        self.entries.iter().find(|entry| entry.path == path)
    }
}
