//! Tags of everything that RDS gives an ARN.

use serde_json::{Value, json};

use super::{INSTANCES, PARAMETERS, SNAPSHOTS, SUBNET_GROUPS, given_tags, need};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// Table, id, and the member that keeps the tags.
fn tagged(cx: &Cx<'_>) -> Result<(&'static str, String, &'static str), ApiError> {
    let arn = need(cx, "ResourceName")?;
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let place = match parts[..] {
        ["arn", "aws", "rds", _, _, sort, name] => match sort {
            "db" => Some((INSTANCES, name, "TagList", "DBInstanceNotFound")),
            "snapshot" => Some((SNAPSHOTS, name, "TagList", "DBSnapshotNotFound")),
            "subgrp" => Some((SUBNET_GROUPS, name, "_tags", "DBSubnetGroupNotFoundFault")),
            "pg" => Some((PARAMETERS, name, "_tags", "DBParameterGroupNotFound")),
            _ => None,
        },
        _ => None,
    };
    let Some((table, name, member, code)) = place else {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("The specified resource name does not match an RDS resource: {arn}"),
        ));
    };
    if cx.tx.get(table, name).is_none() {
        return Err(ApiError::new(code, format!("{name} not found.")).status(404));
    }
    Ok((table, name.to_owned(), member))
}

/// `AddTagsToResource`.
pub fn add(cx: &mut Cx<'_>) -> Outcome {
    let (table, id, member) = tagged(cx)?;
    let added = given_tags(cx)?;
    cx.tx.update(table, &id, |doc| {
        let mut all = doc[member]["@Tag"].as_array().cloned().unwrap_or_default();
        for tag in added["@Tag"].as_array().into_iter().flatten() {
            all.retain(|t| t["Key"] != tag["Key"]);
            all.push(tag.clone());
        }
        doc[member] = json!({"@Tag": all});
    });
    cx.query(&Value::Null)
}

/// `RemoveTagsFromResource`.
pub fn remove(cx: &mut Cx<'_>) -> Outcome {
    let (table, id, member) = tagged(cx)?;
    let keys = cx.p.list("TagKeys");
    cx.tx.update(table, &id, |doc| {
        if let Some(all) = doc[member]["@Tag"].as_array_mut() {
            all.retain(|t| !keys.iter().any(|key| t["Key"] == json!(key)));
        }
    });
    cx.query(&Value::Null)
}

/// `ListTagsForResource`.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (table, id, member) = tagged(cx)?;
    let tags = cx.tx.get(table, &id).map(|doc| doc[member].clone());
    cx.query(&json!({"TagList": tags}))
}
