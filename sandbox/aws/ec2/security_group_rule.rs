//! Rules of security groups. A document is one rule as `DescribeSecurityGroupRules` shows it; the grouped form of
//! `DescribeSecurityGroups` is made from them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::security_group::Owner;
use super::vpc::block;
use super::{Kind, find, tags, text};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::aws::params::Params;
use crate::core::store::Tx;

const KIND: Kind = Kind {
    table: "sgr",
    ids: "SecurityGroupRuleId",
    noun: "security group rule ID",
    missing: "InvalidSecurityGroupRuleId.NotFound",
    set: "securityGroupRuleSet",
    filters: &[("group-id", "groupId"), ("security-group-rule-id", "securityGroupRuleId")],
};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "AuthorizeSecurityGroupIngress" => authorize(cx, false),
        "AuthorizeSecurityGroupEgress" => authorize(cx, true),
        "RevokeSecurityGroupIngress" => revoke(cx, false),
        "RevokeSecurityGroupEgress" => revoke(cx, true),
        "DescribeSecurityGroupRules" => KIND.describe(cx),
        "ModifySecurityGroupRules" => modify(cx),
        "UpdateSecurityGroupRuleDescriptionsIngress" => describe_rules(cx, false),
        "UpdateSecurityGroupRuleDescriptionsEgress" => describe_rules(cx, true),
        _ => return None,
    })
}

/// The members that make two rules the same.
const IDENTITY: &[&str] = &[
    "groupId",
    "isEgress",
    "ipProtocol",
    "fromPort",
    "toPort",
    "cidrIpv4",
    "cidrIpv6",
    "prefixListId",
    "referencedGroupInfo",
];

fn same(a: &Value, b: &Value) -> bool {
    IDENTITY.iter().all(|name| a[*name] == b[*name])
}

/// The rule that every new group has: everything out.
pub(super) fn allow_all_out(tx: &mut Tx<'_>, owner: &Owner<'_>, group: &str) {
    let rule = json!({
        "groupId": group, "isEgress": true, "ipProtocol": "-1", "fromPort": -1, "toPort": -1, "cidrIpv4": "0.0.0.0/0",
    });
    add(tx, owner, rule, &json!([]));
}

/// Everything in from members of the same group.
pub(super) fn allow_members_in(tx: &mut Tx<'_>, owner: &Owner<'_>, group: &str) {
    let rule = json!({
        "groupId": group, "isEgress": false, "ipProtocol": "-1", "fromPort": -1, "toPort": -1,
        "referencedGroupInfo": {"groupId": group, "userId": owner.account},
    });
    add(tx, owner, rule, &json!([]));
}

/// One TCP port in from everywhere, for load balancers.
pub fn allow_port_in(tx: &mut Tx<'_>, owner: &Owner<'_>, group: &str, port: u16) {
    let rule = json!({
        "groupId": group, "isEgress": false, "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": "0.0.0.0/0",
    });
    if !tx.any("sgr", |other| same(other, &rule)) {
        add(tx, owner, rule, &json!([]));
    }
}

fn add(tx: &mut Tx<'_>, owner: &Owner<'_>, mut rule: Value, tag_set: &Value) -> Value {
    let id = tx.new_id("sgr");
    rule["securityGroupRuleId"] = json!(id);
    rule["securityGroupRuleArn"] =
        json!(format!("arn:aws:ec2:{}:{}:security-group-rule/{id}", owner.region, owner.account));
    rule["groupOwnerId"] = json!(owner.account);
    rule["tagSet"] = tag_set.clone();
    tx.put("sgr", &id, rule.clone());
    rule
}

/// The rules that `IpPermissions` (or the short form) of a call describe.
fn wanted(cx: &Cx<'_>, group: &str, egress: bool) -> Result<Vec<Value>, ApiError> {
    let mut rules = Vec::new();
    let mut permissions = cx.p.items("IpPermissions");
    if permissions.is_empty() && cx.p.has("IpProtocol") {
        let mut short = cx.p.0.clone();
        short["IpRanges"] = json!({"1": {"CidrIp": cx.p.opt("CidrIp")}});
        permissions.push(Params(short));
    }
    for permission in &permissions {
        let base = protocol_and_ports(permission, group, egress)?;
        let mut push = |name: &str, value: Value, from: &Params| {
            let mut rule = base.clone();
            rule[name] = value;
            if let Some(description) = from.opt("Description") {
                rule["description"] = json!(description);
            }
            rules.push(rule);
        };
        for range in permission.items("IpRanges") {
            let cidr = range.or("CidrIp", "");
            let block = block("CIDR", cidr)
                .map_err(|_| ApiError::new("InvalidParameterValue", format!("CIDR block {cidr} is malformed")))?;
            push("cidrIpv4", json!(block.to_string()), &range);
        }
        for range in permission.items("Ipv6Ranges") {
            push("cidrIpv6", json!(range.req("CidrIpv6")?), &range);
        }
        for list in permission.items("PrefixListIds") {
            push("prefixListId", json!(list.req("PrefixListId")?), &list);
        }
        for pair in permission.items("Groups") {
            let id = pair.req("GroupId")?;
            find(cx, &super::security_group::KIND, id)?;
            push("referencedGroupInfo", json!({"groupId": id, "userId": cx.account}), &pair);
        }
    }
    if rules.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "Must specify both from and to ports with a source or destination.",
        ));
    }
    Ok(rules)
}

fn protocol_and_ports(permission: &Params, group: &str, egress: bool) -> Result<Value, ApiError> {
    let protocol = match permission.req("IpProtocol")? {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "all" => "-1",
        known @ ("tcp" | "udp" | "icmp" | "icmpv6" | "-1") => known,
        number if number.parse::<u8>().is_ok() => number,
        other => return Err(super::invalid("IpProtocol", other, "Unknown protocol.")),
    };
    let ports = match (permission.int("FromPort")?, permission.int("ToPort")?) {
        _ if protocol == "-1" => (-1, -1),
        (Some(from), Some(to)) => (from, to),
        _ if protocol == "tcp" || protocol == "udp" => {
            let message = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        _ => (-1, -1),
    };
    let valid = matches!(protocol, "icmp" | "icmpv6" | "-1")
        || ports == (-1, -1)
        || (0 <= ports.0 && ports.0 <= ports.1 && ports.1 <= 65_535);
    if !valid {
        let message = format!("Invalid value '{}-{}' for portRange: port range is invalid.", ports.0, ports.1);
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok(json!({"groupId": group, "isEgress": egress, "ipProtocol": protocol, "fromPort": ports.0, "toPort": ports.1}))
}

fn authorize(cx: &mut Cx<'_>, egress: bool) -> Outcome {
    let group = cx.p.req("GroupId")?.to_owned();
    find(cx, &super::security_group::KIND, &group)?;
    let tag_set = tags::specified(cx, "security-group-rule")?;
    let rules = wanted(cx, &group, egress)?;
    let mut made = Vec::new();
    for rule in rules {
        if cx.tx.any("sgr", |other| same(other, &rule)) {
            let peer = text(&rule, "cidrIpv4");
            let message =
                format!("the specified rule \"peer: {peer}, {}, ALLOW\" already exists", text(&rule, "ipProtocol"));
            return Err(ApiError::new("InvalidPermission.Duplicate", message));
        }
        let count = cx.tx.scan("sgr").filter(|(_, r)| r["groupId"] == *group && r["isEgress"] == json!(egress)).count();
        if count >= 60 {
            let message = "The maximum number of rules per security group has been reached.";
            return Err(ApiError::new("RulesPerSecurityGroupLimitExceeded", message));
        }
        let owner = Owner { region: &cx.region, account: &cx.account };
        made.push(add(&mut cx.tx, &owner, rule, &tag_set));
    }
    cx.ec2(&json!({"return": true, "securityGroupRuleSet": made}))
}

fn revoke(cx: &mut Cx<'_>, egress: bool) -> Outcome {
    let group = cx.p.req("GroupId")?.to_owned();
    find(cx, &super::security_group::KIND, &group)?;
    let mut ids = cx.p.list("SecurityGroupRuleId");
    for id in &ids {
        let rule = find(cx, &KIND, id)?;
        if rule["groupId"] != *group || rule["isEgress"] != json!(egress) {
            let message = format!("The security group rule ID '{id}' does not exist");
            return Err(ApiError::new("InvalidSecurityGroupRuleId.NotFound", message));
        }
    }
    if ids.is_empty() {
        for rule in wanted(cx, &group, egress)? {
            let Some((id, _)) = cx.tx.scan("sgr").find(|(_, other)| same(other, &rule)) else {
                let message = "The specified rule does not exist in this security group.";
                return Err(ApiError::new("InvalidPermission.NotFound", message));
            };
            ids.push(id.clone());
        }
    }
    for id in &ids {
        cx.tx.delete("sgr", id);
    }
    cx.ec2_done()
}

/// Sets the descriptions of rules, named by id or by their content.
fn describe_rules(cx: &mut Cx<'_>, egress: bool) -> Outcome {
    let group = cx.p.req("GroupId")?.to_owned();
    find(cx, &super::security_group::KIND, &group)?;
    let mut changes = Vec::new();
    for entry in cx.p.items("SecurityGroupRuleDescription") {
        let id = entry.req("SecurityGroupRuleId")?.to_owned();
        find(cx, &KIND, &id)?;
        changes.push((id, json!(entry.opt("Description"))));
    }
    if changes.is_empty() {
        for rule in wanted(cx, &group, egress)? {
            let Some((id, _)) = cx.tx.scan("sgr").find(|(_, other)| same(other, &rule)) else {
                let message = "The specified rule does not exist in this security group.";
                return Err(ApiError::new("InvalidPermission.NotFound", message));
            };
            changes.push((id.clone(), rule["description"].clone()));
        }
    }
    for (id, description) in changes {
        cx.tx.update("sgr", &id, |rule| rule["description"] = description);
    }
    cx.ec2_done()
}

fn modify(cx: &mut Cx<'_>) -> Outcome {
    let group = cx.p.req("GroupId")?.to_owned();
    find(cx, &super::security_group::KIND, &group)?;
    for change in cx.p.items("SecurityGroupRule") {
        let id = change.req("SecurityGroupRuleId")?.to_owned();
        let old = find(cx, &KIND, &id)?;
        let request = change.sub("SecurityGroupRule");
        let egress = old["isEgress"] == json!(true);
        let mut rule = protocol_and_ports(&request, &group, egress)?;
        for (from, to) in [
            ("CidrIpv4", "cidrIpv4"),
            ("CidrIpv6", "cidrIpv6"),
            ("PrefixListId", "prefixListId"),
            ("Description", "description"),
        ] {
            if let Some(value) = request.opt(from) {
                rule[to] = json!(value);
            }
        }
        if let Some(other) = request.opt("ReferencedGroupId") {
            rule["referencedGroupInfo"] = json!({"groupId": other, "userId": cx.account});
        }
        for name in ["securityGroupRuleId", "securityGroupRuleArn", "groupOwnerId", "tagSet"] {
            rule[name] = old[name].clone();
        }
        cx.tx.put("sgr", &id, rule);
    }
    cx.ec2_done()
}

/// All rules by the group that they belong to.
pub(super) fn by_group<'a>(tx: &'a Tx<'_>) -> BTreeMap<&'a str, Vec<&'a Value>> {
    let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (_, rule) in tx.scan("sgr") {
        groups.entry(rule["groupId"].as_str().unwrap_or_default()).or_default().push(rule);
    }
    groups
}

/// The rules of a group in the grouped form: one entry per protocol and port range.
pub(super) fn permissions(rules: &[&Value], egress: bool) -> Value {
    let mut entries: Vec<Value> = Vec::new();
    for rule in rules {
        if rule["isEgress"] != json!(egress) {
            continue;
        }
        let key = ["ipProtocol", "fromPort", "toPort"];
        let at = entries.iter().position(|e| key.iter().all(|k| e[format!("_{k}")] == rule[*k])).unwrap_or_else(|| {
            let mut entry = json!({"ipProtocol": rule["ipProtocol"], "groups": [], "ipRanges": [], "ipv6Ranges": [], "prefixListIds": []});
            for name in key {
                entry[format!("_{name}")] = rule[name].clone();
                if name != "ipProtocol" && rule["ipProtocol"] != json!("-1") {
                    entry[name] = rule[name].clone();
                }
            }
            entries.push(entry);
            entries.len() - 1
        });
        let description = rule["description"].clone();
        let (list, item) = if rule["cidrIpv4"].is_string() {
            ("ipRanges", json!({"cidrIp": rule["cidrIpv4"], "description": description}))
        } else if rule["cidrIpv6"].is_string() {
            ("ipv6Ranges", json!({"cidrIpv6": rule["cidrIpv6"], "description": description}))
        } else if rule["prefixListId"].is_string() {
            ("prefixListIds", json!({"prefixListId": rule["prefixListId"], "description": description}))
        } else {
            let info = &rule["referencedGroupInfo"];
            ("groups", json!({"groupId": info["groupId"], "userId": info["userId"], "description": description}))
        };
        entries[at][list].as_array_mut().into_iter().for_each(|items| items.push(item.clone()));
    }
    Value::Array(entries)
}
