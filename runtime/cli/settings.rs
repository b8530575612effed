//! `gitpod-play settings PLAYBOOK`.

use super::{Exit, Outcome, options::Script, print, registry, session};
use crate::value::shown;
use clap::Args;
use serde_json::json;

/// List every setting of a playbook, its value, and where the value came from.
///
/// Later ones win: the playbook's defaults, those of a fork, `--settings FILE`, `--set PATH=VALUE`.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    script: Script,
    /// Show what each is for.
    #[arg(long, short, help_heading = None::<&'static str>)]
    verbose: bool,
    /// Show them as a JSON list.
    #[arg(long, help_heading = None::<&'static str>)]
    json: bool,
}

impl Settings {
    pub(super) fn carry_out(self) -> Outcome {
        let (playbook, _) = session::load(&self.script, &registry::all(), true)?;
        let entries = &playbook.settings.entries;
        if self.json {
            let list = entries.iter().map(|it| {
                json!({
                    "path": it.path, "value": shown(&it.value), "default": shown(&it.default), "origin": it.origin,
                    "type": it.kind, "description": it.description,
                })
            });
            print(&serde_json::Value::Array(list.collect()).to_string());
            return Ok(Exit::Done);
        }
        let path_width = entries.iter().map(|it| it.path.len()).max().unwrap_or(0);
        let value_width =
            entries.iter().map(|it| shown(&it.value).to_string().chars().count()).max().unwrap_or(0).min(44);
        for it in entries {
            let value = shown(&it.value).to_string();
            print(format!("{:<path_width$}  {value:<value_width$}  {}", it.path, it.origin).trim_end());
            if self.verbose && !it.description.is_empty() {
                print(&format!("  {}", it.description));
            }
        }
        Ok(Exit::Done)
    }
}
