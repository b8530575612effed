//! Texts and documents without what is generated: identifiers, times, addresses, secrets.

use serde_json::Value;

/// The document as one line: generated texts replaced, `left_out` fields dropped, lists sorted.
pub fn value(of: &Value, left_out: &[&str]) -> String {
    plain(of, left_out).to_string()
}

fn plain(of: &Value, left_out: &[&str]) -> Value {
    match of {
        Value::String(written) => Value::String(text(written)),
        Value::Number(number) if number.as_f64().is_some_and(|it| it > 1e9) => Value::String("time".to_owned()),
        Value::Number(number) if number.as_f64().is_some_and(|it| (30_000.0..32_768.0).contains(&it)) => {
            Value::String("node port".to_owned())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| plain(item, left_out)).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(map) => {
            let fields = map.iter().filter(|(field, _)| !left_out.contains(&field.as_str()));
            let mut fields: Vec<(String, Value)> =
                fields.map(|(field, value)| (text(field), plain(value, left_out))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// The text with `#` for each word that looks generated, `IP` for each address, `time` for each time.
pub fn text(written: &str) -> String {
    if written.contains("awsdns") {
        return "name servers".to_owned();
    }
    let mut plain = String::new();
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphanumeric() {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (shown, length) = special(rest).unwrap_or_else(|| word(rest));
        plain.push_str(&shown);
        rest = &rest[length..];
    }
    plain
}

/// A time, an address or a UUID at the beginning of `rest`, and how long it is.
fn special(rest: &str) -> Option<(String, usize)> {
    let span = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
    let bytes = rest.as_bytes();
    if bytes.len() > 18 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':' {
        return Some(("time".to_owned(), span(|c| c.is_ascii_digit() || "-T:.Z+".contains(c))));
    }
    let encoded = span(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    if encoded > 100 {
        return Some(("encoded".to_owned(), encoded));
    }
    let dotted = span(|c| c.is_ascii_digit() || c == '.');
    if rest[..dotted].matches('.').count() == 3 && !rest[dotted..].starts_with('/') {
        let port = rest[dotted..]
            .strip_prefix(':')
            .map_or(0, |port| 1 + port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len()));
        return Some(("IP".to_owned(), dotted + port));
    }
    let host = span(|c| c.is_ascii_digit() || c == '-' || c == 'i' || c == 'p');
    if rest.starts_with("ip-") && rest[..host].matches('-').count() == 4 {
        return Some(("ip-IP".to_owned(), host));
    }
    let hex = span(|c| c.is_ascii_hexdigit() || c == '-');
    let dashes: Vec<usize> = rest[..hex].match_indices('-').map(|(at, _)| at).collect();
    (hex >= 36 && dashes.starts_with(&[8, 13, 18, 23])).then(|| ("#".to_owned(), 36))
}

/// The word at the beginning of `rest`, and how long it is.
fn word(rest: &str) -> (String, usize) {
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let it = &rest[..length];
    let digits = it.chars().filter(char::is_ascii_digit).count();
    let generated = (length >= 8 && digits > 0) || (length >= 6 && digits == length);
    (if generated { "#".to_owned() } else { it.to_owned() }, length)
}

#[test]
fn generated_texts_look_alike() {
    assert_eq!(text("vpc-cb5c520cf719725a8"), "vpc-#");
    assert_eq!(text("eks-services-f57db5b7-0282-4059-8c12-ee7df25dd587"), "eks-services-#");
    assert_eq!(text("https://127.0.0.1:35141/clusters/eu-west-1.gitpod"), "https://IP/clusters/eu-west-1.gitpod");
    assert_eq!(text("2026-11-23T09:01:33.015Z"), "time");
    assert_eq!(text("192.168.0.0/16"), "192.168.0.0/16");
    assert_eq!(text("ip-192-168-128-4.eu-west-1.compute.internal"), "ip-IP.eu-west-1.compute.internal");
    assert_eq!(text("m6i.xlarge db.m5.large gp3"), "m6i.xlarge db.m5.large gp3");
}
