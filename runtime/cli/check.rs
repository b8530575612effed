//! `gitpod-play check PLAYBOOK`.

use super::{Exit, Outcome, options::Script, print, registry, session};
use crate::playbook::Diagnostic;
use clap::Args;

/// Find mistakes in a playbook without running it.
///
/// Steps, settings, functions, fields of bindings and unused variables are looked at in all branches, also in those that a
/// run would not take. Nothing is asked of any cloud.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    script: Script,
}

impl Check {
    pub(super) fn carry_out(self) -> Outcome {
        let (playbook, _) = session::load(&self.script, &registry::all(), true)?;
        let found = playbook.check();
        super::show(&found);
        if found.iter().any(Diagnostic::is_error) {
            return Ok(Exit::Usage);
        }
        print(&format!(
            "{}: {} steps, {} settings, no mistakes",
            self.script.playbook,
            playbook.steps.len(),
            playbook.settings.entries.len()
        ));
        Ok(Exit::Done)
    }
}
