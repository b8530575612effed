//! Progress while it is only looked what is there: a line a step on a terminal, which goes when the step is seen.

use super::{Event, Reporter, bars::Bars};
use crate::{printable::tame, secret::hide};

/// Steps with longer names push aside what stands beside them.
const WIDTH: usize = 16;

/// Writes to standard error: progress on a terminal only, elsewhere at most notes and warnings.
pub struct Looking {
    bars: Option<Bars>,
    /// Whether notes and warnings are for somebody: before a run they are not, as it tells them itself.
    tells: bool,
}

impl Looking {
    /// For a plan that is shown.
    pub fn for_a_plan() -> Self {
        Self { bars: Bars::on_terminal(), tells: true }
    }

    /// For a look before a run.
    pub fn before_a_run() -> Self {
        Self { bars: Bars::on_terminal(), tells: false }
    }

    fn line(&self, text: &str) {
        if !self.tells {
            return;
        }
        let text = tame(&hide(text)).into_owned();
        match &self.bars {
            Some(bars) => bars.line(&text),
            None => eprintln!("{text}"),
        }
    }
}

impl Reporter for Looking {
    fn hear(&self, event: &Event) {
        match event {
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Note { text, .. } => self.line(&format!("note: {text}")),
            _ => {}
        }
        let Some(bars) = &self.bars else { return };
        match event {
            Event::StepStarted { step, .. } => bars.start(step, WIDTH, "", "looking at what is there"),
            Event::Working { step, resource, text } => bars.working(step, format!("{resource} {text}").trim_start()),
            Event::StepDone { step, .. } | Event::StepFailed { step, .. } | Event::StepSkipped { step, .. } => {
                bars.end(step);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_while_it_is_looked_at() {
        let looking = Looking { bars: Some(Bars::hidden()), tells: false };
        let shown = || looking.bars.as_ref().unwrap().shown();
        let step = || "network".to_owned();
        looking.hear(&Event::StepStarted { step: step(), expected_s: None });
        assert_eq!(shown(), ["network looking at what is there"]);
        let text = "AWS cannot be reached; trying again".to_owned();
        looking.hear(&Event::Working { step: step(), resource: "aws::ec2::vpc/a".to_owned(), text });
        assert_eq!(shown(), ["network aws::ec2::vpc/a AWS cannot be reached; trying again"]);
        looking.hear(&Event::StepDone { step: step(), took_s: 0.1, changed: 0 });
        assert_eq!(shown(), Vec::<String>::new());
    }
}
