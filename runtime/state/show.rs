//! What `state show`, `state history` and `state reveal` print.

use super::model::{RunSummary, State};
use crate::{
    error::{Class, Error, Result},
    value::{has_secret, revealed, shown},
};
use serde_json::{Value, json};

/// The list of `state show --json`: `{address, kind, name, step, outputs}` in the order of making, secrets as `"<secret>"`.
pub fn resources(state: &State) -> Value {
    state
        .in_order()
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

/// `state show` for people: each resource, then its outputs, indented.
pub fn resource_lines(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for resource in state.in_order() {
        let marks: String = [(resource.protect, ", protected"), (resource.stateful, ", holds data")]
            .iter()
            .filter_map(|(holds, mark)| holds.then_some(*mark))
            .collect();
        lines.push(format!("{}  ({}, step `{}`{marks})", resource.address, resource.status, resource.step));
        for (field, value) in resource.outputs.as_object().into_iter().flatten() {
            let value = shown(value);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            lines.push(format!("    {field}: {text}"));
        }
    }
    lines
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
    format!(
        "{:.0}  {}  {outcome}  {seconds} s  {changes}  {who}  {}  ({})",
        run.started, run.verb, run.playbook, run.run_id
    )
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
