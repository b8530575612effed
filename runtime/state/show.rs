//! What `state show`, `state history` and `state reveal` print.

use super::{
    Status,
    model::{Resource, RunSummary, State},
};
use crate::{
    error::{Class, Error, Result},
    value::{has_secret, revealed, shown},
};
use serde_json::{Value, json};

/// The list of `state show --json`: `{address, kind, name, step, outputs}` in the order of making, secrets as `"<secret>"`;
/// only those that `wanted` names, all for an empty text.
pub fn resources(state: &State, wanted: &str) -> Value {
    named(state, wanted)
        .into_iter()
        .map(|resource| {
            shown(&json!({
                "address": resource.address,
                "kind": resource.kind,
                "name": resource.name,
                "step": resource.step,
                "outputs": resource.outputs,
            }))
        })
        .collect()
}

/// Outputs by which a person knows an object, the best first.
const TELLING: [&str; 6] = ["id", "endpoint", "arn", "path", "url", "value"];
/// Longer addresses do not push aside what stands beside the others.
const WIDEST_ADDRESS: usize = 56;

/// `state show` for people: by step, each resource with what it is called in the cloud.
pub fn resource_lines(state: &State) -> Vec<String> {
    let (resources, mut steps) = (state.in_order(), Vec::<&str>::new());
    for resource in &resources {
        if !steps.contains(&resource.step.as_str()) {
            steps.push(&resource.step);
        }
    }
    let mut lines = Vec::new();
    for step in steps {
        let mine = || resources.iter().filter(|resource| resource.step == step);
        let widths = mine().map(|resource| resource.address.chars().count());
        let width = widths.filter(|width| *width <= WIDEST_ADDRESS).max().unwrap_or(0);
        lines.push(step.to_owned());
        lines.extend(mine().map(|resource| {
            let parts = TELLING.iter().find_map(|field| resource.outputs.get(*field).filter(|value| value.is_string()));
            let told = parts.map(|value| text_of(&shown(value))).unwrap_or_default();
            let line = format!("  {:<width$}  {told}{}", resource.address, marks(resource));
            line.trim_end().to_owned()
        }));
    }
    lines
}

/// The resources called `wanted`, or whose addresses contain it, with all their outputs.
pub fn detail_lines(state: &State, wanted: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for resource in named(state, wanted) {
        lines.push(format!("{}  (step `{}`){}", resource.address, resource.step, marks(resource)));
        let outputs: Vec<(&String, &Value)> =
            resource.outputs.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).collect();
        let width = outputs.iter().map(|(field, _)| field.chars().count()).max().unwrap_or(0);
        for (field, value) in outputs {
            lines.push(format!("    {field:<width$}  {}", text_of(&shown(value))));
        }
    }
    lines
}

/// The resource of that address, or those whose addresses contain `wanted`, in the order of making.
pub fn named<'a>(state: &'a State, wanted: &str) -> Vec<&'a Resource> {
    let all = state.in_order();
    match all.iter().find(|resource| resource.address == wanted) {
        Some(one) => vec![*one],
        None => all.into_iter().filter(|resource| resource.address.contains(wanted)).collect(),
    }
}

fn marks(resource: &Resource) -> String {
    let status = if resource.status == Status::Ready { String::new() } else { resource.status.to_string() };
    let marks = [
        status,
        if resource.protect { "protected".to_owned() } else { String::new() },
        if resource.stateful { "holds data".to_owned() } else { String::new() },
    ];
    let marks: Vec<&str> = marks.iter().map(String::as_str).filter(|mark| !mark.is_empty()).collect();
    if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.replace('\n', "⏎"))
}

/// One line a run, oldest first.
pub fn history_lines(runs: &[RunSummary]) -> Vec<String> {
    runs.iter().map(history_line).collect()
}

fn history_line(run: &RunSummary) -> String {
    let outcome = match run.outcome {
        Some(super::Outcome::Done) => "done",
        Some(super::Outcome::Failed) => "failed",
        Some(super::Outcome::Interrupted) => "interrupted",
        Some(super::Outcome::Killed) => "killed",
        None => "not ended",
    };
    let changes = [
        (run.changes.created, "created"),
        (run.changes.updated, "changed"),
        (run.changes.deleted, "deleted"),
        (run.changes.adopted, "adopted"),
        (run.changes.forgotten, "forgotten"),
    ];
    let changes: Vec<String> =
        changes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let changes = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
    let seconds = run.ended.duration_since(run.started).as_secs().max(0);
    let who = run.user.as_ref().map_or_else(|| run.host.clone(), |user| format!("{user}@{}", run.host));
    format!("{:.0}  {:<7}  {outcome:<11}  {seconds:>5} s  {changes}  {who}  {}", run.started, run.verb, run.playbook)
}

/// The secret called `name`: an address, or an address and the path of a field (`random::password/db.value`).
///
/// # Errors
/// A name that fits nothing; the names there are come as the hint.
pub fn reveal(state: &State, name: &str) -> Result<String> {
    let secrets = secret_names(state);
    let wanted: Vec<&(String, Value)> = secrets.iter().filter(|(full, _)| full == name).collect();
    let wanted = if wanted.is_empty() {
        secrets.iter().filter(|(full, _)| full.starts_with(&format!("{name}."))).collect()
    } else {
        wanted
    };
    if let [(_, value)] = wanted[..] {
        return Ok(match revealed(value) {
            Value::String(text) => text,
            other => other.to_string(),
        });
    }
    let names: Vec<String> = secrets.iter().map(|(full, _)| format!("`{full}`")).collect();
    let hint =
        if names.is_empty() { "the stack has no secrets".into() } else { format!("there are {}", names.join(", ")) };
    Err(Error::new(Class::Usage, format!("no single secret is called `{name}`")).hint(hint))
}

fn secret_names(state: &State) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for resource in state.in_order() {
        collect(&resource.address, &resource.outputs, &mut found);
    }
    found
}

fn collect(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, item)| collect(&format!("{path}.{key}"), item, found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| collect(&format!("{path}.{place}"), item, found));
        }
        other if has_secret(other) => found.push((path.to_owned(), other.clone())),
        _ => {}
    }
}
