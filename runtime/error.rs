//! What can go wrong below the command line, in one type that carries what the error template needs.

use std::{fmt, sync::Arc};

/// What the engine may do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A mistake in the playbook, the settings or the command line. Exit code 2.
    Usage,
    /// The cloud says that it is not there.
    NotFound,
    /// The name is taken, or someone else changed the object meanwhile.
    Conflict,
    /// Refused as long as something else uses it (`DependencyViolation`, `ResourceInUse…`).
    InUse,
    /// The cloud refuses what is asked for; the same call would fail again.
    Invalid,
    /// The caller may not do this, or has no credentials.
    Denied,
    /// Throttled, 5xx, connection lost, reply lost: the same call may be sent again.
    Passing,
    /// A deadline passed.
    TimedOut,
    /// The user stopped the run.
    Interrupted,
    /// A write was tried where none is allowed (plan).
    Refused,
    /// Everything else.
    Failed,
}

/// An error of a binding, the engine or the state log.
#[derive(Debug, Clone)]
pub struct Error {
    /// What may be done about it.
    pub class: Class,
    /// One line, lower case, names in backticks: what could not be done.
    pub message: String,
    /// Why, in the words of the cloud: `RDS CreateDBInstance: StorageQuotaExceeded (request 7f3a…)`.
    pub cause: Option<String>,
    /// The cloud's error code, when there is one.
    pub code: Option<String>,
    /// What to do; works when pasted.
    pub hint: Option<String>,
    /// The call that failed (`IAM GetUser`), when it was one: an operation of several is told by it to get further.
    pub call: Option<Arc<str>>,
    /// Whether it is about the arguments of a binding alone, whatever the clouds hold.
    pub of_arguments: bool,
}

/// The result of everything that can fail with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `class` that says `message`.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), cause: None, code: None, hint: None, call: None, of_arguments: false }
    }

    /// A mistake of the playbook's author or the caller.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// A failure that nothing is known about.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Class::Failed, message)
    }

    /// The same error, with the cloud's words.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same error, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with the cloud's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same error, of this call.
    #[must_use]
    pub fn of_call(mut self, call: impl Into<Arc<str>>) -> Self {
        self.call = Some(call.into());
        self
    }

    /// The same error under another message; the former message becomes the cause where there was none.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let former = std::mem::replace(&mut self.message, message.into());
        self.cause = Some(match self.cause.take() {
            Some(cause) if cause.contains(&former) => cause,
            Some(cause) => format!("{former}: {cause}"),
            None => former,
        });
        self
    }

    /// The same error, under `message` when it is a refusal of the cloud that names nothing itself.
    #[must_use]
    pub fn named(self, message: impl FnOnce() -> String) -> Self {
        if self.code.is_some() && !self.message.contains('`') { self.context(message()) } else { self }
    }

    /// Whether the cloud said that the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.class == Class::NotFound
    }
}

/// `text` as one word of a command line, quoted where a shell would take it apart.
pub fn pasteable(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
