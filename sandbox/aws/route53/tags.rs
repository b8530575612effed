//! Tags of hosted zones.

use serde_json::{Value, json};

use super::{ZONES, answer, invalid, several, zone};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// The operations of tags.
pub fn handle(cx: &mut Cx<'_>) -> Outcome {
    if cx.p.or("ResourceType", "") != "hostedzone" {
        return Err(invalid("only hosted zones have tags here"));
    }
    match cx.op.as_str() {
        "ListTagsForResource" => {
            let id = cx.p.or("ResourceId", "").to_owned();
            let set = set(cx, &id)?;
            answer(cx, 200, json!({"ResourceTagSet": set}))
        }
        "ListTagsForResources" => {
            let body = cx.xml_body()?;
            let ids = several(body.at("ResourceIds.ResourceId"));
            let sets: Result<Vec<Value>, ApiError> =
                ids.iter().filter_map(Value::as_str).map(|id| set(cx, id)).collect();
            answer(cx, 200, json!({"ResourceTagSets": {"@ResourceTagSet": sets?}}))
        }
        _ => change(cx),
    }
}

fn set(cx: &Cx<'_>, id: &str) -> Result<Value, ApiError> {
    let doc = zone::find(cx, id)?;
    Ok(json!({"ResourceType": "hostedzone", "ResourceId": id, "Tags": {"@Tag": doc["_tags"]}}))
}

fn change(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.or("ResourceId", "").to_owned();
    let mut doc = zone::find(cx, &id)?;
    let body = cx.xml_body()?;
    let mut tags = doc["_tags"].as_array().cloned().unwrap_or_default();
    let removed = several(body.at("RemoveTagKeys.Key"));
    tags.retain(|tag| !removed.contains(&tag["Key"]));
    for tag in several(body.at("AddTags.Tag")) {
        let key = tag["Key"].as_str().unwrap_or_default();
        if key.is_empty() || key.len() > 128 || key.starts_with("aws:") {
            return Err(invalid(format!("tag key '{key}' is invalid")));
        }
        tags.retain(|t| t["Key"] != tag["Key"]);
        tags.push(json!({"Key": key, "Value": tag["Value"]}));
    }
    if tags.len() > 10 {
        return Err(invalid("a hosted zone takes at most 10 tags"));
    }
    doc["_tags"] = json!(tags);
    cx.tx.put(ZONES, &id, doc);
    answer(cx, 200, json!({}))
}
