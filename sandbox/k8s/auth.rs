//! Who may use a cluster: the admin's token, and tokens of the form that EKS takes.
//!
//! An EKS token is `k8s-aws-v1.` and the base64 of a presigned `GetCallerIdentity` URL, signed with
//! the header `x-k8s-aws-id`. All but the signature is checked here; the cloud, which has the secret
//! keys, is asked whether it knows the access key and whether the signature is right.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// How long after it was signed a token is good, as EKS has it.
const TOKEN_LIFE_S: i64 = 15 * 60;
/// How far a client's clock may be ahead.
const SKEW_S: i64 = 5 * 60;

/// The presigned URL that an EKS token stands for.
///
/// # Errors
/// What is wrong with the token.
pub fn url(token: &str) -> Result<String, String> {
    let encoded = token.strip_prefix("k8s-aws-v1.").ok_or("not an EKS token")?;
    let url = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|e| format!("not base64: {e}"))?;
    String::from_utf8(url).map_err(|e| format!("not a URL: {e}"))
}

/// The access key that an EKS token was signed with.
///
/// # Errors
/// What is wrong with the token.
pub fn access_key(token: &str, now: jiff::Timestamp) -> Result<String, String> {
    let url = url(token)?;
    let (_, query) = url.split_once('?').ok_or("the URL has no query")?;
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| query.get(name).ok_or_else(|| format!("`{name}` is missing"));
    if get("Action")? != "GetCallerIdentity" {
        return Err("the URL is not for `GetCallerIdentity`".to_owned());
    }
    get("X-Amz-Signature")?;
    if !get("X-Amz-SignedHeaders")?.split(';').any(|h| h.eq_ignore_ascii_case("x-k8s-aws-id")) {
        return Err("the header `x-k8s-aws-id` is not signed".to_owned());
    }
    let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", get("X-Amz-Date")?)
        .and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|e| format!("`X-Amz-Date`: {e}"))?;
    let age_s = now.as_second() - signed.timestamp().as_second();
    if !(-SKEW_S..=TOKEN_LIFE_S).contains(&age_s) {
        return Err(format!("signed {age_s} s ago"));
    }
    let key = get("X-Amz-Credential")?.split('/').next().unwrap_or("");
    if key.is_empty() {
        return Err("`X-Amz-Credential` names no key".to_owned());
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::access_key;

    fn token(date: &str, headers: &str) -> String {
        let url = format!(
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAX%2F20261123%2Feu-west-1%2Fsts\
             %2Faws4_request&X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-SignedHeaders={headers}\
             &X-Amz-Signature=abc"
        );
        format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
    }

    #[test]
    fn a_token_names_its_access_key_for_fifteen_minutes() {
        let now = "2026-11-23T08:10:00Z".parse().unwrap();
        let headers = "host%3Bx-k8s-aws-id";
        assert_eq!(access_key(&token("20261123T080000Z", headers), now).unwrap(), "AKIAX");
        assert!(access_key(&token("20261123T075400Z", headers), now).unwrap_err().contains("ago"));
        let unsigned = access_key(&token("20261123T080000Z", "host"), now).unwrap_err();
        assert!(unsigned.contains("x-k8s-aws-id"));
        assert!(access_key("k8s-aws-v1.@@", now).is_err());
        assert!(access_key("something", now).is_err());
    }
}
