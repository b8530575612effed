//! A group of rules about who may connect.

use super::{check_name, made, tagging};
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
use aws_sdk_ec2::{
    operation::create_security_group::builders::CreateSecurityGroupInputBuilder,
    types::{ResourceType, SecurityGroup as Described},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A security group.
///
/// Rules are resources of their own (`aws::ec2::security_group_rule`); the rule that lets
/// everything out, which AWS gives every new group, is left as it is. Deleting waits until nothing uses the group.
///
/// # Errors
/// `InvalidGroup.Duplicate` when the VPC has a group of that name which is not ours.
///
/// ```rhai
/// let group = aws::ec2::security_group(#{ name: "gitpod-services", description: "Gitpod Services Nodegroup",
///                                         vpc: vpc.id, tags: #{ Name: "gitpod-services-sg" } });
/// ```
///
/// Stands on EC2 `CreateSecurityGroup`, `DescribeSecurityGroups`, `CreateTags`, `DeleteSecurityGroup`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupArgs {
    /// The group's name, unique in its VPC; also its tag `Name` where `tags` says nothing else. 1 to 255 characters, not
    /// beginning with `sg-`.
    pub name: String,
    /// What it is for, 1 to 255 characters. AWS cannot change it: a change replaces the group.
    pub description: String,
    /// Id of the VPC. A change replaces the group.
    pub vpc: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A security group as it is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct SecurityGroupObserved {
    /// `sg-…`
    pub id: String,
    /// The group's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Id of the VPC.
    pub vpc: String,
    /// All of its tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct SecurityGroup;

#[async_trait]
impl Resource for SecurityGroup {
    const KIND: &'static str = "aws::ec2::security_group";
    type Args = SecurityGroupArgs;
    type Observed = SecurityGroupObserved;
    const REPLACE: &'static [&'static str] = &["description", "vpc"];
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name", "vpc"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &SecurityGroupArgs) -> Result<()> {
        check_name(&args.name)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        for (field, text) in [("name", &args.name), ("description", &args.description)] {
            if text.is_empty() || text.len() > 255 || !text.chars().all(allowed) {
                let message = format!("`{field}` of a security group: `{text}` is not allowed");
                return Err(Error::new(Class::Invalid, message)
                    .hint("1 to 255 of: letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*"));
            }
        }
        if args.name.starts_with("sg-") {
            return Err(Error::new(Class::Invalid, "the name of a security group cannot begin with `sg-`"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &SecurityGroupArgs) -> Result<Option<SecurityGroupObserved>> {
        let clients = clients(cx).await?;
        let ask = |filters| clients.ec2().describe_security_groups().set_filters(Some(filters)).send();
        let ours = ask(tagging::ours(cx)).await?;
        if let Some(group) = ours.security_groups().first() {
            return Ok(Some(shown(group)));
        }
        // Names are unique in a VPC: one of someone else's would be in the way.
        let named = vec![tagging::filter("group-name", &args.name), tagging::filter("vpc-id", &args.vpc)];
        Ok(ask(named).await?.security_groups().first().map(shown))
    }

    async fn read(cx: &Cx, last: &SecurityGroupObserved) -> Result<Option<SecurityGroupObserved>> {
        let clients = clients(cx).await?;
        let told = found(clients.ec2().describe_security_groups().group_ids(&last.id).send().await)?;
        Ok(told.and_then(|told| told.security_groups().first().map(shown)))
    }

    fn tags(observed: &SecurityGroupObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &SecurityGroupArgs, _token: &str) -> Result<SecurityGroupObserved> {
        let clients = clients(cx).await?;
        let tags = tagging::wanted(cx, &args.name, &args.tags);
        let told = create_security_group_input(args, &tags).send_with(clients.ec2()).await?;
        Ok(SecurityGroupObserved {
            id: made(told.group_id, "group")?,
            name: args.name.clone(),
            description: args.description.clone(),
            vpc: args.vpc.clone(),
            tags,
        })
    }

    async fn update(
        cx: &Cx,
        args: &SecurityGroupArgs,
        observed: &SecurityGroupObserved,
        changes: &[Change],
    ) -> Result<()> {
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &SecurityGroupObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().delete_security_group().group_id(&observed.id).send().await).map(drop)
    }
}

fn create_security_group_input(
    args: &SecurityGroupArgs,
    tags: &BTreeMap<String, String>,
) -> CreateSecurityGroupInputBuilder {
    CreateSecurityGroupInputBuilder::default()
        .group_name(&args.name)
        .description(&args.description)
        .vpc_id(&args.vpc)
        .tag_specifications(tagging::on_creation(ResourceType::SecurityGroup, tags))
}

fn shown(group: &Described) -> SecurityGroupObserved {
    SecurityGroupObserved {
        id: group.group_id.clone().unwrap_or_default(),
        name: group.group_name.clone().unwrap_or_default(),
        description: group.description.clone().unwrap_or_default(),
        vpc: group.vpc_id.clone().unwrap_or_default(),
        tags: tagging::seen(group.tags()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_descriptions_are_those_that_ec2_takes() {
        let with = |name: &str, description: &str| {
            let args = json!({ "name": name, "description": description, "vpc": "vpc-1" });
            SecurityGroup::validate(&serde_json::from_value(args).unwrap())
        };
        assert!(with("gitpod-services", "Gitpod Services Nodegroup").is_ok());
        assert!(with("sg-mine", "x").is_err());
        assert!(with("gitpod", "Gitpod's group").is_err(), "an apostrophe is not allowed");
        assert!(with("gitpod", "").is_err());
    }
}
