//! `gitpod-play check PLAYBOOK`.

use super::{Exit, Outcome, options::Script, print, registry, session};
use crate::{playbook::Diagnostic, report::ending::counted, secret::hide};
use clap::Args;
use serde_json::{Value, json};

/// Find mistakes in a playbook without running it.
///
/// Steps, settings, functions, fields of bindings and unused variables are looked at in all branches, also in those that a
/// run would not take. Nothing is asked of any cloud.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    script: Script,
    /// Show what was found as a JSON list, for editors: severity, message, file, line, column, cause, hint.
    #[arg(long, help_heading = None::<&'static str>)]
    json: bool,
}

impl Check {
    pub(super) fn carry_out(self) -> Outcome {
        let loaded = session::load(&self.script, &registry::all(), true);
        if self.json {
            let found = match &loaded {
                Ok((playbook, _)) => playbook.check(),
                Err(refusal) => refusal.0.clone(),
            };
            print(&Value::Array(found.iter().map(as_json).collect()).to_string());
            return Ok(if found.iter().any(Diagnostic::is_error) { Exit::Usage } else { Exit::Done });
        }
        let (playbook, _) = loaded?;
        let found = playbook.check();
        super::show(&found);
        if found.iter().any(Diagnostic::is_error) {
            return Ok(Exit::Usage);
        }
        print(&format!(
            "{}: {}, {}, no mistakes",
            self.script.playbook,
            counted(playbook.steps.len(), "step"),
            counted(playbook.settings.entries.len(), "setting")
        ));
        Ok(Exit::Done)
    }
}

fn as_json(found: &Diagnostic) -> Value {
    let hidden = |text: &Option<String>| text.as_deref().map(hide);
    let at = found.position.as_ref();
    json!({
        "severity": if found.is_error() { "error" } else { "warning" },
        "message": hide(&found.message),
        "file": at.map(|at| at.file.to_string()),
        "line": at.map(|at| at.line),
        "column": at.map(|at| at.column),
        "cause": hidden(&found.cause),
        "hint": hidden(&found.hint),
    })
}
