//! The forms in which a secret can stand in a text: as it is, and encoded in the ways of the protocols that carry it.

use base64::{Engine as _, engine::general_purpose as base64_of};
use std::{collections::BTreeSet, fmt::Write as _};

/// Lines of a secret text (a key in PEM) that are shorter than this are no secrets of their own.
const SHORTEST_LINE: usize = 16;
/// Longer secrets (tokens, certificates) are not looked for in what was encoded twice.
const LONGEST_TWICE: usize = 200;

/// Every form of `secret` that is looked for. Short ones are left out by the caller.
pub(super) fn all(secret: &str) -> BTreeSet<String> {
    let mut forms = one(secret);
    if secret.contains('\n') {
        let lines =
            secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("---"));
        forms.extend(lines.flat_map(one));
    }
    forms
}

fn one(secret: &str) -> BTreeSet<String> {
    let escaped = [json(secret), json(&json(secret)), debug(secret), debug(&json(secret)), xml(secret)];
    let mut forms: BTreeSet<String> = escaped.into_iter().collect();
    for kept in ["-._~", "-._*", "-._~/", ""] {
        for lower in [false, true] {
            forms.insert(percent(secret, kept, lower));
        }
    }
    forms.insert(percent(secret, "-._* ", false).replace(' ', "+"));
    forms.insert(hex::encode(secret));
    forms.insert(hex::encode_upper(secret));
    for text in [secret.to_owned(), json(secret)] {
        let once = inside_base64(&text);
        if text.len() <= LONGEST_TWICE {
            // The data of a Kubernetes Secret can hold what is base64 already.
            let encoded = [base64_of::STANDARD.encode(&text)];
            forms.extend(once.iter().chain(&encoded).flat_map(|inner| inside_base64(inner)));
        }
        forms.extend(once);
        forms.insert(base64_of::STANDARD.encode(&text));
        forms.insert(base64_of::URL_SAFE.encode(&text));
    }
    forms.insert(secret.to_owned());
    forms
}

/// What stands in the base64 of any text with `part` in it: one form for each place where a group of three bytes can begin.
/// Characters that also depend on what is around it are left out.
fn inside_base64(part: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(part.as_bytes());
        let whole = bytes.len() * 8 / 6;
        let from = [0, 2, 3][before];
        for encoded in [base64_of::STANDARD.encode(&bytes), base64_of::URL_SAFE.encode(&bytes)] {
            forms.extend(encoded.get(from..whole).map(str::to_owned));
        }
    }
    forms
}

/// As JSON has it between quotes.
fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).to_owned()
}

/// As Rust's debug format has it between quotes.
fn debug(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).to_owned()
}

fn xml(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

/// Percent-encoded, but for letters, digits and the characters in `kept`.
fn percent(text: &str, kept: &str, lower: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        let _ = match (c.is_ascii_alphanumeric() || (c.is_ascii() && kept.contains(c)), lower) {
            (true, _) => write!(out, "{c}"),
            (false, false) => write!(out, "%{byte:02X}"),
            (false, true) => write!(out, "%{byte:02x}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(secret: &str, text: &str) -> bool {
        all(secret).iter().any(|form| text.contains(form.as_str()))
    }

    #[test]
    fn protocols_carry_secrets_in_these_forms() {
        let secret = "p/w+\"ö' &1";
        let basic = base64_of::STANDARD.encode(format!("user:{secret}"));
        let pod = base64_of::STANDARD.encode(format!("{{\"auth\":\"{basic}\"}}"));
        let url = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
        let query = url::Url::parse_with_params("http://h/", [("p", secret)]).unwrap().to_string();
        for text in [
            format!("x{secret}y"),
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(&serde_json::json!({ "body": serde_json::to_string(secret).unwrap() })).unwrap(),
            format!("{secret:?}"),
            basic.clone(),
            format!("Basic {basic}"),
            pod,
            format!("password={url}&x"),
            query,
            hex::encode(secret),
        ] {
            assert!(found(secret, &text), "{text}");
        }
    }

    #[test]
    fn lines_of_a_key_are_secret_and_its_frame_is_not() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
        assert!(found(pem, "invalid: MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"));
        assert!(!found(pem, "-----BEGIN PRIVATE KEY-----"));
    }

    proptest! {
        #[test]
        fn base64_is_found_wherever_it_begins(before: Vec<u8>, secret in "[ -~]{6,40}", after: Vec<u8>) {
            let text = [before.as_slice(), secret.as_bytes(), after.as_slice()].concat();
            prop_assert!(found(&secret, &base64_of::STANDARD.encode(&text)));
            prop_assert!(found(&secret, &base64_of::URL_SAFE_NO_PAD.encode(&text)));
        }
    }
}
