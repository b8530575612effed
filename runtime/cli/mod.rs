//! The command line: one file a verb; what they share is in [`options`] and [`session`].

pub mod ask;
mod check;
pub mod clouds;
mod completions;
mod destroy;
mod docs;
mod guard;
mod log;
pub mod options;
mod plan;
mod preflight;
pub mod registry;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
mod saved;
pub mod session;
mod settings;
mod signals;
mod slips;
mod stale;
mod state;
mod steps;
mod usage;
mod watch;

use crate::{
    error::{Class, Error},
    playbook::Diagnostic,
    printable::tame,
    report::{Event, Reporter, json::JsonLines},
    secret::hide,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 a mistake in the playbook, the settings or the command line, \
                          3 the plan has changes (`plan --detailed-exitcode`), 130 interrupted.";

/// Runs playbooks: scripts that provision and install a whole cloud architecture.
///
/// The default target is a simulated cloud on this machine, which needs no account: `gitpod-play run playbooks/aws.rhai`
#[derive(Parser)]
#[command(name = "gitpod-play", bin_name = "gitpod-play", version, max_term_width = 110, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: log::LogOptions,
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Run),
    Plan(plan::Plan),
    Destroy(destroy::Destroy),
    Watch(watch::Watch),
    Steps(steps::Steps),
    Settings(settings::Settings),
    Check(check::Check),
    State(state::State),
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Sandbox),
    Docs(docs::Docs),
    Completions(completions::Completions),
}

impl Verb {
    /// Whether standard output is for events.
    fn tells_events(&self) -> bool {
        match self {
            Verb::Run(verb) => verb.manner.json,
            Verb::Plan(verb) => verb.json,
            Verb::Destroy(verb) => verb.manner.json,
            Verb::Watch(verb) => verb.manner.json,
            _ => false,
        }
    }
}

/// How a verb ended, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; for `plan`: nothing to do, or changes shown.
    Done,
    /// 1: something failed.
    Failed,
    /// 2: a mistake in the playbook, the settings or the command line.
    Usage,
    /// 3: the plan has changes (`plan --detailed-exitcode`).
    Changes,
    /// 130: stopped by the user.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Changes => 3,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a verb could not be carried out: errors to show.
pub struct Refusal(Vec<Diagnostic>);

impl Refusal {
    /// The exit code that fits.
    fn exit(&self) -> Exit {
        match self.0.first().map(|diagnostic| diagnostic.class) {
            Some(Class::Usage) => Exit::Usage,
            Some(Class::Interrupted) => Exit::Interrupted,
            _ => Exit::Failed,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(vec![crate::engine::steps::diagnostic(&error)])
    }
}

impl From<Diagnostic> for Refusal {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl From<Vec<Diagnostic>> for Refusal {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self(diagnostics)
    }
}

/// What a verb's function gives.
pub type Outcome = std::result::Result<Exit, Refusal>;

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mistake) => return usage::tell(&mistake),
    };
    let json = cli.verb.tells_events();
    let outcome = cli.log.begin().map_err(Refusal::from).and_then(|()| carry_out(cli.verb));
    let exit = match outcome {
        Ok(exit) => exit,
        Err(refusal) => {
            show(&refusal.0);
            if json {
                tell_refused(&refusal.0);
            }
            refusal.exit()
        }
    };
    tracing::info!(?exit, "ended");
    exit.into()
}

fn carry_out(verb: Verb) -> Outcome {
    match verb {
        Verb::Run(verb) => verb.carry_out(),
        Verb::Plan(verb) => verb.carry_out(),
        Verb::Destroy(verb) => verb.carry_out(),
        Verb::Watch(verb) => verb.carry_out(),
        Verb::Steps(verb) => verb.carry_out(),
        Verb::Settings(verb) => verb.carry_out(),
        Verb::Check(verb) => verb.carry_out(),
        Verb::State(verb) => verb.carry_out(),
        #[cfg(feature = "sandbox")]
        Verb::Sandbox(verb) => verb.carry_out(),
        Verb::Docs(verb) => verb.carry_out(),
        Verb::Completions(verb) => verb.carry_out(),
    }
}

/// Shows diagnostics on standard error.
fn show(diagnostics: &[Diagnostic]) {
    use std::io::{IsTerminal, Write};
    let mut out = std::io::stderr().lock();
    let color = out.is_terminal();
    for (number, diagnostic) in diagnostics.iter().enumerate() {
        let alike = |other: &&Diagnostic| other.message == diagnostic.message && other.cause == diagnostic.cause;
        // A misspelt setting may be read in many places.
        if diagnostics[..number].iter().any(|other| alike(&other)) {
            continue;
        }
        let _ = writeln!(out, "{}", diagnostic.render(color).trim_end());
        tracing::error!("{}", diagnostic.render(false).trim_end());
        match diagnostics[number + 1..].iter().filter(alike).count() {
            0 => {}
            1 => drop(writeln!(out, "  the same at one more place")),
            more => drop(writeln!(out, "  the same at {more} more places")),
        }
    }
}

/// Says a line on standard error. A terminal that was closed is no error.
fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{}", tame(&hide(text)));
}

/// Tells diagnostics as events on standard output.
fn tell_refused(diagnostics: &[Diagnostic]) {
    let events = JsonLines::new(std::io::stdout());
    for it in diagnostics {
        let (error, message, hint) = (it.render(false), it.message.clone(), it.hint.clone());
        events.hear(&Event::Refused { error, message, hint });
    }
}

/// Prints a line on standard output. A reader that went away is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{}", tame(&hide(text)));
}
