//! The kinds of this service against the simulated one.

use crate::{aws::lab::Lab, cx::Mode, error::Class, secret::Secret, value::has_secret};
use serde_json::{Value, json};

const KIND: &str = "aws::rds::instance";
const ADDRESS: &str = "aws::rds::instance/gitpod-instance";

/// A subnet group over two zones.
async fn group(lab: &mut Lab) -> (Value, Vec<Value>) {
    let vpc = lab.declare("aws::ec2::vpc", json!({ "name": "lab", "cidr": "192.168.0.0/16" })).await;
    let mut subnets = Vec::new();
    for (name, cidr, zone) in [
        ("a", "192.168.0.0/19", "eu-west-1a"),
        ("b", "192.168.32.0/19", "eu-west-1b"),
        ("c", "192.168.64.0/19", "eu-west-1c"),
    ] {
        let args = json!({ "name": name, "vpc": vpc["id"], "cidr": cidr, "zone": zone });
        subnets.push(lab.declare("aws::ec2::subnet", args).await["id"].clone());
    }
    let args = json!({ "name": "gitpod-rds", "description": "Gitpod database", "subnets": subnets[..2],
                       "tags": { "project": "gitpod" } });
    (lab.declare("aws::rds::subnet_group", args).await, subnets)
}

fn database(extra: &Value) -> Value {
    let mut args = json!({
        "name": "gitpod-instance", "engine": "mysql", "engine_version": "8.0", "class": "db.m5.large", "storage_gib": 20,
        "max_storage_gib": 120, "database": "gitpod", "username": "gitpod", "password": Secret::new("0123456789abcdef"),
        "subnet_group": "gitpod-rds", "multi_az": true, "public": false, "encrypted": true, "tags": { "project": "gitpod" },
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    args
}

#[tokio::test]
async fn a_subnet_group_changes_in_place() {
    let mut lab = Lab::start(Mode::Run).await;
    let (made, subnets) = group(&mut lab).await;
    let wanted = json!({ "name": "gitpod-rds", "description": "changed", "subnets": subnets, "tags": { "team": "x" } });
    let cx = lab.cx("aws::rds::subnet_group/gitpod-rds");
    let changed = lab.in_line("aws::rds::subnet_group", &cx, &wanted, made).await;
    assert_eq!(changed["subnets"].as_array().unwrap().len(), 3);
    lab.delete("aws::rds::subnet_group", "aws::rds::subnet_group/gitpod-rds", &wanted).await;
}

#[tokio::test]
async fn a_database_is_made_changed_and_deleted() {
    let mut lab = Lab::start(Mode::Run).await;
    let (group, _) = group(&mut lab).await;
    let made = lab.declare(KIND, database(&json!({}))).await;
    assert!(made["engine_version"].as_str().unwrap().starts_with("8.0"));
    assert_eq!(made["port"], 3306);
    assert!(made["endpoint"].as_str().unwrap().contains("gitpod-instance"));
    assert!(has_secret(&made["password"]));
    let used = lab.registry.kind("aws::rds::subnet_group").unwrap();
    let cx = lab.cx("aws::rds::subnet_group/gitpod-rds");
    assert_eq!(used.delete(&cx, &group).await.unwrap_err().class, Class::InUse);

    let cx = lab.cx(ADDRESS);
    let wanted = database(&json!({
        "class": "db.m5.xlarge", "storage_gib": 40, "max_storage_gib": 200, "backup_days": 7, "deletion_protection": true,
        "password": Secret::new("fedcba9876543210"), "skip_final_snapshot": true, "tags": { "team": "x" },
    }));
    let changed = lab.in_line(KIND, &cx, &wanted, made).await;
    assert_eq!((&changed["class"], &changed["skip_final_snapshot"]), (&json!("db.m5.xlarge"), &json!(true)));
    let refused = lab.registry.kind(KIND).unwrap().delete(&cx, &changed).await.unwrap_err();
    assert!(refused.hint.unwrap().contains("deletion_protection"));

    let wanted = database(&json!({ "storage_gib": 40, "deletion_protection": false, "skip_final_snapshot": true,
                                   "class": "db.m5.xlarge", "password": Secret::new("fedcba9876543210") }));
    let writes = lab.run.wire.counts().1;
    let changed = lab.in_line(KIND, &cx, &wanted, changed).await;
    assert_eq!(lab.run.wire.counts().1, writes + 1);
    lab.delete_seen(KIND, ADDRESS, changed).await;
    lab.delete(
        "aws::rds::subnet_group",
        "aws::rds::subnet_group/gitpod-rds",
        &json!({ "name": "gitpod-rds",
        "description": "Gitpod database", "subnets": [] }),
    )
    .await;
}

#[tokio::test]
async fn a_database_goes_with_a_last_snapshot_unless_told_otherwise() {
    let mut lab = Lab::start(Mode::Run).await;
    group(&mut lab).await;
    let made = lab.declare(KIND, database(&json!({}))).await;
    lab.delete_seen(KIND, ADDRESS, made).await;
    let again = lab.declare(KIND, database(&json!({}))).await;
    lab.delete_seen(KIND, ADDRESS, again).await;
}
