//! Tags of EC2 resources.

use serde_json::{Value, json};

use super::Kind;
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// Id prefix, table and resource type of everything that takes tags.
const TAGGED: &[(&str, &str, &str)] = &[
    ("vpc", "vpc", "vpc"),
    ("subnet", "subnet", "subnet"),
    ("igw", "igw", "internet-gateway"),
    ("eipalloc", "eip", "elastic-ip"),
    ("nat", "natgw", "natgateway"),
    ("rtb", "rtb", "route-table"),
    ("sg", "sg", "security-group"),
    ("sgr", "sgr", "security-group-rule"),
    ("ami", "image", "image"),
    ("lt", "lt", "launch-template"),
    ("i", "instance", "instance"),
    ("vpce", "vpce", "vpc-endpoint"),
    ("eni", "eni", "network-interface"),
    ("vol", "volume", "volume"),
];

const KIND: Kind = Kind {
    table: "",
    ids: "",
    noun: "",
    missing: "",
    set: "tagSet",
    filters: &[("resource-id", "resourceId"), ("resource-type", "resourceType"), ("key", "key"), ("value", "value")],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateTags" => change(cx, true),
        "DeleteTags" => change(cx, false),
        "DescribeTags" => describe(cx),
        _ => return None,
    })
}

/// The tags that `TagSpecification` gives to a resource type, as a `tagSet`.
///
/// # Errors
/// `InvalidParameterValue` for a reserved or doubled key.
pub fn specified(cx: &Cx<'_>, resource_type: &str) -> Result<Value, ApiError> {
    let mut tags = json!([]);
    for specification in cx.p.items("TagSpecification") {
        if specification.opt("ResourceType") == Some(resource_type) {
            for (key, value) in specification.tags("Tag") {
                set(&mut tags, &key, &value)?;
            }
        }
    }
    Ok(tags)
}

/// Sets one tag of a `tagSet`.
fn set(tags: &mut Value, key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.len() > 128 || key.starts_with("aws:") {
        let message = format!("Tag key '{key}' is not allowed: 1 to 128 characters, not beginning with aws:");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    if value.len() > 256 {
        return Err(ApiError::new("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters"));
    }
    let Value::Array(items) = tags else { return Ok(()) };
    match items.iter_mut().find(|tag| tag["key"] == *key) {
        Some(tag) => tag["value"] = json!(value),
        None => items.push(json!({"key": key, "value": value})),
    }
    if items.len() > 50 {
        return Err(ApiError::new("TagLimitExceeded", "The maximum number of Tags for a resource has been reached."));
    }
    Ok(())
}

fn change(cx: &mut Cx<'_>, create: bool) -> Outcome {
    let (ids, tags) = (cx.p.list("ResourceId"), cx.p.items("Tag"));
    if ids.is_empty() {
        return Err(ApiError::new("MissingParameter", "The request must contain the parameter resourceIdSet"));
    }
    for id in &ids {
        let table = id.rsplit_once('-').and_then(|(prefix, _)| TAGGED.iter().find(|(p, _, _)| *p == prefix));
        let known = table.filter(|(_, table, _)| cx.tx.get(table, id).is_some());
        let Some((_, table, _)) = known else {
            let noun = table.map_or("ID", |(_, _, name)| name);
            let code = match noun {
                "vpc" => "InvalidVpcID.NotFound",
                "subnet" => "InvalidSubnetID.NotFound",
                "security-group" => "InvalidGroup.NotFound",
                _ => "InvalidID",
            };
            return Err(ApiError::new(code, format!("The {noun} '{id}' does not exist")));
        };
        let mut failed = Ok(());
        cx.tx.update(table, id, |doc| {
            let mut set_of = doc["tagSet"].as_array().cloned().map_or_else(|| json!([]), Value::Array);
            for tag in &tags {
                let (key, value) = (tag.or("Key", ""), tag.opt("Value"));
                if create {
                    failed = failed.clone().and(set(&mut set_of, key, value.unwrap_or("")));
                } else if let Value::Array(items) = &mut set_of {
                    items.retain(|t| t["key"] != *key || value.is_some_and(|v| t["value"] != *v));
                }
            }
            if !create && tags.is_empty() {
                set_of = json!([]);
            }
            doc["tagSet"] = set_of;
        });
        failed?;
    }
    cx.ec2_done()
}

/// Each tag of each resource; the filter `tag:KEY` selects the tags of that key.
fn describe(cx: &mut Cx<'_>) -> Outcome {
    let mut all = Vec::new();
    for (_, table, resource_type) in TAGGED {
        for (id, doc) in cx.tx.scan(table) {
            for tag in doc["tagSet"].as_array().into_iter().flatten() {
                all.push(json!({
                    "resourceId": id,
                    "resourceType": resource_type,
                    "key": tag["key"],
                    "value": tag["value"],
                    // What filters look at.
                    "tagSet": [tag],
                }));
            }
        }
    }
    let mut selected = KIND.select(cx, all)?;
    for entry in &mut selected {
        entry.as_object_mut().into_iter().for_each(|members| drop(members.remove("tagSet")));
    }
    let (page, next) = cx.page(selected)?;
    cx.ec2(&json!({"tagSet": page, "nextToken": next}))
}
