//! A request, taken apart.

use std::{collections::HashMap, sync::Arc};

use axum::body::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::k8s::{
    kinds::Kind,
    protobuf,
    store::{ApiError, ApiResult, Key, Part, Write, Writer},
};

/// A request.
#[derive(Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Path below the cluster's.
    pub path: String,
    /// Query.
    pub query: HashMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What a request is about.
#[derive(Debug, Clone)]
pub struct Target {
    /// The kind, in the version that the request names.
    pub kind: Arc<Kind>,
    /// `GROUP/PLURAL`.
    pub resource: String,
    /// Namespace; empty when the request names none.
    pub namespace: String,
    /// Name of the object, unless the request is about all of them.
    pub name: Option<String>,
    /// Subresource; empty for the object itself.
    pub subresource: String,
}

/// A path below `/api/VERSION` or `/apis/GROUP/VERSION`.
#[derive(Debug, PartialEq, Eq)]
pub struct ResourcePath<'a> {
    /// API group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Namespace or empty.
    pub namespace: &'a str,
    /// Resource name.
    pub plural: &'a str,
    /// Name of the object.
    pub name: Option<&'a str>,
    /// Subresource or empty.
    pub subresource: &'a str,
}

impl<'a> ResourcePath<'a> {
    /// Reads the segments of a path.
    pub fn parse(segments: &[&'a str]) -> Option<Self> {
        let (group, version, rest) = match segments {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces", name] => ("", "namespaces", Some(*name), ""),
            ["namespaces", name, sub @ ("status" | "finalize")] => ("", "namespaces", Some(*name), *sub),
            ["namespaces", ns, plural] => (*ns, *plural, None, ""),
            ["namespaces", ns, plural, name] => (*ns, *plural, Some(*name), ""),
            ["namespaces", ns, plural, name, sub] => (*ns, *plural, Some(*name), *sub),
            [plural] => ("", *plural, None, ""),
            [plural, name] => ("", *plural, Some(*name), ""),
            [plural, name, sub] => ("", *plural, Some(*name), *sub),
            _ => return None,
        };
        Some(Self { group, version, namespace, plural, name, subresource })
    }
}

impl Target {
    /// The key of the object (or, without a name, of its place).
    pub fn key(&self) -> Key {
        Key::new(&self.resource, &self.namespace, self.name.as_deref().unwrap_or(""))
    }

    /// The object as this version of the kind shows it.
    pub fn show(&self, object: &Value) -> Value {
        let mut out = object.clone();
        let version = self.kind.api_version();
        if out["apiVersion"] != version {
            out["apiVersion"] = Value::String(version);
        }
        out
    }
}

impl Call {
    /// A query parameter; empty when absent.
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A query parameter that switches something on.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }

    /// Whether unknown fields are to be refused.
    pub fn is_strict(&self) -> bool {
        self.query("fieldValidation") == "Strict"
    }

    /// A header; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The content type without its parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or("").trim()
    }

    /// How this request writes.
    pub fn write(&self, subresource: &str) -> Write {
        let agent = self.header("user-agent").split('/').next().unwrap_or("");
        let manager = [self.query("fieldManager"), agent, "unknown"];
        let manager = manager.into_iter().find(|m| !m.is_empty()).unwrap_or("unknown");
        Write {
            manager: manager.to_owned(),
            writer: Writer::Client,
            dry_run: self.query("dryRun") == "All",
            part: if subresource == "status" { Part::Status } else { Part::Main },
        }
    }

    /// The body, whichever format it has.
    ///
    /// # Errors
    /// 400 or 415 when it cannot be read.
    pub fn parse(&self) -> ApiResult<Value> {
        if self.body.starts_with(b"k8s\0") {
            let refuse = || ApiError::bad_request("cannot decode protobuf body");
            return protobuf::decode(&self.body).ok_or_else(refuse);
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => return Ok(value),
            Err(error) if self.content_type().ends_with("json") => {
                return Err(ApiError::bad_request(format!("the object provided is unrecognized: {error}")));
            }
            Err(_) => {}
        }
        match serde_norway::from_slice::<Value>(&self.body) {
            Ok(value) if value.is_object() || value.is_array() => Ok(value),
            _ => Err(ApiError::new(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types \
                 include: application/json, application/yaml",
            )),
        }
    }

    /// The body as an object of the target's kind.
    ///
    /// # Errors
    /// 400 when it is something else.
    pub fn parse_object(&self, target: &Target) -> ApiResult<Value> {
        let object = self.parse()?;
        check_kind(target, &object)?;
        Ok(object)
    }
}

/// Whether the object is of the target's kind.
///
/// # Errors
/// 400 when it is not.
pub fn check_kind(target: &Target, object: &Value) -> ApiResult<()> {
    if !object.is_object() {
        return Err(ApiError::bad_request("body must be an object"));
    }
    let wanted = &target.kind;
    if object["kind"].as_str().is_some_and(|k| k != wanted.kind) {
        return Err(ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: unknown conversion",
            object["kind"].as_str().unwrap_or(""),
            wanted.version,
            wanted.kind
        )));
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("");
    if wanted.namespaced && !namespace.is_empty() && namespace != target.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the \
             request: `{namespace}`, `{}`",
            target.namespace
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ResourcePath;

    #[test]
    fn paths_are_taken_apart() {
        let read = |path: &'static str| {
            let segments: Vec<&str> = path.split('/').collect();
            ResourcePath::parse(&segments).map(|p| (p.group, p.namespace, p.plural, p.name, p.subresource))
        };
        assert_eq!(read("api/v1/namespaces/x"), Some(("", "", "namespaces", Some("x"), "")));
        let scale = read("apis/apps/v1/namespaces/x/deployments/web/scale");
        assert_eq!(scale, Some(("apps", "x", "deployments", Some("web"), "scale")));
        assert_eq!(read("api/v1/nodes/n/status"), Some(("", "", "nodes", Some("n"), "status")));
        assert_eq!(read("metrics"), None);
    }
}
