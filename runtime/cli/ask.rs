//! Questions to the person at the terminal.

use super::signals;
use std::{
    io::{BufRead, IsTerminal, Write},
    sync::mpsc::RecvTimeoutError,
    time::Duration,
};

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, by `--yes` or at the terminal.
    Yes,
    /// No.
    No,
    /// There is nobody to ask.
    Nobody,
}

/// Asks `question`; only `y` and `yes` agree.
pub fn ask(question: &str, yes: bool) -> Answer {
    if yes {
        return Answer::Yes;
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Answer::Nobody;
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    // Read beside: Ctrl-C is an answer, too.
    let (sender, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = sender.send(if read.is_ok() { answer } else { String::new() });
    });
    while !signals::came() {
        match answer.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => return Answer::Yes,
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Answer::No,
        }
    }
    Answer::No
}
