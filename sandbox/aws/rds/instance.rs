//! Database instances: made and shown.

use std::time::Duration;

use serde_json::{Value, json};

use super::catalogue::{self, Engine};
use super::{INSTANCES, PARAMETERS, clash, given_tags, identifier, invalid, name_of, need, subnet_group};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due, fleet};
use crate::core::store::hex_digits;

/// `CreateDBInstance`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let id = identifier("DBInstanceIdentifier", &need(cx, "DBInstanceIdentifier")?, 63)?;
    if cx.tx.get(INSTANCES, &id).is_some() {
        return Err(ApiError::new("DBInstanceAlreadyExists", "DB instance already exists"));
    }
    if cx.tx.scan(INSTANCES).count() >= cx.env.quota("rds", "L-7B6409FD") {
        return Err(ApiError::new("InstanceQuotaExceeded", "Cannot create more DB instances: the quota is exceeded"));
    }
    let mut doc = wanted(cx, &id)?;
    interfaces(cx, &id, &doc)?;
    let whole = cx.clock().duration_of("rds-instance");
    let (creating, backing_up) = (whole.mul_f64(0.8), whole.mul_f64(0.2));
    let backs_up = doc["BackupRetentionPeriod"].as_i64().unwrap_or(0) > 0;
    let available = json!({"DBInstanceStatus": "available"});
    let next = match &cx.fails {
        Some(reason) => json!({"DBInstanceStatus": "failed", "_failure": reason}),
        None if backs_up => json!({
            "DBInstanceStatus": "backing-up", "_ready_at": cx.clock().after(creating + backing_up), "_next": available,
        }),
        None => available,
    };
    let first = if backs_up { creating } else { whole };
    due::begin(&mut doc, cx.clock().after(first), next);
    cx.tx.put(INSTANCES, &id, doc.clone());
    cx.query(&json!({"DBInstance": show(&doc)}))
}

fn wanted(cx: &Cx<'_>, id: &str) -> Result<Value, ApiError> {
    let (engine, version) = engine(cx)?;
    let class = need(cx, "DBInstanceClass")?;
    check_class(&class, engine, version)?;
    let storage = storage(cx, engine)?;
    let (user, db_name) = credentials(cx, engine)?;
    let group = subnet_group::find(cx, &subnet_group_name(cx)?)?;
    let groups = security_groups(cx, &group)?;
    let multi_az = cx.p.flag("MultiAZ") == Some(true);
    if multi_az && cx.p.has("AvailabilityZone") {
        return Err(clash("Requesting a specific availability zone is not valid for Multi-AZ instances."));
    }
    let retention_days = bounded(cx, "BackupRetentionPeriod", 0, 35)?.unwrap_or(1);
    let port = bounded(cx, "Port", 1150, 65_535)?.unwrap_or(i64::from(engine.port));
    let public = publicly_accessible(cx, &group)?;
    let parameters = parameter_group(cx, engine, version)?;
    let zone = match cx.p.opt("AvailabilityZone") {
        Some(zone) => json!(zone),
        None => group["Subnets"]["@Subnet"][0]["SubnetAvailabilityZone"]["Name"].clone(),
    };
    let encrypted = cx.p.flag("StorageEncrypted") == Some(true);
    let key = encrypted.then(|| cx.p.opt("KmsKeyId").map_or_else(|| cx.arn("kms", "key/aws-rds"), str::to_owned));
    let mut doc = json!({
        "DBInstanceIdentifier": id,
        "DBInstanceClass": class,
        "Engine": engine.name,
        "DBInstanceStatus": "creating",
        "MasterUsername": user,
        "DBName": db_name,
        "InstanceCreateTime": cx.clock().iso_now(),
        "PreferredBackupWindow": cx.p.or("PreferredBackupWindow", "03:42-04:12"),
        "BackupRetentionPeriod": retention_days,
        "DBSecurityGroups": [],
        "VpcSecurityGroups": groups_shown(&groups),
        "DBParameterGroups": {"@DBParameterGroup": [{"DBParameterGroupName": parameters, "ParameterApplyStatus": "in-sync"}]},
        "AvailabilityZone": zone,
        "DBSubnetGroup": group,
        "PreferredMaintenanceWindow": cx.p.or("PreferredMaintenanceWindow", "sun:05:11-sun:05:41"),
        "PendingModifiedValues": {},
        "MultiAZ": multi_az,
        "EngineVersion": version,
        "AutoMinorVersionUpgrade": cx.p.flag("AutoMinorVersionUpgrade").unwrap_or(true),
        "ReadReplicaDBInstanceIdentifiers": [],
        "LicenseModel": engine.licence,
        "OptionGroupMemberships": {"@OptionGroupMembership": [{
            "OptionGroupName": format!("default:{}-{}", engine.name, catalogue::major(version).replace('.', "-")), "Status": "in-sync",
        }]},
        "PubliclyAccessible": public,
        "StorageEncrypted": encrypted,
        "KmsKeyId": key,
        "DbiResourceId": format!("db-{}", hex_digits(26).to_uppercase()),
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "CopyTagsToSnapshot": cx.p.flag("CopyTagsToSnapshot").unwrap_or(false),
        "MonitoringInterval": cx.p.int("MonitoringInterval")?.unwrap_or(0),
        "DBInstanceArn": cx.arn("rds", &format!("db:{id}")),
        "IAMDatabaseAuthenticationEnabled": cx.p.flag("EnableIAMDatabaseAuthentication").unwrap_or(false),
        "PerformanceInsightsEnabled": cx.p.flag("EnablePerformanceInsights").unwrap_or(false),
        "EnabledCloudwatchLogsExports": cx.p.list("EnableCloudwatchLogsExports"),
        "DeletionProtection": cx.p.flag("DeletionProtection").unwrap_or(false),
        "TagList": given_tags(cx)?,
        "NetworkType": "IPV4",
        "BackupTarget": "region",
        "_port": port,
        "_password": cx.p.opt("MasterUserPassword"),
        "_host": hex_digits(12),
    });
    if let (Some(members), Value::Object(storage)) = (doc.as_object_mut(), storage) {
        members.extend(storage);
    }
    Ok(doc)
}

fn engine(cx: &Cx<'_>) -> Result<(&'static Engine, &'static str), ApiError> {
    let name = need(cx, "Engine")?;
    let engine = catalogue::engine(&name).ok_or_else(|| invalid(format!("Invalid DB engine: {name}")))?;
    let asked = cx.p.or("EngineVersion", engine.default);
    let version = engine.version(asked).ok_or_else(|| clash(format!("Cannot find version {asked} for {name}")))?;
    Ok((engine, version))
}

/// Refuses a class that does not exist or that the engine version cannot have.
pub fn check_class(class: &str, engine: &Engine, version: &str) -> Result<(), ApiError> {
    if !catalogue::class_exists(class) {
        return Err(invalid(format!("Invalid DB Instance class: {class}")));
    }
    if !catalogue::fits(class, engine, version) {
        let message = format!(
            "RDS does not support creating a DB instance with the following combination: DBInstanceClass={class}, Engine={}, EngineVersion={version}, LicenseModel={}. For supported combinations of instance class and database engine version, see the documentation.",
            engine.name, engine.licence
        );
        return Err(clash(message));
    }
    Ok(())
}

/// A whole number within bounds.
pub fn bounded(cx: &Cx<'_>, name: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
    match cx.p.int(name)? {
        Some(number) if !(least..=most).contains(&number) => {
            Err(invalid(format!("Invalid value {number} for {name}: it must be between {least} and {most}")))
        }
        number => Ok(number),
    }
}

/// What a request says about storage, checked.
fn storage(cx: &Cx<'_>, engine: &Engine) -> Result<Value, ApiError> {
    let size =
        cx.p.int("AllocatedStorage")?.ok_or_else(|| invalid("Invalid storage size: AllocatedStorage must be given"))?;
    let sort = cx.p.or("StorageType", if cx.p.has("Iops") { "io1" } else { "gp2" });
    let least = match sort {
        "gp2" | "gp3" => 20,
        "io1" | "io2" => 100,
        "standard" => 5,
        other => return Err(invalid(format!("Invalid storage type: {other}"))),
    };
    check_size(size, least, engine.name)?;
    let used: i64 = cx.tx.scan(INSTANCES).map(|(_, db)| db["AllocatedStorage"].as_i64().unwrap_or(0)).sum();
    if usize::try_from(used + size).unwrap_or(0) > cx.env.quota("rds", "L-7ADDB58A") {
        return Err(ApiError::new(
            "StorageQuotaExceeded",
            "The request would result in exceeding the allowed amount of storage available across all DB instances.",
        ));
    }
    let most = cx.p.int("MaxAllocatedStorage")?;
    if let Some(most) = most {
        check_most(size, most)?;
    }
    let (iops, throughput) = (cx.p.int("Iops")?, cx.p.int("StorageThroughput")?);
    if sort == "gp3" && size < 400 && (iops.is_some() || throughput.is_some()) {
        let message = format!(
            "You can't specify IOPS or storage throughput for engine {} and a storage size less than 400.",
            engine.name
        );
        return Err(clash(message));
    }
    let iops = iops.or((sort == "gp3").then_some(if size < 400 { 3000 } else { 12_000 }));
    let throughput = throughput.or((sort == "gp3").then_some(if size < 400 { 125 } else { 500 }));
    Ok(json!({
        "AllocatedStorage": size, "MaxAllocatedStorage": most, "StorageType": sort, "Iops": iops, "StorageThroughput": throughput,
    }))
}

fn check_size(size: i64, least: i64, engine: &str) -> Result<(), ApiError> {
    if (least..=65_536).contains(&size) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid storage size for engine name {engine} and storage type: {size}. It must be between {least} and 65536."
    )))
}

/// The bound of storage autoscaling is at least a tenth above the size.
pub fn check_most(size: i64, most: i64) -> Result<(), ApiError> {
    if most * 10 < size * 11 {
        return Err(clash("Invalid max storage size: it must be at least 10% greater than the storage size."));
    }
    Ok(())
}

fn credentials(cx: &Cx<'_>, engine: &Engine) -> Result<(String, Option<String>), ApiError> {
    let user = need(cx, "MasterUsername")?;
    let plain = user.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain || !user.starts_with(|c: char| c.is_ascii_alphabetic()) || user.len() > engine.longest.0 {
        return Err(invalid(
            "The parameter MasterUsername is not a valid identifier: letters, digits and underscores, a letter first",
        ));
    }
    if ["rdsadmin", "root", "mysql", "postgres_admin"].contains(&user.as_str()) {
        return Err(invalid(format!(
            "MasterUsername {user} cannot be used as it is a reserved word used by the engine"
        )));
    }
    if cx.p.flag("ManageMasterUserPassword") != Some(true) {
        check_password(&need(cx, "MasterUserPassword")?, engine)?;
    }
    let name = cx.p.opt("DBName").map(str::to_owned);
    if let Some(name) = &name {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 64 {
            return Err(invalid("DBName must begin with a letter and contain only alphanumeric characters."));
        }
    }
    Ok((user, name))
}

/// Passwords: 8 characters at least, printable, none of four.
pub fn check_password(password: &str, engine: &Engine) -> Result<(), ApiError> {
    let longest = engine.longest.1;
    if !(8..=longest).contains(&password.len()) {
        let message = "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters or longer than allowed.";
        return Err(invalid(message));
    }
    if password.chars().any(|c| !c.is_ascii_graphic() || "/@\"".contains(c)) {
        let message = "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.";
        return Err(invalid(message));
    }
    Ok(())
}

/// The default subnet group is that of a default VPC, which this account has not.
fn subnet_group_name(cx: &Cx<'_>) -> Result<String, ApiError> {
    let message = "No default subnet detected in VPC. Please contact AWS Support to recreate the default Subnets.";
    let given = cx.p.opt("DBSubnetGroupName").map(str::to_owned);
    given.ok_or_else(|| ApiError::new("InvalidSubnet", message))
}

/// The security groups of a request, which must be in the VPC; the VPC's own default group where it names none.
pub fn security_groups(cx: &Cx<'_>, subnet_group: &Value) -> Result<Vec<String>, ApiError> {
    let ids = cx.p.list("VpcSecurityGroupIds");
    for id in &ids {
        match cx.tx.get("sg", id) {
            None => return Err(invalid(format!("Invalid security group , groupId= {id}, groupName=."))),
            Some(group) if group["vpcId"] != subnet_group["VpcId"] => {
                let message = "The DB instance and EC2 security group are in different VPCs. The DB instance is in a subnet group of another VPC.";
                return Err(clash(message));
            }
            Some(_) => {}
        }
    }
    if !ids.is_empty() {
        return Ok(ids);
    }
    let default =
        cx.tx.scan("sg").find(|(_, g)| g["vpcId"] == subnet_group["VpcId"] && g["groupName"] == json!("default"));
    Ok(default.map(|(id, _)| id.clone()).into_iter().collect())
}

/// Security groups as RDS shows them.
pub fn groups_shown(ids: &[String]) -> Value {
    json!({"@VpcSecurityGroupMembership": ids.iter().map(|id| json!({"VpcSecurityGroupId": id, "Status": "active"})).collect::<Vec<_>>()})
}

fn publicly_accessible(cx: &Cx<'_>, group: &Value) -> Result<bool, ApiError> {
    let gateway = cx.tx.any("igw", |g| {
        g["attachmentSet"].as_array().is_some_and(|set| set.iter().any(|a| a["vpcId"] == group["VpcId"]))
    });
    let public = cx.p.flag("PubliclyAccessible").unwrap_or(gateway);
    if public && !gateway {
        let message = "Cannot create a publicly accessible DBInstance. The specified VPC has no internet gateway attached. Update the VPC and then try again.";
        return Err(ApiError::new("InvalidVPCNetworkStateFault", message));
    }
    Ok(public)
}

/// The parameter group of a request; each family has a default one.
pub fn parameter_group(cx: &Cx<'_>, engine: &Engine, version: &str) -> Result<String, ApiError> {
    let family = engine.family(version);
    let Some(name) = cx.p.opt("DBParameterGroupName").filter(|n| *n != format!("default.{family}")) else {
        return Ok(format!("default.{family}"));
    };
    match cx.tx.get(PARAMETERS, &name.to_lowercase()) {
        Some(group) if group["DBParameterGroupFamily"] == json!(family) => Ok(name.to_lowercase()),
        Some(_) => Err(clash(format!(
            "The parameter group {name} with another DBParameterGroupFamily cannot be used for {family}"
        ))),
        None => {
            Err(ApiError::new("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}")).status(404))
        }
    }
}

/// An interface in one subnet, in two for Multi-AZ: what keeps subnets and security groups from being deleted.
fn interfaces(cx: &mut Cx<'_>, id: &str, doc: &Value) -> Result<(), ApiError> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let groups: Vec<String> = doc["VpcSecurityGroups"]["@VpcSecurityGroupMembership"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|g| text(&g["VpcSecurityGroupId"]))
        .collect();
    let count = if doc["MultiAZ"] == json!(true) { 2 } else { 1 };
    let group_name = doc["DBSubnetGroup"]["DBSubnetGroupName"].clone();
    for subnet in doc["DBSubnetGroup"]["Subnets"]["@Subnet"].as_array().into_iter().flatten().take(count) {
        let made =
            fleet::interface(&mut cx.tx, &text(&subnet["SubnetIdentifier"]), &groups, "RDSNetworkInterface", "rds")?;
        cx.tx.update("eni", &made, |eni| {
            eni["_rds"] = json!(id);
            eni["_rds_group"] = group_name.clone();
        });
    }
    Ok(())
}

/// An instance as RDS shows it: its endpoint comes when it has been created.
pub fn show(doc: &Value) -> Value {
    let mut shown = doc.clone();
    let arn = doc["DBInstanceArn"].as_str().unwrap_or_default();
    let region = arn.split(':').nth(3).unwrap_or_default();
    if !matches!(doc["DBInstanceStatus"].as_str(), Some("creating" | "failed")) {
        let (id, host) =
            (doc["DBInstanceIdentifier"].as_str().unwrap_or_default(), doc["_host"].as_str().unwrap_or_default());
        shown["Endpoint"] = json!({
            "Address": format!("{id}.{host}.{region}.rds.amazonaws.com"), "Port": doc["_port"], "HostedZoneId": "Z29XKXDKYMONMX",
        });
        shown["SecondaryAvailabilityZone"] = if doc["MultiAZ"] == json!(true) {
            doc["DBSubnetGroup"]["Subnets"]["@Subnet"][1]["SubnetAvailabilityZone"]["Name"].clone()
        } else {
            Value::Null
        };
    }
    shown
}

/// Id and document of the instance that a call names.
///
/// # Errors
/// `DBInstanceNotFound`.
pub fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let id = name_of(&need(cx, "DBInstanceIdentifier")?);
    match cx.tx.get(INSTANCES, &id) {
        Some(doc) => Ok((id, doc.clone())),
        None => Err(ApiError::new("DBInstanceNotFound", format!("DBInstance {id} not found.")).status(404)),
    }
}

/// `DescribeDBInstances`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let found = if cx.p.has("DBInstanceIdentifier") { vec![named(cx)?.1] } else { cx.tx.select(INSTANCES, |_| true) };
    let filters: Vec<(String, Vec<String>)> =
        cx.p.items("Filters").iter().map(|f| (f.or("Name", "").to_owned(), f.list("Values"))).collect();
    let fits = |db: &Value| {
        filters.iter().all(|(name, values)| {
            let member = match name.as_str() {
                "db-instance-id" => "DBInstanceIdentifier",
                "dbi-resource-id" => "DbiResourceId",
                _ => "Engine",
            };
            values.iter().any(|v| db[member] == json!(v) || db["DBInstanceArn"] == json!(v))
        })
    };
    let shown: Vec<Value> = found.iter().filter(|db| fits(db)).map(show).collect();
    let (page, marker) = cx.page_marked(shown)?;
    cx.query(&json!({"DBInstances": {"@DBInstance": page}, "Marker": marker}))
}

/// How long a change of an instance takes.
pub fn change_time(cx: &Cx<'_>) -> Duration {
    cx.clock().duration_of("rds-modify")
}
