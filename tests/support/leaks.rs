//! Looking for secrets in what the program left: as they are, and in any encoding that a protocol or a format may give them.
//! Everything is decoded here, while the program looks for what it encoded: what it forgets is found.

use base64::{
    Engine as _, alphabet, engine::general_purpose::GeneralPurpose, engine::general_purpose::GeneralPurposeConfig,
};
use std::path::{Path, PathBuf};

/// Something secret, and what it is.
pub type Named = (String, String);

/// The first of `secrets` that stands in `text`, and how.
pub fn leak(text: &str, secrets: &[Named]) -> Option<String> {
    for (how, reading) in readings(text) {
        for (name, secret) in secrets {
            if let Some(at) = reading.find(secret.as_str()) {
                let around: String =
                    reading[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
                return Some(format!("{name}, {how}, after `{around}`"));
            }
        }
    }
    None
}

/// All files below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(folder) = queue.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() { queue.push(path) } else { found.push(path) }
        }
    }
    found
}

/// The secret, and each line of it that is long enough to be one.
pub fn parts(name: &str, secret: &str) -> Vec<Named> {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= 16 && !line.starts_with("-----"));
    let whole = std::iter::once(secret.trim());
    whole.chain(lines).map(|part| (name.to_owned(), part.to_owned())).collect()
}

fn readings(text: &str) -> Vec<(&'static str, String)> {
    let unescaped = unescaped(text);
    let percent = percent_decoded(text);
    let base64 = base64_decoded(text);
    let mut all = vec![
        ("JSON in JSON", self::unescaped(&unescaped)),
        ("in base64 twice", base64_decoded(&base64)),
        ("percent-encoded, with `+`", percent_decoded(&text.replace('+', " "))),
        ("in hex", hex_decoded(text)),
        ("in XML", xml_decoded(text)),
    ];
    all.extend([
        ("in JSON", unescaped),
        ("percent-encoded", percent),
        ("in base64", base64),
        ("in the clear", text.into()),
    ]);
    all
}

/// What JSON's and Rust's escapes stand for.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let unicode = rest.strip_prefix('u').and_then(|code| u32::from_str_radix(code.get(..4)?, 16).ok());
        if let Some(c) = unicode.and_then(char::from_u32) {
            out.push(c);
            rest = &rest[5..];
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        out.push(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            other => other,
        });
        rest = &rest[c.len_utf8()..];
    }
    out + rest
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let decoded = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn xml_decoded(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&#39;", "'").replace("&#34;", "\"").replace("&amp;", "&")
}

/// The runs of `text` of which `fits` holds, at least `shortest` long.
fn runs(text: &str, shortest: usize, fits: fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !fits(c)).filter(move |run| run.len() >= shortest)
}

fn hex_decoded(text: &str) -> String {
    let mut out = String::new();
    for run in runs(text, 12, |c| c.is_ascii_hexdigit()) {
        for from in 0..2 {
            let even = (run.len() - from) / 2 * 2;
            let bytes = hex::decode(&run[from..from + even]).unwrap_or_default();
            out.push_str(&String::from_utf8_lossy(&bytes));
            out.push('\n');
        }
    }
    out
}

/// Every run that may be base64, decoded from each of the four places where a group may begin.
fn base64_decoded(text: &str) -> String {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let config = config.with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone);
    let mut out = String::new();
    for (alphabet, extra) in [(alphabet::STANDARD, "+/"), (alphabet::URL_SAFE, "-_")] {
        let engine = GeneralPurpose::new(&alphabet, config);
        let fits = if extra == "+/" {
            |c: char| c.is_ascii_alphanumeric() || "+/".contains(c)
        } else {
            |c: char| c.is_ascii_alphanumeric() || "-_".contains(c)
        };
        for run in runs(text, 8, fits) {
            for from in 0..4 {
                // One character alone over the last group stands for no byte.
                let run = &run[from..];
                let run = if run.len() % 4 == 1 { &run[..run.len() - 1] } else { run };
                out.push_str(&String::from_utf8_lossy(&engine.decode(run).unwrap_or_default()));
                out.push('\n');
            }
        }
    }
    out
}

#[test]
fn a_secret_is_found_in_every_encoding() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq+/\"a\" & b\n-----END KEY-----\n";
    let secrets = [parts("password", "Tr0mb0ne-und-\"Viola\"/+&"), parts("key", key)].concat();
    let standard = base64::engine::general_purpose::STANDARD;
    for (name, secret) in &secrets {
        let json = serde_json::to_string(secret).unwrap();
        let basic = standard.encode(format!("user:{secret}"));
        let query = url::Url::parse_with_params("http://h/", [("p", secret)]).unwrap().to_string();
        for text in [
            format!("plain {secret}"),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            format!("{secret:?}"),
            format!("x{basic}"),
            standard.encode(format!("{{\"auth\":\"{basic}\"}}")),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("xy{secret}")),
            query,
            format!("a1{}", hex::encode(secret)),
            secret.replace('&', "&amp;").replace('"', "&quot;"),
        ] {
            assert!(leak(&text, &secrets).is_some(), "{name}: {text}");
        }
    }
    assert_eq!(leak("nothing of the kind: dHJvbWJvbmU= %2F 7472 \\u0041", &secrets), None);
}
