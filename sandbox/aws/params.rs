//! Parameters of a call, whatever way they came: a form, a query, or a JSON body.

use serde_json::{Map, Value};

use super::http::ApiError;

/// Nested parameters. In the query protocols leaves are strings and lists are objects whose keys are numbers,
/// perhaps inside one more level (`member`, `Tag`); in the JSON protocols they are plain JSON. The accessors
/// hide the difference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(pub Value);

impl Params {
    /// From pairs such as `Filter.1.Name=vpc-id`.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut root = Value::Object(Map::new());
        for (name, value) in pairs {
            let mut node = &mut root;
            for part in name.split('.') {
                if !node.is_object() {
                    *node = Value::Object(Map::new());
                }
                node = match node {
                    Value::Object(map) => map.entry(part).or_insert(Value::Null),
                    other => other,
                };
            }
            *node = Value::String(value);
        }
        Self(root)
    }

    /// The node at a dotted path.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |node, part| node.get(part)).filter(|v| !v.is_null())
    }

    /// Whether anything was given at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    /// The text at `path`; an empty text counts as given.
    pub fn opt(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The text at `path`, or `default`.
    pub fn or<'a>(&'a self, path: &str, default: &'a str) -> &'a str {
        self.opt(path).unwrap_or(default)
    }

    /// The text at `path`, which must be given.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn req(&self, path: &str) -> Result<&str, ApiError> {
        self.opt(path)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::new("MissingParameter", format!("The request must contain the parameter {path}")))
    }

    /// The whole number at `path`.
    ///
    /// # Errors
    /// `InvalidParameterValue` when it is not one.
    pub fn int(&self, path: &str) -> Result<Option<i64>, ApiError> {
        match self.at(path) {
            None => Ok(None),
            Some(Value::Number(n)) if n.is_i64() => Ok(n.as_i64()),
            Some(Value::String(text)) if text.parse::<i64>().is_ok() => Ok(text.parse().ok()),
            Some(other) => {
                let message = format!("Value ({other}) for parameter {path} is invalid. It must be an integer.");
                Err(ApiError::new("InvalidParameterValue", message))
            }
        }
    }

    /// The truth value at `path`.
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.at(path)? {
            Value::Bool(value) => Some(*value),
            Value::String(text) => Some(text.eq_ignore_ascii_case("true")),
            _ => None,
        }
    }

    /// The nodes of the list at `path`, in order.
    fn nodes(&self, path: &str) -> Vec<&Value> {
        match self.at(path) {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::Object(map)) => {
                let numbered =
                    |map: &Map<String, Value>| !map.is_empty() && map.keys().all(|k| k.parse::<u32>().is_ok());
                let map = match map.values().next() {
                    Some(Value::Object(inner)) if map.len() == 1 && !numbered(map) && numbered(inner) => inner,
                    _ if numbered(map) => map,
                    _ => return Vec::new(),
                };
                let mut items: Vec<(u32, &Value)> =
                    map.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v))).collect();
                items.sort_by_key(|(number, _)| *number);
                items.into_iter().map(|(_, value)| value).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The texts of the list at `path`; empty when there is none.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.nodes(path).into_iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// The structures of the list at `path`.
    pub fn items(&self, path: &str) -> Vec<Params> {
        self.nodes(path).into_iter().map(|v| Params(v.clone())).collect()
    }

    /// The structure at `path`; empty when there is none.
    #[must_use]
    pub fn sub(&self, path: &str) -> Params {
        Params(self.at(path).cloned().unwrap_or_else(|| Value::Object(Map::new())))
    }

    /// Tags at `path` (`Key`/`Value` pairs) in order.
    pub fn tags(&self, path: &str) -> Vec<(String, String)> {
        self.items(path).iter().map(|t| (t.or("Key", "").to_owned(), t.or("Value", "").to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Params {
        Params::from_pairs(form_urlencoded::parse(text.as_bytes()).into_owned())
    }

    #[test]
    fn lists_of_every_flavour() {
        let p = pairs("A.2=y&A.1=x&A.10=z&B.member.1=m&Tags.Tag.1.Key=k&Tags.Tag.1.Value=v&E.F.Value=true&N=5&T=x");
        assert_eq!(p.list("A"), ["x", "y", "z"]);
        assert_eq!(p.list("B"), ["m"]);
        assert_eq!(p.tags("Tags"), [("k".to_owned(), "v".to_owned())]);
        assert_eq!(p.flag("E.F.Value"), Some(true));
        assert_eq!(p.int("N").unwrap(), Some(5));
        assert_eq!(p.int("T").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(p.req("Q").unwrap_err().code, "MissingParameter");
    }
}
