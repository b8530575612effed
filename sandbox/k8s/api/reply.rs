//! Building answers.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::k8s::store::ApiError;

/// An answer.
pub type Reply = Response<Body>;

/// An answer of any content type.
pub fn typed(code: u16, content_type: &str, body: impl Into<Body>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_str(content_type);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or_else(|_| HeaderValue::from_static("text/plain")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    reply
}

/// A JSON answer.
pub fn json(code: u16, value: &Value) -> Reply {
    typed(code, "application/json", value.to_string())
}

/// A refusal.
pub fn refusal(error: &ApiError) -> Reply {
    let mut reply = json(error.code, &error.status());
    if matches!(error.code, 429 | 503) {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}
