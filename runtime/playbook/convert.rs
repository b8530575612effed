//! Script values ↔ JSON.

use super::{
    settings_value::SettingsValue,
    taint::{SecretText, Unknown},
};
use crate::{secret, value};
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};
use serde_json::{Number, Value};

/// Deeper values are refused, as JSON readers do.
pub(super) const DEEPEST: usize = 64;

/// Why a value is no data: (path to it, what it is).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoData {
    pub path: String,
    pub what: String,
}

impl std::fmt::Display for NoData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{} is no data", self.what),
            path => write!(f, "{} at `{path}` is no data", self.what),
        }
    }
}

/// The JSON of a script value; taints become markers.
pub(super) fn to_json(value: &Dynamic) -> Result<Value, NoData> {
    let mut path = Vec::new();
    walk(value, &mut path).map_err(|what| NoData { path: joined(&path), what: what.into() })
}

fn joined(path: &[String]) -> String {
    path.iter().enumerate().fold(String::new(), |mut text, (number, part)| {
        if number > 0 && !part.starts_with('[') {
            text.push('.');
        }
        text.push_str(part);
        text
    })
}

/// On an error `path` is left at the place.
fn walk(value: &Dynamic, path: &mut Vec<String>) -> Result<Value, &'static str> {
    if path.len() > DEEPEST {
        return Err("a value nested this deep");
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(truth.into());
    }
    if let Ok(number) = value.as_int() {
        return Ok(number.into());
    }
    if let Ok(number) = value.as_float() {
        return Number::from_f64(number).map(Value::Number).ok_or("a number without a value");
    }
    if let Ok(character) = value.as_char() {
        return Ok(character.to_string().into());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        remember(&text);
        return Ok(text.to_string().into());
    }
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return Ok(unknown.marked().into());
    }
    if let Some(secret) = value.read_lock::<SecretText>() {
        remember(&secret.0);
        return Ok(secret.0.to_string().into());
    }
    if let Some(settings) = value.read_lock::<SettingsValue>() {
        return walk(&settings.read_all(), path);
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().enumerate().map(|(number, item)| step(item, format!("[{number}]"), path)).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        let items = map.iter().map(|(key, item)| Ok((key.to_string(), step(item, key.to_string(), path)?)));
        return items.collect::<Result<serde_json::Map<String, Value>, _>>().map(Value::Object);
    }
    if value.is::<FnPtr>() {
        return Err("a function");
    }
    Err("a value of this type")
}

fn step(item: &Dynamic, name: String, path: &mut Vec<String>) -> Result<Value, &'static str> {
    path.push(name);
    let value = walk(item, path)?;
    path.pop();
    Ok(value)
}

/// The plaintexts of marked regions are searched for in all output from here on.
fn remember(text: &str) {
    for region in text.split(value::SECRET_OPEN).skip(1) {
        secret::remember(region.split(value::SECRET_CLOSE).next().unwrap_or(region));
    }
}

/// The script value of JSON; strings that are tainted as a whole get their own type.
pub(super) fn from_json(json: &Value) -> Dynamic {
    match json {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => match (value::unknown_path(json), SecretText::whole(text)) {
            (Some(path), _) => Dynamic::from(Unknown::new(path)),
            (None, Some(secret)) => {
                remember(text);
                Dynamic::from(secret)
            }
            (None, None) => text.as_str().into(),
        },
        Value::Array(items) => Dynamic::from_array(items.iter().map(from_json).collect()),
        Value::Object(items) => {
            let items = items.iter().map(|(key, item)| (key.as_str().into(), from_json(item)));
            Dynamic::from_map(items.collect::<Map>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_come_back_as_they_went() {
        let unknown = value::unknown("vpc.id");
        let data = json!({ "a": [1, 2.5, true, null, "x"], "u": unknown, "s": "\u{e002}secret-text\u{e003}" });
        let script = from_json(&data);
        assert!(script.read_lock::<Map>().unwrap()["u"].is::<Unknown>());
        assert!(script.read_lock::<Map>().unwrap()["s"].is::<SecretText>());
        assert_eq!(to_json(&script).unwrap(), data);
        assert_eq!(secret::hide("a secret-text here"), "a <secret> here");
    }

    #[test]
    fn what_is_no_data_has_a_path() {
        let mut map = Map::new();
        map.insert("x".into(), Dynamic::from_array(vec![1.into(), FnPtr::new("f").unwrap().into()]));
        let found = to_json(&map.into()).unwrap_err();
        assert_eq!(found.to_string(), "a function at `x[1]` is no data");
        assert!(to_json(&f64::NAN.into()).is_err());
    }

    #[test]
    fn bottomless_values_are_refused() {
        let mut value = Dynamic::from_array(vec![]);
        for _ in 0..100 {
            value = Dynamic::from_array(vec![value]);
        }
        assert!(to_json(&value).is_err());
    }
}
