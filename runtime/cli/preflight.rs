//! What can be known to be wrong before a run writes anything.
//!
//! A run on live clouds shows its plan first. On simulated ones nobody is asked, so a plan is made and not shown, and only when
//! something is to be done: a step that is as the log has it was looked at before, and so was everything when the last run
//! wanted the same and only goes on now.

use super::{Refusal, plan::Planning, stale};
use crate::{
    engine::{planned::Planned, steps::all_needs},
    error::{Class, Error},
    playbook::{Diagnostic, Playbook, Step},
    report::{Reporter, Silent, looking::Looking},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Errors that a run of `chosen` would end with in any case.
/// `wanted` is the digest of what it is to make.
pub(super) fn refusals(
    planning: &Planning<'_>,
    playbook: &Playbook,
    chosen: &BTreeSet<String>,
    wanted: &str,
) -> Result<(), Refusal> {
    let log = &planning.session.log;
    let goes_on =
        log.with(|state| state.runs.last().is_some_and(|it| it.verb == "run" && it.settings_digest == wanted));
    if goes_on || stale::steps(log, playbook).is_disjoint(chosen) {
        return Ok(());
    }
    let looking: Arc<dyn Reporter> =
        if planning.manner.json { Arc::new(Silent) } else { Arc::new(Looking::before_a_run()) };
    let passed = planning.pass(&looking, true)?;
    if planning.session.cancel.is_cancelled() {
        return Err(Error::new(Class::Interrupted, "stopped before anything was written").into());
    }
    let writing: BTreeSet<String> =
        passed.engine.planned().into_iter().filter(Planned::writes).map(|line| line.step).collect();
    let certain = |(step, found): (String, Diagnostic)| {
        is_certain(&found, &ancestors(&step, &passed.playbook.steps), &writing).then_some(found)
    };
    let certain: Vec<Diagnostic> = passed.errors.into_iter().filter_map(certain).collect();
    if certain.is_empty() { Ok(()) } else { Err(certain.into()) }
}

/// Whether the run would find the same: what a step sees may be different once the steps before it have written.
fn is_certain(found: &Diagnostic, before: &BTreeSet<String>, writing: &BTreeSet<String>) -> bool {
    let passes = matches!(found.class, Class::Passing | Class::TimedOut | Class::Interrupted | Class::Refused);
    if passes || found.is_about_unknowns() {
        return false;
    }
    found.of_arguments || found.class == Class::Conflict || before.is_disjoint(writing)
}

/// The steps that run before `step`.
fn ancestors(step: &str, steps: &[Step]) -> BTreeSet<String> {
    let needs: BTreeMap<&str, Vec<String>> = steps.iter().map(|it| (it.name.as_str(), all_needs(it))).collect();
    let (mut queue, mut seen) = (vec![step.to_owned()], BTreeSet::new());
    while let Some(name) = queue.pop() {
        queue.extend(
            needs.get(name.as_str()).into_iter().flatten().filter(|need| seen.insert((*need).clone())).cloned(),
        );
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_different_in_the_run_does_not_stop_it() {
        let (network, none) = (BTreeSet::from(["network".to_owned()]), BTreeSet::new());
        let found = |class| Diagnostic::usage("x").class(class);
        assert!(is_certain(&found(Class::Failed), &none, &network), "nothing is written before it");
        assert!(!is_certain(&found(Class::Failed), &network, &network), "the network may be what it looks for");
        assert!(!is_certain(&found(Class::Passing), &none, &none));
        let argument = Diagnostic { of_arguments: true, ..found(Class::Usage) };
        assert!(is_certain(&argument, &network, &network));
    }
}
