//! `aws::rds::instance`.

pub use super::instance_observed::InstanceObserved;
use super::{
    check_database_name, check_name,
    instance_observed::{Kept, diff, observed, readiness},
    leaves, sent_tags, tag,
};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, remember, remembered, text, touches},
    },
    bind::{Change, Ownership, Readiness, Resource},
    cx::{Cx, TAG_STACK, Telling},
    error::{Class, Error, Result},
    secret::Secret,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields that RDS does not know, so that the run remembers them.
const KEPT: &[&str] = &["password", "skip_final_snapshot", "delete_automated_backups"];

/// An RDS database.
///
/// Deleting it needs `--allow-delete`, and leaves a last snapshot and the automated backups unless told otherwise. Class,
/// storage, version, standby, security groups and password change in place, at once. Storage grows by itself up to
/// `max_storage_gib` and never shrinks. A version without patch (`8.0`) means whatever patch RDS runs.
///
/// # Errors
/// A database of that name that is not ours; a class or version that the region does not offer
/// (`InvalidParameterCombination`); `StorageQuotaExceeded`, `InstanceQuotaExceeded`.
///
/// ```rhai
/// let database = aws::rds::instance(#{
///     name: "gitpod-instance", engine: "mysql", engine_version: "8.0", class: "db.m5.large",
///     storage_gib: 20, max_storage_gib: 120, database: "gitpod", username: "gitpod", password: password.value,
///     subnet_group: group.name, security_groups: [security_group.id], multi_az: true, encrypted: true,
/// });
/// print(`${database.endpoint}:${database.port}`);
/// ```
///
/// Stands on DescribeDBInstances, CreateDBInstance, ModifyDBInstance, AddTagsToResource, DeleteDBInstance.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceArgs {
    /// Name, unique in account and region: 1 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// `mysql`, `mariadb`, `postgres`.
    pub engine: String,
    /// Version, with or without its patch: `8.0`.
    pub engine_version: String,
    /// Kind of machine: `db.m5.large`.
    pub class: String,
    /// Storage at creation in GiB, 20 to 65536.
    pub storage_gib: i32,
    /// Storage it may grow to in GiB, at least `storage_gib`. Default: it does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_storage_gib: Option<i32>,
    /// `gp2`, `gp3`, `io1`. Default: RDS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// A database that is made with it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Its first user: 1 to 16 letters and digits, beginning with a letter.
    pub username: String,
    /// That user's password: 8 to 41 printable characters but `/`, `"`, `@` and space.
    pub password: Secret,
    /// Name of its subnet group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<String>,
    /// Ids of its security groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Whether a second one stands by in another zone. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    /// Whether it gets a public address. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Whether its storage is encrypted. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// Whether RDS refuses to delete it. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Whether deleting it leaves no last snapshot. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_final_snapshot: Option<bool>,
    /// Whether deleting it deletes its automated backups. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_automated_backups: Option<bool>,
    /// Days that automated backups are kept, 0 to 35. Default: RDS's (1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_days: Option<i32>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// See [`InstanceArgs`].
pub struct Instance;

#[async_trait]
impl Resource for Instance {
    const KIND: &'static str = "aws::rds::instance";
    type Args = InstanceArgs;
    type Observed = InstanceObserved;
    const REPLACE: &'static [&'static str] = &["name", "engine", "database", "username", "subnet_group", "encrypted"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["status", "engine_version"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const STATEFUL: bool = true;
    const POLL_S: u64 = 15;
    const TIMEOUT_S: u64 = 5400;
    const STANDS_ON: &'static [(&'static str, &'static str)] = &[("subnet_group", "aws::rds::subnet_group")];

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &InstanceArgs) -> Result<()> {
        check_name("a database", &args.name, 63)?;
        check_storage(args)?;
        check_user(args)?;
        check_database_name(args.database.as_deref(), &args.engine)?;
        if !args.class.starts_with("db.") {
            return Err(Error::usage(format!("`{}` is no class of a database", args.class))
                .hint("`class` begins with `db.`: `db.m5.large`"));
        }
        if args.backup_days.is_some_and(|days| !(0..=35).contains(&days)) {
            return Err(Error::usage("`backup_days` must be between 0 and 35"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &InstanceArgs) -> Result<Option<InstanceObserved>> {
        let mut kept = Kept {
            password: None,
            skip_final_snapshot: args.skip_final_snapshot.unwrap_or(false),
            delete_automated_backups: args.delete_automated_backups.unwrap_or(false),
        };
        let Some(mut there) = observe(cx, &args.name, kept.clone()).await? else { return Ok(None) };
        // Ours, and its record was lost before it was written: it was made from these arguments.
        if there.tags.get(TAG_STACK) == Some(&cx.run.stack) {
            kept.password = Some(args.password.clone());
            there.password = kept.password;
        }
        Ok(Some(there))
    }

    async fn read(cx: &Cx, last: &InstanceObserved) -> Result<Option<InstanceObserved>> {
        let set = |field: &str| remembered(cx, &key(&last.name), field);
        let flag = |field: &str, last: bool| set(field).and_then(|value| value.as_bool()).unwrap_or(last);
        let password = set("password").and_then(|value| value.as_str().map(Secret::new));
        let kept = Kept {
            password: password.or_else(|| last.password.clone()),
            skip_final_snapshot: flag("skip_final_snapshot", last.skip_final_snapshot),
            delete_automated_backups: flag("delete_automated_backups", last.delete_automated_backups),
        };
        observe(cx, &last.name, kept).await
    }

    fn tags(observed: &InstanceObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &InstanceObserved) -> Readiness {
        readiness(observed)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        diff(wanted, observed)
    }

    fn loss(observed: &InstanceObserved) -> &'static str {
        leaves::loss(observed)
    }

    async fn create(cx: &Cx, args: &InstanceArgs, _token: &str) -> Result<InstanceObserved> {
        let aws = aws::clients(cx).await?;
        let made = aws
            .rds()
            .create_db_instance()
            .db_instance_identifier(&args.name)
            .engine(&args.engine)
            .engine_version(&args.engine_version)
            .db_instance_class(&args.class)
            .allocated_storage(args.storage_gib)
            .set_max_allocated_storage(growth(args))
            .set_storage_type(args.storage_type.clone())
            .set_db_name(args.database.clone())
            .master_username(&args.username)
            .master_user_password(args.password.reveal())
            .set_db_subnet_group_name(args.subnet_group.clone())
            .set_vpc_security_group_ids(args.security_groups.clone())
            .multi_az(args.multi_az.unwrap_or(false))
            .publicly_accessible(args.public.unwrap_or(false))
            .storage_encrypted(args.encrypted.unwrap_or(true))
            .deletion_protection(args.deletion_protection.unwrap_or(false))
            .set_backup_retention_period(args.backup_days)
            .copy_tags_to_snapshot(true)
            .set_tags(Some(sent_tags(&cx.tags(&args.tags))))
            .send()
            .await?;
        let kept = Kept {
            password: Some(args.password.clone()),
            skip_final_snapshot: args.skip_final_snapshot.unwrap_or(false),
            delete_automated_backups: args.delete_automated_backups.unwrap_or(false),
        };
        let made = observed(made.db_instance().ok_or_else(|| absent("the database"))?, kept);
        Ok(InstanceObserved { tags: cx.tags(&args.tags), ..made })
    }

    async fn update(cx: &Cx, args: &InstanceArgs, observed: &InstanceObserved, changes: &[Change]) -> Result<()> {
        if touches(changes, "tags") {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        let sent = |change: &&Change| {
            !change.field.starts_with("tags")
                && !change.field.starts_with("skip_")
                && !change.field.starts_with("delete_")
        };
        if changes.iter().any(|change| sent(&change)) {
            modify(cx, args, observed, changes).await?;
        }
        for change in changes.iter().filter(|change| KEPT.contains(&change.field.as_str())) {
            remember(cx, &key(&args.name), &change.field, change.new.clone());
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &InstanceObserved) -> Result<()> {
        if observed.status == "deleting" {
            return Ok(());
        }
        if observed.deletion_protection {
            return Err(Error::failed(format!("database `{}` is protected from deletion", observed.name))
                .hint("set `deletion_protection: false` in the playbook and run once before"));
        }
        let aws = aws::clients(cx).await?;
        let delete = aws.rds().delete_db_instance().db_instance_identifier(&observed.name);
        // One that failed while it was made holds nothing, and RDS deletes it without a snapshot only.
        let broken = matches!(observed.status.as_str(), "failed" | "incompatible-network" | "incompatible-restore");
        let delete = if observed.skip_final_snapshot || broken {
            delete.skip_final_snapshot(true)
        } else {
            delete.skip_final_snapshot(false).final_db_snapshot_identifier(leaves::last_snapshot(observed))
        };
        let no_backups = observed.delete_automated_backups || broken;
        gone(delete.delete_automated_backups(no_backups).send().await.map_err(Error::from))?;
        if let Some(kept) = leaves::kept(observed).filter(|_| !broken) {
            cx.tell(Telling::Kept(&kept));
        }
        Ok(())
    }
}

fn check_storage(args: &InstanceArgs) -> Result<()> {
    if !(20..=65_536).contains(&args.storage_gib) {
        return Err(Error::usage(format!("`storage_gib` is {}", args.storage_gib)).hint("use 20 to 65536"));
    }
    match args.max_storage_gib {
        Some(max) if max < args.storage_gib || max > 65_536 => {
            Err(Error::usage(format!("`max_storage_gib` is {max} where `storage_gib` is {}", args.storage_gib))
                .hint("it must be at least `storage_gib`, and 65536 at most"))
        }
        _ => Ok(()),
    }
}

fn check_user(args: &InstanceArgs) -> Result<()> {
    let name = &args.username;
    let letters = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if !letters || name.len() > 16 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Error::usage(format!("`{name}` cannot be the user of a database"))
            .hint("`username` takes 1 to 16 letters and digits, beginning with a letter"));
    }
    let password = args.password.reveal();
    let bad = |c: char| !c.is_ascii_graphic() || "/\"@".contains(c);
    if !(8..=41).contains(&password.chars().count()) || password.contains(bad) {
        return Err(Error::usage(format!("`password` of database `{}` is not one that RDS takes", args.name))
            .hint("use 8 to 41 printable characters but `/`, `\"`, `@` and space"));
    }
    Ok(())
}

/// Storage that may not grow is one without the field.
fn growth(args: &InstanceArgs) -> Option<i32> {
    args.max_storage_gib.filter(|max| *max > args.storage_gib)
}

async fn modify(cx: &Cx, args: &InstanceArgs, observed: &InstanceObserved, changes: &[Change]) -> Result<()> {
    let aws = aws::clients(cx).await?;
    let is = |field: &str| touches(changes, field);
    // RDS wants both sizes to fit each other, whichever changes.
    let storage = is("storage_gib").then_some(args.storage_gib);
    let most = args.max_storage_gib.filter(|_| is("max_storage_gib"));
    let most = most.map(|max| max.max(args.storage_gib).max(observed.storage_gib));
    aws.rds()
        .modify_db_instance()
        .db_instance_identifier(&args.name)
        .apply_immediately(true)
        .set_db_instance_class(is("class").then(|| args.class.clone()))
        .set_allocated_storage(storage)
        .set_max_allocated_storage(most)
        .set_storage_type(args.storage_type.clone().filter(|_| is("storage_type")))
        .set_engine_version(is("engine_version").then(|| args.engine_version.clone()))
        .set_allow_major_version_upgrade(is("engine_version").then_some(true))
        .set_master_user_password(is("password").then(|| args.password.reveal().to_owned()))
        .set_vpc_security_group_ids(args.security_groups.clone().filter(|_| is("security_groups")))
        .set_multi_az(args.multi_az.filter(|_| is("multi_az")))
        .set_publicly_accessible(args.public.filter(|_| is("public")))
        .set_deletion_protection(args.deletion_protection.filter(|_| is("deletion_protection")))
        .set_backup_retention_period(args.backup_days.filter(|_| is("backup_days")))
        .send()
        .await
        .map_err(unless_busy)?;
    Ok(())
}

/// A database that is being worked on takes no change, which passes.
fn unless_busy(error: impl Into<Error>) -> Error {
    let error: Error = error.into();
    if error.class == Class::InUse { Error { class: Class::Passing, ..error } } else { error }
}

fn key(name: &str) -> String {
    format!("aws::rds::instance/{name}")
}

async fn observe(cx: &Cx, name: &str, kept: Kept) -> Result<Option<InstanceObserved>> {
    let aws = aws::clients(cx).await?;
    let answer = aws.rds().describe_db_instances().db_instance_identifier(name).send().await.map_err(Error::from);
    let answer = found(answer)?;
    Ok(answer.and_then(|answer| answer.db_instances().first().map(|instance| observed(instance, kept))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(changed: &Value) -> InstanceArgs {
        let mut args = json!({
            "name": "gitpod-instance", "engine": "mysql", "engine_version": "8.0", "class": "db.m5.large",
            "storage_gib": 20, "max_storage_gib": 120, "username": "gitpod", "password": "0123456789abcdef",
        });
        for (key, value) in changed.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        serde_json::from_value(args).unwrap()
    }

    #[test]
    fn what_rds_would_refuse_is_refused_before_anything_is_sent() {
        assert!(Instance::validate(&args(&json!({}))).is_ok());
        for bad in [
            json!({ "name": "Gitpod" }),
            json!({ "storage_gib": 10 }),
            json!({ "max_storage_gib": 10 }),
            json!({ "username": "1gitpod" }),
            json!({ "username": "a-very-long-user-name" }),
            json!({ "password": "short" }),
            json!({ "password": "with/slash/inside" }),
            json!({ "password": "with space inside" }),
            json!({ "class": "m5.large" }),
            json!({ "backup_days": 36 }),
        ] {
            assert!(Instance::validate(&args(&bad)).is_err(), "{bad}");
        }
    }
}
