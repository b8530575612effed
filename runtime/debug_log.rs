//! The file of `--log`: what this program and the SDKs below it do, one line an event, without secrets.
//!
//! Events are `tracing`'s. Without a file there is no subscriber, and an event costs one look at a number.

use crate::secret::hide;
use std::{
    fs::File,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Our own events.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// Libraries whose events say nothing about a run, at any level.
const SILENT: [&str; 3] = ["mio", "notify", "i18n_embed"];

/// From here on events of `level` and above go into `file`.
///
/// Those of libraries do so down to `DEBUG` only: below it, some of them show whole requests and answers, with secrets
/// that nobody here has seen yet.
pub fn begin(file: File, level: Level) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Lines(Arc::new(Mutex::new(file))));
    let filter = SILENT
        .iter()
        .fold(Targets::new().with_target(OURS, level).with_default(level.min(Level::DEBUG)), |filter, silent| {
            filter.with_target(*silent, LevelFilter::OFF)
        });
    // Another subscriber can only be a test's.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Where events are written, each as a whole.
#[derive(Clone)]
struct Lines<W>(Arc<Mutex<W>>);

/// One event: its text is gathered, and written without secrets when it is complete.
struct Line<W: Write> {
    text: Vec<u8>,
    into: Arc<Mutex<W>>,
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line { text: Vec::new(), into: self.0.clone() }
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        let text = clean(&String::from_utf8_lossy(&self.text));
        // A log that cannot be written must not end a run.
        let _ = self.into.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}

/// What stands before a credential that is known by its place and not by its text: signatures, tokens, passwords in headers.
const BEFORE: [&str; 11] = [
    "bearer ",
    "basic ",
    "signature=",
    "security-token=",
    "security-token: ",
    "security-token\": \"",
    "sessiontoken\":\"",
    "secretaccesskey\":\"",
    "<secretaccesskey>",
    "<sessiontoken>",
    "k8s-aws-v1.",
];

/// `text` without secrets: those that the process knows, and whatever stands where credentials do.
fn clean(text: &str) -> String {
    let mut text = hide(text);
    // Letters of ASCII only, so that places are the same in both.
    let mut lower = text.to_ascii_lowercase();
    for before in BEFORE {
        let mut from = 0;
        while let Some(found) = lower[from..].find(before) {
            let start = from + found + before.len();
            let value = |c: char| c.is_ascii_alphanumeric() || "-._~+/=%".contains(c);
            let end = text[start..].find(|c| !value(c)).map_or(text.len(), |length| start + length);
            from = start;
            // Shorter words are words.
            if end - start >= 16 {
                text.replace_range(start..end, crate::value::SECRET_SHOWN);
                lower.replace_range(start..end, crate::value::SECRET_SHOWN);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in the log after `events`.
    fn logged(level: Level, events: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Lines(written.clone()));
        let filter = Targets::new().with_target(OURS, level).with_default(level.min(Level::DEBUG));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(layer), events);
        let bytes = written.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn secrets_are_hidden_in_whatever_form_and_piece() {
        let secret = crate::secret::Secret::new("tuba \"and\" piccolo/3");
        let log = logged(Level::DEBUG, || {
            tracing::debug!(json = %serde_json::json!({ "p": secret.reveal() }), plain = secret.reveal(), "sent");
            tracing::debug!(debugged = ?secret.reveal(), "sent");
        });
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(!log.contains("tuba") && log.matches("<secret>").count() == 3, "{log}");
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut line = Lines(written.clone()).make_writer();
        for piece in ["one tu", "ba \"and", "\" piccolo", "/3 two\n"] {
            line.write_all(piece.as_bytes()).unwrap();
        }
        assert!(written.lock().unwrap().is_empty(), "nothing is written before the event is complete");
        drop(line);
        assert_eq!(*written.lock().unwrap(), b"one <secret> two\n");
    }

    #[test]
    fn credentials_are_known_by_their_place() {
        let signature = "f1e2d3c4b5a69788".repeat(4);
        for (text, hidden) in [
            ("authorization: Bearer abcdefghijklmnop.q", "authorization: Bearer <secret>"),
            ("Authorization: Basic dXNlcjpwYXNzd29yZA==, x", "Authorization: Basic <secret>, x"),
            ("token k8s-aws-v1.aHR0cHM6Ly9zdHMuZXU", "token k8s-aws-v1.<secret>"),
            ("a basic thing, and Signature=short", "a basic thing, and Signature=short"),
        ] {
            assert_eq!(clean(text), hidden);
        }
        let signed = format!("?X-Amz-Signature={signature}&X-Amz-Security-Token=IQoJb3JpZ2luX2VjEA%2F%2B&a=b");
        assert_eq!(clean(&signed), "?X-Amz-Signature=<secret>&X-Amz-Security-Token=<secret>&a=b");
    }

    #[test]
    fn libraries_are_heard_down_to_debug_only() {
        let log = logged(Level::TRACE, || {
            tracing::trace!("ours");
            tracing::debug!(target: "hyper::client", "theirs");
            tracing::trace!(target: "hyper::client", "a whole body");
        });
        assert!(log.contains("ours") && log.contains("theirs") && !log.contains("a whole body"), "{log}");
    }
}
