//! An error of ours on its way through the script engine.

use super::Diagnostic;
use crate::error::{Class, Error};
use rhai::{Dynamic, Engine, EvalAltResult, Position};

/// What went wrong in a function that scripts call. Scripts may catch it and look at `message`, `cause` and `code`.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// What, why, of which class, with which hint.
    pub error: Error,
    /// The diagnostic when it is finished already (errors inside imported files).
    pub finished: Option<Box<Diagnostic>>,
}

impl Fault {
    /// A mistake of the script's author.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// An error of any class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Error::new(class, message).into()
    }

    /// The same, with what to do; nothing when `hint` is empty.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }

    /// As the script engine's error at `position`.
    pub fn raise(self, position: Position) -> Box<EvalAltResult> {
        EvalAltResult::ErrorRuntime(Dynamic::from(self), position).into()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, finished: None }
    }
}

impl From<Diagnostic> for Fault {
    fn from(finished: Diagnostic) -> Self {
        Self { error: finished.to_error(), finished: Some(Box::new(finished)) }
    }
}

/// Registers what scripts see of a caught error.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Fault>("error");
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |fault: &mut Fault| fault.error.to_string());
    }
    engine.register_get("message", |fault: &mut Fault| fault.error.message.clone());
    engine.register_get("cause", |fault: &mut Fault| fault.error.cause.clone().map_or(Dynamic::UNIT, Dynamic::from));
    engine.register_get("code", |fault: &mut Fault| fault.error.code.clone().map_or(Dynamic::UNIT, Dynamic::from));
}
