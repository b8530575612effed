//! CloudWatch Logs: log groups and how long they keep. No events are kept.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};

/// CloudWatch Logs.
pub const SERVICE: Service = Service { name: "logs", protocol: Protocol::Json11, version: None, routes: &[], handle };

const TABLE: &str = "logs.group";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateLogGroup" => create(cx),
        "DescribeLogGroups" => {
            let prefix = cx.p.or("logGroupNamePrefix", "").to_owned();
            let found = cx.tx.select(TABLE, |doc| doc["logGroupName"].as_str().is_some_and(|n| n.starts_with(&prefix)));
            let size = cx.p.int("limit")?.unwrap_or(50);
            let (page, next) = query::page(found, Some(size), cx.p.opt("nextToken"), "InvalidParameterException")?;
            cx.json(&json!({"logGroups": page, "nextToken": next}))
        }
        "DescribeLogStreams" => {
            named(cx)?;
            cx.json(&json!({"logStreams": []}))
        }
        "DeleteLogGroup" => {
            let name = named(cx)?;
            cx.tx.delete(TABLE, &name);
            cx.json(&json!({}))
        }
        "PutRetentionPolicy" | "DeleteRetentionPolicy" => retention(cx),
        _ => cx.unknown_operation(),
    }
}

fn named(cx: &Cx<'_>) -> Result<String, ApiError> {
    let name = cx.p.or("logGroupName", "").to_owned();
    match cx.tx.get(TABLE, &name) {
        Some(_) => Ok(name),
        None => Err(ApiError::new("ResourceNotFoundException", "The specified log group does not exist.")),
    }
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.or("logGroupName", "").to_owned();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.#".contains(c));
    if name.is_empty() || name.len() > 512 || !plain {
        return Err(ApiError::new("InvalidParameterException", format!("'{name}' is not the name of a log group")));
    }
    if cx.tx.get(TABLE, &name).is_some() {
        return Err(ApiError::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    let doc = json!({
        "logGroupName": name, "creationTime": cx.clock().now(), "metricFilterCount": 0, "storedBytes": 0,
        "arn": cx.arn("logs", &format!("log-group:{name}:*")), "_tags": cx.p.at("tags"),
    });
    cx.tx.put(TABLE, &name, doc);
    cx.json(&json!({}))
}

fn retention(cx: &mut Cx<'_>) -> Outcome {
    const DAYS: [i64; 12] = [1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 730, 3653];
    let name = named(cx)?;
    let days = cx.p.int("retentionInDays")?;
    if cx.op == "PutRetentionPolicy" && !days.is_some_and(|d| DAYS.contains(&d)) {
        return Err(ApiError::new("InvalidParameterException", format!("retentionInDays must be one of {DAYS:?}")));
    }
    let days = if cx.op == "PutRetentionPolicy" { json!(days) } else { Value::Null };
    cx.tx.update(TABLE, &name, |doc| doc["retentionInDays"] = days);
    cx.json(&json!({}))
}
