//! Values that travel as JSON between scripts, engine, bindings and the state log, and the two taints they can carry.
//!
//! Both taints are private-use marker characters *inside* strings, so that they survive interpolation, maps and lists:
//!
//! - an *unknown* (`U+E000 path U+E001`): what a plan cannot know before the run, named by where it comes from;
//! - a *secret* (`U+E002 plaintext U+E003`): what is sent to a cloud in the clear and shown nowhere else.

use serde_json::Value;

/// Opens an unknown.
pub const UNKNOWN_OPEN: char = '\u{E000}';
/// Closes an unknown.
pub const UNKNOWN_CLOSE: char = '\u{E001}';
/// Opens a secret.
pub const SECRET_OPEN: char = '\u{E002}';
/// Closes a secret.
pub const SECRET_CLOSE: char = '\u{E003}';
/// What stands in every output in place of a secret.
pub const SECRET_SHOWN: &str = "<secret>";

/// The JSON string that stands for the unknown called `path`, for example `network.vpc_id`.
pub fn unknown(path: &str) -> Value {
    Value::String(format!("{UNKNOWN_OPEN}{path}{UNKNOWN_CLOSE}"))
}

/// The path of the unknown, when `value` is one as a whole (not a string around one).
pub fn unknown_path(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(UNKNOWN_OPEN)?.strip_suffix(UNKNOWN_CLOSE).filter(|path| !path.contains(UNKNOWN_OPEN))
}

/// Whether an unknown stands anywhere in `value`, map keys included.
pub fn has_unknown(value: &Value) -> bool {
    any_text(value, &|text| text.contains(UNKNOWN_OPEN))
}

/// Whether a secret stands anywhere in `value`, map keys included.
pub fn has_secret(value: &Value) -> bool {
    any_text(value, &has_marked_secret)
}

/// `value` as a cloud may see it: secrets in the clear, without their markers.
pub fn revealed(value: &Value) -> Value {
    map_text(value, &|text| text.replace([SECRET_OPEN, SECRET_CLOSE], ""))
}

/// `value` as a person may see it: `<secret>` for secrets, `<path>` for unknowns.
pub fn shown(value: &Value) -> Value {
    map_text(value, &shown_text)
}

/// `text` as a person may see it. A region whose other marker was cut off counts as secret to the end of the text.
pub fn shown_text(text: &str) -> String {
    if !may_hold_markers(text) {
        return text.to_owned();
    }
    let cut = |part: &str| match part.rfind(SECRET_CLOSE) {
        Some(close) => format!("{SECRET_SHOWN}{}", &part[close + SECRET_CLOSE.len_utf8()..]),
        None => part.to_owned(),
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(SECRET_OPEN) {
        out.push_str(&cut(&rest[..open]));
        out.push_str(SECRET_SHOWN);
        rest = match rest[open..].find(SECRET_CLOSE) {
            Some(close) => &rest[open + close + SECRET_CLOSE.len_utf8()..],
            None => "",
        };
    }
    out.push_str(&cut(rest));
    // What a debug format makes of the markers around a secret that was hidden by its plaintext.
    let out = out.replace("\\u{e002}", "").replace("\\u{e003}", "");
    out.replace(UNKNOWN_OPEN, "<").replace(UNKNOWN_CLOSE, ">")
}

/// Whether a marker of secrets stands in `text`.
pub fn has_marked_secret(text: &str) -> bool {
    !text.is_ascii() && text.contains([SECRET_OPEN, SECRET_CLOSE])
}

/// Whether a marker, or what a debug format makes of one, can stand in `text`. Most texts are ASCII without a backslash, which is seen
/// faster than a search for four characters: every text of a run passes here many times.
fn may_hold_markers(text: &str) -> bool {
    (!text.is_ascii() && text.contains([SECRET_OPEN, SECRET_CLOSE, UNKNOWN_OPEN, UNKNOWN_CLOSE]))
        || (text.contains('\\') && text.contains("\\u{e00"))
}

/// Every string in `value`, keys included, passed through `change`.
pub fn map_text(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|item| map_text(item, change)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (change(key), map_text(item, change))).collect(),
        other => other.clone(),
    }
}

fn any_text(value: &Value, holds: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => holds(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, holds)),
        Value::Object(map) => map.iter().any(|(key, item)| holds(key) || any_text(item, holds)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknowns_are_found_named_and_shown() {
        let id = unknown("network.vpc_id");
        assert_eq!(unknown_path(&id), Some("network.vpc_id"));
        let inside = json!({ "tags": [format!("x-{}", id.as_str().unwrap())] });
        assert!(has_unknown(&inside));
        assert_eq!(unknown_path(&inside["tags"][0]), None);
        assert_eq!(shown(&inside), json!({ "tags": ["x-<network.vpc_id>"] }));
    }

    #[test]
    fn secrets_are_hidden_from_people_and_sent_in_the_clear() {
        let url = json!(format!("mysql://gitpod:{SECRET_OPEN}pw{SECRET_CLOSE}@host"));
        assert!(has_secret(&url));
        assert_eq!(shown(&url), json!("mysql://gitpod:<secret>@host"));
        assert_eq!(revealed(&url), json!("mysql://gitpod:pw@host"));
    }

    #[test]
    fn a_secret_cut_in_two_stays_hidden() {
        assert_eq!(shown_text(&format!("a{SECRET_OPEN}pw")), "a<secret>");
        assert_eq!(shown_text(&format!("pw{SECRET_CLOSE}b")), "<secret>b");
        assert_eq!(shown_text(&format!("w{SECRET_CLOSE}b{SECRET_OPEN}q{SECRET_CLOSE}c")), "<secret>b<secret>c");
        assert_eq!(shown_text(&format!("a{SECRET_CLOSE}pw{SECRET_CLOSE}b")), "<secret>b");
        assert_eq!(shown_text(&format!("{SECRET_OPEN}a{SECRET_CLOSE}pw{SECRET_CLOSE}b")), "<secret><secret>b");
    }
}
