//! Mistakes in the command line, after the template of all errors.

use super::{Cli, Exit, show};
use crate::playbook::{Diagnostic, suggest};
use clap::{
    CommandFactory, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::process::ExitCode;

/// What other tools call our verbs.
const KNOWN_ELSEWHERE: [(&str, &[&str]); 4] = [
    ("run", &["apply", "up", "deploy", "create", "install"]),
    ("plan", &["preview", "diff", "dry-run"]),
    ("destroy", &["delete", "down", "teardown", "remove"]),
    ("check", &["validate", "lint", "test"]),
];

/// Verbs whose `--json` gives events.
const TELLING_EVENTS: [&str; 4] = ["run", "plan", "destroy", "watch"];

/// Shows what is wrong, or the help that was asked for.
pub(super) fn tell(mistake: &Error) -> ExitCode {
    use ErrorKind as Kind;
    match mistake.kind() {
        Kind::DisplayHelp | Kind::DisplayVersion => {
            let _ = mistake.print();
            ExitCode::SUCCESS
        }
        Kind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = mistake.print();
            Exit::Usage.into()
        }
        _ => {
            let verb = std::env::args().nth(1).unwrap_or_default();
            let found = [diagnostic(mistake, &verb)];
            show(&found);
            if TELLING_EVENTS.contains(&verb.as_str()) && std::env::args().any(|arg| arg == "--json") {
                super::tell_refused(&found);
            }
            Exit::Usage.into()
        }
    }
}

fn diagnostic(mistake: &Error, verb: &str) -> Diagnostic {
    let program = Cli::command();
    let verbs: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let verb = if verbs.contains(&verb) { format!("{verb} ") } else { String::new() };
    let help = format!("`gitpod-play {verb}--help` says what there is");
    let argument = texts(mistake, ContextKind::InvalidArg);
    let argument = argument.first().map(|text| text.split([' ', '=']).next().unwrap_or_default()).unwrap_or_default();
    let value = texts(mistake, ContextKind::InvalidValue).concat();
    let near = |kind| texts(mistake, kind).first().map(|near| format!("did you mean `{near}`?"));
    match mistake.kind() {
        ErrorKind::InvalidSubcommand => {
            let wrong = texts(mistake, ContextKind::InvalidSubcommand).concat();
            let hint = verb_meant(&wrong, &verbs).map(|known| format!("did you mean `{known}`?"));
            Diagnostic::usage(format!("there is no verb `{wrong}`")).hint(hint.unwrap_or(help))
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            Diagnostic::usage(format!("there is no option `{argument}`"))
                .hint(near(ContextKind::SuggestedArg).unwrap_or(help))
        }
        ErrorKind::UnknownArgument => Diagnostic::usage(format!("`{argument}` is one argument too many")).hint(help),
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(mistake, ContextKind::InvalidArg).join("`, `");
            Diagnostic::usage(format!("`{missing}` is missing")).hint(help)
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            Diagnostic::usage(format!("`{argument}` needs a value")).hint(help)
        }
        ErrorKind::InvalidValue => {
            let known = texts(mistake, ContextKind::ValidValue).join("`, `");
            Diagnostic::usage(format!("`{argument}` cannot be `{value}`")).hint(format!("it takes `{known}`"))
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(mistake).map(ToString::to_string).unwrap_or_default();
            Diagnostic::usage(format!("`{argument}` cannot be `{value}`")).hint(wanted(&why))
        }
        ErrorKind::ArgumentConflict => {
            let other = texts(mistake, ContextKind::PriorArg).join("`, `");
            Diagnostic::usage(format!("`{argument}` cannot stand beside `{other}`")).hint(help)
        }
        _ => {
            let text = mistake.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Diagnostic::usage(line.replace('\'', "`")).hint(help)
        }
    }
}

/// The verb that was probably meant: another tool's word for it, or one that is nearly the same.
fn verb_meant<'a>(wrong: &str, verbs: &[&'a str]) -> Option<&'a str> {
    let elsewhere = KNOWN_ELSEWHERE.iter().find(|(_, names)| names.contains(&wrong)).map(|(known, _)| *known);
    elsewhere.or_else(|| suggest::nearest(wrong, verbs.iter().copied()))
}

/// What a value must be, from the reason why another one was refused.
fn wanted(why: &str) -> String {
    match why.split_once(" is not in ").and_then(|(_, range)| range.split_once("..=")) {
        Some((least, most)) => format!("it takes a whole number from {least} to {most}"),
        None => format!("it takes {why}"),
    }
}

fn texts(mistake: &Error, kind: ContextKind) -> Vec<String> {
    match mistake.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn said(args: &[&str]) -> String {
        let all = std::iter::once("gitpod-play").chain(args.iter().copied());
        let mistake = Cli::try_parse_from(all).err().expect("a mistake");
        diagnostic(&mistake, args[0]).render(false)
    }

    #[test]
    fn mistakes_name_what_is_wrong_and_what_was_probably_meant() {
        let cases = [
            (&["rnu", "p"][..], "error: there is no verb `rnu`\nhint: did you mean `run`?\n"),
            (&["destory", "p"], "error: there is no verb `destory`\nhint: did you mean `destroy`?\n"),
            (&["apply", "p"], "error: there is no verb `apply`\nhint: did you mean `run`?\n"),
            (&["fork", "p"], "error: there is no verb `fork`\nhint: `gitpod-play --help` says what there is\n"),
            (&["plan", "p", "--stepp", "x"], "error: there is no option `--stepp`\nhint: did you mean `--step`?\n"),
            (&["plan"], "error: `<PLAYBOOK>` is missing\nhint: `gitpod-play plan --help` says what there is\n"),
            (
                &["plan", "p", "q"],
                "error: `q` is one argument too many\nhint: `gitpod-play plan --help` says what there is\n",
            ),
            (
                &["plan", "p", "--jobs", "0"],
                "error: `--jobs` cannot be `0`\nhint: it takes a whole number from 1 to 256\n",
            ),
            (
                &["plan", "p", "--pace", "0"],
                "error: `--pace` cannot be `0`\nhint: it takes a whole number from 1 up, or `max`\n",
            ),
            (&["run", "p", "--target", "aws"], "error: `--target` cannot be `aws`\nhint: it takes `sandbox`, `live`\n"),
            (
                &["run", "p", "--target"],
                "error: `--target` needs a value\nhint: `gitpod-play run --help` says what there is\n",
            ),
        ];
        for (args, wanted) in cases {
            assert_eq!(said(args), wanted, "{args:?}");
        }
    }
}
