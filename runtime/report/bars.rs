//! A line a running step, at the bottom of a terminal.

use crate::{printable::tame, secret::hide};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::HashMap,
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The lines.
pub struct Bars {
    all: MultiProgress,
    running: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    /// `None` when standard error is no terminal.
    pub fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(|| Self { all: MultiProgress::new(), running: Mutex::default() })
    }

    /// A step began; `expected` stands behind the time that passes, `doing` behind it until [`Bars::working`] knows better.
    pub fn start(&self, step: &str, width: usize, expected: &str, doing: &str) {
        let template = format!("  {{prefix:{width}}}  {{elapsed}}{expected}  {{wide_msg:.dim}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar =
            ProgressBar::new_spinner().with_style(style).with_prefix(step.to_owned()).with_message(doing.to_owned());
        let bar = self.all.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running().insert(step.to_owned(), bar);
    }

    /// What a step is doing right now.
    pub fn working(&self, step: &str, text: &str) {
        if let Some(bar) = self.running().get(step) {
            bar.set_message(tame(&hide(text)).into_owned());
        }
    }

    /// The step's line goes.
    pub fn end(&self, step: &str) {
        if let Some(bar) = self.running().remove(step) {
            bar.finish_and_clear();
        }
    }

    /// A line above them, which stays.
    pub fn line(&self, text: &str) {
        let _ = self.all.println(text);
    }

    /// All lines go.
    pub fn clear(&self) {
        let _ = self.all.clear();
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Bars {
    /// Lines that nobody sees.
    pub fn hidden() -> Self {
        let all = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        Self { all, running: Mutex::default() }
    }

    /// The words behind each step that runs, sorted.
    pub fn shown(&self) -> Vec<String> {
        let running = self.running();
        let mut lines: Vec<String> = running.iter().map(|(step, bar)| format!("{step} {}", bar.message())).collect();
        lines.sort();
        lines
    }
}
