//! Security groups. Their rules are documents of their own: see `security_group_rule.rs`.

use serde_json::{Value, json};

use super::{Kind, find, security_group_rule as rule, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::Tx;

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

/// Makes a group with the rule that lets everything out.
///
/// # Errors
/// `InvalidGroup.Duplicate` when the VPC has one of that name.
pub fn create_group(
    cx: &mut Cx<'_>,
    name: &str,
    description: &str,
    vpc: &str,
    tag_set: &Value,
) -> Result<Value, ApiError> {
    let owner = Owner { region: &cx.region, account: &cx.account };
    group_in(&mut cx.tx, &owner, name, description, vpc, tag_set)
}

/// Whose a group is.
pub struct Owner<'a> {
    /// Region.
    pub region: &'a str,
    /// Account.
    pub account: &'a str,
}

/// The same without a call: for the world, which makes groups for load balancers.
///
/// # Errors
/// `InvalidGroup.Duplicate` when the VPC has one of that name.
pub fn group_in(
    tx: &mut Tx<'_>,
    owner: &Owner<'_>,
    name: &str,
    description: &str,
    vpc: &str,
    tag_set: &Value,
) -> Result<Value, ApiError> {
    if tx.any("sg", |group| group["vpcId"] == *vpc && group["groupName"] == *name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(ApiError::new("InvalidGroup.Duplicate", message));
    }
    let id = tx.new_id("sg");
    let group = json!({
        "groupId": id,
        "groupName": name,
        "groupDescription": description,
        "vpcId": vpc,
        "ownerId": owner.account,
        "securityGroupArn": format!("arn:aws:ec2:{}:{}:security-group/{id}", owner.region, owner.account),
        "tagSet": tag_set,
    });
    tx.put("sg", &id, group.clone());
    rule::allow_all_out(tx, owner, &id);
    Ok(group)
}

/// A group that a service makes for its own use: everything among its members, everything out. Returns its id; a
/// group of that name that exists is taken.
pub fn group_for_service(
    cx: &mut Cx<'_>,
    vpc: &str,
    name: &str,
    description: &str,
    tags: &[(String, String)],
) -> String {
    let tag_set: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    if let Ok(group) = create_group(cx, name, description, vpc, &json!(tag_set)) {
        let id = text(&group, "groupId").to_owned();
        let owner = Owner { region: &cx.region, account: &cx.account };
        rule::allow_members_in(&mut cx.tx, &owner, &id);
        id
    } else {
        let found = cx.tx.scan("sg").find(|(_, g)| g["vpcId"] == *vpc && g["groupName"] == *name);
        found.map(|(id, _)| id.clone()).unwrap_or_default()
    }
}

/// Takes a group and its rules away, and the rules of others that name it; one that is absent is fine.
pub fn remove_group(tx: &mut Tx<'_>, id: &str) {
    tx.delete_where("sgr", |rule| rule["groupId"] == *id || rule["referencedGroupInfo"]["groupId"] == *id);
    tx.delete("sg", id);
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
    let group = create_group(cx, &name, &description, text(&vpc, "vpcId"), &tag_set)?;
    cx.ec2(&json!({
        "return": true,
        "groupId": group["groupId"],
        "securityGroupArn": group["securityGroupArn"],
        "tagSet": group["tagSet"],
    }))
}

fn describe(cx: &mut Cx<'_>) -> Outcome {
    let mut all = cx.tx.select("sg", |_| true);
    let rules = rule::by_group(&cx.tx);
    for group in &mut all {
        let of_group = rules.get(text(group, "groupId")).map(Vec::as_slice).unwrap_or_default();
        let (ingress, egress) = (rule::permissions(of_group, false), rule::permissions(of_group, true));
        group["ipPermissions"] = ingress;
        group["ipPermissionsEgress"] = egress;
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
    let lives = |i: &Value| matches!(i["instanceState"]["name"].as_str(), Some("pending" | "running"));
    if cx.tx.any("eni", wears) || cx.tx.any("instance", |i| lives(i) && wears(i)) || cx.tx.any("sgr", names) {
        return Err(ApiError::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    cx.tx.delete_where("sgr", |rule| rule["groupId"] == *id);
    cx.tx.delete("sg", &id);
    cx.ec2(&json!({"return": true, "groupId": id}))
}
