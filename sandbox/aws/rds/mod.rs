//! RDS: database instances with their subnet groups, parameter groups and snapshots.

mod catalogue;
mod change;
mod instance;
mod parameters;
mod snapshot;
mod subnet_group;
mod tags;

use serde_json::{Value, json};

use super::due;
use super::http::{ApiError, Outcome};
use super::{Cx, Env, Protocol, Service};
use crate::core::store::Tx;

/// Relational Database Service.
pub const SERVICE: Service = Service {
    name: "rds",
    protocol: Protocol::Query("http://rds.amazonaws.com/doc/2014-10-31/"),
    version: None,
    routes: &[],
    handle,
};

const INSTANCES: &str = "rds.instance";
const SUBNET_GROUPS: &str = "rds.subnet-group";
const SNAPSHOTS: &str = "rds.snapshot";
const PARAMETERS: &str = "rds.parameter-group";
const BACKUPS: &str = "rds.backup";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateDBInstance" => instance::create(cx),
        "DescribeDBInstances" => instance::describe(cx),
        "ModifyDBInstance" => change::modify(cx),
        "DeleteDBInstance" => change::delete(cx),
        "RebootDBInstance" | "StartDBInstance" | "StopDBInstance" => change::power(cx),
        "CreateDBSubnetGroup" => subnet_group::create(cx),
        "DescribeDBSubnetGroups" => subnet_group::describe(cx),
        "ModifyDBSubnetGroup" => subnet_group::modify(cx),
        "DeleteDBSubnetGroup" => subnet_group::delete(cx),
        "DescribeDBEngineVersions" => catalogue::versions(cx),
        "DescribeOrderableDBInstanceOptions" => catalogue::orderable(cx),
        "CreateDBSnapshot" => snapshot::create(cx),
        "DescribeDBSnapshots" => snapshot::describe(cx),
        "DeleteDBSnapshot" => snapshot::delete(cx),
        "DescribeDBInstanceAutomatedBackups" => snapshot::backups(cx),
        "DeleteDBInstanceAutomatedBackup" => snapshot::delete_backup(cx),
        "CreateDBParameterGroup" => parameters::create(cx),
        "DescribeDBParameterGroups" => parameters::describe(cx),
        "ModifyDBParameterGroup" => parameters::modify(cx),
        "DeleteDBParameterGroup" => parameters::delete(cx),
        "DescribeDBParameters" => parameters::list(cx),
        "AddTagsToResource" => tags::add(cx),
        "RemoveTagsFromResource" => tags::remove(cx),
        "ListTagsForResource" => tags::list(cx),
        "DescribeEvents" => cx.query(&json!({"Events": []})),
        "DescribePendingMaintenanceActions" => cx.query(&json!({"PendingMaintenanceActions": []})),
        _ => cx.unknown_operation(),
    }
}

/// Ends the transient states that are over.
pub fn settle(tx: &mut Tx<'_>, env: &Env) {
    for passed in due::pass(tx, &env.clock, INSTANCES) {
        if passed.gone {
            tx.delete_where("eni", |eni| eni["_rds"] == json!(passed.id));
        }
    }
    due::pass(tx, &env.clock, SNAPSHOTS);
}

/// `InvalidParameterValue`.
fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", message)
}

/// `InvalidParameterCombination`.
fn clash(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterCombination", message)
}

/// `MissingParameter` in the words of RDS.
fn need(cx: &Cx<'_>, name: &str) -> Result<String, ApiError> {
    let missing = || ApiError::new("MissingParameter", format!("The request must contain the parameter {name}"));
    cx.p.opt(name).filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(missing)
}

/// An identifier as RDS keeps it: lower case, letters, digits and single hyphens, a letter first.
fn identifier(name: &str, text: &str, longest: usize) -> Result<String, ApiError> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let fine = plain
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= longest;
    if !fine {
        let message = format!(
            "The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        );
        return Err(invalid(message));
    }
    Ok(text.to_lowercase())
}

/// The last part of an ARN, or the text itself.
fn name_of(text: &str) -> String {
    text.rsplit(':').next().unwrap_or(text).to_lowercase()
}

/// Tags of a request as RDS shows them.
fn given_tags(cx: &Cx<'_>) -> Result<Value, ApiError> {
    let given = cx.p.tags("Tags");
    if let Some((key, _)) = given.iter().find(|(key, _)| key.is_empty() || key.starts_with("aws:") || key.len() > 128) {
        return Err(invalid(format!("Tag key '{key}' is invalid")));
    }
    Ok(json!({"@Tag": given.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>()}))
}
