//! What the API answers when it refuses.

use serde_json::{Value, json};

/// A refusal, as a `Status` object tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub code: u16,
    /// Reason, such as `NotFound`.
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
    /// `details` of the Status, or null.
    pub details: Value,
}

/// A result that the API can answer with.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// No such endpoint.
    pub fn no_endpoint() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// No such object.
    pub fn not_found(qualified: &str, name: &str) -> Self {
        let message = format!("{qualified} \"{name}\" not found");
        Self::new(404, "NotFound", message).about(qualified, name)
    }

    /// The object is not valid: each field with its problem, as Kubernetes words them.
    pub fn invalid(qualified: &str, name: &str, problems: &[(String, String)]) -> Self {
        let lines: Vec<String> = problems.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        let lines = if let [line] = lines.as_slice() { line.clone() } else { format!("[{}]", lines.join(", ")) };
        let message = format!("{qualified} \"{name}\" is invalid: {lines}");
        let mut error = Self::new(422, "Invalid", message).about(qualified, name);
        let cause = |(field, problem): &(String, String)| {
            let reason = match problem.split(':').next() {
                Some("Required value") => "FieldValueRequired",
                Some("Unsupported value") => "FieldValueNotSupported",
                _ => "FieldValueInvalid",
            };
            json!({"reason": reason, "message": problem, "field": field})
        };
        error.details["causes"] = problems.iter().map(cause).collect();
        error
    }

    /// The object is not valid because of one field.
    pub fn invalid_field(qualified: &str, name: &str, field: &str, problem: &str) -> Self {
        Self::invalid(qualified, name, &[(field.to_owned(), problem.to_owned())])
    }

    /// Adds which object the refusal is about.
    #[must_use]
    pub fn about(mut self, qualified: &str, name: &str) -> Self {
        let (plural, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        self.details = json!({"name": name, "group": group, "kind": plural});
        if let Some(details) = self.details.as_object_mut() {
            details.retain(|_, value| value != "");
        }
        self
    }

    /// The Status object.
    pub fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "reason": self.reason,
            "code": self.code});
        if let (true, Some(map)) = (self.reason.is_empty(), status.as_object_mut()) {
            map.shift_remove("reason");
        }
        if self.details.is_object() {
            status["details"] = self.details.clone();
        }
        status
    }
}
