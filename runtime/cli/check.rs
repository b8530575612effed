//! `gitpod-play check PLAYBOOK`.

use super::{Exit, Outcome, options::Script, print, registry, session};
use clap::Args;

/// Find mistakes in a playbook without running it.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    script: Script,
}

impl Check {
    pub(super) fn carry_out(self) -> Outcome {
        let (playbook, _) = session::load(&self.script, &registry::all(), true)?;
        let warnings = playbook.check();
        super::show(&warnings);
        print(&format!(
            "{}: {} steps, {} settings, no mistakes",
            self.script.playbook,
            playbook.steps.len(),
            playbook.settings.entries.len()
        ));
        Ok(Exit::Done)
    }
}
