//! Events as JSON lines.

use super::{Event, Reporter};
use crate::secret::hide;
use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

/// Writes each event as one JSON line. Secrets never get through.
pub struct JsonLines<W: Write + Send>(Mutex<W>);

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }
}

impl<W: Write + Send> Reporter for JsonLines<W> {
    fn hear(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_string(event) else { return };
        line = hide(&line);
        line.push('\n');
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away (a closed pipe) must not stop the run.
        let _ = out.write_all(line.as_bytes());
        let _ = out.flush();
    }
}
