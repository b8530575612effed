//! Tags of Auto Scaling groups.

use serde_json::{Value, json};

use super::{TABLE, invalid, tag};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// The tags of a call, each with its group; every group must exist.
fn given(cx: &Cx<'_>) -> Result<Vec<(String, Value)>, ApiError> {
    let mut found = Vec::new();
    for item in cx.p.items("Tags") {
        let (group, key) = (item.or("ResourceId", "").to_owned(), item.or("Key", "").to_owned());
        if cx.tx.get(TABLE, &group).is_none() {
            return Err(invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{group}' not found")));
        }
        if key.is_empty() || key.len() > 128 || key.starts_with("aws:") {
            return Err(invalid(format!("tag key '{key}' is invalid")));
        }
        let propagate = item.flag("PropagateAtLaunch").unwrap_or(false);
        found.push((group.clone(), tag(&group, &key, item.or("Value", ""), propagate)));
    }
    if found.is_empty() {
        return Err(invalid("at least one tag must be given"));
    }
    Ok(found)
}

fn without(cx: &mut Cx<'_>, group: &str, key: &Value) {
    cx.tx.update(TABLE, group, |doc| {
        if let Some(tags) = doc["Tags"].as_array_mut() {
            tags.retain(|t| t["Key"] != *key);
        }
    });
}

/// `CreateOrUpdateTags`.
pub fn put(cx: &mut Cx<'_>) -> Outcome {
    for (group, tag) in given(cx)? {
        without(cx, &group, &tag["Key"]);
        cx.tx.update(TABLE, &group, |doc| {
            if let Some(tags) = doc["Tags"].as_array_mut() {
                tags.push(tag);
            }
        });
    }
    cx.query(&Value::Null)
}

/// `DeleteTags`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    for (group, tag) in given(cx)? {
        without(cx, &group, &tag["Key"]);
    }
    cx.query(&Value::Null)
}

/// `DescribeTags`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let filters: Vec<(String, Vec<String>)> =
        cx.p.items("Filters").iter().map(|f| (f.or("Name", "").to_owned(), f.list("Values"))).collect();
    let fits = |tag: &Value| {
        filters.iter().all(|(name, values)| {
            let member = match name.as_str() {
                "auto-scaling-group" => "ResourceId",
                "key" => "Key",
                "value" => "Value",
                _ => "PropagateAtLaunch",
            };
            let text = tag[member].as_str().map_or_else(|| tag[member].to_string(), str::to_owned);
            values.contains(&text)
        })
    };
    let all: Vec<Value> = cx
        .tx
        .scan(TABLE)
        .flat_map(|(_, doc)| doc["Tags"].as_array().into_iter().flatten())
        .filter(|tag| fits(tag))
        .cloned()
        .collect();
    let size = cx.p.int("MaxRecords")?.unwrap_or(50);
    let (tags, next) = crate::aws::query::page(all, Some(size), cx.p.opt("NextToken"), "InvalidNextToken")?;
    cx.query(&json!({"Tags": tags, "NextToken": next}))
}
