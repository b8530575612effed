//! `gitpod-play steps PLAYBOOK`.

use super::{Exit, Outcome, options::Script, print, registry, session};
use clap::Args;
use serde_json::json;

/// List the steps of a playbook, what each needs, and what it does.
#[derive(Args)]
pub struct Steps {
    #[command(flatten)]
    script: Script,
    /// Show them as a JSON list.
    #[arg(long, help_heading = None::<&'static str>)]
    json: bool,
}

impl Steps {
    pub(super) fn carry_out(self) -> Outcome {
        let (playbook, _) = session::load(&self.script, &registry::all(), true)?;
        if self.json {
            let steps = playbook.steps.iter().map(|step| {
                json!({
                    "name": step.name, "needs": step.needs, "after": step.after, "doc": step.doc, "when": step.when,
                    "protect": step.protect, "timeout_s": step.timeout.map(|timeout| timeout.as_secs()),
                    "retry": step.retry, "file": &*step.at.file, "line": step.at.line,
                })
            });
            print(&serde_json::Value::Array(steps.collect()).to_string());
            return Ok(Exit::Done);
        }
        let width = playbook.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for step in &playbook.steps {
            let doc = step.doc.lines().next().unwrap_or_default();
            let off = if step.when { "" } else { " (switched off)" };
            let needs = crate::engine::steps::all_needs(step);
            print(format!("{:<width$}  {doc}{off}", step.name).trim_end());
            if !needs.is_empty() {
                print(&format!("{:<width$}    needs {}", "", needs.join(", ")));
            }
        }
        Ok(Exit::Done)
    }
}
