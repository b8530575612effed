//! Which steps are not as the log has them.

use crate::{
    playbook::Playbook,
    state::{Log, StepState, StepStatus},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Steps that never ended well, or whose code, settings or files are not those of the record; and those that are switched
/// off while something of them is there.
pub(super) fn steps(log: &Log, playbook: &Playbook) -> BTreeSet<String> {
    log.with(|state| {
        let on = playbook.steps.iter().filter(|step| step.when);
        let on =
            on.filter(|step| state.steps.get(&step.name).is_none_or(|record| !holds(record, playbook, &step.name)));
        let off = playbook
            .steps
            .iter()
            .filter(|step| !step.when && state.resources.values().any(|resource| resource.step == step.name));
        on.chain(off).map(|step| step.name.clone()).collect()
    })
}

/// Whether what is recorded of a step is what would come of it now, as far as its code, settings and files decide it.
fn holds(record: &StepState, playbook: &Playbook, step: &str) -> bool {
    let same_setting =
        |(path, value): (&String, &Value)| playbook.settings.get(path).is_some_and(|setting| setting.value == *value);
    let same_file = |(name, digest): (&String, &Value)| *digest == playbook.file_digest(name);
    record.outputs.is_some()
        && record.status == StepStatus::Done
        && record.code.as_deref() == Some(&playbook.code_digest(step))
        && record.settings_read.as_object().into_iter().flatten().all(same_setting)
        && record.files_read.as_object().into_iter().flatten().all(same_file)
}
