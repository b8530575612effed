//! How instances of a node group start.

use super::{made, tagging, template_data};
use crate::{
    aws::{
        clients,
        object::{found, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use aws_sdk_ec2::{
    operation::create_launch_template::builders::CreateLaunchTemplateInputBuilder,
    types::{LaunchTemplate as Described, LaunchTemplateVersion, ResourceType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A launch template: image, disk, network and start-up script of instances, for a node group to refer to.
///
/// A change makes a new version and the default of it; `version` then is that number, and a node group that refers to it
/// rolls. Old versions are never deleted. It never starts an instance.
///
/// # Errors
/// `InvalidLaunchTemplateName.AlreadyExistsException` when another one of that name is not ours.
///
/// ```rhai
/// let template = aws::ec2::launch_template(#{
///     name: "gitpod-services", image: image.id, instance_type: "m6i.xlarge", security_groups: [group.id],
///     volume_gib: 300, volume_type: "gp3", volume_iops: 6000, volume_throughput_mibs: 500, ebs_optimized: true,
///     user_data: "#!/bin/bash\n/etc/eks/bootstrap.sh gitpod\n",
/// });
/// ```
///
/// Stands on EC2 `CreateLaunchTemplate` (with its token), `DescribeLaunchTemplates`, `DescribeLaunchTemplateVersions`,
/// `CreateLaunchTemplateVersion`, `ModifyLaunchTemplate`, `CreateTags`, `DeleteLaunchTemplate`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplateArgs {
    /// Its name, unique in the region: 3 to 128 of letters, digits and `().-/_`.
    pub name: String,
    /// Id of the machine image. Default: the node group chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `m6i.xlarge`. Default: the node group chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Start-up script, in plain text; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Size of the root volume in GiB. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gib: Option<i32>,
    /// `gp3`, `gp2`, `io1`, `io2`. Default `gp3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// IOPS of the root volume: 3000 to 80000 for `gp3`. Default: the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_iops: Option<i32>,
    /// Throughput of a `gp3` volume in MiB/s: 125 to 2000. Default 125.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_throughput_mibs: Option<i32>,
    /// Whether the root volume is encrypted. Default: as the account says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_encrypted: Option<bool>,
    /// Name of the root device, which must be the image's. Default `/dev/sda1` (Ubuntu); Amazon Linux has `/dev/xvda`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_device: Option<String>,
    /// Whether the network to the disk is the instance's own. Default: the instance type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebs_optimized: Option<bool>,
    /// Whether version 1 of the metadata service answers (`true`), or only version 2 (`false`). Default: the account's.
    /// Where it is set, pods reach the service too (two hops).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imds_v1: Option<bool>,
    /// Ids of the security groups. Default: the node group chooses.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Tags of the instances and their volumes.
    #[serde(default)]
    pub instance_tags: BTreeMap<String, String>,
    /// Tags of the template itself.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A launch template as it is: its default version.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct LaunchTemplateObserved {
    /// `lt-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Number of the default version, to which the fields below belong.
    pub version: i64,
    /// Number of the newest version.
    pub latest_version: i64,
    /// Id of the machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Type of the instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Start-up script, in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Size of the root volume in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gib: Option<i32>,
    /// Type of the root volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_type: Option<String>,
    /// IOPS of the root volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_iops: Option<i32>,
    /// Throughput of the root volume in MiB/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_throughput_mibs: Option<i32>,
    /// Whether the root volume is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_encrypted: Option<bool>,
    /// Name of the root device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_device: Option<String>,
    /// Whether the network to the disk is the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebs_optimized: Option<bool>,
    /// Whether version 1 of the metadata service answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imds_v1: Option<bool>,
    /// Ids of the security groups.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Tags of the instances.
    #[serde(default)]
    pub instance_tags: BTreeMap<String, String>,
    /// All tags of the template itself.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

pub(super) struct LaunchTemplate;

#[async_trait]
impl Resource for LaunchTemplate {
    const KIND: &'static str = "aws::ec2::launch_template";
    type Args = LaunchTemplateArgs;
    type Observed = LaunchTemplateObserved;
    const UNCOMPARED: &'static [&'static str] = &["name"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["version", "latest_version"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &LaunchTemplateArgs) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
        if !(3..=128).contains(&args.name.len()) || !args.name.chars().all(allowed) {
            let message = format!("`name` of a launch template: `{}` is not allowed", args.name);
            return Err(Error::new(Class::Invalid, message).hint("3 to 128 of: letters, digits and ().-/_"));
        }
        template_data::check(args)
    }

    async fn find(cx: &Cx, args: &LaunchTemplateArgs) -> Result<Option<LaunchTemplateObserved>> {
        let clients = clients(cx).await?;
        let ask = clients.ec2().describe_launch_templates().launch_template_names(&args.name);
        let told = found(ask.send().await)?.and_then(|told| told.launch_templates).unwrap_or_default();
        let Some(id) = told.first().and_then(|template| template.launch_template_id.clone()) else { return Ok(None) };
        let version = version(cx, &id, "$Default").await?;
        Ok(version.and_then(|version| Some(shown(told.first()?, &version))))
    }

    async fn read(cx: &Cx, last: &LaunchTemplateObserved) -> Result<Option<LaunchTemplateObserved>> {
        let clients = clients(cx).await?;
        let ask = clients.ec2().describe_launch_templates().launch_template_ids(&last.id);
        let (told, version) = tokio::join!(ask.send(), version(cx, &last.id, "$Default"));
        let told = found(told)?.and_then(|told| told.launch_templates).unwrap_or_default();
        Ok(version?.and_then(|version| Some(shown(told.first()?, &version))))
    }

    fn tags(observed: &LaunchTemplateObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn create(cx: &Cx, args: &LaunchTemplateArgs, token: &str) -> Result<LaunchTemplateObserved> {
        let clients = clients(cx).await?;
        let tags = tagging::wanted(cx, &args.name, &args.tags);
        let told = create_launch_template_input(args, token, &tags).send_with(clients.ec2()).await?;
        let template = made(told.launch_template, "launch template")?;
        let id = made(template.launch_template_id.clone(), "launch template")?;
        let mut seen = template_data::requested(args);
        seen.id = id;
        seen.name.clone_from(&args.name);
        seen.version = template.default_version_number.unwrap_or(1);
        seen.latest_version = template.latest_version_number.unwrap_or(1);
        seen.tags = tags;
        Ok(seen)
    }

    async fn update(
        cx: &Cx,
        args: &LaunchTemplateArgs,
        observed: &LaunchTemplateObserved,
        changes: &[Change],
    ) -> Result<()> {
        if changes.iter().any(|change| change.field != "tags" && !change.field.starts_with("tags.")) {
            put_version(cx, args, observed).await?;
        }
        if touches(changes, "tags") {
            tagging::put(cx, &observed.id, &args.name, &args.tags).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &LaunchTemplateObserved) -> Result<()> {
        let clients = clients(cx).await?;
        found(clients.ec2().delete_launch_template().launch_template_id(&observed.id).send().await).map(drop)
    }
}

/// Makes the wanted data the default version. The newest version is looked at first: a run that was stopped may have made
/// it already.
async fn put_version(cx: &Cx, args: &LaunchTemplateArgs, observed: &LaunchTemplateObserved) -> Result<()> {
    let clients = clients(cx).await?;
    let newest = version(cx, &observed.id, "$Latest").await?;
    let number = if let Some(number) =
        newest.as_ref().filter(|newest| fits(args, newest)).and_then(|newest| newest.version_number)
    {
        number
    } else {
        let create = clients.ec2().create_launch_template_version().launch_template_id(&observed.id);
        let told = create.launch_template_data(template_data::wanted(args)).send().await?;
        made(told.launch_template_version.and_then(|version| version.version_number), "version")?
    };
    let modify = clients.ec2().modify_launch_template().launch_template_id(&observed.id);
    modify.default_version(number.to_string()).send().await?;
    Ok(())
}

/// Whether `version` is what the arguments ask for.
fn fits(args: &LaunchTemplateArgs, version: &LaunchTemplateVersion) -> bool {
    let Some(data) = version.launch_template_data() else { return false };
    let (Ok(wanted), Ok(there)) = (serde_json::to_value(args), serde_json::to_value(template_data::seen(data))) else {
        return false;
    };
    compare(&wanted, &there, &[], &["name", "tags"]).is_empty()
}

async fn version(cx: &Cx, id: &str, which: &str) -> Result<Option<LaunchTemplateVersion>> {
    let clients = clients(cx).await?;
    let ask = clients.ec2().describe_launch_template_versions().launch_template_id(id).versions(which);
    let told = found(ask.send().await)?;
    Ok(told.and_then(|told| told.launch_template_versions.unwrap_or_default().into_iter().next()))
}

fn create_launch_template_input(
    args: &LaunchTemplateArgs,
    token: &str,
    tags: &BTreeMap<String, String>,
) -> CreateLaunchTemplateInputBuilder {
    CreateLaunchTemplateInputBuilder::default()
        .launch_template_name(&args.name)
        .launch_template_data(template_data::wanted(args))
        .client_token(token)
        .tag_specifications(tagging::on_creation(ResourceType::LaunchTemplate, tags))
}

fn shown(template: &Described, version: &LaunchTemplateVersion) -> LaunchTemplateObserved {
    let mut seen = version.launch_template_data().map(template_data::seen).unwrap_or_default();
    seen.id = template.launch_template_id.clone().unwrap_or_default();
    seen.name = template.launch_template_name.clone().unwrap_or_default();
    seen.version = version.version_number.unwrap_or_default();
    seen.latest_version = template.latest_version_number.unwrap_or_default();
    seen.tags = tagging::seen(template.tags());
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_sent_and_names_are_checked() {
        let args = LaunchTemplateArgs { name: "gitpod-services".into(), ..Default::default() };
        let input = create_launch_template_input(&args, "token-1", &BTreeMap::new());
        assert_eq!(input.get_client_token().as_deref(), Some("token-1"));
        assert!(LaunchTemplate::validate(&args).is_ok());
        let bad = LaunchTemplateArgs { name: "a b".into(), ..Default::default() };
        assert!(LaunchTemplate::validate(&bad).is_err());
    }
}
