//! One rule of a security group.

use super::{check_name, cidr, made, tagging};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Resource},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_ec2::types::{
    IpPermission, IpRange, ResourceType, SecurityGroupRule as Described, SecurityGroupRuleDescription, UserIdGroupPair,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Which way a rule looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Who may connect to what carries the group.
    #[default]
    Ingress,
    /// Where what carries the group may connect to.
    Egress,
}

/// A rule of a security group: one peer, one range of ports.
///
/// Every change but those of `description` and `tags` replaces the rule. It never touches the group's other rules.
///
/// # Errors
/// `InvalidPermission.Duplicate` when the group has the same rule already, made by someone else.
///
/// ```rhai
/// aws::ec2::security_group_rule(#{ name: "rds-access", group: database.id, protocol: "tcp", from_port: 3306,
///                                  to_port: 3306, source_group: services.id });
/// ```
///
/// Stands on EC2 `AuthorizeSecurityGroupIngress`, `AuthorizeSecurityGroupEgress`, `DescribeSecurityGroupRules`,
/// `UpdateSecurityGroupRuleDescriptionsIngress`, `UpdateSecurityGroupRuleDescriptionsEgress`, `CreateTags`,
/// `RevokeSecurityGroupIngress`, `RevokeSecurityGroupEgress`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupRuleArgs {
    /// Its name in the stack, and its tag `Name` where `tags` says nothing else. 1 to 255 characters.
    pub name: String,
    /// Id of the group it belongs to.
    pub group: String,
    /// `ingress` or `egress`. Default `ingress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// `tcp`, `udp`, `icmp`, or `-1` for all.
    pub protocol: String,
    /// First port, 0 to 65535; `-1` for all protocols.
    pub from_port: i32,
    /// Last port.
    pub to_port: i32,
    /// Id of the group at the other end. Exactly one of `source_group` and `cidr` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_group: Option<String>,
    /// IPv4 range at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A rule as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct SecurityGroupRuleObserved {
    /// `sgr-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// Id of the group it belongs to.
    pub group: String,
    /// Which way it looks.
    pub direction: Direction,
    /// `tcp`, `udp`, `icmp`, or `-1` for all.
    pub protocol: String,
    /// First port.
    pub from_port: i32,
    /// Last port.
    pub to_port: i32,
    /// Id of the group at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_group: Option<String>,
    /// IPv4 range at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct SecurityGroupRule;

#[async_trait]
impl Resource for SecurityGroupRule {
    const KIND: &'static str = "aws::ec2::security_group_rule";
    type Args = SecurityGroupRuleArgs;
    type Observed = SecurityGroupRuleObserved;
    const REPLACE: &'static [&'static str] =
        &["group", "direction", "protocol", "from_port", "to_port", "source_group", "cidr"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &SecurityGroupRuleArgs) -> Result<()> {
        check_name(&args.name)?;
        let bad = |message: String| Err(Error::new(Class::Invalid, message));
        if !matches!(args.protocol.as_str(), "tcp" | "udp" | "icmp" | "-1") {
            return bad(format!("`protocol`: `{}` is none of `tcp`, `udp`, `icmp`, `-1`", args.protocol));
        }
        let ports = args.from_port..=args.to_port;
        let wanted = if matches!(args.protocol.as_str(), "tcp" | "udp") { 0..=65535 } else { -1..=255 };
        if ports.is_empty() || !wanted.contains(ports.start()) || !wanted.contains(ports.end()) {
            return bad(format!(
                "`from_port` to `to_port`: {} to {} is no range of ports",
                args.from_port, args.to_port
            ));
        }
        match (&args.source_group, &args.cidr) {
            (Some(_), None) => Ok(()),
            (None, Some(cidr)) => cidr::check("cidr", cidr, 0..=32),
            _ => bad("a rule needs one of `source_group` and `cidr`".to_owned()),
        }
    }

    async fn find(cx: &Cx, _args: &SecurityGroupRuleArgs) -> Result<Option<SecurityGroupRuleObserved>> {
        let clients = clients(cx).await?;
        let told = clients.ec2().describe_security_group_rules().set_filters(Some(tagging::ours(cx))).send().await?;
        Ok(told.security_group_rules().first().map(shown))
    }

    async fn read(cx: &Cx, last: &SecurityGroupRuleObserved) -> Result<Option<SecurityGroupRuleObserved>> {
        let clients = clients(cx).await?;
        let ask = clients.ec2().describe_security_group_rules().security_group_rule_ids(&last.id);
        Ok(found(ask.send().await)?.and_then(|told| told.security_group_rules().first().map(shown)))
    }

    fn tags(observed: &SecurityGroupRuleObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &SecurityGroupRuleArgs, _token: &str) -> Result<SecurityGroupRuleObserved> {
        let clients = clients(cx).await?;
        let tags = tagging::wanted(cx, &args.name, &args.tags);
        let tags = tagging::on_creation(ResourceType::SecurityGroupRule, &tags);
        let rules = match args.direction.unwrap_or_default() {
            Direction::Ingress => {
                let allow = clients.ec2().authorize_security_group_ingress().group_id(&args.group);
                let told = allow.ip_permissions(permission(args)).tag_specifications(tags).send().await?;
                told.security_group_rules
            }
            Direction::Egress => {
                let allow = clients.ec2().authorize_security_group_egress().group_id(&args.group);
                let told = allow.ip_permissions(permission(args)).tag_specifications(tags).send().await?;
                told.security_group_rules
            }
        };
        made(rules.unwrap_or_default().first().map(shown), "rule")
    }

    async fn update(
        cx: &Cx,
        args: &SecurityGroupRuleArgs,
        observed: &SecurityGroupRuleObserved,
        changes: &[Change],
    ) -> Result<()> {
        let clients = clients(cx).await?;
        if touches(changes, "description") {
            let text = SecurityGroupRuleDescription::builder().security_group_rule_id(&observed.id);
            let text = text.set_description(args.description.clone()).build();
            let ec2 = clients.ec2();
            match observed.direction {
                Direction::Ingress => {
                    let put = ec2.update_security_group_rule_descriptions_ingress().group_id(&observed.group);
                    put.security_group_rule_descriptions(text).send().await?;
                }
                Direction::Egress => {
                    let put = ec2.update_security_group_rule_descriptions_egress().group_id(&observed.group);
                    put.security_group_rule_descriptions(text).send().await?;
                }
            }
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &SecurityGroupRuleObserved) -> Result<()> {
        let clients = clients(cx).await?;
        let (ec2, id) = (clients.ec2(), &observed.id);
        match observed.direction {
            Direction::Ingress => {
                let revoke = ec2.revoke_security_group_ingress().group_id(&observed.group);
                found(revoke.security_group_rule_ids(id).send().await).map(drop)
            }
            Direction::Egress => {
                let revoke = ec2.revoke_security_group_egress().group_id(&observed.group);
                found(revoke.security_group_rule_ids(id).send().await).map(drop)
            }
        }
    }
}

fn permission(args: &SecurityGroupRuleArgs) -> IpPermission {
    let permission =
        IpPermission::builder().ip_protocol(&args.protocol).from_port(args.from_port).to_port(args.to_port);
    let description = args.description.clone();
    let peers = args
        .source_group
        .iter()
        .map(|group| UserIdGroupPair::builder().group_id(group).set_description(description.clone()).build());
    let ranges =
        args.cidr.iter().map(|cidr| IpRange::builder().cidr_ip(cidr).set_description(description.clone()).build());
    permission
        .set_user_id_group_pairs(Some(peers.collect::<Vec<_>>()).filter(|list| !list.is_empty()))
        .set_ip_ranges(Some(ranges.collect::<Vec<_>>()).filter(|list| !list.is_empty()))
        .build()
}

fn shown(rule: &Described) -> SecurityGroupRuleObserved {
    let tags = tagging::seen(rule.tags());
    SecurityGroupRuleObserved {
        id: rule.security_group_rule_id.clone().unwrap_or_default(),
        name: tagging::name(&tags),
        group: rule.group_id.clone().unwrap_or_default(),
        direction: if rule.is_egress == Some(true) { Direction::Egress } else { Direction::Ingress },
        protocol: rule.ip_protocol.clone().unwrap_or_default(),
        from_port: rule.from_port.unwrap_or(-1),
        to_port: rule.to_port.unwrap_or(-1),
        source_group: rule.referenced_group_info.as_ref().and_then(|peer| peer.group_id.clone()),
        cidr: rule.cidr_ipv4.clone(),
        description: rule.description.clone().filter(|text| !text.is_empty()),
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(changed: &[(&str, Value)]) -> SecurityGroupRuleArgs {
        let mut args = json!({ "name": "rds-access", "group": "sg-1", "protocol": "tcp", "from_port": 3306,
                               "to_port": 3306, "source_group": "sg-2" });
        for (field, value) in changed {
            args[*field] = value.clone();
        }
        serde_json::from_value(args).unwrap()
    }

    #[test]
    fn a_rule_has_one_peer_and_a_range_of_ports() {
        assert!(SecurityGroupRule::validate(&args(&[])).is_ok());
        assert!(SecurityGroupRule::validate(&args(&[("cidr", json!("10.0.0.0/8"))])).is_err());
        assert!(SecurityGroupRule::validate(&args(&[("source_group", Value::Null)])).is_err());
        assert!(SecurityGroupRule::validate(&args(&[("to_port", json!(3305))])).is_err());
        assert!(SecurityGroupRule::validate(&args(&[("to_port", json!(70000))])).is_err());
        assert!(SecurityGroupRule::validate(&args(&[("protocol", json!("http"))])).is_err());
        let all = [("protocol", json!("-1")), ("from_port", json!(-1)), ("to_port", json!(-1))];
        assert!(SecurityGroupRule::validate(&args(&all)).is_ok());
    }

    #[test]
    fn the_peer_is_sent_as_what_it_is() {
        let sent = permission(&args(&[]));
        assert_eq!(sent.user_id_group_pairs()[0].group_id(), Some("sg-2"));
        assert!(sent.ip_ranges().is_empty());
    }
}
