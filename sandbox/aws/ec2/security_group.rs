//! Security groups. Their rules are documents of their own: see `security_group_rule.rs`.

use serde_json::{Value, json};

use super::{Kind, find, security_group_rule as rule, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) const KIND: Kind = Kind {
    table: "sg",
    ids: "GroupId",
    noun: "security group",
    missing: "InvalidGroup.NotFound",
    set: "securityGroupInfo",
    filters: &[
        ("group-id", "groupId"),
        ("group-name", "groupName"),
        ("vpc-id", "vpcId"),
        ("description", "groupDescription"),
        ("owner-id", "ownerId"),
        ("ip-permission.cidr", "ipPermissions.ipRanges.cidrIp"),
        ("ip-permission.from-port", "ipPermissions.fromPort"),
        ("ip-permission.to-port", "ipPermissions.toPort"),
        ("ip-permission.group-id", "ipPermissions.groups.groupId"),
        ("ip-permission.protocol", "ipPermissions.ipProtocol"),
        ("egress.ip-permission.cidr", "ipPermissionsEgress.ipRanges.cidrIp"),
    ],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateSecurityGroup" => create(cx),
        "DescribeSecurityGroups" => describe(cx),
        "DeleteSecurityGroup" => delete(cx),
        _ => return None,
    })
}

/// Makes a group with the rule that lets everything out; for services that make their own (EKS) as well.
///
/// # Errors
/// `InvalidGroup.Duplicate` when the VPC has one of that name.
pub fn create_group(
    cx: &mut Cx<'_>,
    name: &str,
    description: &str,
    vpc: &str,
    tag_set: Value,
) -> Result<Value, ApiError> {
    if cx.tx.any("sg", |group| group["vpcId"] == *vpc && group["groupName"] == *name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(ApiError::new("InvalidGroup.Duplicate", message));
    }
    let id = cx.tx.new_id("sg");
    let group = json!({
        "groupId": id,
        "groupName": name,
        "groupDescription": description,
        "vpcId": vpc,
        "ownerId": cx.account,
        "securityGroupArn": cx.arn("ec2", &format!("security-group/{id}")),
        "tagSet": tag_set,
    });
    cx.tx.put("sg", &id, group.clone());
    rule::allow_all_out(cx, &id);
    Ok(group)
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let (name, description) = (cx.p.req("GroupName")?.to_owned(), cx.p.req("GroupDescription")?.to_owned());
    let vpc = find(cx, &super::vpc::KIND, cx.p.req("VpcId")?)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    for (parameter, value) in [("groupName", &name), ("groupDescription", &description)] {
        if value.len() > 255 || !value.chars().all(allowed) || name.starts_with("sg-") {
            return Err(super::invalid(parameter, value, "Character sets beyond ASCII are not supported."));
        }
    }
    if name == "default" {
        return Err(ApiError::new("InvalidGroup.Reserved", "Cannot use reserved security group name: default"));
    }
    let tag_set = tags::specified(cx, "security-group")?;
    let group = create_group(cx, &name, &description, text(&vpc, "vpcId"), tag_set)?;
    cx.ec2(&json!({
        "return": true,
        "groupId": group["groupId"],
        "securityGroupArn": group["securityGroupArn"],
        "tagSet": group["tagSet"],
    }))
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let mut all = cx.tx.select("sg", |_| true);
    for group in &mut all {
        let id = text(group, "groupId").to_owned();
        group["ipPermissions"] = rule::permissions(&cx.tx, &id, false);
        group["ipPermissionsEgress"] = rule::permissions(&cx.tx, &id, true);
    }
    let names = cx.p.list("GroupName");
    if !names.is_empty() {
        all.retain(|group| names.iter().any(|name| group["groupName"] == **name));
    }
    KIND.answer(cx, all)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.req("GroupId")?.to_owned();
    let group = find(cx, &KIND, &id)?;
    if group["groupName"] == json!("default") {
        let message = "the specified group: \"default\" name: \"default\" cannot be deleted by a user";
        return Err(ApiError::new("CannotDelete", message));
    }
    let wears = |doc: &Value| doc["groupSet"].as_array().is_some_and(|set| set.iter().any(|g| g["groupId"] == *id));
    let names = |rule: &Value| rule["referencedGroupInfo"]["groupId"] == *id && rule["groupId"] != *id;
    if cx.tx.any("eni", wears) || cx.tx.any("instance", wears) || cx.tx.any("sgr", names) {
        return Err(ApiError::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    cx.tx.delete_where("sgr", |rule| rule["groupId"] == *id);
    cx.tx.delete("sg", &id);
    cx.ec2(&json!({"return": true, "groupId": id}))
}
