//! Events for the file of `--log`, on their way to whoever hears them.

use super::{Event, Reporter};
use crate::engine::planned::Planned;
use std::sync::Arc;
use tracing::{debug, error, info, warn};

/// Writes each event into the log and passes it on.
pub struct Logged(Arc<dyn Reporter>);

impl Logged {
    /// In front of `next`.
    pub fn before(next: impl Reporter + 'static) -> Arc<dyn Reporter> {
        Arc::new(Self(Arc::new(next)))
    }
}

impl Reporter for Logged {
    fn hear(&self, event: &Event) {
        match event {
            Event::RunStarted { verb, stack, target, steps } => info!(verb, stack, target, steps, "run started"),
            Event::StepStarted { step, expected_s } => info!(step, expected_s, "step started"),
            Event::Working { step, resource, text } => debug!(step, resource, "{text}"),
            Event::Changed { step, resource, how } => info!(step, resource, "{how}"),
            Event::StepDone { step, took_s, changed } => info!(step, took_s, changed, "step done"),
            Event::StepFailed { step, error, took_s, .. } => error!(step, took_s, "step failed\n{}", error.trim_end()),
            Event::StepSkipped { step, why } => info!(step, "step skipped: {why}"),
            Event::Warning { text } => warn!("{text}"),
            Event::Note { step, text } => info!(step, "{text}"),
            Event::Kept { step, text } => info!(step, "kept: {text}"),
            Event::Printed { step, text } => info!(step, "printed: {text}"),
            Event::Planned(line) => planned(line),
            Event::PlanEnded { counts, took_s, .. } => info!(?counts, took_s, "plan ended"),
            Event::Refused { error, .. } => error!("{}", error.trim_end()),
            Event::RunEnded(summary) => info!(
                verb = summary.verb,
                ok = summary.ok,
                resources = summary.resources,
                created = summary.created,
                updated = summary.updated,
                replaced = summary.replaced,
                deleted = summary.deleted,
                reads = summary.reads,
                writes = summary.writes,
                took_s = summary.took_s,
                "run ended"
            ),
        }
        self.0.hear(event);
    }
}

fn planned(line: &Planned) {
    let fields: Vec<&str> = line.changes.iter().map(|change| change.field.as_str()).collect();
    debug!(step = line.step, resource = line.address, verdict = ?line.verdict, ?fields, note = line.note, "planned");
}
