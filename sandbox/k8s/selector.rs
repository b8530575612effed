//! Label and field selectors, as they stand in a query and in an object.

use serde_json::Value;

/// Splits at commas outside parentheses.
fn parts(selector: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0i32, 0, Vec::new());
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(selector[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(selector[start..].trim());
    out.retain(|p| !p.is_empty());
    out
}

fn listed(list: &str, value: &str) -> bool {
    let list = list.trim().trim_start_matches('(').trim_end_matches(')');
    list.split(',').any(|x| x.trim() == value)
}

/// Whether an object's labels match `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
pub fn labels(selector: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let get = |k: &str| labels[k.trim()].as_str();
    parts(selector).into_iter().all(|part| {
        if let Some((key, list)) = part.split_once(" notin ") {
            !get(key).is_some_and(|v| listed(list, v))
        } else if let Some((key, list)) = part.split_once(" in ") {
            get(key).is_some_and(|v| listed(list, v))
        } else if let Some((key, value)) = part.split_once("!=") {
            get(key) != Some(value.trim())
        } else if let Some((key, value)) = part.split_once("==").or(part.split_once('=')) {
            get(key) == Some(value.trim())
        } else if let Some(key) = part.strip_prefix('!') {
            get(key).is_none()
        } else {
            get(part).is_some()
        }
    })
}

/// Whether an object's fields match `metadata.name=x,status.phase!=Running`.
pub fn fields(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|p| !p.is_empty()).all(|part| {
        let (key, value, negated) = if let Some((k, v)) = part.split_once("!=") {
            (k, v, true)
        } else if let Some((k, v)) = part.split_once("==").or(part.split_once('=')) {
            (k, v, false)
        } else {
            return false;
        };
        let found = key.trim().split('.').fold(object, |at, step| &at[step]);
        let equal = match found {
            Value::String(s) => s == value.trim(),
            Value::Null => value.trim().is_empty(),
            other => value.trim() == format!("{other}"),
        };
        equal != negated
    })
}

/// The name that a field selector asks for, when it asks for one.
pub fn wanted_name(selector: &str) -> Option<&str> {
    selector.split(',').find_map(|p| {
        let (key, value) = p.split_once("==").or(p.split_once('='))?;
        (key.trim() == "metadata.name").then_some(value.trim())
    })
}

/// Whether `labels` match a selector as it stands in an object (`matchLabels`, `matchExpressions`).
pub fn in_object(selector: &Value, labels: &Value) -> bool {
    let all = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    all.into_iter().all(|(k, v)| labels[k] == *v) && expressions.into_iter().all(|e| requirement(e, labels))
}

/// Whether `labels` meet one requirement, of an object's selector or of a node affinity.
pub fn requirement(wanted: &Value, labels: &Value) -> bool {
    let found = wanted["key"].as_str().and_then(|k| labels[k].as_str());
    let listed = || wanted["values"].as_array().is_some_and(|a| a.iter().any(|v| v.as_str() == found));
    let number = |v: Option<&str>| v.and_then(|v| v.parse::<i64>().ok());
    let bound = || number(wanted["values"][0].as_str());
    match wanted["operator"].as_str() {
        Some("In") => found.is_some() && listed(),
        Some("NotIn") => found.is_none() || !listed(),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => number(found).zip(bound()).is_some_and(|(a, b)| a > b),
        Some("Lt") => number(found).zip(bound()).is_some_and(|(a, b)| a < b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fields, in_object, labels, wanted_name};

    #[test]
    fn label_selectors() {
        let o = json!({"metadata": {"labels": {"a": "1", "b": "x"}}});
        for yes in ["a=1", "a==1,b", "b in (x, y)", "c notin (z)", "!c", "a!=2", ""] {
            assert!(labels(yes, &o), "{yes}");
        }
        for no in ["a=2", "c", "b notin (x)", "!a", "a in (2,3)"] {
            assert!(!labels(no, &o), "{no}");
        }
    }

    #[test]
    fn field_selectors() {
        let o = json!({"metadata": {"name": "x"}, "spec": {"unschedulable": true}});
        assert!(fields("metadata.name=x,spec.unschedulable=true,status.phase=", &o));
        assert!(!fields("metadata.name!=x", &o));
        assert_eq!(wanted_name("status.phase!=Running,metadata.name=x"), Some("x"));
    }

    #[test]
    fn selectors_in_objects() {
        let s =
            json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["x"]}]});
        assert!(in_object(&s, &json!({"a": "1", "b": "x"})));
        assert!(!in_object(&s, &json!({"a": "1"})));
    }
}
