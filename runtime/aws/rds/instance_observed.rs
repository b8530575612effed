//! A database as it is, and how it differs from what is wanted: storage only grows, and `8.0` means any of its patches.

use super::{instance::Instance, read_tags};
use crate::{
    bind::{Change, Readiness, Resource, compare},
    secret::Secret,
    value::revealed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A database as it is. What is being changed counts as changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are the fields of RDS, under the names of the arguments")]
pub struct InstanceObserved {
    /// Its name.
    pub name: String,
    /// `mysql`.
    pub engine: String,
    /// Version with its patch: `8.0.42`.
    pub engine_version: String,
    /// Kind of machine.
    pub class: String,
    /// Storage now, in GiB.
    pub storage_gib: i32,
    /// Storage it may grow to, in GiB.
    pub max_storage_gib: Option<i32>,
    /// `gp2`, `gp3`, `io1`.
    pub storage_type: Option<String>,
    /// The database made with it.
    pub database: Option<String>,
    /// Its first user.
    pub username: String,
    /// That user's password, as far as this stack set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Its subnet group.
    pub subnet_group: Option<String>,
    /// Ids of its security groups.
    pub security_groups: Vec<String>,
    /// Whether a second one stands by in another zone.
    pub multi_az: bool,
    /// Whether it has a public address.
    pub public: bool,
    /// Whether its storage is encrypted.
    pub encrypted: bool,
    /// Whether RDS refuses to delete it.
    pub deletion_protection: bool,
    /// Days that automated backups are kept.
    pub backup_days: i32,
    /// Whether deleting it leaves no snapshot.
    #[serde(default)]
    pub skip_final_snapshot: bool,
    /// Whether deleting it deletes its automated backups.
    #[serde(default)]
    pub delete_automated_backups: bool,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Host it listens on; empty until it is there.
    pub endpoint: String,
    /// Port it listens on; 0 until it is there.
    pub port: i32,
    /// `creating`, `available`, `modifying`, …
    pub status: String,
    /// RDS's own id of it, never used twice.
    pub resource_id: String,
}

/// Whether it can be used. RDS's many states of working on a database that runs count as ready.
pub fn readiness(observed: &InstanceObserved) -> Readiness {
    match observed.status.as_str() {
        "available"
        | "storage-optimization"
        | "configuring-enhanced-monitoring"
        | "configuring-log-exports"
        | "configuring-iam-database-auth" => Readiness::Ready,
        status if status == "failed" || status == "restore-error" || status.starts_with("incompatible-") => {
            Readiness::Broken(format!("status {status}"))
        }
        status => Readiness::Pending(format!("status {status}")),
    }
}

/// See [`Resource::diff`].
pub fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
    let mut changes = compare(wanted, observed, Instance::REPLACE, Instance::UNCOMPARED);
    changes.retain(|change| match change.field.as_str() {
        "engine_version" => !is_patch_of(&revealed(&change.new), &change.old),
        // Storage grows by itself and never shrinks.
        "storage_gib" => change.new.as_f64() > change.old.as_f64(),
        "subnet_group" => !same_text(&change.new, &change.old),
        _ => true,
    });
    changes
}

/// Whether `old` is `new`, or one of its patches: `8.0.42` of `8.0`.
fn is_patch_of(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_str(), old.as_str()) else { return false };
    old.strip_prefix(new).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn same_text(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_str(), old.as_str()) else { return false };
    new.eq_ignore_ascii_case(old)
}

/// Our form of an answer. `last` holds what no answer tells.
pub fn observed(instance: &aws_sdk_rds::types::DbInstance, last: Kept) -> InstanceObserved {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let pending = instance.pending_modified_values();
    let coming = |field: Option<&str>, now: Option<&str>| own(field.or(now));
    let groups = instance.vpc_security_groups().iter().filter(|group| group.status() != Some("removing"));
    let storage =
        pending.and_then(aws_sdk_rds::types::PendingModifiedValues::allocated_storage).or(instance.allocated_storage());
    InstanceObserved {
        name: own(instance.db_instance_identifier()),
        engine: own(instance.engine()),
        engine_version: coming(pending.and_then(|one| one.engine_version()), instance.engine_version()),
        class: coming(pending.and_then(|one| one.db_instance_class()), instance.db_instance_class()),
        storage_gib: storage.unwrap_or_default(),
        max_storage_gib: instance.max_allocated_storage(),
        storage_type: pending.and_then(|one| one.storage_type.clone()).or_else(|| instance.storage_type.clone()),
        database: instance.db_name.clone(),
        username: own(instance.master_username()),
        password: last.password,
        subnet_group: instance.db_subnet_group().and_then(|group| group.db_subnet_group_name.clone()),
        security_groups: groups.filter_map(|group| group.vpc_security_group_id.clone()).collect(),
        multi_az: pending
            .and_then(aws_sdk_rds::types::PendingModifiedValues::multi_az)
            .or(instance.multi_az())
            .unwrap_or(false),
        public: instance.publicly_accessible().unwrap_or(false),
        encrypted: instance.storage_encrypted().unwrap_or(false),
        deletion_protection: instance.deletion_protection().unwrap_or(false),
        backup_days: pending
            .and_then(aws_sdk_rds::types::PendingModifiedValues::backup_retention_period)
            .or(instance.backup_retention_period())
            .unwrap_or_default(),
        skip_final_snapshot: last.skip_final_snapshot,
        delete_automated_backups: last.delete_automated_backups,
        tags: read_tags(instance.tag_list()),
        arn: own(instance.db_instance_arn()),
        endpoint: own(instance.endpoint().and_then(|endpoint| endpoint.address())),
        port: instance.endpoint().and_then(aws_sdk_rds::types::Endpoint::port).unwrap_or_default(),
        status: own(instance.db_instance_status()),
        resource_id: own(instance.dbi_resource_id()),
    }
}

/// What no answer of RDS tells.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The password that was set last.
    pub password: Option<Secret>,
    /// Whether deleting it leaves no snapshot.
    pub skip_final_snapshot: bool,
    /// Whether deleting it deletes its automated backups.
    pub delete_automated_backups: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(wanted: &Value) -> Vec<String> {
        let there = json!({
            "name": "gitpod-instance", "engine_version": "8.0.42", "storage_gib": 40, "max_storage_gib": 120,
            "class": "db.m5.large", "subnet_group": "gitpod-rds", "password": "secret-password", "multi_az": true,
        });
        diff(wanted, &there).into_iter().map(|change| change.field).collect()
    }

    #[test]
    fn a_version_without_patch_means_any_patch() {
        assert!(fields(&json!({ "engine_version": "8.0" })).is_empty());
        assert!(fields(&json!({ "engine_version": "8.0.42" })).is_empty());
        assert_eq!(fields(&json!({ "engine_version": "8.4" })), ["engine_version"]);
        assert_eq!(fields(&json!({ "engine_version": "8.0.4" })), ["engine_version"]);
    }

    #[test]
    fn storage_never_shrinks() {
        assert!(fields(&json!({ "storage_gib": 20 })).is_empty());
        assert_eq!(fields(&json!({ "storage_gib": 60 })), ["storage_gib"]);
    }

    #[test]
    fn another_password_is_a_change() {
        let password = |text: &str| serde_json::to_value(Secret::new(text)).unwrap();
        assert!(fields(&json!({ "password": password("secret-password") })).is_empty());
        assert_eq!(fields(&json!({ "password": password("other-password") })), ["password"]);
    }

    #[test]
    fn working_on_it_is_not_broken() {
        let instance = aws_sdk_rds::types::DbInstance::builder().db_instance_status("storage-optimization").build();
        assert_eq!(readiness(&observed(&instance, Kept::default())), Readiness::Ready);
        let instance = aws_sdk_rds::types::DbInstance::builder().db_instance_status("incompatible-network").build();
        assert!(matches!(readiness(&observed(&instance, Kept::default())), Readiness::Broken(_)));
        let instance = aws_sdk_rds::types::DbInstance::builder().db_instance_status("backing-up").build();
        assert!(matches!(readiness(&observed(&instance, Kept::default())), Readiness::Pending(_)));
    }
}
