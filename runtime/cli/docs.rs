//! `gitpod-play docs`.

use super::{Cli, Exit, Outcome, Refusal, options::Script, print, registry, session};
use crate::{
    bind::Registry,
    error::Error,
    playbook::Sources,
    reference::{self, Page},
};
use clap::{Args, CommandFactory};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Show the manual of a binding (`aws::ec2::vpc`), or list the bindings.
#[derive(Args)]
pub struct Docs {
    /// A binding, or the beginning of some names: `aws::ec2`. Without it all bindings are listed.
    name: Option<String>,
    /// Write the whole reference into this folder, one Markdown file for each namespace.
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    write: Option<PathBuf>,
}

impl Docs {
    pub(super) fn carry_out(self) -> Outcome {
        let registry = registry::all();
        if let Some(folder) = &self.write {
            return write(folder, &pages(&registry)?);
        }
        let wanted = self.name.unwrap_or_default();
        if let Some(entry) = registry.get(&wanted) {
            print(reference::manual(entry).trim_end());
            return Ok(Exit::Done);
        }
        let found: Vec<_> = registry.iter().filter(|entry| entry.name.starts_with(&wanted)).collect();
        if found.is_empty() {
            let near = registry.iter().min_by_key(|entry| strsim::damerau_levenshtein(entry.name, &wanted));
            let error = Error::usage(format!("there is no binding `{wanted}`"));
            return Err(match near {
                Some(near) => error.hint(format!("gitpod-play docs {}", near.name)),
                None => error,
            }
            .into());
        }
        let width = found.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for entry in found {
            print(&format!("{:<width$}  {}", entry.name, reference::title(entry)));
        }
        Ok(Exit::Done)
    }
}

/// All pages of the reference.
fn pages(registry: &Arc<Registry>) -> Result<Vec<Page>, Refusal> {
    let script = Script {
        playbook: "playbooks/aws.rhai".to_owned(),
        settings_files: Vec::new(),
        set: Vec::new(),
        allow_read: Vec::new(),
    };
    let (playbook, _) = session::load(&script, registry, true)?;
    let mut pages = reference::bindings(registry);
    pages.push(commands());
    pages.push(reference::functions());
    pages.push(reference::shared_scripts(&Sources::embedded()));
    pages.push(reference::settings("aws", &playbook));
    pages.push(reference::index(&pages));
    Ok(pages)
}

/// The page of the command line: each verb's `--help`.
fn commands() -> Page {
    let mut program = Cli::command().term_width(100);
    program.build();
    let mut text = format!("# Commands\n\n```text\n{}\n```\n", help(&mut program));
    for verb in program.get_subcommands_mut() {
        help_of(verb, &mut text);
    }
    Page { file: "commands.md".to_owned(), about: "the verbs and their options".to_owned(), text }
}

fn help_of(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", help(command));
    for verb in command.get_subcommands_mut() {
        help_of(verb, text);
    }
}

fn help(command: &mut clap::Command) -> String {
    let text = command.render_long_help().to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn write(folder: &Path, pages: &[Page]) -> Outcome {
    let failed = |path: &Path, error: &std::io::Error| {
        Error::failed(format!("cannot write `{}`", path.display())).because(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for page in pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, &page.text).map_err(|error| failed(&path, &error))?;
    }
    print(&format!("{} pages in {}", pages.len(), folder.display()));
    Ok(Exit::Done)
}
