//! DB parameter groups.

use serde_json::{Value, json};

use super::catalogue::ENGINES;
use super::{INSTANCES, PARAMETERS, change, given_tags, identifier, invalid, need};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

fn families() -> Vec<String> {
    let mut all: Vec<String> = ENGINES.iter().flat_map(|e| e.versions.iter().map(|v| e.family(v))).collect();
    all.dedup();
    all
}

/// The group that each family has from the start.
fn default_group(cx: &Cx<'_>, family: &str) -> Value {
    let name = format!("default.{family}");
    json!({
        "DBParameterGroupName": name, "DBParameterGroupFamily": family,
        "Description": format!("Default parameter group for {family}"), "DBParameterGroupArn": cx.arn("rds", &format!("pg:{name}")),
    })
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = need(cx, "DBParameterGroupName")?.to_lowercase();
    if let Some(family) = families().iter().find(|family| name == format!("default.{family}")) {
        return Ok((name, default_group(cx, family)));
    }
    match cx.tx.get(PARAMETERS, &name) {
        Some(doc) => Ok((name, doc.clone())),
        None => {
            Err(ApiError::new("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}")).status(404))
        }
    }
}

/// `CreateDBParameterGroup`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = identifier("DBParameterGroupName", &need(cx, "DBParameterGroupName")?, 255)?;
    let family = need(cx, "DBParameterGroupFamily")?;
    if !families().contains(&family) {
        return Err(invalid(format!("ParameterGroupFamily {family} is not a valid parameter group family")));
    }
    if cx.tx.get(PARAMETERS, &name).is_some() {
        return Err(ApiError::new("DBParameterGroupAlreadyExists", format!("Parameter group {name} already exists")));
    }
    let doc = json!({
        "DBParameterGroupName": name, "DBParameterGroupFamily": family, "Description": need(cx, "Description")?,
        "DBParameterGroupArn": cx.arn("rds", &format!("pg:{name}")), "_parameters": [], "_tags": given_tags(cx)?,
    });
    cx.tx.put(PARAMETERS, &name, doc.clone());
    cx.query(&json!({"DBParameterGroup": doc}))
}

/// `DescribeDBParameterGroups`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let found = if cx.p.has("DBParameterGroupName") {
        vec![named(cx)?.1]
    } else {
        let mut all: Vec<Value> = families().iter().map(|family| default_group(cx, family)).collect();
        all.extend(cx.tx.select(PARAMETERS, |_| true));
        all
    };
    let (page, marker) = cx.page_marked(found)?;
    cx.query(&json!({"DBParameterGroups": {"@DBParameterGroup": page}, "Marker": marker}))
}

/// `ModifyDBParameterGroup`.
pub fn modify(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = named(cx)?;
    if name.starts_with("default.") {
        return Err(ApiError::new("InvalidDBParameterGroupState", "Default parameter groups cannot be modified"));
    }
    for parameter in cx.p.items("Parameters") {
        let (key, value) = (parameter.or("ParameterName", ""), parameter.or("ParameterValue", ""));
        let method = parameter.or("ApplyMethod", "immediate");
        if key.is_empty() || !["immediate", "pending-reboot"].contains(&method) {
            return Err(invalid("each parameter needs ParameterName, ParameterValue and ApplyMethod"));
        }
        if let Some(all) = doc["_parameters"].as_array_mut() {
            all.retain(|p| p["ParameterName"] != json!(key));
            all.push(json!({
                "ParameterName": key, "ParameterValue": value, "ApplyMethod": method, "Source": "user", "IsModifiable": true,
                "ApplyType": "dynamic", "DataType": "string",
            }));
        }
    }
    cx.tx.put(PARAMETERS, &name, doc);
    cx.query(&json!({"DBParameterGroupName": name}))
}

/// `DescribeDBParameters`: those that were set.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (_, doc) = named(cx)?;
    let all = doc["_parameters"].as_array().cloned().unwrap_or_default();
    let (page, marker) = cx.page_marked(all)?;
    cx.query(&json!({"Parameters": {"@Parameter": page}, "Marker": marker}))
}

/// `DeleteDBParameterGroup`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = named(cx)?;
    if name.starts_with("default.") || cx.tx.any(INSTANCES, |db| change::uses_parameters(db, &name)) {
        let message = format!("The parameter group {name} is a default one or in use: it cannot be deleted");
        return Err(ApiError::new("InvalidDBParameterGroupState", message));
    }
    cx.tx.delete(PARAMETERS, &name);
    cx.query(&Value::Null)
}
