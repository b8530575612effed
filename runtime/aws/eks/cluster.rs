//! `aws::eks::cluster` and `aws::eks::find_cluster`.

use super::{broken, check_name, issue, sorted, tag, unless_busy, unless_unseen, unsorted, version};
use crate::{
    aws::{
        self,
        object::{absent, found, gone, text, touches},
        valid,
    },
    bind::{Change, Lookup, Ownership, Readiness, Resource},
    cx::Cx,
    error::{Error, Result},
};
use async_trait::async_trait;
use aws_sdk_eks::types::{
    AuthenticationMode, CreateAccessConfigRequest, LogSetup, LogType, Logging, UpdateAccessConfigRequest,
    VpcConfigRequest,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// All logs that a control plane can write.
const LOGS: &[&str] = &["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// An EKS control plane: Kubernetes without nodes.
///
/// Its version goes up in place, one minor version at a time, and never back. Endpoint access, subnets, security groups,
/// logging and authentication mode change in place too. It never makes nodes: see `aws::eks::nodegroup`.
///
/// # Errors
/// A cluster of that name that is not ours; a version that EKS no longer offers; subnets of fewer than two zones; a role that
/// EKS may not assume.
///
/// ```rhai
/// let cluster = aws::eks::cluster(#{
///     name: "gitpod", role: role.arn, version: "1.33", subnets: [private_a.id, private_b.id],
///     public_access: true, private_access: true, logging: ["api", "audit"],
/// });
/// ```
///
/// Stands on DescribeCluster, CreateCluster, UpdateClusterConfig, UpdateClusterVersion, TagResource, DeleteCluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterArgs {
    /// Name, unique in account and region: 1 to 100 letters, digits, `-` and `_`.
    pub name: String,
    /// ARN of the role that EKS assumes.
    pub role: String,
    /// Kubernetes version: `"1.33"`.
    pub version: String,
    /// Ids of subnets in at least two zones.
    pub subnets: Vec<String>,
    /// Ids of security groups besides the one EKS makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Whether the API can be reached from outside. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_access: Option<bool>,
    /// Whether the API can be reached from inside the VPC. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_access: Option<bool>,
    /// From where it can be reached from outside. Default: `["0.0.0.0/0"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_cidrs: Option<Vec<String>>,
    /// Logs of the control plane that go to CloudWatch: any of `api`, `audit`, `authenticator`, `controllerManager`,
    /// `scheduler`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Vec<String>>,
    /// `CONFIG_MAP`, `API_AND_CONFIG_MAP` or `API`; only ever changes in this direction. Default: EKS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_mode: Option<String>,
    /// Whether EKS installs its network, DNS and proxy at creation; not looked at later. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_self_managed_addons: Option<bool>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A cluster as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClusterObserved {
    /// Its name.
    pub name: String,
    /// ARN of its role.
    pub role: String,
    /// Kubernetes version.
    pub version: String,
    /// Ids of its subnets.
    pub subnets: Vec<String>,
    /// Ids of its security groups besides the one EKS made.
    pub security_groups: Vec<String>,
    /// Whether the API can be reached from outside.
    pub public_access: bool,
    /// Whether the API can be reached from inside the VPC.
    pub private_access: bool,
    /// From where it can be reached from outside.
    pub public_cidrs: Vec<String>,
    /// Logs that go to CloudWatch.
    pub logging: Vec<String>,
    /// How callers are known.
    pub authentication_mode: Option<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// URL of the API; empty until it is there.
    pub endpoint: String,
    /// The API's certificate authority, base64; empty until it is there.
    pub certificate_authority: String,
    /// OIDC issuer of its service accounts; empty until it is there.
    pub issuer: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Id of the security group that EKS made for control plane and nodes.
    pub cluster_security_group: String,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DELETING`, `FAILED`.
    pub status: String,
    /// EKS's own version of it: `eks.5`.
    pub platform_version: String,
    /// Where it is.
    pub region: String,
    /// What EKS says is wrong.
    #[serde(default)]
    pub issues: Vec<String>,
}

/// See [`ClusterArgs`].
pub struct Cluster;

#[async_trait]
impl Resource for Cluster {
    const KIND: &'static str = "aws::eks::cluster";
    type Args = ClusterArgs;
    type Observed = ClusterObserved;
    const REPLACE: &'static [&'static str] = &["name", "role"];
    const UNCOMPARED: &'static [&'static str] = &["bootstrap_self_managed_addons"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["platform_version", "status"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 15;
    const TIMEOUT_S: u64 = 3600;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &ClusterArgs) -> Result<()> {
        check_name("a cluster", &args.name, 100)?;
        args.version.parse::<version::Version>()?;
        if args.subnets.len() < 2 {
            return Err(Error::usage("a cluster needs `subnets` in at least two zones"));
        }
        for cidr in args.public_cidrs.iter().flatten() {
            valid::cidr("public_cidrs", cidr)?;
        }
        if let Some(odd) = args.logging.iter().flatten().find(|log| !LOGS.contains(&log.as_str())) {
            return Err(Error::usage(format!("`{odd}` is no log of a control plane"))
                .hint(format!("`logging` takes any of `{}`", LOGS.join("`, `"))));
        }
        if args.public_access == Some(false) && args.private_access != Some(true) {
            return Err(Error::usage("a cluster without `public_access` needs `private_access: true`"));
        }
        let modes = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];
        if let Some(odd) = args.authentication_mode.as_deref().filter(|mode| !modes.contains(mode)) {
            return Err(Error::usage(format!("`{odd}` is no authentication mode"))
                .hint(format!("`authentication_mode` is one of `{}`", modes.join("`, `"))));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &ClusterArgs) -> Result<Option<ClusterObserved>> {
        observe(cx, &args.name).await
    }

    async fn read(cx: &Cx, last: &ClusterObserved) -> Result<Option<ClusterObserved>> {
        observe(cx, &last.name).await
    }

    fn tags(observed: &ClusterObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn readiness(observed: &ClusterObserved) -> Readiness {
        match observed.status.as_str() {
            "ACTIVE" => Readiness::Ready,
            "FAILED" => broken(&observed.status, &observed.issues),
            status => Readiness::Pending(format!("status {status}")),
        }
    }

    async fn create(cx: &Cx, args: &ClusterArgs, token: &str) -> Result<ClusterObserved> {
        let aws = aws::clients(cx).await?;
        let access = args.authentication_mode.as_deref().map(|mode| {
            let access = CreateAccessConfigRequest::builder().authentication_mode(AuthenticationMode::from(mode));
            access.bootstrap_cluster_creator_admin_permissions(true).build()
        });
        let made = aws
            .eks()
            .create_cluster()
            .name(&args.name)
            .role_arn(&args.role)
            .version(&args.version)
            .resources_vpc_config(
                network(args)
                    .set_subnet_ids(Some(args.subnets.clone()))
                    .set_security_group_ids(args.security_groups.clone())
                    .build(),
            )
            .set_logging(args.logging.as_deref().map(logging))
            .set_access_config(access)
            .set_bootstrap_self_managed_addons(args.bootstrap_self_managed_addons)
            .set_tags(Some(unsorted(&cx.tags(&args.tags))))
            .client_request_token(token)
            .send()
            .await
            .map_err(unless_unseen)?;
        observed(made.cluster().ok_or_else(|| absent("the cluster"))?, aws.region())
    }

    /// EKS takes one kind of change at a time, and none while another is under way: the first is made here, the engine waits
    /// and comes back with the rest.
    async fn update(cx: &Cx, args: &ClusterArgs, observed: &ClusterObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let eks = aws.eks();
        if touches(changes, "tags") {
            tag(cx, &observed.arn, &args.tags).await?;
        }
        if touches(changes, "version") {
            version::check_step(&observed.version, &args.version)?;
            let update = eks.update_cluster_version().name(&args.name).version(&args.version);
            update.send().await.map_err(unless_busy)?;
            return Ok(());
        }
        let update = eks.update_cluster_config().name(&args.name);
        let update = if ["public_access", "private_access", "public_cidrs"].iter().any(|field| touches(changes, field))
        {
            update.resources_vpc_config(network(args).build())
        } else if touches(changes, "subnets") || touches(changes, "security_groups") {
            let network = VpcConfigRequest::builder().set_subnet_ids(Some(args.subnets.clone()));
            update.resources_vpc_config(network.set_security_group_ids(args.security_groups.clone()).build())
        } else if touches(changes, "logging") {
            update.logging(logging(args.logging.as_deref().unwrap_or_default()))
        } else if let Some(mode) =
            args.authentication_mode.as_deref().filter(|_| touches(changes, "authentication_mode"))
        {
            let mode = AuthenticationMode::from(mode);
            update.access_config(UpdateAccessConfigRequest::builder().authentication_mode(mode).build())
        } else {
            return Ok(());
        };
        update.send().await.map_err(unless_busy)?;
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &ClusterObserved) -> Result<()> {
        if observed.status == "DELETING" {
            return Ok(());
        }
        let aws = aws::clients(cx).await?;
        gone(aws.eks().delete_cluster().name(&observed.name).send().await.map_err(Error::from))
    }
}

/// Who can reach the API.
fn network(args: &ClusterArgs) -> aws_sdk_eks::types::builders::VpcConfigRequestBuilder {
    VpcConfigRequest::builder()
        .set_endpoint_public_access(args.public_access)
        .set_endpoint_private_access(args.private_access)
        .set_public_access_cidrs(args.public_cidrs.clone())
}

/// `wanted` logs on, the others off.
fn logging(wanted: &[String]) -> Logging {
    let setup = |on: bool| {
        let of = LOGS.iter().filter(|log| wanted.iter().any(|one| one == *log) == on).map(|log| LogType::from(*log));
        let of: Vec<LogType> = of.collect();
        (!of.is_empty()).then(|| LogSetup::builder().enabled(on).set_types(Some(of)).build())
    };
    Logging::builder().set_cluster_logging(Some([setup(true), setup(false)].into_iter().flatten().collect())).build()
}

async fn observe(cx: &Cx, name: &str) -> Result<Option<ClusterObserved>> {
    let aws = aws::clients(cx).await?;
    let Some(answer) = found(aws.eks().describe_cluster().name(name).send().await.map_err(Error::from))? else {
        return Ok(None);
    };
    answer.cluster().map(|cluster| observed(cluster, aws.region())).transpose()
}

fn observed(cluster: &aws_sdk_eks::types::Cluster, region: &str) -> Result<ClusterObserved> {
    let network = cluster.resources_vpc_config().ok_or_else(|| absent("the cluster's network"))?;
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let setups = cluster.logging().map(aws_sdk_eks::types::Logging::cluster_logging).unwrap_or_default();
    let logging =
        setups.iter().filter(|setup| setup.enabled() == Some(true)).flat_map(aws_sdk_eks::types::LogSetup::types);
    let issues = cluster.health().map(aws_sdk_eks::types::ClusterHealth::issues).unwrap_or_default();
    Ok(ClusterObserved {
        name: own(cluster.name()),
        role: own(cluster.role_arn()),
        version: own(cluster.version()),
        subnets: network.subnet_ids().to_vec(),
        security_groups: network.security_group_ids().to_vec(),
        public_access: network.endpoint_public_access(),
        private_access: network.endpoint_private_access(),
        public_cidrs: network.public_access_cidrs().to_vec(),
        logging: logging.map(|log| log.as_str().to_owned()).collect(),
        authentication_mode: cluster
            .access_config()
            .and_then(|access| access.authentication_mode())
            .map(|mode| mode.as_str().to_owned()),
        tags: sorted(cluster.tags()),
        arn: own(cluster.arn()),
        endpoint: own(cluster.endpoint()),
        certificate_authority: own(cluster.certificate_authority().and_then(|authority| authority.data())),
        issuer: own(cluster.identity().and_then(|identity| identity.oidc()).and_then(|oidc| oidc.issuer())),
        vpc: own(network.vpc_id()),
        cluster_security_group: own(network.cluster_security_group_id()),
        status: own(cluster.status().map(aws_sdk_eks::types::ClusterStatus::as_str)),
        platform_version: own(cluster.platform_version()),
        region: region.to_owned(),
        issues: issues
            .iter()
            .map(|one| issue(one.code().map(aws_sdk_eks::types::ClusterIssueCode::as_str), one.message()))
            .collect(),
    })
}

/// Looks for an EKS cluster by name.
///
/// Use it to work with a cluster that something else made. It never changes anything.
///
/// # Errors
/// The caller may not call `eks:DescribeCluster`.
///
/// ```rhai
/// let cluster = aws::eks::find_cluster(#{ name: "gitpod" });
/// if cluster == () { fail("there is no cluster"); }
/// ```
///
/// Stands on DescribeCluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindClusterArgs {
    /// Its name.
    pub name: String,
}

/// See [`FindClusterArgs`].
pub struct FindCluster;

#[async_trait]
impl Lookup for FindCluster {
    const NAME: &'static str = "aws::eks::find_cluster";
    type Args = FindClusterArgs;
    type Output = Option<ClusterObserved>;

    async fn look(cx: &Cx, args: &FindClusterArgs) -> Result<Option<ClusterObserved>> {
        observe(cx, &args.name).await
    }
}
