//! What all `Describe…` operations share: ids, filters, pages.

use serde_json::{Map, Value, json};

use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::fault::glob;

/// A kind of resource as `Describe…` shows it.
pub struct Kind {
    /// Table of the documents.
    pub table: &'static str,
    /// Parameter with the ids asked for, e.g. `VpcId`.
    pub ids: &'static str,
    /// How errors call it, e.g. `vpc ID`.
    pub noun: &'static str,
    /// Error code for an unknown id.
    pub missing: &'static str,
    /// Element of the list in the answer, e.g. `vpcSet`.
    pub set: &'static str,
    /// Filters beside `tag:…` and `tag-key`: name and dotted path in the document, arrays looked through.
    pub filters: &'static [(&'static str, &'static str)],
}

/// Document `id` of a kind.
///
/// # Errors
/// The kind's own error when there is none.
pub fn find(cx: &Cx<'_>, kind: &Kind, id: &str) -> Result<Value, ApiError> {
    cx.tx.get(kind.table, id).cloned().ok_or_else(|| missing(kind, id))
}

fn missing(kind: &Kind, id: &str) -> ApiError {
    ApiError::new(kind.missing, format!("The {} '{id}' does not exist", kind.noun))
}

impl Kind {
    /// Answers a `Describe…` with the stored documents.
    pub fn describe(&self, cx: &Cx<'_>) -> Outcome {
        let docs = cx.tx.scan(self.table).map(|(_, doc)| doc.clone()).collect();
        self.answer(cx, docs)
    }

    /// Answers a `Describe…` with the given documents, of which ids and filters select some.
    pub fn answer(&self, cx: &Cx<'_>, docs: Vec<Value>) -> Outcome {
        let (page, next) = cx.page(self.select(cx, docs)?)?;
        let mut members = Map::new();
        members.insert(self.set.to_owned(), Value::Array(page));
        members.insert("nextToken".to_owned(), json!(next));
        cx.ec2(&Value::Object(members))
    }

    /// Those of the documents that ids and filters select.
    pub fn select(&self, cx: &Cx<'_>, docs: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        let ids = cx.p.list(self.ids);
        let filters = self.filters(cx)?;
        if let Some(id) = ids.iter().find(|id| !docs.iter().any(|doc| self.is(doc, id))) {
            return Err(missing(self, id));
        }
        let wanted = |doc: &Value| ids.is_empty() || ids.iter().any(|id| self.is(doc, id));
        let passes = |doc: &Value| filters.iter().all(|(path, values)| fits(doc, path, values));
        Ok(docs.into_iter().filter(|doc| wanted(doc) && passes(doc)).collect())
    }

    /// Ids are the value of the member that is called like the parameter.
    fn is(&self, doc: &Value, id: &str) -> bool {
        let mut name = self.ids.to_owned();
        name[..1].make_ascii_lowercase();
        doc[&name] == *id
    }

    fn filters(&self, cx: &Cx<'_>) -> Result<Vec<(String, Vec<String>)>, ApiError> {
        cx.p.items("Filter")
            .iter()
            .map(|filter| {
                let (name, values) = (filter.or("Name", ""), filter.list("Value"));
                if name.starts_with("tag:") || name == "tag-key" {
                    return Ok((name.to_owned(), values));
                }
                match self.filters.iter().find(|(known, _)| *known == name) {
                    Some((_, path)) => Ok(((*path).to_owned(), values)),
                    None => Err(ApiError::new("InvalidParameterValue", format!("The filter '{name}' is invalid"))),
                }
            })
            .collect()
    }
}

fn fits(doc: &Value, path: &str, values: &[String]) -> bool {
    let tags = || doc["tagSet"].as_array().into_iter().flatten();
    let any = |found: &str| values.iter().any(|value| glob(value, found));
    if let Some(key) = path.strip_prefix("tag:") {
        return tags().any(|tag| tag["key"] == *key && any(tag["value"].as_str().unwrap_or_default()));
    }
    if path == "tag-key" {
        return tags().any(|tag| any(tag["key"].as_str().unwrap_or_default()));
    }
    let mut found = Vec::new();
    collect(doc, path, &mut found);
    found.iter().any(|text| any(text))
}

/// The texts at a dotted path, through arrays.
fn collect(node: &Value, path: &str, found: &mut Vec<String>) {
    if let Value::Array(items) = node {
        for item in items {
            collect(item, path, found);
        }
        return;
    }
    if path.is_empty() {
        match node {
            Value::Null | Value::Object(_) => {}
            Value::String(text) => found.push(text.clone()),
            other => found.push(other.to_string()),
        }
        return;
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    collect(&node[head], rest, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_look_through_lists_and_tags() {
        let doc =
            json!({"tagSet": [{"key": "Name", "value": "a-1"}], "associationSet": [{"main": true}, {"subnetId": "s"}]});
        let values = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert!(fits(&doc, "tag:Name", &values(&["x", "a-*"])));
        assert!(!fits(&doc, "tag:Name", &values(&["b"])));
        assert!(fits(&doc, "tag-key", &values(&["Name"])));
        assert!(fits(&doc, "associationSet.main", &values(&["true"])));
        assert!(fits(&doc, "associationSet.subnetId", &values(&["s"])));
        assert!(!fits(&doc, "absent", &values(&["*"])));
    }
}
