//! Names of objects that every API server refuses: found before anything is sent.

use super::kind::{group, is_native};
use crate::{
    error::{Error, Result},
    value::has_unknown,
};
use serde_json::Value;

/// Refuses the name and the namespace of a manifest where the cluster would. Kinds of others may have rules of their own, and
/// those of rights take any name.
///
/// # Errors
/// [`crate::error::Class::Usage`] that names it.
pub fn check(manifest: &Value) -> Result<()> {
    let text = |value: &'_ Value| value.as_str().filter(|_| !has_unknown(value)).map(str::to_owned);
    let (api, kind) = (text(&manifest["apiVersion"]).unwrap_or_default(), text(&manifest["kind"]).unwrap_or_default());
    if let Some(namespace) = text(&manifest["metadata"]["namespace"]).filter(|namespace| !namespace.is_empty()) {
        check_namespace(&namespace)?;
    }
    let Some(name) = text(&manifest["metadata"]["name"]) else { return Ok(()) };
    if !is_native(&api) || group(&api) == "rbac.authorization.k8s.io" {
        return Ok(());
    }
    match kind.as_str() {
        "Namespace" => check_namespace(&name),
        "Service" if !label(&name) || name.starts_with(|first: char| first.is_ascii_digit()) => Err(refused(
            &name,
            "a Service",
            "use 1 to 63 small letters, digits and `-`, with a letter first and no `-` last",
        )),
        _ if !subdomain(&name) => Err(refused(
            &name,
            &format!("a {kind}"),
            "use up to 253 small letters, digits, `-` and `.`, with a letter or digit at both ends and around each `.`",
        )),
        _ => Ok(()),
    }
}

/// Refuses what cannot be the name of a namespace.
///
/// # Errors
/// [`crate::error::Class::Usage`] that names it.
pub fn check_namespace(name: &str) -> Result<()> {
    let hint = "use 1 to 63 small letters, digits and `-`, with a letter or digit at both ends";
    if label(name) { Ok(()) } else { Err(refused(name, "a namespace", hint)) }
}

fn refused(name: &str, what: &str, hint: &str) -> Error {
    Error::usage(format!("`{name}` cannot be the name of {what}")).hint(hint)
}

/// A label of RFC 1123.
fn label(text: &str) -> bool {
    text.len() <= 63 && part(text)
}

/// A subdomain of RFC 1123.
fn subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(part)
}

fn part(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(api: &str, kind: &str, name: &str, namespace: &str) -> Value {
        json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name, "namespace": namespace } })
    }

    #[test]
    fn names_are_refused_as_a_cluster_does() {
        let long = "a".repeat(64);
        let good = [
            ("v1", "Namespace", "gitpod-1", ""),
            ("v1", "ConfigMap", "kube-root-ca.crt", "x"),
            ("v1", "Secret", long.as_str(), "x"),
            ("v1", "Service", "proxy", "x"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "system:Node_x", ""),
            ("acme.test/v1", "Widget", "Any_Name", "x"),
        ];
        for (api, kind, name, namespace) in good {
            assert!(check(&object(api, kind, name, namespace)).is_ok(), "{kind} {name}");
        }
        let bad = [
            ("v1", "Namespace", "Bad_NS", ""),
            ("v1", "Namespace", "a.b", ""),
            ("v1", "Namespace", long.as_str(), ""),
            ("v1", "Service", "1proxy", "x"),
            ("apps/v1", "Deployment", "-a", "x"),
            ("apps/v1", "Deployment", "a..b", "x"),
            ("acme.test/v1", "Widget", "a", "Bad_NS"),
        ];
        for (api, kind, name, namespace) in bad {
            let error = check(&object(api, kind, name, namespace)).unwrap_err();
            assert!(error.message.contains("cannot be the name of"), "{error}");
        }
        let unknown = crate::value::unknown("a.B");
        assert!(check(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": unknown } })).is_ok());
    }
}
