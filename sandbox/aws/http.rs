//! A request as the services see it, a reply as they give it, and the error they fail with.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

/// An HTTP request with its body read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path as sent, percent-encoded.
    pub raw_path: String,
    /// Path that was signed, where the bucket came by the host's name: [`Request::raw_path`] has it in front then.
    pub signed_path: String,
    /// Decoded query, in order; a name without `=` has an empty value.
    pub query: Vec<(String, String)>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Body, decoded from `aws-chunked` when it came so.
    pub body: Bytes,
}

impl Request {
    /// Header `name`, lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The value of query parameter `name`.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// An answer with no body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// An answer with a body of this media type.
    pub fn new(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), media_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// An error of a service, written in the service's own shape by the dispatcher.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// AWS's error code.
    pub code: String,
    /// Message.
    pub message: String,
    /// Further members of the error, for the JSON protocols.
    pub fields: Box<Map<String, Value>>,
}

impl ApiError {
    /// An error of status 400.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), fields: Box::default() }
    }

    /// The same error with another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a member for the JSON protocols.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

impl From<crate::core::store::StoreError> for ApiError {
    fn from(error: crate::core::store::StoreError) -> Self {
        Self::new("InternalFailure", error.to_string()).status(500)
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::new("InternalFailure", error.to_string()).status(500)
    }
}

/// What a handler gives back.
pub type Outcome = Result<Reply, ApiError>;
