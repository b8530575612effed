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

    /// The object is not valid; `field` and `problem` as Kubernetes words them.
    pub fn invalid(qualified: &str, name: &str, field: &str, problem: &str) -> Self {
        let message = format!("{qualified} \"{name}\" is invalid: {field}: {problem}");
        let mut error = Self::new(422, "Invalid", message).about(qualified, name);
        error.details["causes"] = json!([{"reason": "FieldValueInvalid", "message": problem, "field": field}]);
        error
    }

    /// Adds which object the refusal is about.
    #[must_use]
    pub fn about(mut self, qualified: &str, name: &str) -> Self {
        let (plural, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        self.details = json!({"name": name, "group": group, "kind": plural});
        self
    }

    /// The Status object.
    pub fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "reason": self.reason,
            "code": self.code});
        if self.details.is_object() {
            status["details"] = self.details.clone();
        }
        status
    }
}
