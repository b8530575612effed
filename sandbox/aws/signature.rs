//! Signature version 4: whether a request was signed with the secret of its access key.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::http::Request;

/// Everything but the characters that RFC 3986 leaves plain.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PLAIN_PATH: &AsciiSet = &PLAIN.remove(b'/');

/// Whether the signature in the header or the query of `request` is the one that `secret` gives. A request whose
/// signature cannot be read is not signed.
pub fn holds(request: &Request, secret: &str) -> bool {
    signed(request).is_some_and(|signed| signed.signature == expected(request, &signed, secret))
}

/// What a request says about its signature.
struct Signed {
    /// Day, region, service and terminator.
    scope: String,
    headers: Vec<String>,
    signature: String,
    /// `20260101T000000Z`.
    time: String,
    in_query: bool,
}

fn signed(request: &Request) -> Option<Signed> {
    let (credential, headers, signature, time, in_query) = if let Some(header) = request.header("authorization") {
        let part = |name: &str| Some(header.split_once(name)?.1.split([',', ' ']).next()?.to_owned());
        let time = request.header("x-amz-date")?.to_owned();
        (part("Credential=")?, part("SignedHeaders=")?, part("Signature=")?, time, false)
    } else {
        let part = |name: &str| request.query(name).map(str::to_owned);
        let (credential, headers) = (part("X-Amz-Credential")?, part("X-Amz-SignedHeaders")?);
        (credential, headers, part("X-Amz-Signature")?, part("X-Amz-Date")?, true)
    };
    let scope = credential.split_once('/')?.1.to_owned();
    let headers = headers.split(';').map(str::to_owned).collect();
    Some(Signed { scope, headers, signature, time, in_query })
}

fn expected(request: &Request, signed: &Signed, secret: &str) -> String {
    let mut scope = signed.scope.split('/');
    let (day, region, service) =
        (scope.next().unwrap_or_default(), scope.next().unwrap_or_default(), scope.next().unwrap_or_default());
    let canonical = canonical(request, signed, service == "s3");
    let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", signed.time, signed.scope, hex(&Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = hmac(&key, part);
    }
    hex(&hmac(&key, &text))
}

fn canonical(request: &Request, signed: &Signed, s3: bool) -> String {
    // S3 signs the path encoded once, all others the path as sent, encoded again.
    let path = match (s3, request.signed_path.as_str()) {
        (_, "") => "/".to_owned(),
        (true, path) => utf8_percent_encode(&percent_decode_str(path).decode_utf8_lossy(), PLAIN_PATH).to_string(),
        (false, path) => utf8_percent_encode(path, PLAIN_PATH).to_string(),
    };
    let mut query: Vec<(String, String)> = request
        .query
        .iter()
        .filter(|(name, _)| !signed.in_query || name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: Vec<String> = signed
        .headers
        .iter()
        .map(|name| {
            let value = request.header(name).unwrap_or_default();
            format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let payload = match request.header("x-amz-content-sha256") {
        Some(hash) => hash.to_owned(),
        None if signed.in_query && s3 => "UNSIGNED-PAYLOAD".to_owned(),
        None => hex(&Sha256::digest(&request.body)),
    };
    let names = signed.headers.join(";");
    format!("{}\n{path}\n{}\n{}\n{names}\n{payload}", request.method, query.join("&"), headers.concat())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|n| char::from_digit(n.into(), 16)).collect()
}

/// HMAC-SHA-256 by its definition (RFC 2104).
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    let hashed;
    let key = if key.len() > BLOCK {
        hashed = Sha256::digest(key);
        &hashed[..]
    } else {
        key
    };
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's documentation of signature version 4.
    fn documented() -> Request {
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                      SignedHeaders=content-type;host;x-amz-date, \
                      Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let headers = [
            ("authorization", header),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let query = [("Action", "ListUsers"), ("Version", "2010-05-08")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Request {
            method: "GET".to_owned(),
            raw_path: "/".to_owned(),
            signed_path: "/".to_owned(),
            headers: headers.into_iter().map(owned).collect(),
            query: query.into_iter().map(owned).collect(),
            ..Request::default()
        }
    }

    #[test]
    fn the_documented_example_holds() {
        assert!(holds(&documented(), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    }

    #[test]
    fn another_secret_or_another_request_does_not() {
        assert!(!holds(&documented(), "another"));
        let mut changed = documented();
        changed.query[0].1 = "ListRoles".to_owned();
        assert!(!holds(&changed, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
        assert!(!holds(&Request::default(), "x"));
    }
}
