//! Snapshots made by hand or at the end, and automated backups kept beyond it.

use serde_json::{Value, json};

use super::{BACKUPS, SNAPSHOTS, given_tags, identifier, instance, name_of, need};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due};
use crate::core::store::hex_digits;

/// Begins a snapshot of an instance; returns it.
///
/// # Errors
/// `DBSnapshotAlreadyExists`.
pub fn make(cx: &mut Cx<'_>, name: &str, instance: &Value) -> Result<Value, ApiError> {
    if cx.tx.get(SNAPSHOTS, name).is_some() {
        let message =
            format!("Cannot create the snapshot because a snapshot with the identifier {name} already exists.");
        return Err(ApiError::new("DBSnapshotAlreadyExists", message));
    }
    let mut doc = json!({
        "DBSnapshotIdentifier": name,
        "DBInstanceIdentifier": instance["DBInstanceIdentifier"],
        "DbiResourceId": instance["DbiResourceId"],
        "SnapshotCreateTime": cx.clock().iso_now(),
        "InstanceCreateTime": instance["InstanceCreateTime"],
        "Engine": instance["Engine"],
        "EngineVersion": instance["EngineVersion"],
        "AllocatedStorage": instance["AllocatedStorage"],
        "StorageType": instance["StorageType"],
        "Status": "creating",
        "Port": instance["_port"],
        "AvailabilityZone": instance["AvailabilityZone"],
        "VpcId": instance["DBSubnetGroup"]["VpcId"],
        "MasterUsername": instance["MasterUsername"],
        "LicenseModel": instance["LicenseModel"],
        "SnapshotType": "manual",
        "PercentProgress": 0,
        "Encrypted": instance["StorageEncrypted"],
        "DBSnapshotArn": cx.arn("rds", &format!("snapshot:{name}")),
        "TagList": given_tags(cx)?,
    });
    due::begin(&mut doc, cx.clock().ready_at("rds-modify"), json!({"Status": "available", "PercentProgress": 100}));
    cx.tx.put(SNAPSHOTS, name, doc.clone());
    Ok(doc)
}

/// `CreateDBSnapshot`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = identifier("DBSnapshotIdentifier", &need(cx, "DBSnapshotIdentifier")?, 255)?;
    let (_, db) = instance::named(cx)?;
    if db["DBInstanceStatus"] != json!("available") {
        let message =
            format!("Cannot create a snapshot because the database instance is in {} state.", db["DBInstanceStatus"]);
        return Err(ApiError::new("InvalidDBInstanceState", message));
    }
    let doc = make(cx, &name, &db)?;
    cx.query(&json!({"DBSnapshot": doc}))
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = name_of(&need(cx, "DBSnapshotIdentifier")?);
    match cx.tx.get(SNAPSHOTS, &name) {
        Some(doc) => Ok((name, doc.clone())),
        None => Err(ApiError::new("DBSnapshotNotFound", format!("DBSnapshot {name} not found.")).status(404)),
    }
}

/// `DescribeDBSnapshots`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let found = if cx.p.has("DBSnapshotIdentifier") {
        vec![named(cx)?.1]
    } else {
        let of = cx.p.opt("DBInstanceIdentifier").map(name_of);
        cx.tx.select(SNAPSHOTS, |doc| of.as_ref().is_none_or(|id| doc["DBInstanceIdentifier"] == json!(id)))
    };
    let (page, marker) = cx.page_marked(found)?;
    cx.query(&json!({"DBSnapshots": {"@DBSnapshot": page}, "Marker": marker}))
}

/// `DeleteDBSnapshot`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, mut doc) = named(cx)?;
    cx.tx.delete(SNAPSHOTS, &name);
    doc["Status"] = json!("deleted");
    cx.query(&json!({"DBSnapshot": doc}))
}

/// Keeps the automated backups of an instance that is deleted.
pub fn retain(cx: &mut Cx<'_>, instance: &Value) {
    let id = format!("ab-{}", hex_digits(26));
    let doc = json!({
        "DBInstanceArn": instance["DBInstanceArn"],
        "DbiResourceId": instance["DbiResourceId"],
        "DBInstanceIdentifier": instance["DBInstanceIdentifier"],
        "Region": cx.region,
        "Status": "retained",
        "Engine": instance["Engine"],
        "EngineVersion": instance["EngineVersion"],
        "AllocatedStorage": instance["AllocatedStorage"],
        "BackupRetentionPeriod": instance["BackupRetentionPeriod"],
        "DBInstanceAutomatedBackupsArn": cx.arn("rds", &format!("auto-backup:{id}")),
    });
    cx.tx.put(BACKUPS, instance["DbiResourceId"].as_str().unwrap_or_default(), doc);
}

/// `DescribeDBInstanceAutomatedBackups`.
pub fn backups(cx: &mut Cx<'_>) -> Outcome {
    let of = cx.p.opt("DBInstanceIdentifier").map(name_of);
    let resource = cx.p.opt("DbiResourceId").map(str::to_owned);
    let found = cx.tx.select(BACKUPS, |doc| {
        of.as_ref().is_none_or(|id| doc["DBInstanceIdentifier"] == json!(id))
            && resource.as_ref().is_none_or(|id| doc["DbiResourceId"] == json!(id))
    });
    let (page, marker) = cx.page_marked(found)?;
    cx.query(&json!({"DBInstanceAutomatedBackups": {"@DBInstanceAutomatedBackup": page}, "Marker": marker}))
}

/// `DeleteDBInstanceAutomatedBackup`.
pub fn delete_backup(cx: &mut Cx<'_>) -> Outcome {
    let id = need(cx, "DbiResourceId")?;
    let Some(doc) = cx.tx.delete(BACKUPS, &id) else {
        let message = format!("Automated backup of {id} not found.");
        return Err(ApiError::new("DBInstanceAutomatedBackupNotFound", message).status(404));
    };
    cx.query(&json!({"DBInstanceAutomatedBackup": doc}))
}
