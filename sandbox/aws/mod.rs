//! The simulated AWS: one listener for all services, each of which is one file or folder.
//!
//! A service is a [`Service`] in [`SERVICES`]. Its handler gets a [`Cx`]: the parameters, the caller, the region and
//! an open transaction, which is kept when the handler succeeds and taken back when it fails.
//!
//! Documents that services share, by table (regional unless they begin with `/`):
//! - `vpc`, `subnet`, `sg` (security groups), `eni` (network interfaces), `lt` (launch templates), `ltv` (versions,
//!   id `LT/NUMBER`), `instance`, `volume`: as EC2 shows them, camelCase, e.g. `subnet` has `subnetId`, `vpcId`,
//!   `availabilityZone`, `cidrBlock`, `tagSet: [{key, value}]`; `sg` has `groupId`, `groupName`, `vpcId`;
//!   `eni` has `networkInterfaceId`, `subnetId`, `vpcId`, `groupSet: [{groupId}]`, `description`, and
//!   keeps its subnet and groups from being deleted;
//! - `/iam.role`, `/iam.user`, `/iam.policy` (id is the ARN), `/iam.key`: as IAM shows them, e.g. `Arn`;
//! - `eks.cluster` (id is the name), `eks.nodegroup` (id `CLUSTER/NAME`): as EKS shows them, camelCase;
//! - `asg` (id is the name): as AutoScaling shows them; `elb` and `elbv2`: load balancers by name and ARN;
//! - `token`: idempotency tokens.
//!
//! Members that begin with `_` are private: never shown. `_ready_at` (unix milliseconds) is when a transient state ends.

pub mod acm;
pub mod admin;
pub mod auth;
pub mod autoscaling;
pub mod dispatch;
pub mod due;
pub mod ec2;
pub mod ecr;
pub mod eks;
pub mod elb;
pub mod elbv2;
pub mod fleet;
pub mod http;
pub mod iam;
pub mod kms;
pub mod logs;
pub mod params;
pub mod query;
pub mod rds;
pub mod rest;
pub mod route53;
pub mod s3;
pub mod secretsmanager;
pub mod server;
pub mod service_quotas;
pub mod signature;
pub mod ssm;
pub mod sts;
pub mod tagging;
pub mod xml;

use serde_json::{Value, json};

pub use self::dispatch::{Answer, Env};

use self::auth::Caller;
use self::http::{ApiError, Outcome, Request};
use self::params::Params;
use crate::core::clock::Clock;
use crate::core::store::Tx;

/// The wire protocol of a service, with the name space of its XML.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Protocol {
    /// EC2's flavour of the query protocol.
    Ec2,
    /// Query protocol.
    Query(&'static str),
    /// REST with JSON bodies.
    RestJson,
    /// JSON 1.1, operation by `X-Amz-Target`.
    Json11,
    /// REST with XML bodies and `<ErrorResponse>`.
    RestXml(&'static str),
    /// S3.
    S3,
}

/// A service and how it is recognised.
pub struct Service {
    /// Signing name, e.g. `ec2`.
    pub name: &'static str,
    /// Protocol.
    pub protocol: Protocol,
    /// API version that tells services of one signing name apart (query protocols).
    pub version: Option<&'static str>,
    /// Operations by path, for the REST protocols.
    pub routes: &'static [rest::Route],
    /// Answers an operation ([`Cx::op`]). [`Cx::unknown_operation`] for one that it does not know.
    pub handle: fn(&mut Cx<'_>) -> Outcome,
}

/// Every service: one line each.
#[rustfmt::skip]
pub const SERVICES: &[Service] = &[
    sts::SERVICE,
    ec2::SERVICE,
    iam::SERVICE,
    eks::SERVICE,
    autoscaling::SERVICE,
    s3::SERVICE,
    elb::SERVICE,
    elbv2::SERVICE,
    service_quotas::SERVICE,
    rds::SERVICE,
    route53::SERVICE,
    tagging::SERVICE,
    ssm::SERVICE,
    secretsmanager::SERVICE,
    logs::SERVICE,
    kms::SERVICE,
    ecr::SERVICE,
    acm::SERVICE,
];

/// Ends the transient states of a region that are over, service by service. Each call begins with it, in a
/// transaction of its own: what time did stays done even when the call fails.
pub fn settle(tx: &mut Tx<'_>, env: &Env, region: &str) {
    ec2::settle(tx, &env.clock);
    eks::settle(tx, env, region);
    autoscaling::settle(tx, env, region);
    elbv2::settle(tx, env);
    rds::settle(tx, env);
    route53::settle(tx, env);
}

/// One call in the hands of its handler.
pub struct Cx<'a> {
    /// What is shared.
    pub env: &'a Env,
    /// The transaction of this call.
    pub tx: Tx<'a>,
    /// The request itself.
    pub request: &'a Request,
    /// Operation, e.g. `CreateVpc`.
    pub op: String,
    /// Parameters.
    pub p: Params,
    /// Region of the request.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Who calls.
    pub caller: Caller,
    /// Id of this request.
    pub request_id: String,
    /// XML name space of the service.
    pub namespace: &'static str,
    /// Set by a fault: what this create begins must end failed, for this reason.
    pub fails: Option<String>,
    /// Bodies to forget once this call is kept.
    pub garbage: Vec<String>,
}

impl Cx<'_> {
    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.env.clock
    }

    /// An ARN of this account and region: `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// The error for an operation that the service does not have.
    ///
    /// # Errors
    /// Always.
    pub fn unknown_operation(&self) -> Outcome {
        let message = format!("The action {} is not part of this simulation.", self.op);
        Err(ApiError::new("InvalidAction", message).status(501))
    }

    /// What an earlier call with the same idempotency token made: the id that was given to [`Cx::remember`], or
    /// `None` when the token is new or absent.
    ///
    /// `wanted` is what must be the same for the call to count as a repetition.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` (or `code`) when the token came with other parameters.
    pub fn replay(&self, token: Option<&str>, wanted: &Value, code: &str) -> Result<Option<String>, ApiError> {
        let Some(token) = token.filter(|t| !t.is_empty()) else { return Ok(None) };
        let Some(entry) = self.tx.get("token", &format!("{}/{token}", self.op)) else { return Ok(None) };
        if entry["wanted"] != *wanted {
            let message = format!("Client token {token} was used before with other parameters.");
            return Err(ApiError::new(code, message));
        }
        Ok(entry["id"].as_str().map(str::to_owned))
    }

    /// Remembers that `token` made `id`.
    pub fn remember(&mut self, token: Option<&str>, wanted: &Value, id: &str) {
        if let Some(token) = token.filter(|t| !t.is_empty()) {
            let key = format!("{}/{token}", self.op);
            self.tx.put("token", &key, json!({"id": id, "wanted": wanted}));
        }
    }

    /// The parameters without the named ones: what a repetition must equal.
    pub fn wanted_without(&self, names: &[&str]) -> Value {
        let mut wanted = self.p.0.clone();
        if let Some(members) = wanted.as_object_mut() {
            members.retain(|name, _| !names.contains(&name.as_str()));
        }
        wanted
    }
}
