//! `gitpod-play completions SHELL`.

use super::{Cli, Exit, Outcome};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a script that completes this program's command line in your shell.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unnecessary_wraps, reason = "as every verb")]
    pub(super) fn carry_out(self) -> Outcome {
        clap_complete::generate(self.shell, &mut Cli::command(), "gitpod-play", &mut std::io::stdout());
        Ok(Exit::Done)
    }
}
