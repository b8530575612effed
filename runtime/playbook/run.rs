//! Running the body of one step.

use super::{
    Diagnostic, Playbook, StepOutcome,
    convert::{from_json, to_json},
    current::Current,
    explain, suggest,
    units::Units,
};
use crate::error::Class;
use rhai::Dynamic;
use serde_json::Value;
use std::{collections::BTreeMap, time::Instant};
use tokio_util::sync::CancellationToken;

/// See [`Playbook::run_step`].
pub(super) fn step(
    playbook: &Playbook,
    name: &str,
    outputs: &BTreeMap<String, Value>,
    cancel: &CancellationToken,
    deadline: Option<Instant>,
) -> Result<StepOutcome, Diagnostic> {
    let loaded = &playbook.loaded;
    let Some(step) = loaded.book.step(name) else {
        let names = loaded.book.steps.iter().map(|step| step.name.as_str());
        return Err(Diagnostic::usage(format!("there is no step `{name}`")).hint(suggest::hint(name, names)));
    };
    let known = step.params().into_iter().filter_map(|param| {
        let need = loaded.book.need(param)?;
        Some((param.to_owned(), from_json(outputs.get(need)?)))
    });
    let known: BTreeMap<String, Dynamic> = known.collect();
    let current = Current::step(name, cancel.clone(), deadline, &playbook.limits);
    let failed = |mut found: Diagnostic| {
        found.step = Some(name.to_owned());
        found
    };
    if let Some(why) = current.stopped() {
        return Err(failed(explain::stopped(why)));
    }
    let unit = step.body.unit.clone();
    let answer = current.run(|| {
        let output = step.call(&loaded.engine, &known).map_err(|why| {
            let mut found = explain::error(&why, &unit, &loaded.units, &loaded.engine);
            // That the step's own closure was called from its declaration goes without saying.
            found.trace.pop_if(|(_, place)| *place == Units::position(&unit, step.body.position));
            found
        })?;
        to_json(&output).map_err(|why| {
            let wrong = Diagnostic::usage(format!("the output of a step must be data: {why}"));
            let wrong = wrong.hint("end the step with a map of what other steps need, or with `;` for nothing");
            loaded.units.at(wrong, &unit, step.body.position)
        })
    });
    let broken = || {
        let broken = Diagnostic::usage("the step ended in an unexpected way").class(Class::Failed);
        Err(loaded.units.at(broken, &unit, step.body.position))
    };
    let output = answer.unwrap_or_else(broken).map_err(failed)?;
    let settings_read = current.reads.lock().map(|reads| reads.clone()).unwrap_or_default();
    let files_read = current.files.lock().map(|files| files.clone()).unwrap_or_default();
    Ok(StepOutcome { output, settings_read, files_read })
}
