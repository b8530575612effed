//! `aws::rds::subnet_group`.

use super::{check_name, read_tags, sent_tags, tag};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text, touches},
    },
    bind::{Change, Ownership, Resource},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A DB subnet group: the subnets a database may live in.
///
/// It needs subnets of at least two zones. Subnets and description change in place.
///
/// # Errors
/// A group of that name that is not ours; subnets of one zone only (`DBSubnetGroupDoesNotCoverEnoughAZs`).
///
/// ```rhai
/// let group = aws::rds::subnet_group(#{
///     name: "gitpod-rds", description: "Gitpod database", subnets: network.private_subnets,
/// });
/// ```
///
/// Stands on DescribeDBSubnetGroups, ListTagsForResource, CreateDBSubnetGroup, ModifyDBSubnetGroup, AddTagsToResource,
/// DeleteDBSubnetGroup.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetGroupArgs {
    /// Name, unique in account and region: 1 to 255 lower-case letters, digits and `-`.
    pub name: String,
    /// What it is for; RDS demands one.
    pub description: String,
    /// Ids of subnets in at least two zones.
    pub subnets: Vec<String>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A subnet group as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubnetGroupObserved {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Ids of its subnets.
    pub subnets: Vec<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Id of its VPC.
    pub vpc: String,
}

/// See [`SubnetGroupArgs`].
pub struct SubnetGroup;

#[async_trait]
impl Resource for SubnetGroup {
    const KIND: &'static str = "aws::rds::subnet_group";
    type Args = SubnetGroupArgs;
    type Observed = SubnetGroupObserved;
    const REPLACE: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 600;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &SubnetGroupArgs) -> Result<()> {
        check_name("a subnet group", &args.name, 255)?;
        if args.name == "default" {
            return Err(Error::usage("`default` is AWS's own subnet group").hint("choose another `name`"));
        }
        if args.description.is_empty() {
            return Err(Error::usage("RDS demands a `description` of a subnet group"));
        }
        if args.subnets.len() < 2 {
            return Err(Error::usage("a subnet group needs `subnets` in at least two zones"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &SubnetGroupArgs) -> Result<Option<SubnetGroupObserved>> {
        let Some(group) = describe(cx, &args.name).await? else { return Ok(None) };
        let tags = tags(cx, group.db_subnet_group_arn().unwrap_or_default()).await?;
        Ok(Some(observed(&group, tags)))
    }

    async fn read(cx: &Cx, last: &SubnetGroupObserved) -> Result<Option<SubnetGroupObserved>> {
        let answers = futures::try_join!(describe(cx, &last.name), tags(cx, &last.arn));
        let Some((Some(group), tags)) = found(answers)? else { return Ok(None) };
        Ok(Some(observed(&group, tags)))
    }

    fn tags(observed: &SubnetGroupObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &SubnetGroupArgs, _token: &str) -> Result<SubnetGroupObserved> {
        let aws = aws::clients(cx).await?;
        let tags = cx.tags(&args.tags);
        let made = aws
            .rds()
            .create_db_subnet_group()
            .db_subnet_group_name(&args.name)
            .db_subnet_group_description(&args.description)
            .set_subnet_ids(Some(args.subnets.clone()))
            .set_tags(Some(sent_tags(&tags)))
            .send()
            .await?;
        Ok(observed(made.db_subnet_group().ok_or_else(|| absent("the subnet group"))?, tags))
    }

    async fn update(cx: &Cx, args: &SubnetGroupArgs, observed: &SubnetGroupObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        if touches(changes, "description") || touches(changes, "subnets") {
            aws.rds()
                .modify_db_subnet_group()
                .db_subnet_group_name(&args.name)
                .db_subnet_group_description(&args.description)
                .set_subnet_ids(Some(args.subnets.clone()))
                .send()
                .await?;
        }
        if touches(changes, "tags") {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &SubnetGroupObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let delete = aws.rds().delete_db_subnet_group().db_subnet_group_name(&observed.name);
        gone(delete.send().await.map_err(Error::from))
    }
}

async fn describe(cx: &Cx, name: &str) -> Result<Option<aws_sdk_rds::types::DbSubnetGroup>> {
    let aws = aws::clients(cx).await?;
    let answer = aws.rds().describe_db_subnet_groups().db_subnet_group_name(name).send().await.map_err(Error::from);
    Ok(found(answer)?.and_then(|answer| answer.db_subnet_groups.unwrap_or_default().into_iter().next()))
}

async fn tags(cx: &Cx, arn: &str) -> Result<BTreeMap<String, String>> {
    let aws = aws::clients(cx).await?;
    let answer = aws.rds().list_tags_for_resource().resource_name(arn).send().await?;
    Ok(read_tags(answer.tag_list()))
}

fn observed(group: &aws_sdk_rds::types::DbSubnetGroup, tags: BTreeMap<String, String>) -> SubnetGroupObserved {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    SubnetGroupObserved {
        name: own(group.db_subnet_group_name()),
        description: own(group.db_subnet_group_description()),
        subnets: group.subnets().iter().filter_map(|subnet| subnet.subnet_identifier.clone()).collect(),
        tags,
        arn: own(group.db_subnet_group_arn()),
        vpc: own(group.vpc_id()),
    }
}
