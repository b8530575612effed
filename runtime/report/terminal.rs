//! Progress for a person: a line a running step on a terminal, plain lines elsewhere.

use super::{Event, Reporter, bars::Bars, ending::Ending};
use crate::{printable::tame, secret::hide};
use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

/// Why a step that `.when(…)` switched off is skipped.
pub const SWITCHED_OFF: &str = "switched off";
/// The line of a failed step shows this much of its error; the whole stands at the end.
const LONGEST_MESSAGE: usize = 90;

/// Writes to standard error.
pub struct Terminal {
    /// `None` when standard error is no terminal.
    bars: Option<Bars>,
    ending: Mutex<Ending>,
    width: usize,
}

impl Terminal {
    /// `steps` are the names that will be heard of, for their alignment.
    pub fn new<'a>(steps: impl Iterator<Item = &'a str>) -> Self {
        let width = steps.map(|step| step.chars().count()).max().unwrap_or(0).clamp(8, 28);
        Self { bars: Bars::on_terminal(), ending: Mutex::default(), width }
    }

    fn line(&self, text: &str) {
        let text = hide(text);
        let text = tame(&text).into_owned();
        match &self.bars {
            Some(bars) => bars.line(&text),
            None => {
                // A reader that went away must not stop the run.
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }

    fn started(&self, step: &str, expected_s: Option<f64>) {
        let expected = expected_s.map(|s| format!(" of about {}", seconds(s))).unwrap_or_default();
        match &self.bars {
            Some(bars) => bars.start(step, self.width, &expected, ""),
            None => self.beside(step, &format!("started{}", expected.replace(" of", ","))),
        }
    }

    fn ending(&self) -> std::sync::MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line with the name of its step before it.
    fn beside(&self, step: &str, text: &str) {
        self.line(&format!("  {step:<width$}  {text}", width = self.width));
    }

    fn ended(&self, step: &str, sign: &str, text: &str) {
        if let Some(bars) = &self.bars {
            bars.end(step);
        }
        self.line(&format!("{sign} {step:<width$}  {text}", width = self.width));
    }
}

impl Reporter for Terminal {
    fn hear(&self, event: &Event) {
        match event {
            Event::StepStarted { step, expected_s } => self.started(step, *expected_s),
            Event::Working { step, resource, text } => {
                if let Some(bars) = &self.bars {
                    bars.working(step, &format!("{resource} {text}"));
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
            Event::StepFailed { step, error, message, stopped, took_s } => {
                let what = if *stopped { "stopped".to_owned() } else { format!("failed: {}", first_line(message)) };
                self.ended(step, "✗", &format!("{:>8}  {what}", seconds(*took_s)));
                if !stopped {
                    self.ending().failed(step, error);
                }
            }
            Event::StepSkipped { step, why } if why == SWITCHED_OFF => self.ended(step, "·", why),
            Event::StepSkipped { step, why } => self.ending().left(step, why),
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Note { text, .. } => self.line(&format!("note: {text}")),
            Event::Kept { step, text } => {
                self.beside(step, &format!("kept: {text}"));
                self.ending().kept(text);
            }
            Event::Printed { step, text } => {
                // Further lines stand below the first one, so that none of them looks like one of ours.
                let text = text.replace('\n', &format!("\n{:width$}", "", width = self.width + 4));
                self.beside(step, &text);
            }
            Event::RunEnded(summary) => {
                if let Some(bars) = &self.bars {
                    bars.clear();
                }
                let ending = std::mem::take(&mut *self.ending());
                self.line(&ending.text(summary));
            }
            Event::RunStarted { .. }
            | Event::Changed { .. }
            | Event::Planned(_)
            | Event::PlanEnded { .. }
            | Event::Refused { .. } => {}
        }
    }
}

/// The beginning of an error, for the line of its step.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST_MESSAGE {
        return line.to_owned();
    }
    format!("{}…", line.chars().take(LONGEST_MESSAGE - 1).collect::<String>())
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
}
