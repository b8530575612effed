//! JSON documents written as XML.
//!
//! Services keep and answer documents as JSON whose keys are the element names. On the way out:
//! - a key that begins with `_` is private and left out; `null` is left out;
//! - a key that begins with `$` is an attribute of its element, `#` its text;
//! - an array under key `K` becomes `<K><item>…</item>…</K>`, with `item` or `member` by protocol;
//! - an array under key `@E` becomes repeated `<E>` elements without a list around them; so
//!   `{"DBInstances": {"@DBInstance": […]}}` names its items, and `{"@Contents": […]}` is a flat list.

use std::fmt::Write;

use serde_json::Value;

/// How list items are named where the document does not say.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    item: &'static str,
}

/// EC2: `<item>`.
pub const EC2: Flavour = Flavour { item: "item" };
/// Query services: `<member>`.
pub const QUERY: Flavour = Flavour { item: "member" };

impl Flavour {
    /// Writes `value` as element `name`.
    pub fn element(self, out: &mut String, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                if let Some(name) = name.strip_prefix('@') {
                    for item in items {
                        self.element(out, name, item);
                    }
                } else {
                    self.wrap(out, name, &[], |flavour, out| {
                        for item in items {
                            flavour.element(out, flavour.item, item);
                        }
                    });
                }
            }
            Value::Object(members) => {
                let attributes: Vec<(&str, &Value)> =
                    members.iter().filter_map(|(key, value)| Some((key.strip_prefix('$')?, value))).collect();
                self.wrap(out, name, &attributes, |flavour, out| flavour.members(out, value));
            }
            scalar => self.wrap(out, name, &[], |_, out| escape(out, &text(scalar))),
        }
    }

    /// Writes the members of object `value` without an element around them.
    pub fn members(self, out: &mut String, value: &Value) {
        for (key, value) in value.as_object().into_iter().flatten() {
            if key == "#" {
                escape(out, &text(value));
            } else if !key.starts_with(['_', '$']) {
                self.element(out, key, value);
            }
        }
    }

    fn wrap(self, out: &mut String, name: &str, attributes: &[(&str, &Value)], inner: impl FnOnce(Self, &mut String)) {
        let _ = write!(out, "<{name}");
        for (key, value) in attributes {
            let _ = write!(out, " {key}=\"");
            escape(out, &text(value));
            out.push('"');
        }
        out.push('>');
        inner(self, out);
        let _ = write!(out, "</{name}>");
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Appends `text` with the characters that XML reserves escaped.
pub fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

/// A document as JSON protocols show it: without the private members.
pub fn public(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(k, v)| !k.starts_with('_') && !v.is_null())
                .map(|(k, v)| (k.clone(), public(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(public).collect()),
        scalar => scalar.clone(),
    }
}

/// An XML document as JSON: an element with only text is a string, repeated elements become an array, attributes
/// are dropped, namespaces too.
///
/// # Errors
/// When the text is not well-formed XML.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut stack: Vec<(String, Value, String)> =
        vec![(String::new(), Value::Object(serde_json::Map::new()), String::new())];
    let close = |stack: &mut Vec<(String, Value, String)>| {
        let Some((name, value, text)) = stack.pop() else { return };
        let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        let value = if empty { Value::String(text) } else { value };
        if let Some((_, Value::Object(parent), _)) = stack.last_mut() {
            match parent.get_mut(&name) {
                Some(Value::Array(items)) => items.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => drop(parent.insert(name, value)),
            }
        }
    };
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(tag) => {
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                stack.push((name, Value::Object(serde_json::Map::new()), String::new()));
            }
            Event::Empty(tag) => {
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                stack.push((name, Value::Object(serde_json::Map::new()), String::new()));
                close(&mut stack);
            }
            Event::End(_) => close(&mut stack),
            Event::Text(chars) => {
                if let Some((_, _, text)) = stack.last_mut() {
                    text.push_str(&chars.decode().map_err(|e| e.to_string())?);
                }
            }
            Event::CData(chars) => {
                if let Some((_, _, text)) = stack.last_mut() {
                    text.push_str(&String::from_utf8_lossy(&chars));
                }
            }
            Event::GeneralRef(entity) => {
                let name = entity.decode().map_err(|e| e.to_string())?;
                let resolved = match entity.resolve_char_ref().map_err(|e| e.to_string())? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_xml_entity(&name).ok_or("unknown entity")?.to_owned(),
                };
                if let Some((_, _, text)) = stack.last_mut() {
                    text.push_str(&resolved);
                }
            }
            Event::Eof if stack.len() == 1 => return Ok(stack.remove(0).1),
            Event::Eof => return Err("unexpected end".to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_private_members() {
        let doc =
            json!({"a": [1, {"b": true}], "_x": 1, "n": null, "L": {"@E": ["<", "y"]}, "o": {"$t": "q", "c": "d"}});
        let mut out = String::new();
        EC2.members(&mut out, &doc);
        assert_eq!(
            out,
            r#"<a><item>1</item><item><b>true</b></item></a><L><E>&lt;</E><E>y</E></L><o t="q"><c>d</c></o>"#
        );
        assert_eq!(public(&json!({"_x": 1, "a": [{"_y": 1}]})), json!({"a": [{}]}));
    }

    #[test]
    fn xml_becomes_json() {
        let doc = parse(b"<R xmlns='u'><A>x &amp; y</A><B>1</B><B>2</B><C/></R>").unwrap();
        assert_eq!(doc, json!({"R": {"A": "x & y", "B": ["1", "2"], "C": ""}}));
        assert!(parse(b"<R><A></R>").is_err());
    }
}
