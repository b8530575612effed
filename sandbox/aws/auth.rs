//! Who calls: the access key of a request and the identity behind it.

use serde_json::json;

use super::http::{ApiError, Request};
use super::{Env, Protocol, signature};
use crate::core::store::Tx;

/// What the signature of a request says about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// Access key id.
    pub access_key: String,
    /// Region that the request was signed for.
    pub region: String,
    /// Service that the request was signed for.
    pub service: String,
}

/// An authenticated caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// Access key id.
    pub access_key: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// Unique id of the principal.
    pub user_id: String,
    /// Name of the IAM user, when it is one of the account's.
    pub user_name: Option<String>,
}

/// The credential scope of a request: from its `Authorization` header or its signed query.
pub fn scope(request: &Request) -> Option<Scope> {
    let credential = match request.header("authorization") {
        Some(header) => header.split_once("Credential=")?.1.split([',', ' ']).next()?.to_owned(),
        None => request.query("X-Amz-Credential")?.to_owned(),
    };
    let mut parts = credential.rsplit('/');
    let (_, service, region, _day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let access_key = parts.next()?.to_owned();
    Some(Scope { access_key, region: region.to_owned(), service: service.to_owned() })
}

/// The identity behind an access key.
///
/// # Errors
/// The service's own error for an unknown or inactive key.
pub fn caller(env: &Env, tx: &Tx<'_>, protocol: Protocol, access_key: &str) -> Result<Caller, ApiError> {
    let account = &env.options.account_id;
    let caller = |arn: String, user_id: &str, user_name: Option<&str>| Caller {
        access_key: access_key.to_owned(),
        arn,
        user_id: user_id.to_owned(),
        user_name: user_name.map(str::to_owned),
    };
    if let Some(key) = tx.get("/iam.key", access_key).filter(|key| key["Status"] == json!("Active")) {
        let name = key["UserName"].as_str().unwrap_or_default();
        let user = tx.get("/iam.user", name).cloned().unwrap_or_default();
        let (arn, id) = (user["Arn"].as_str().unwrap_or_default(), user["UserId"].as_str().unwrap_or_default());
        return Ok(caller(arn.to_owned(), id, Some(name)));
    }
    if let Some(session) = tx.get("/sts.session", access_key) {
        if session["_expires_at"].as_i64().is_some_and(|at| env.clock.reached(at)) {
            let message = "The security token included in the request is expired";
            return Err(match protocol {
                Protocol::Ec2 => ApiError::new("RequestExpired", message),
                Protocol::RestJson | Protocol::Json11 => ApiError::new("ExpiredTokenException", message).status(403),
                _ => ApiError::new("ExpiredToken", message).status(403),
            });
        }
        let text = |name: &str| session[name].as_str().unwrap_or_default();
        return Ok(caller(text("Arn").to_owned(), text("UserId"), None));
    }
    let example = env.options.allow_example_keys && access_key.starts_with("AKIA") && access_key.ends_with("EXAMPLE");
    if access_key == env.options.access_key || example {
        return Ok(caller(format!("arn:aws:iam::{account}:user/sandbox-admin"), "AIDASANDBOXADMIN00001", None));
    }
    Err(unknown(protocol, access_key))
}

/// Whether a request was signed with the secret of its key, and carries the token of its session.
///
/// # Errors
/// The service's own error when not.
pub fn check_signature(
    env: &Env,
    tx: &Tx<'_>,
    protocol: Protocol,
    request: &Request,
    access_key: &str,
) -> Result<(), ApiError> {
    if !env.options.verify_signatures {
        return Ok(());
    }
    let session = tx.get("/sts.session", access_key);
    if let Some(session) = session {
        let token = request.header("x-amz-security-token").or_else(|| request.query("X-Amz-Security-Token"));
        if session["SessionToken"].as_str() != token {
            return Err(unknown(protocol, access_key));
        }
    }
    let stored = tx.get("/iam.key", access_key).or(session).and_then(|key| key["SecretAccessKey"].as_str());
    let own = (access_key == env.options.access_key).then_some(env.options.secret_key.as_str());
    match stored.or(own) {
        Some(secret) if !signature::holds(request, secret) => Err(wrong_signature(protocol)),
        _ => Ok(()),
    }
}

fn wrong_signature(protocol: Protocol) -> ApiError {
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.";
    match protocol {
        Protocol::Ec2 => unknown(protocol, ""),
        Protocol::RestJson | Protocol::Json11 => ApiError::new("InvalidSignatureException", message).status(403),
        _ => ApiError::new("SignatureDoesNotMatch", message).status(403),
    }
}

fn unknown(protocol: Protocol, access_key: &str) -> ApiError {
    match protocol {
        Protocol::Ec2 => {
            ApiError::new("AuthFailure", "AWS was not able to validate the provided access credentials").status(401)
        }
        Protocol::S3 => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            ApiError::new("InvalidAccessKeyId", message).status(403).field("AWSAccessKeyId", access_key)
        }
        Protocol::Query(_) | Protocol::RestXml(_) => {
            ApiError::new("InvalidClientTokenId", "The security token included in the request is invalid.").status(403)
        }
        Protocol::RestJson | Protocol::Json11 => {
            let message = "The security token included in the request is invalid.";
            ApiError::new("UnrecognizedClientException", message).status(403)
        }
    }
}

/// The error for a caller whose policies do not allow an action.
pub fn denied(protocol: Protocol, caller: &Caller, action: &str) -> ApiError {
    let message = format!(
        "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
        caller.arn
    );
    let code = match protocol {
        Protocol::Ec2 => "UnauthorizedOperation",
        Protocol::RestJson | Protocol::Json11 => "AccessDeniedException",
        _ => "AccessDenied",
    };
    ApiError::new(code, message).status(403)
}

/// The error for a request without any credential.
pub fn missing(protocol: Protocol) -> ApiError {
    let message = "Request is missing Authentication Token";
    match protocol {
        Protocol::S3 => ApiError::new("AccessDenied", "Access Denied").status(403),
        Protocol::Query(_) | Protocol::RestXml(_) => ApiError::new("MissingAuthenticationToken", message).status(403),
        Protocol::Ec2 => {
            ApiError::new("AuthFailure", "AWS was not able to validate the provided access credentials").status(401)
        }
        Protocol::RestJson | Protocol::Json11 => {
            ApiError::new("MissingAuthenticationTokenException", message).status(403)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_header_and_query() {
        let mut request = Request::default();
        let header =
            "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
        request.headers.insert("authorization".to_owned(), header.to_owned());
        let found = scope(&request).unwrap();
        assert_eq!(
            (found.access_key.as_str(), found.region.as_str(), found.service.as_str()),
            ("AKIAX", "eu-west-1", "ec2")
        );
        let query = vec![("X-Amz-Credential".to_owned(), "AKIAY/20260101/us-east-1/s3/aws4_request".to_owned())];
        assert_eq!(scope(&Request { query, ..Request::default() }).unwrap().service, "s3");
        assert_eq!(scope(&Request::default()), None);
    }
}
