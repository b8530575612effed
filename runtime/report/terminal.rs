//! Progress for a person: a line a running step on a terminal, plain lines elsewhere.

use super::{Event, Reporter, Summary};
use crate::{printable::tame, secret::hide};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::HashMap,
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Writes to standard error.
pub struct Terminal {
    /// `None` when standard error is no terminal.
    bars: Option<MultiProgress>,
    running: Mutex<HashMap<String, ProgressBar>>,
    width: usize,
}

impl Terminal {
    /// `steps` are the names that will be heard of, for their alignment.
    pub fn new<'a>(steps: impl Iterator<Item = &'a str>) -> Self {
        let width = steps.map(|step| step.chars().count()).max().unwrap_or(0).clamp(8, 28);
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, running: Mutex::default(), width }
    }

    fn line(&self, text: &str) {
        let text = hide(text);
        let text = tame(&text).into_owned();
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => {
                // A reader that went away must not stop the run.
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }

    fn started(&self, step: &str, expected_s: Option<f64>) {
        let expected = expected_s.map(|s| format!(" of about {}", seconds(s))).unwrap_or_default();
        let Some(bars) = &self.bars else {
            self.line(&format!("  {step:<width$}  started{}", expected.replace(" of", ","), width = self.width));
            return;
        };
        let template = format!("  {{prefix:{}}}  {{elapsed}}{expected}  {{wide_msg:.dim}}", self.width);
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = bars.add(ProgressBar::new_spinner().with_style(style).with_prefix(step.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(step.to_owned(), bar);
    }

    fn ended(&self, step: &str, sign: &str, text: &str) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(step) {
            bar.finish_and_clear();
        }
        self.line(&format!("{sign} {step:<width$}  {text}", width = self.width));
    }
}

impl Reporter for Terminal {
    fn hear(&self, event: &Event) {
        match event {
            Event::StepStarted { step, expected_s } => self.started(step, *expected_s),
            Event::Working { step, resource, text } => {
                let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(bar) = running.get(step) {
                    bar.set_message(tame(&hide(&format!("{resource} {text}"))).into_owned());
                }
            }
            Event::StepDone { step, took_s, changed } => {
                let what = match changed {
                    0 => "nothing to change".to_owned(),
                    1 => "1 change".to_owned(),
                    n => format!("{n} changes"),
                };
                self.ended(step, "✓", &format!("{:>8}  {what}", seconds(*took_s)));
            }
            Event::StepFailed { step, error, took_s } => {
                self.ended(step, "✗", &format!("{:>8}  failed", seconds(*took_s)));
                self.line(error.trim_end());
            }
            Event::StepSkipped { step, why } if why.starts_with("switched") => self.ended(step, "·", why),
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Printed { step, text } => {
                // Further lines stand below the first one, so that none of them looks like one of ours.
                let text = text.replace('\n', &format!("\n{:width$}", "", width = self.width + 4));
                self.line(&format!("  {step:<width$}  {text}", width = self.width));
            }
            Event::RunEnded(summary) => {
                if let Some(bars) = &self.bars {
                    let _ = bars.clear();
                }
                self.line(&summary_text(summary));
            }
            Event::RunStarted { .. } | Event::StepSkipped { .. } | Event::Changed { .. } | Event::Planned(_) => {}
        }
    }
}

/// The end of a run in three lines.
pub fn summary_text(summary: &Summary) -> String {
    let verb = &summary.verb;
    let steps = if summary.steps_failed.is_empty() && summary.steps_left.is_empty() {
        format!("{} steps", summary.steps_done)
    } else {
        format!(
            "{} steps done, {} failed, {} not started",
            summary.steps_done,
            summary.steps_failed.len(),
            summary.steps_left.len()
        )
    };
    let outcome = if summary.ok { "done" } else { "not finished" };
    let changes = [
        (summary.created, "created"),
        (summary.updated, "changed"),
        (summary.replaced, "replaced"),
        (summary.deleted, "deleted"),
    ];
    let changes: Vec<String> =
        changes.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
    let changes = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
    let last = match &summary.go_on {
        Some(command) => format!("go on: {command}"),
        None => format!("calls: {} reads, {} writes", summary.reads, summary.writes),
    };
    format!(
        "{verb} {outcome}: {steps} in {}\nstate: {} resources in stack `{}`, {changes}\n{last}",
        seconds(summary.took_s),
        summary.resources,
        summary.stack
    )
}

/// `0.4 s`, `12 s`, `3 min 05 s`.
pub fn seconds(s: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are small and positive")]
    let whole = s.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{s:.1} s"),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!([seconds(0.44), seconds(12.2), seconds(185.0)], ["0.4 s", "12 s", "3 min 05 s"]);
    }

    #[test]
    fn the_summary_has_three_lines() {
        let summary =
            Summary { verb: "run".into(), stack: "aws".into(), ok: true, steps_done: 3, ..Summary::default() };
        assert_eq!(summary_text(&summary).lines().count(), 3);
        let broken = Summary { steps_failed: vec!["x".into()], go_on: Some("gitpod-play run x".into()), ..summary };
        let text = summary_text(&broken);
        assert!(text.contains("1 failed") && text.ends_with("go on: gitpod-play run x"));
    }
}
