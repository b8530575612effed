//! The reference: pages in Markdown, made from the schemas and doc comments of the bindings, the manual of the script
//! functions, the shared scripts and the settings of a playbook.
//!
//! `gitpod-play docs --write docs/reference` writes them; a test compares what is committed with what is made here.

mod scripts;
mod shape;

pub use scripts::{functions, settings, shared_scripts};
pub use shape::{Row, Shape};

use crate::bind::{Binding, Entry, Ownership, Registry, ResourceMeta};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// From this many bindings on, a map that all of them take stands in a table of its own.
const SHARED_BY: usize = 3;

/// One file of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name: `aws-ec2.md`.
    pub file: String,
    /// One line about it, for the index.
    pub about: String,
    /// Its text.
    pub text: String,
}

/// Pages of all bindings, one for each namespace.
pub fn bindings(registry: &Registry) -> Vec<Page> {
    let mut spaces: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in registry.iter() {
        let space = entry.name.rsplit_once("::").map_or("", |(space, _)| space);
        spaces.entry(space).or_default().push(entry);
    }
    spaces.into_iter().map(|(space, entries)| namespace(space, &entries)).collect()
}

/// The page that leads to all others.
pub fn index(pages: &[Page]) -> Page {
    let mut text = String::from("# Reference\n\n");
    text.push_str("Made from the program itself; `gitpod-play docs NAME` shows the same on the terminal.\n\n");
    for page in pages {
        let _ = writeln!(text, "- [{}]({}): {}", page.file.trim_end_matches(".md"), page.file, page.about);
    }
    Page { file: "README.md".to_owned(), about: String::new(), text }
}

/// The manual of one binding.
pub fn manual(entry: &Entry) -> String {
    described(entry, &BTreeSet::new())
}

/// The first line of a binding's manual.
pub fn title(entry: &Entry) -> String {
    let schema = (entry.args)();
    let description = schema["description"].as_str().unwrap_or_default().trim();
    one_line(description.split("\n\n").next().unwrap_or_default())
}

fn namespace(space: &str, entries: &[&Entry]) -> Page {
    let shared = shared(entries);
    let apart: BTreeSet<String> = shared.keys().cloned().collect();
    let mut text = format!("# {space}\n\n");
    for entry in entries {
        let short = entry.name.rsplit("::").next().unwrap_or(entry.name);
        let _ = writeln!(text, "- [{short}](#{}): {}", anchor(entry.name), title(entry));
    }
    for entry in entries {
        let _ = write!(text, "\n{}", described(entry, &apart));
    }
    for (name, root) in &shared {
        let Some(shape) = Shape::new(root, &apart).definition(name) else { continue };
        let _ = write!(text, "\n## {name}\n\n{}\n\n{}", shape.description().trim(), arguments(&shape.rows()));
    }
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry.name.rsplit("::").next()).collect();
    Page { file: format!("{}.md", space.replace("::", "-")), about: names.join(", "), text }
}

/// Maps that several bindings of a page take, with a schema that defines each.
fn shared(entries: &[&Entry]) -> BTreeMap<String, Value> {
    let mut seen: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    for entry in entries {
        let root = (entry.args)();
        for (name, _) in Shape::definitions(&root) {
            seen.entry(name.clone()).or_insert_with(|| (0, root.clone())).0 += 1;
        }
    }
    seen.into_iter().filter(|(_, (count, _))| *count >= SHARED_BY).map(|(name, (_, root))| (name, root)).collect()
}

fn described(entry: &Entry, apart: &BTreeSet<String>) -> String {
    let args = (entry.args)();
    let shape = Shape::new(&args, apart);
    let manual = sections(shape.description());
    let (purpose, more) = manual.split_once("\n\n").unwrap_or((&manual, ""));
    let mut text = format!("## {}\n\n{purpose}\n\n{}\n", entry.name, facts(entry));
    if !more.is_empty() {
        let _ = write!(text, "\n{more}\n");
    }
    let rows = shape.rows();
    if rows.is_empty() {
        text.push_str("\n### Arguments\n\nNone.\n");
    } else {
        let _ = write!(text, "\n### Arguments\n\n{}", arguments(&rows));
    }
    let output = (entry.output)();
    text.push_str(&match &entry.binding {
        Binding::Composite(_) => {
            "\n### Outputs\n\nA list: the outputs of each resource that it stands for.\n".to_owned()
        }
        _ => outputs(&Shape::new(&output, &BTreeSet::new())),
    });
    text
}

/// Headings of a doc comment, one level below the binding's own.
fn sections(description: &str) -> String {
    let mut in_code = false;
    let line = |line: &str| {
        in_code ^= line.starts_with("```");
        match line.strip_prefix("# ") {
            Some(heading) if !in_code => format!("### {heading}\n"),
            _ => line.to_owned(),
        }
    };
    description.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What is the same for all calls of a binding.
fn facts(entry: &Entry) -> String {
    match &entry.binding {
        Binding::Resource(kind) => resource_facts(&kind.meta()),
        Binding::Lookup(_) => "*A look-up*: reads, in a plan as well.".to_owned(),
        Binding::Wait(wait) => {
            let (poll_s, timeout_s) = wait.pace_s();
            format!("*A wait*: looks every {poll_s} s, for at most {}. In a plan it looks once.", span(timeout_s))
        }
        Binding::Action(action) if action.once() => {
            "*An action*: done once for each map of arguments; the state remembers it.".to_owned()
        }
        Binding::Action(_) => "*An action*: done when it is not so yet; in a plan only looked at.".to_owned(),
        Binding::Composite(_) => {
            "*Stands for several resources*, each planned, made and deleted on its own.".to_owned()
        }
    }
}

fn resource_facts(meta: &ResourceMeta) -> String {
    let list = |fields: &[&str]| fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
    let mut facts = vec!["*A resource*: made, kept as declared, deleted by `destroy`.".to_owned()];
    facts.push(match meta.ownership {
        _ if meta.only_recorded => "It exists in the state only.".to_owned(),
        Ownership::Tags => "Ours by its tags.".to_owned(),
        Ownership::Intent => "Ours by the state's record of making it.".to_owned(),
        Ownership::Part => "A part of what it belongs to.".to_owned(),
    });
    if !meta.replace.is_empty() {
        facts.push(format!("A change of {} replaces it.", list(meta.replace)));
    }
    if !meta.uncompared.is_empty() {
        facts.push(format!("Not compared with what is there: {}.", list(meta.uncompared)));
    }
    if !meta.changed_by_update.is_empty() {
        facts.push(format!("Changed by an update: {}.", list(meta.changed_by_update)));
    }
    if meta.stateful {
        facts.push("It holds data: it is deleted or replaced with `--allow-delete NAME` only.".to_owned());
    }
    if !meta.only_recorded {
        facts.push(format!("Waited for at most {}.", span(meta.timeout_s)));
    }
    facts.join(" ")
}

fn span(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn arguments(rows: &[Row]) -> String {
    let mut text = String::from("| name | type | required | default | meaning |\n|---|---|---|---|---|\n");
    for row in rows {
        let required = if row.required { "yes" } else { "" };
        let default = row.default.as_ref().map(|default| format!("`{default}`")).unwrap_or_default();
        let cells = [format!("`{}`", row.field), row.kind.clone(), required.to_owned(), default, row.meaning.clone()];
        text.push_str(&cells_of(&cells));
    }
    text
}

fn outputs(shape: &Shape<'_>) -> String {
    let rows = shape.rows();
    let kind = shape.kind();
    let mut text = String::from("\n### Outputs\n\n");
    if kind != "map" || rows.is_empty() {
        let mut first = kind.chars();
        let upper: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        let _ = write!(text, "{upper}.\n\n");
    }
    if !rows.is_empty() {
        text.push_str("| name | type | meaning |\n|---|---|---|\n");
        for row in &rows {
            let field = row.field.trim_start_matches("[].");
            text.push_str(&cells_of(&[format!("`{field}`"), row.kind.clone(), row.meaning.clone()]));
        }
    }
    format!("{}\n", text.trim_end())
}

/// One row of a table.
fn cells_of(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The anchor that Markdown readers make of a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace("::", "")
}
