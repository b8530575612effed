//! IAM: roles, users, policies, keys, OIDC providers, instance profiles.

mod attachment;
mod document;
mod key;
mod managed;
mod policy;
mod profile;
mod provider;
mod role;
mod simulate;
mod tags;
mod user;

pub use simulate::{allowed, may_call};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service};
use crate::core::store::hex_digits;

/// Identity and Access Management.
pub const SERVICE: Service = Service {
    name: "iam",
    protocol: Protocol::Query("https://iam.amazonaws.com/doc/2010-05-08/"),
    version: None,
    routes: &[],
    handle,
};

type Family = fn(&mut Cx<'_>) -> Option<Outcome>;

const FAMILIES: &[Family] = &[
    role::family,
    user::family,
    key::family,
    policy::family,
    attachment::family,
    provider::family,
    profile::family,
    tags::family,
    simulate::family,
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    FAMILIES.iter().find_map(|family| family(cx)).unwrap_or_else(|| cx.unknown_operation())
}

/// Kinds of principals: what a name is called, its table, the noun of errors.
struct Principal {
    parameter: &'static str,
    table: &'static str,
    noun: &'static str,
}

const ROLE: Principal = Principal { parameter: "RoleName", table: "/iam.role", noun: "role" };
const USER: Principal = Principal { parameter: "UserName", table: "/iam.user", noun: "user" };

impl Principal {
    /// The document that the call names.
    fn named(&self, cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
        let name = cx.p.req(self.parameter).map_err(|_| must_not_be_empty(self.parameter))?;
        let found = cx.tx.get(self.table, name).cloned();
        found.map(|doc| (name.to_owned(), doc)).ok_or_else(|| missing(self.noun, name))
    }

    /// A name that is free and allowed.
    fn new_name(&self, cx: &Cx<'_>) -> Result<String, ApiError> {
        let name = cx.p.req(self.parameter).map_err(|_| must_not_be_empty(self.parameter))?.to_owned();
        check_name(self.parameter, &name, 64)?;
        if cx.tx.scan(self.table).any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            let mut noun = self.noun.to_owned();
            noun[..1].make_ascii_uppercase();
            return Err(exists(format!("{noun} with name {name} already exists.")));
        }
        Ok(name)
    }
}

fn missing(noun: &str, name: &str) -> ApiError {
    ApiError::new("NoSuchEntity", format!("The {noun} with name {name} cannot be found.")).status(404)
}

fn exists(message: String) -> ApiError {
    ApiError::new("EntityAlreadyExists", message).status(409)
}

fn conflict(message: &str) -> ApiError {
    ApiError::new("DeleteConflict", message).status(409)
}

fn limit(message: String) -> ApiError {
    ApiError::new("LimitExceeded", message).status(409)
}

fn must_not_be_empty(parameter: &str) -> ApiError {
    let mut name = parameter.to_owned();
    name[..1].make_ascii_lowercase();
    let message =
        format!("1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null");
    ApiError::new("ValidationError", message)
}

fn check_name(parameter: &str, name: &str, longest: usize) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.len() <= longest && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and have at most {longest} of them"
    );
    Err(ApiError::new("ValidationError", message))
}

/// The path that a call gives, `/` when it gives none.
fn path(cx: &Cx<'_>) -> Result<String, ApiError> {
    let path = cx.p.or("Path", "/");
    if path.starts_with('/') && path.ends_with('/') {
        return Ok(path.to_owned());
    }
    Err(ApiError::new("ValidationError", "The specified value for path is invalid. It must begin and end with /"))
}

/// A unique id such as `AROA…`.
fn unique_id(prefix: &str) -> String {
    format!("{prefix}{}", hex_digits(17).to_uppercase())
}

fn arn(cx: &Cx<'_>, resource: &str) -> String {
    format!("arn:aws:iam::{}:{resource}", cx.account)
}

/// A policy document as IAM answers it: percent-encoded.
fn encoded(document: &Value) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(document.as_str().unwrap_or_default(), PLAIN).to_string()
}

/// One page of a list with `IsTruncated` and `Marker`.
fn list(cx: &Cx<'_>, name: &str, items: Vec<Value>) -> Outcome {
    let (page, marker) = cx.page_marked(items)?;
    let mut answer = json!({"IsTruncated": marker.is_some(), "Marker": marker});
    answer[name] = Value::Array(page);
    cx.query(&answer)
}

/// Documents below the `PathPrefix` that a list may ask for.
fn below(cx: &Cx<'_>, doc: &Value) -> bool {
    doc["Path"].as_str().unwrap_or("/").starts_with(cx.p.or("PathPrefix", "/"))
}

/// Text member of a document.
fn text<'a>(doc: &'a Value, name: &str) -> &'a str {
    doc[name].as_str().unwrap_or_default()
}

/// The answer of calls that return nothing.
fn done(cx: &Cx<'_>) -> Outcome {
    cx.query(&Value::Null)
}
