//! DB subnet groups.

use serde_json::{Value, json};

use super::{INSTANCES, SUBNET_GROUPS, given_tags, invalid, name_of, need};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

/// The group of a name.
///
/// # Errors
/// `DBSubnetGroupNotFoundFault`.
pub fn find(cx: &Cx<'_>, name: &str) -> Result<Value, ApiError> {
    let found = cx.tx.get(SUBNET_GROUPS, &name_of(name)).cloned();
    let missing =
        || ApiError::new("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist.")).status(404);
    found.ok_or_else(missing)
}

/// The VPC of subnets that cover at least two zones, and the subnets as RDS shows them.
fn checked(cx: &Cx<'_>, ids: &[String]) -> Result<(Value, Vec<Value>), ApiError> {
    let mut shown = Vec::new();
    let (mut vpcs, mut zones) = (Vec::new(), std::collections::BTreeSet::new());
    for id in ids {
        let Some(subnet) = cx.tx.get("subnet", id) else {
            return Err(ApiError::new("InvalidSubnet", format!("The subnet ID '{id}' does not exist")));
        };
        vpcs.push(subnet["vpcId"].clone());
        zones.insert(subnet["availabilityZone"].to_string());
        shown.push(json!({
            "SubnetIdentifier": id, "SubnetAvailabilityZone": {"Name": subnet["availabilityZone"]}, "SubnetStatus": "Active",
            "SubnetOutpost": {},
        }));
    }
    vpcs.dedup();
    if vpcs.len() > 1 {
        return Err(ApiError::new("InvalidSubnet", "The DB subnet group's subnets are in different VPCs."));
    }
    if zones.len() < 2 {
        let message = format!(
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: {}. Add subnets to cover at least 2 AZs.",
            zones.into_iter().collect::<Vec<_>>().join(", ").replace('"', "")
        );
        return Err(ApiError::new("DBSubnetGroupDoesNotCoverEnoughAZs", message));
    }
    Ok((vpcs.pop().unwrap_or_default(), shown))
}

/// `CreateDBSubnetGroup`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = need(cx, "DBSubnetGroupName")?.to_lowercase();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c));
    if !plain || name.len() > 255 || name == "default" {
        return Err(invalid(format!("The parameter DBSubnetGroupName '{name}' is not valid")));
    }
    let about = need(cx, "DBSubnetGroupDescription")?;
    if cx.tx.get(SUBNET_GROUPS, &name).is_some() {
        let message = format!("The DB subnet group '{name}' already exists.");
        return Err(ApiError::new("DBSubnetGroupAlreadyExists", message));
    }
    if cx.tx.scan(SUBNET_GROUPS).count() >= cx.env.quota("rds", "L-48C6BF61") {
        return Err(ApiError::new("DBSubnetGroupQuotaExceeded", "The quota of DB subnet groups is exceeded"));
    }
    let (vpc, subnets) = checked(cx, &cx.p.list("SubnetIds"))?;
    let doc = json!({
        "DBSubnetGroupName": name,
        "DBSubnetGroupDescription": about,
        "VpcId": vpc,
        "SubnetGroupStatus": "Complete",
        "Subnets": {"@Subnet": subnets},
        "DBSubnetGroupArn": cx.arn("rds", &format!("subgrp:{name}")),
        "SupportedNetworkTypes": ["IPV4"],
        "_tags": given_tags(cx)?,
    });
    cx.tx.put(SUBNET_GROUPS, &name, doc.clone());
    cx.query(&json!({"DBSubnetGroup": doc}))
}

/// `DescribeDBSubnetGroups`.
pub fn describe(cx: &mut Cx<'_>) -> Outcome {
    let found = match cx.p.opt("DBSubnetGroupName") {
        Some(name) => vec![find(cx, name)?],
        None => cx.tx.select(SUBNET_GROUPS, |_| true),
    };
    let (page, marker) = cx.page_marked(found)?;
    cx.query(&json!({"DBSubnetGroups": {"@DBSubnetGroup": page}, "Marker": marker}))
}

/// `ModifyDBSubnetGroup`.
pub fn modify(cx: &mut Cx<'_>) -> Outcome {
    let mut doc = find(cx, &need(cx, "DBSubnetGroupName")?)?;
    let name = doc["DBSubnetGroupName"].as_str().unwrap_or_default().to_owned();
    let ids = cx.p.list("SubnetIds");
    let (vpc, subnets) = checked(cx, &ids)?;
    if vpc != doc["VpcId"] {
        return Err(ApiError::new("InvalidSubnet", "The new subnets are not in the VPC of the DB subnet group."));
    }
    let used = |eni: &Value| eni["_rds_group"] == json!(name) && !ids.iter().any(|id| eni["subnetId"] == json!(id));
    if cx.tx.any("eni", used) {
        return Err(ApiError::new("SubnetInUse", "The DB subnet is already in use in the Availability Zone."));
    }
    doc["Subnets"] = json!({"@Subnet": subnets});
    if let Some(about) = cx.p.opt("DBSubnetGroupDescription") {
        doc["DBSubnetGroupDescription"] = json!(about);
    }
    cx.tx.put(SUBNET_GROUPS, &name, doc.clone());
    cx.query(&json!({"DBSubnetGroup": doc}))
}

/// `DeleteDBSubnetGroup`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let doc = find(cx, &need(cx, "DBSubnetGroupName")?)?;
    let name = doc["DBSubnetGroupName"].as_str().unwrap_or_default().to_owned();
    let user = cx.tx.scan(INSTANCES).find(|(_, db)| db["DBSubnetGroup"]["DBSubnetGroupName"] == json!(name));
    if let Some((id, _)) = user {
        let message = format!(
            "Cannot delete the subnet group '{name}' because at least one database instance: {id} is still using it."
        );
        return Err(ApiError::new("InvalidDBSubnetGroupStateFault", message));
    }
    cx.tx.delete(SUBNET_GROUPS, &name);
    cx.query(&Value::Null)
}
