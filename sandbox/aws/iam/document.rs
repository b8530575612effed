//! Policy documents: whether they are well formed, and what they allow.

use serde_json::Value;

use crate::aws::http::ApiError;
use crate::core::fault::glob;

fn malformed(message: &str) -> ApiError {
    ApiError::new("MalformedPolicyDocument", message)
}

/// What a document is for: trust names principals, permission names resources.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Use {
    Trust,
    Permission,
}

/// Whether a document is well formed.
///
/// # Errors
/// `MalformedPolicyDocument`.
pub(super) fn check(document: &str, purpose: Use) -> Result<(), ApiError> {
    let parsed: Value = serde_json::from_str(document).map_err(|_| malformed("Syntax errors in policy."))?;
    let version = &parsed["Version"];
    if !version.is_null() && version != "2012-10-17" && version != "2008-10-17" {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let statements = statements(&parsed);
    if statements.is_empty() {
        return Err(malformed("Syntax errors in policy: the policy must contain at least one statement."));
    }
    for statement in statements {
        let has = |name: &str| !statement[name].is_null();
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(malformed("Syntax error at position: Effect must be Allow or Deny."));
        }
        if !has("Action") && !has("NotAction") {
            return Err(malformed("Policy statement must contain actions."));
        }
        match purpose {
            Use::Trust if !has("Principal") && !has("NotPrincipal") => {
                return Err(malformed("Missing required field Principal"));
            }
            Use::Trust if has("Resource") => return Err(malformed("Has prohibited field Resource")),
            Use::Permission if has("Principal") => {
                return Err(malformed("Policy document should not specify a principal."));
            }
            Use::Permission if !has("Resource") && !has("NotResource") => {
                return Err(malformed("Policy statement must contain resources."));
            }
            _ => {}
        }
        if purpose == Use::Permission {
            for action in texts(&statement["Action"]) {
                if action != "*" && !action.contains(':') {
                    return Err(malformed(
                        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                    ));
                }
            }
            for resource in texts(&statement["Resource"]) {
                if resource != "*" && !resource.starts_with("arn:") {
                    return Err(malformed(&format!("Resource {resource} must be in ARN format or \"*\".")));
                }
            }
        }
    }
    Ok(())
}

fn statements(document: &Value) -> Vec<&Value> {
    match &document["Statement"] {
        Value::Array(items) => items.iter().collect(),
        one @ Value::Object(_) => vec![one],
        _ => Vec::new(),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What documents say about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Nothing allows it.
    ImplicitDeny,
    /// A statement allows it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
}

/// What a set of documents says about an action on a resource; `None` asks whether it is allowed on any.
pub(super) fn decide(documents: &[String], action: &str, resource: Option<&str>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for document in documents {
        let parsed: Value = serde_json::from_str(document).unwrap_or_default();
        for statement in statements(&parsed) {
            let action_fits =
                |list: &Value| texts(list).iter().any(|p| glob(&p.to_lowercase(), &action.to_lowercase()));
            let by_action = match &statement["NotAction"] {
                Value::Null => action_fits(&statement["Action"]),
                not => !action_fits(not),
            };
            let resource_fits = |list: &Value| resource.is_none_or(|r| texts(list).iter().any(|p| glob(p, r)));
            let by_resource = match &statement["NotResource"] {
                Value::Null => resource_fits(&statement["Resource"]),
                not => resource.is_none_or(|r| !texts(not).iter().any(|p| glob(p, r))),
            };
            if by_action && by_resource {
                let denies = statement["Effect"] == "Deny" && resource.is_some();
                let verdict = match statement["Effect"].as_str() {
                    Some("Allow") => Decision::Allowed,
                    _ if denies => Decision::ExplicitDeny,
                    _ => continue,
                };
                decision = decision.max(verdict);
            }
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"arn:aws:s3:::b/*"},
        {"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}]}"#;

    #[test]
    fn well_formed_or_not() {
        assert!(check(S3, Use::Permission).is_ok());
        for bad in [
            "{not json",
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b>"},{}]}"#,
        ] {
            assert_eq!(check(bad, Use::Permission).unwrap_err().code, "MalformedPolicyDocument", "{bad}");
        }
        let trust =
            r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        assert!(check(trust, Use::Trust).is_ok());
        assert!(check(trust, Use::Permission).is_err() && check(S3, Use::Trust).is_err());
    }

    #[test]
    fn a_deny_wins() {
        let documents = [S3.to_owned()];
        assert_eq!(decide(&documents, "s3:PutObject", Some("arn:aws:s3:::b/x")), Decision::Allowed);
        assert_eq!(decide(&documents, "s3:PutObject", Some("arn:aws:s3:::c/x")), Decision::ImplicitDeny);
        assert_eq!(decide(&documents, "s3:DeleteObject", Some("arn:aws:s3:::b/x")), Decision::ExplicitDeny);
        assert_eq!(decide(&documents, "ec2:CreateVpc", Some("*")), Decision::ImplicitDeny);
        assert_eq!(decide(&documents, "s3:GetObject", None), Decision::Allowed);
    }
}
