//! Database instances: modified, stopped, deleted.

use serde_json::{Map, Value, json};

use super::catalogue::{self, Engine};
use super::instance::{
    bounded, change_time, check_class, check_most, check_password, groups_shown, named, parameter_group,
    security_groups, show,
};
use super::{INSTANCES, clash, identifier, snapshot, subnet_group};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due};

fn wrong_state(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidDBInstanceState", message)
}

/// Members that change at once, whatever `ApplyImmediately` says.
const AT_ONCE: &[(&str, &str)] = &[
    ("DeletionProtection", "DeletionProtection"),
    ("CopyTagsToSnapshot", "CopyTagsToSnapshot"),
    ("PubliclyAccessible", "PubliclyAccessible"),
    ("AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade"),
    ("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"),
    ("EnablePerformanceInsights", "PerformanceInsightsEnabled"),
];

/// `ModifyDBInstance`.
pub fn modify(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = named(cx)?;
    if doc["DBInstanceStatus"] != json!("available") {
        return Err(wrong_state(format!(
            "Database instance is not in available state: it is {}",
            doc["DBInstanceStatus"]
        )));
    }
    let engine = doc["Engine"].as_str().and_then(catalogue::engine);
    let engine = engine.ok_or_else(|| ApiError::new("InternalFailure", "unknown engine").status(500))?;
    for (parameter, member) in AT_ONCE {
        if let Some(on) = cx.p.flag(parameter) {
            doc[*member] = json!(on);
        }
    }
    for window in ["PreferredBackupWindow", "PreferredMaintenanceWindow"] {
        if let Some(text) = cx.p.opt(window) {
            doc[window] = json!(text);
        }
    }
    if cx.p.has("VpcSecurityGroupIds") {
        let group = subnet_group::find(cx, doc["DBSubnetGroup"]["DBSubnetGroupName"].as_str().unwrap_or_default())?;
        let groups = security_groups(cx, &group)?;
        doc["VpcSecurityGroups"] = groups_shown(&groups);
        wear(cx, &id, &groups);
    }
    if cx.p.has("DBParameterGroupName") {
        let name = parameter_group(cx, engine, doc["EngineVersion"].as_str().unwrap_or_default())?;
        doc["DBParameterGroups"] =
            json!({"@DBParameterGroup": [{"DBParameterGroupName": name, "ParameterApplyStatus": "pending-reboot"}]});
    }
    let later = later_changes(cx, &doc, engine)?;
    let at_once = cx.p.flag("ApplyImmediately") == Some(true);
    if let (Some(members), false) =
        (if at_once { doc.as_object_mut() } else { doc["PendingModifiedValues"].as_object_mut() }, later.is_empty())
    {
        members.extend(later.clone());
        members.remove("MasterUserPassword");
    }
    if let Some(password) = cx.p.opt("MasterUserPassword") {
        doc["_password"] = json!(password);
    }
    if at_once && !later.is_empty() {
        doc["DBInstanceStatus"] = json!("modifying");
        due::begin(&mut doc, cx.clock().after(change_time(cx)), json!({"DBInstanceStatus": "available"}));
    }
    cx.tx.put(INSTANCES, &id, doc.clone());
    cx.query(&json!({"DBInstance": show(&doc)}))
}

/// The interfaces of the instance wear its groups.
fn wear(cx: &mut Cx<'_>, id: &str, groups: &[String]) {
    let set: Vec<Value> = groups
        .iter()
        .map(|g| json!({"groupId": g, "groupName": cx.tx.get("sg", g).map(|doc| doc["groupName"].clone())}))
        .collect();
    let ids: Vec<String> =
        cx.tx.scan("eni").filter(|(_, eni)| eni["_rds"] == json!(id)).map(|(eni, _)| eni.clone()).collect();
    for eni in ids {
        cx.tx.update("eni", &eni, |eni| eni["groupSet"] = json!(set));
    }
}

/// The changes that wait for the maintenance window unless they are wanted at once.
fn later_changes(cx: &Cx<'_>, doc: &Value, engine: &Engine) -> Result<Map<String, Value>, ApiError> {
    let mut changes = Map::new();
    let before = doc["AllocatedStorage"].as_i64().unwrap_or(0);
    let size = cx.p.int("AllocatedStorage")?;
    if let Some(size) = size.filter(|size| *size != before) {
        if size < before {
            return Err(clash(format!(
                "Requested storage size ({size}) cannot be less than the current storage size ({before})"
            )));
        }
        if size * 10 < before * 11 {
            return Err(clash(format!(
                "Requested storage size ({size}) must be at least 10% greater than the current storage size ({before})"
            )));
        }
        changes.insert("AllocatedStorage".to_owned(), json!(size));
    }
    if let Some(most) = cx.p.int("MaxAllocatedStorage")? {
        check_most(size.unwrap_or(before), most)?;
        changes.insert("MaxAllocatedStorage".to_owned(), json!(most));
    }
    let mut version = doc["EngineVersion"].as_str().unwrap_or_default();
    if let Some(asked) = cx.p.opt("EngineVersion") {
        let wanted =
            engine.version(asked).ok_or_else(|| clash(format!("Cannot find version {asked} for {}", engine.name)))?;
        if engine.place(wanted) < engine.place(version) {
            return Err(clash(format!("Cannot upgrade {} from {version} to {wanted}", engine.name)));
        }
        if catalogue::major(wanted) != catalogue::major(version) && cx.p.flag("AllowMajorVersionUpgrade") != Some(true)
        {
            return Err(clash(
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.",
            ));
        }
        if wanted != version {
            changes.insert("EngineVersion".to_owned(), json!(wanted));
            version = wanted;
        }
    }
    if let Some(class) = cx.p.opt("DBInstanceClass").filter(|class| json!(class) != doc["DBInstanceClass"]) {
        check_class(class, engine, version)?;
        changes.insert("DBInstanceClass".to_owned(), json!(class));
    }
    if let Some(days) =
        bounded(cx, "BackupRetentionPeriod", 0, 35)?.filter(|days| json!(days) != doc["BackupRetentionPeriod"])
    {
        changes.insert("BackupRetentionPeriod".to_owned(), json!(days));
    }
    if let Some(multi) = cx.p.flag("MultiAZ").filter(|multi| json!(multi) != doc["MultiAZ"]) {
        changes.insert("MultiAZ".to_owned(), json!(multi));
    }
    for member in ["StorageType", "Iops", "StorageThroughput"] {
        if let Some(value) = cx.p.opt(member) {
            let value = value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n));
            if value != doc[member] {
                changes.insert(member.to_owned(), value);
            }
        }
    }
    if let Some(password) = cx.p.opt("MasterUserPassword") {
        check_password(password, engine)?;
        changes.insert("MasterUserPassword".to_owned(), json!("****"));
    }
    Ok(changes)
}

/// `DeleteDBInstance`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = named(cx)?;
    if doc["DBInstanceStatus"] == json!("deleting") {
        return Err(wrong_state(format!("Instance {id} is already being deleted.")));
    }
    if doc["DeletionProtection"] == json!(true) {
        return Err(clash("Cannot delete protected DB Instance, please disable deletion protection and try again."));
    }
    let skip = cx.p.flag("SkipFinalSnapshot") == Some(true);
    match cx.p.opt("FinalDBSnapshotIdentifier") {
        Some(_) if skip => {
            return Err(clash(
                "FinalDBSnapshotIdentifier can not be specified when deleting a replica instance or when SkipFinalSnapshot is true.",
            ));
        }
        None if !skip => {
            return Err(clash("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."));
        }
        Some(_) if doc["DBInstanceStatus"] == json!("failed") => {
            return Err(wrong_state(format!("Cannot create a snapshot because instance {id} is in the failed state.")));
        }
        Some(name) => {
            let name = identifier("FinalDBSnapshotIdentifier", name, 255)?;
            snapshot::make(cx, &name, &doc)?;
        }
        None => {}
    }
    let keep_backups = cx.p.flag("DeleteAutomatedBackups") == Some(false);
    if keep_backups && doc["BackupRetentionPeriod"].as_i64().unwrap_or(0) > 0 {
        snapshot::retain(cx, &doc);
    }
    doc["DBInstanceStatus"] = json!("deleting");
    due::begin(&mut doc, cx.clock().ready_at("rds-instance-delete"), due::GONE);
    cx.tx.put(INSTANCES, &id, doc.clone());
    cx.query(&json!({"DBInstance": show(&doc)}))
}

/// `RebootDBInstance`, `StartDBInstance`, `StopDBInstance`.
pub fn power(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = named(cx)?;
    let (from, through, to) = match cx.op.as_str() {
        "StartDBInstance" => ("stopped", "starting", "available"),
        "StopDBInstance" => ("available", "stopping", "stopped"),
        _ => ("available", "rebooting", "available"),
    };
    if doc["DBInstanceStatus"] != json!(from) {
        return Err(wrong_state(format!("Instance {id} is not in {from} state.")));
    }
    doc["DBInstanceStatus"] = json!(through);
    let mut next = json!({"DBInstanceStatus": to});
    if cx.op == "RebootDBInstance" {
        // A reboot brings parameters into force.
        let mut groups = doc["DBParameterGroups"].clone();
        groups["@DBParameterGroup"][0]["ParameterApplyStatus"] = json!("in-sync");
        next["DBParameterGroups"] = groups;
    }
    due::begin(&mut doc, cx.clock().after(change_time(cx)), next);
    cx.tx.put(INSTANCES, &id, doc.clone());
    cx.query(&json!({"DBInstance": show(&doc)}))
}

/// Whether an instance uses a parameter group.
pub fn uses_parameters(doc: &Value, name: &str) -> bool {
    doc["DBParameterGroups"]["@DBParameterGroup"]
        .as_array()
        .is_some_and(|all| all.iter().any(|g| g["DBParameterGroupName"] == json!(name)))
}
