//! AWS: its clients, made once a run, and one file or folder of bindings a service.
//!
//! Every client carries [`sending::Sending`], so that no call leaves without [`crate::wire::Wire`], and makes single
//! attempts: the engine retries, with the same token.

pub mod asked;
pub mod autoscaling;
pub mod ec2;
pub mod eks;
pub mod elb;
pub mod error;
pub mod iam;
#[cfg(all(test, feature = "sandbox"))]
mod lab;
pub mod leftovers;
mod object;
pub mod rds;
pub mod route53;
pub mod s3;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod sending;
pub mod servicequotas;
pub mod sts;
mod transport;
mod valid;

use self::transport::Proxies;
use crate::{
    bind::Registry,
    cx::Cx,
    error::{Class, Error, Result},
    wire::Wire,
};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_types::sdk_config::{RequestChecksumCalculation, ResponseChecksumValidation};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Registers the bindings of every service.
pub fn register(registry: &mut Registry) {
    autoscaling::register(registry);
    ec2::register(registry);
    eks::register(registry);
    elb::register(registry);
    iam::register(registry);
    leftovers::register(registry);
    rds::register(registry);
    route53::register(registry);
    s3::register(registry);
    servicequotas::register(registry);
    sts::register(registry);
}

/// The clients of all services, for one region and one identity. Cheap to ask for: each is a reference-counted handle.
#[derive(Debug)]
pub struct Clients {
    config: SdkConfig,
    sending: sending::Sending,
    region: String,
    own_endpoint: bool,
    ec2: aws_sdk_ec2::Client,
    eks: aws_sdk_eks::Client,
    iam: aws_sdk_iam::Client,
    s3: aws_sdk_s3::Client,
    rds: aws_sdk_rds::Client,
    route53: aws_sdk_route53::Client,
    sts: aws_sdk_sts::Client,
    autoscaling: aws_sdk_autoscaling::Client,
    elb: aws_sdk_elasticloadbalancing::Client,
    elbv2: aws_sdk_elasticloadbalancingv2::Client,
    quotas: aws_sdk_servicequotas::Client,
}

/// The place in [`crate::cx::Clients`] that the clients are made in, once.
#[derive(Default)]
struct Slot(OnceCell<Arc<Clients>>);

/// The run's clients; made at the first call.
///
/// Region: `target("aws", #{ region })`, else the SDK's chain (`AWS_REGION`, profile). Profile: `target("aws", #{ profile })`,
/// else `AWS_PROFILE`. Credentials: the entries `aws.access_key_id` and `aws.secret_access_key` of the run's endpoints when
/// both are there, else the SDK's default chain.
///
/// # Errors
/// [`Class::Usage`] when no region is known, or the bundle of certificates cannot be read.
pub async fn clients(cx: &Cx) -> Result<Arc<Clients>> {
    let slot = cx.run.clients.get_or_insert(Slot::default);
    slot.0.get_or_try_init(|| async { make(cx).await.map(Arc::new) }).await.cloned()
}

async fn make(cx: &Cx) -> Result<Clients> {
    let wanted = |field: &str| {
        let value = cx.target("aws").and_then(|target| target.get(field)).and_then(Value::as_str);
        value.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let endpoint = |name: &str| cx.run.endpoints.get(name).cloned();
    if let Some(region) = wanted("region") {
        asked::check_region(&region)?;
    }
    let proxies = Proxies::to(endpoint("aws").as_deref());
    let given = endpoint("aws.access_key_id").zip(endpoint("aws.secret_access_key"));
    let config = if let Some((id, secret)) = given {
        let plain = endpoint("aws").is_some_and(|url| url.starts_with("http://"));
        fixed(wanted("region"), &id, &secret, plain, proxies)?
    } else {
        if let Some(profile) = wanted("profile") {
            asked::check_profile(&cx.run.allowed, &profile).await?;
        }
        chain(wanted("region"), wanted("profile"), proxies).await?
    };
    let config = config.into_builder().set_endpoint(endpoint("aws"));
    Clients::new(config, endpoint("aws").is_some(), cx.run.wire.clone())
}

/// `endpoint_url` only where one is given.
trait SetEndpoint {
    fn set_endpoint(self, url: Option<String>) -> SdkConfig;
}

impl SetEndpoint for aws_types::sdk_config::Builder {
    fn set_endpoint(mut self, url: Option<String>) -> SdkConfig {
        if url.is_some() {
            self.set_endpoint_url(url);
        }
        self.build()
    }
}

/// Settings from a key that is given: nothing is read from the environment or from files. `plain`: the endpoint speaks HTTP
/// without TLS, and no other is spoken to, so that the machine's certificates need not be read.
fn fixed(region: Option<String>, id: &str, secret: &str, plain: bool, proxies: Proxies) -> Result<SdkConfig> {
    let region = region.or_else(|| std::env::var("AWS_REGION").ok()).ok_or_else(no_region)?;
    let key = Credentials::new(id, secret, None, None, "gitpod-play");
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(key))
        .identity_cache(IdentityCache::lazy().build())
        .http_client(if plain { transport::plain() } else { transport::secure(proxies)? })
        .retry_config(RetryConfig::disabled())
        .timeout_config(transport::timeouts())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build())
}

/// Settings as the `aws` command finds them.
async fn chain(region: Option<String>, profile: Option<String>, proxies: Proxies) -> Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(transport::secure(proxies)?)
        .identity_cache(IdentityCache::lazy().build())
        .retry_config(RetryConfig::disabled())
        .timeout_config(transport::timeouts())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    Ok(loader.load().await)
}

fn no_region() -> Error {
    Error::new(Class::Usage, "no AWS region is set")
        .hint("set `region` in the playbook's `target(\"aws\", #{ region: \"eu-west-1\" })`, or `AWS_REGION`")
}

/// A service's client with the interceptor in it.
macro_rules! client {
    ($service:ident, $config:expr, $sending:expr) => {
        $service::Client::from_conf($service::config::Builder::from($config).interceptor($sending.clone()).build())
    };
}

impl Clients {
    fn new(config: SdkConfig, own_endpoint: bool, wire: Wire) -> Result<Self> {
        let region = config.region().map(ToString::to_string).ok_or_else(no_region)?;
        let sending = sending::Sending::new(wire);
        Ok(Self {
            ec2: client!(aws_sdk_ec2, &config, sending),
            eks: client!(aws_sdk_eks, &config, sending),
            iam: client!(aws_sdk_iam, &config, sending),
            s3: s3_client(&config, &sending, own_endpoint),
            rds: client!(aws_sdk_rds, &config, sending),
            route53: client!(aws_sdk_route53, &config, sending),
            sts: client!(aws_sdk_sts, &config, sending),
            autoscaling: client!(aws_sdk_autoscaling, &config, sending),
            elb: client!(aws_sdk_elasticloadbalancing, &config, sending),
            elbv2: client!(aws_sdk_elasticloadbalancingv2, &config, sending),
            quotas: client!(aws_sdk_servicequotas, &config, sending),
            config,
            sending,
            region,
            own_endpoint,
        })
    }

    /// The region all calls go to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The settings behind the clients, for what signs requests itself.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Compute and network.
    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.ec2
    }

    /// Kubernetes.
    pub fn eks(&self) -> &aws_sdk_eks::Client {
        &self.eks
    }

    /// Identities and rights.
    pub fn iam(&self) -> &aws_sdk_iam::Client {
        &self.iam
    }

    /// Objects in buckets.
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// S3 in another region or as someone else: with the key given, in `region`.
    pub fn s3_as(&self, region: &str, access_key_id: &str, secret_access_key: &str) -> aws_sdk_s3::Client {
        let key = Credentials::new(access_key_id, secret_access_key, None, None, "gitpod-play");
        let config = self
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(key))
            .identity_cache(IdentityCache::lazy().build())
            .build();
        s3_client(&config, &self.sending, self.own_endpoint)
    }

    /// What carries which tags, in `region`.
    pub fn tagging_in(&self, region: &str) -> aws_sdk_resourcegroupstagging::Client {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        client!(aws_sdk_resourcegroupstagging, &config, self.sending)
    }

    /// Databases.
    pub fn rds(&self) -> &aws_sdk_rds::Client {
        &self.rds
    }

    /// DNS.
    pub fn route53(&self) -> &aws_sdk_route53::Client {
        &self.route53
    }

    /// Who the caller is.
    pub fn sts(&self) -> &aws_sdk_sts::Client {
        &self.sts
    }

    /// Groups of instances.
    pub fn autoscaling(&self) -> &aws_sdk_autoscaling::Client {
        &self.autoscaling
    }

    /// Classic load balancers.
    pub fn elb(&self) -> &aws_sdk_elasticloadbalancing::Client {
        &self.elb
    }

    /// Network and application load balancers.
    pub fn elbv2(&self) -> &aws_sdk_elasticloadbalancingv2::Client {
        &self.elbv2
    }

    /// Quotas.
    pub fn quotas(&self) -> &aws_sdk_servicequotas::Client {
        &self.quotas
    }
}

/// Other servers than AWS's own serve buckets by path: they have no names for `BUCKET.host`.
fn s3_client(config: &SdkConfig, sending: &sending::Sending, own_endpoint: bool) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).interceptor(sending.clone()).force_path_style(own_endpoint);
    aws_sdk_s3::Client::from_conf(config.build())
}
