//! What may stand in a setting: by the type of its default, or declared with a function such as `choice`.

use super::super::taint::plain;
use crate::secret::SHORTEST_SEARCHED;
use serde_json::{Map, Value};
use std::{fmt, net::IpAddr};

/// What may stand in a setting.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::playbook) enum Rule {
    Truth,
    Whole {
        min: i64,
        max: i64,
    },
    Number,
    Text,
    /// Text, or `()` when nobody says anything.
    TextOrNone,
    Choice(Vec<Value>),
    Cidr,
    Secret,
    /// Items of one kind, where the default shows which.
    List(Option<Box<Rule>>),
    /// Any keys.
    OpenMap,
    Any,
}

/// A default with its rule, as the functions for settings give it to `settings`.
#[derive(Debug, Clone)]
pub(in crate::playbook) struct Declared {
    pub default: Value,
    pub rule: Rule,
}

impl Rule {
    /// What a plain default allows.
    pub fn of_default(default: &Value) -> Self {
        match default {
            Value::Null => Rule::Any,
            Value::Bool(_) => Rule::Truth,
            Value::Number(number) if number.is_f64() => Rule::Number,
            Value::Number(_) => Rule::Whole { min: i64::MIN, max: i64::MAX },
            Value::String(_) => Rule::Text,
            Value::Array(items) => {
                let mut rules = items.iter().map(Rule::of_default);
                let first = rules.next().filter(|first| !matches!(first, Rule::Any | Rule::OpenMap));
                Rule::List(first.filter(|first| rules.all(|other| other == *first)).map(Box::new))
            }
            Value::Object(_) => Rule::OpenMap,
        }
    }

    /// `value`, if it may stand here. The error is a reason that fits after "is".
    pub fn accept(&self, value: &Value) -> Result<Value, String> {
        let fits = match (self, value) {
            (Rule::Any, _)
            | (Rule::Truth, Value::Bool(_))
            | (Rule::Text | Rule::TextOrNone, Value::String(_))
            | (Rule::TextOrNone, Value::Null)
            | (Rule::Number, Value::Number(_))
            | (Rule::OpenMap, Value::Object(_)) => true,
            (Rule::Whole { min, max }, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            (Rule::Choice(all), value) => all.contains(value),
            (Rule::Cidr, Value::String(text)) => is_cidr(text),
            (Rule::Secret, Value::String(text)) if (1..SHORTEST_SEARCHED).contains(&plain(text).len()) => {
                return Err(format!(
                    "a secret text of at least {SHORTEST_SEARCHED} bytes is wanted (a shorter one could not be hidden in what is shown)"
                ));
            }
            (Rule::Secret, Value::String(text)) => return Ok(marked(text)),
            (Rule::List(inner), Value::Array(items)) => {
                let items = items.iter().map(|item| inner.as_ref().map_or(Ok(item.clone()), |rule| rule.accept(item)));
                return items.collect::<Result<_, _>>().map(Value::Array).map_err(|why| format!("{why}, in a list"));
            }
            _ => false,
        };
        if fits { Ok(value.clone()) } else { Err(self.refusal(value)) }
    }

    /// Reads a word of the command line.
    pub fn read(&self, word: &str) -> Result<Value, String> {
        let text = || Value::String(word.to_owned());
        let parsed = || serde_norway::from_str::<Value>(word).unwrap_or_else(|_| text());
        let value = match self {
            Rule::TextOrNone if word.is_empty() => Value::Null,
            Rule::Text | Rule::TextOrNone | Rule::Cidr | Rule::Secret => text(),
            Rule::Choice(all) if all.iter().all(Value::is_string) => text(),
            Rule::List(_) if word.trim().is_empty() => Value::Array(Vec::new()),
            Rule::List(_) if word.trim_start().starts_with('[') => parsed(),
            Rule::List(inner) => {
                let inner = inner.as_deref().unwrap_or(&Rule::Any);
                return word.split(',').map(|item| inner.read(item.trim())).collect::<Result<_, _>>().map(Value::Array);
            }
            Rule::Number => word.trim().parse::<f64>().map_or_else(|_| text(), Value::from),
            Rule::OpenMap if word.trim().is_empty() => Value::Object(Map::new()),
            _ => parsed(),
        };
        self.accept(&value)
    }

    fn refusal(&self, value: &Value) -> String {
        let shown = match (self, value) {
            (Rule::Secret, _) => "what is given".to_owned(),
            (_, Value::Object(_)) => "a map".to_owned(),
            (_, Value::Array(_)) => "a list".to_owned(),
            (_, Value::Null) => "nothing".to_owned(),
            (_, value) => {
                let text = value.to_string();
                if text.len() > 80 { "what is given".to_owned() } else { format!("`{text}`") }
            }
        };
        let quotes = matches!(self, Rule::Text | Rule::TextOrNone | Rule::Cidr)
            && matches!(value, Value::Number(_) | Value::Bool(_));
        format!("{self} is wanted, not {shown}{}", if quotes { " (put it in quotes)" } else { "" })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Truth => f.write_str("`true` or `false`"),
            Rule::Whole { min: i64::MIN, max: i64::MAX } => f.write_str("a whole number"),
            Rule::Whole { min, max: i64::MAX } => write!(f, "a whole number from {min}"),
            Rule::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Rule::Number => f.write_str("a number"),
            Rule::Text => f.write_str("text"),
            Rule::TextOrNone => f.write_str("text or nothing"),
            Rule::Choice(all) => {
                let all: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
                write!(f, "one of {}", all.join(", "))
            }
            Rule::Cidr => f.write_str("a range of addresses such as `10.0.0.0/16`"),
            Rule::Secret => f.write_str("a secret text"),
            Rule::List(None) => f.write_str("a list"),
            Rule::List(Some(inner)) => write!(f, "a list, each item {inner}"),
            Rule::OpenMap => f.write_str("a map"),
            Rule::Any => f.write_str("anything"),
        }
    }
}

fn marked(text: &str) -> Value {
    let whole = super::super::taint::SecretText::whole(text).is_some();
    // An empty default stands for "not given": nothing to hide, and scripts may ask for it.
    if whole || text.is_empty() { text.into() } else { crate::secret::Secret::new(text).marked().into() }
}

/// An address and the length of its prefix, with no bits set behind the prefix.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    match address {
        IpAddr::V4(address) => length <= 32 && address.to_bits().checked_shl(length).unwrap_or(0) == 0,
        IpAddr::V6(address) => length <= 128 && address.to_bits().checked_shl(length).unwrap_or(0) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_default_decides() {
        let rule = |value: Value| Rule::of_default(&value);
        assert!(rule(json!("x")).accept(&json!(1.33)).unwrap_err().contains("put it in quotes"));
        assert!(rule(json!(1)).accept(&json!("1")).is_err());
        assert!(rule(json!(1.5)).accept(&json!(2)).is_ok());
        assert!(rule(json!(["a"])).accept(&json!(["b", 1])).is_err());
        assert!(rule(json!([])).accept(&json!(["b", 1])).is_ok());
        assert!(rule(json!(null)).accept(&json!({ "a": 1 })).is_ok());
    }

    #[test]
    fn words_are_read_as_the_default_is() {
        assert_eq!(Rule::Text.read("1.33").unwrap(), json!("1.33"));
        assert_eq!(Rule::of_default(&json!(1)).read("20").unwrap(), json!(20));
        assert_eq!(Rule::of_default(&json!(["a"])).read("b, c").unwrap(), json!(["b", "c"]));
        assert_eq!(Rule::of_default(&json!([])).read("[1, x]").unwrap(), json!([1, "x"]));
        assert_eq!(Rule::TextOrNone.read("").unwrap(), json!(null));
        assert_eq!(Rule::OpenMap.read("{a: b}").unwrap(), json!({ "a": "b" }));
        assert!(Rule::Truth.read("maybe").unwrap_err().contains("`true` or `false` is wanted"));
    }

    #[test]
    fn declared_rules_hold() {
        assert!(Rule::Whole { min: 1, max: 9 }.accept(&json!(10)).unwrap_err().contains("from 1 to 9"));
        assert!(Rule::Choice(vec![json!("job"), json!("binary")]).accept(&json!("jobs")).is_err());
        for (text, fits) in [("10.0.0.0/16", true), ("10.0.0.1/16", false), ("10.0.0.0/33", false), ("::/0", true)] {
            assert_eq!(is_cidr(text), fits, "{text}");
        }
        let secret = Rule::Secret.accept(&json!("open-sesame")).unwrap();
        assert!(crate::value::has_secret(&secret));
        assert!(!Rule::Secret.accept(&json!(1)).unwrap_err().contains('1'));
        assert!(Rule::Secret.accept(&json!("k9zQ7")).unwrap_err().contains("at least 6 bytes"));
        assert_eq!(Rule::Secret.accept(&json!("")).unwrap(), json!(""));
    }
}
