//! From a request to its answer: finds the service, meets faults, knows the caller, runs the handler in its
//! transaction, records the call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::auth::{self, Scope};
use super::http::{ApiError, Outcome, Reply, Request};
use super::params::Params;
use super::{Cx, Protocol, SERVICES, Service, iam, query, rest, s3, settle};
use crate::Options;
use crate::core::blob::Blobs;
use crate::core::calls::{Call, Calls, reads};
use crate::core::clock::Clock;
use crate::core::fault::{FaultAction, Faults};
use crate::core::store::Store;
use crate::k8s::KubeWorld;

/// What all calls of one simulation share.
pub struct Env {
    /// Documents.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Faults.
    pub faults: Faults,
    /// Large bodies.
    pub blobs: Blobs,
    /// The Kubernetes clusters behind EKS; a cluster is named by [`Env::kube_name`].
    pub kube: KubeWorld,
    /// Record of calls.
    pub calls: Calls,
    /// As started.
    pub options: Options,
    /// `http://127.0.0.1:PORT`, once bound.
    pub base_url: OnceLock<String>,
    /// Moves things between AWS and Kubernetes; called before each call, so that answers show what is due.
    pub sync: OnceLock<Box<dyn Fn() + Send + Sync>>,
    hidden: Mutex<BTreeMap<(String, String), u32>>,
}

/// What came of a call: an answer, or a connection to close.
pub enum Answer {
    /// Send this.
    Reply(Reply),
    /// Close without a word.
    Drop,
}

struct Found {
    service: &'static Service,
    scope: Option<Scope>,
    op: String,
    labels: Map<String, Value>,
}

impl Env {
    /// An environment over an open store.
    pub fn new(options: Options, store: Store, blobs: Blobs, kube: KubeWorld) -> Self {
        Self {
            store,
            blobs,
            kube,
            clock: Clock::new(options.pace, options.durations.clone()),
            faults: Faults::new(options.faults.clone()),
            calls: Calls::default(),
            options,
            base_url: OnceLock::new(),
            sync: OnceLock::new(),
            hidden: Mutex::default(),
        }
    }

    /// The value of a service quota as a count.
    pub fn quota(&self, service: &str, code: &str) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = crate::core::quota::value(&self.options.quotas, service, code) as usize;
        count
    }

    /// The name that the EKS cluster `name` of `region` has in the world of Kubernetes.
    pub fn kube_name(region: &str, name: &str) -> String {
        format!("{region}.{name}")
    }

    /// Answers a request of any service.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Answer {
        let request = s3::path_style(request);
        let Some(found) = find(&request) else {
            let body =
                r#"{"__type":"UnknownOperationException","message":"no simulated service answers this request"}"#;
            return Answer::Reply(Reply::new(501, "application/json", body));
        };
        let fault = self.faults.meet(found.service.name, &found.op);
        if let Some(delay) = fault.delay_ms {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if fault.drop_before {
            self.record(&found, 0, None);
            return Answer::Drop;
        }
        if let Some(sync) = self.sync.get() {
            sync();
        }
        let request_id = uuid::Uuid::new_v4().to_string();
        let outcome = match &fault.error {
            Some(error) => Err(ApiError::new(&error.code, error.message()).status(error.status())),
            None => self.work(&request, &found, &fault, &request_id),
        };
        if let Some(sync) = self.sync.get() {
            sync();
        }
        let code = outcome.as_ref().err().map(|e| e.code.clone());
        let reply = finish(outcome, found.service.protocol, &request_id);
        if fault.drop_after {
            self.record(&found, 0, code);
            return Answer::Drop;
        }
        self.record(&found, reply.status, code);
        if let Some(delay) = fault.reply_delay_ms {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        Answer::Reply(reply)
    }

    fn work(&self, request: &Request, found: &Found, fault: &FaultAction, request_id: &str) -> Outcome {
        let protocol = found.service.protocol;
        let scope = found.scope.as_ref().ok_or_else(|| auth::missing(protocol))?;
        self.store.tx(&scope.region, |tx| -> Result<(), ApiError> {
            settle(tx, self, &scope.region);
            Ok(())
        })?;
        let mut tx = self.store.begin(&scope.region);
        let caller = auth::caller(self, &tx, protocol, &scope.access_key)?;
        auth::check_signature(self, &tx, protocol, request, &scope.access_key)?;
        // What S3 calls an action is not its operation's name: S3 checks by itself, with the resource.
        let action = format!("{}:{}", found.service.name, found.op);
        if protocol != Protocol::S3 && !iam::may_call(&tx, &caller, &action) {
            return Err(auth::denied(protocol, &caller, &action));
        }
        let p = match protocol {
            Protocol::Ec2 | Protocol::Query(_) => query::parameters(request),
            Protocol::RestJson | Protocol::Json11 => rest::parameters(request, found.labels.clone())?,
            Protocol::S3 | Protocol::RestXml(_) => {
                let query = request.query.iter().map(|(k, v)| (k.clone(), json!(v)));
                Params(Value::Object(query.chain(found.labels.clone()).collect()))
            }
        };
        let read = reads(&found.op);
        if read {
            tx.hide(self.take_hidden());
        }
        let dry_run = protocol == Protocol::Ec2 && p.flag("DryRun") == Some(true);
        let mut cx = Cx {
            env: self,
            tx,
            request,
            op: found.op.clone(),
            p,
            region: scope.region.clone(),
            account: self.options.account_id.clone(),
            caller,
            request_id: request_id.to_owned(),
            namespace: match protocol {
                Protocol::Query(namespace) | Protocol::RestXml(namespace) => namespace,
                _ => "",
            },
            fails: fault.create_fails.clone(),
            garbage: Vec::new(),
        };
        let reply = (found.service.handle)(&mut cx)?;
        if dry_run {
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(ApiError::new("DryRunOperation", message).status(412));
        }
        if let (Some(reads), false) = (fault.not_found_for, read) {
            let made = cx.tx.made().into_iter().map(|key| (key, reads));
            self.hidden.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        }
        let garbage = std::mem::take(&mut cx.garbage);
        cx.tx.commit()?;
        for blob in &garbage {
            self.blobs.delete(blob);
        }
        Ok(reply)
    }

    /// The documents that this read must not see; each has one read less to wait then.
    fn take_hidden(&self) -> BTreeSet<(String, String)> {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let now = hidden.keys().cloned().collect();
        hidden.retain(|_, reads| {
            *reads = reads.saturating_sub(1);
            *reads > 0
        });
        now
    }

    fn record(&self, found: &Found, status: u16, error: Option<String>) {
        let scope = found.scope.clone().unwrap_or_default();
        self.calls.add(Call {
            number: 0,
            at_ms: self.clock.now(),
            service: found.service.name.to_owned(),
            operation: found.op.clone(),
            region: scope.region,
            status,
            error,
            write: !reads(&found.op),
            access_key: scope.access_key,
        });
    }
}

/// The service and operation of a request. Unsigned requests are matched by their form, target or path.
fn find(request: &Request) -> Option<Found> {
    let scope = auth::scope(request);
    let form = query::parameters_if_form(request);
    let action = form.as_ref().and_then(|p| p.opt("Action").map(str::to_owned));
    let version = form.as_ref().and_then(|p| p.opt("Version").map(str::to_owned));
    let named = |service: &&Service| match &scope {
        Some(scope) => scope.service == service.name,
        None => true,
    };
    SERVICES.iter().filter(named).find_map(|service| {
        let (op, labels) = match service.protocol {
            Protocol::Ec2 | Protocol::Query(_) => {
                let version_fits = service.version.is_none_or(|v| version.as_deref() == Some(v));
                (action.clone().filter(|_| version_fits)?, Map::new())
            }
            Protocol::Json11 => {
                let target = request.header("x-amz-target")?;
                (target.rsplit('.').next().unwrap_or(target).to_owned(), Map::new())
            }
            _ => rest::route(service.routes, request)?,
        };
        Some(Found { service, scope: scope.clone(), op, labels })
    })
}

fn finish(outcome: Outcome, protocol: Protocol, request_id: &str) -> Reply {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(error) => match protocol {
            Protocol::Ec2 => query::ec2_error(&error, request_id),
            Protocol::Query(namespace) | Protocol::RestXml(namespace) => {
                query::query_error(&error, namespace, request_id)
            }
            Protocol::RestJson | Protocol::Json11 => rest::json_error(&error),
            Protocol::S3 => rest::s3_error(&error, request_id),
        },
    };
    reply.with("x-amzn-requestid", request_id).with("x-amz-request-id", request_id)
}
