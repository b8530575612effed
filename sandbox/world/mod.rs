//! The world between AWS and Kubernetes: what one makes shows in the other.
//!
//! - An EKS cluster that is active has its Kubernetes; one that is deleted has none.
//! - The machines of node groups are the nodes of their cluster.
//! - A Service of type LoadBalancer has a load balancer in the VPC of its cluster, which keeps subnets and gateway
//!   from being deleted until the Service is.
//! - A persistent volume has an EBS volume. The add-on `aws-ebs-csi-driver` makes and deletes it, on the nodes.
//!
//! [`World::sync`] looks at what is there and brings both sides together, so that it does not matter where an
//! earlier process was stopped. It runs before and after each call of AWS and, for what only time or Kubernetes
//! changes, a few times a second.

mod balancers;
mod volumes;

pub use balancers::hosted_zone;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::aws::http::Request;
use crate::aws::{self, Env};
use crate::core::calls::Call;
use crate::core::fault::FaultAction;
use crate::core::store::{StoreError, Tx};
use crate::k8s::{Cloud, Fault, KubeError, LoadBalancer, NodeSpec, Volume};

/// Keeps AWS and Kubernetes together.
pub struct World {
    env: Weak<Env>,
    seen: Mutex<Seen>,
}

/// What the last look saw, so that the next can be short.
#[derive(Default)]
struct Seen {
    commits: Option<u64>,
    due_at: i64,
    nodes: BTreeMap<String, Vec<NodeSpec>>,
    drivers: BTreeMap<String, bool>,
}

/// A cluster of EKS.
#[derive(Debug, Clone)]
struct Cluster {
    region: String,
    name: String,
    version: String,
    vpc: String,
}

impl Cluster {
    fn kube_name(&self) -> String {
        Env::kube_name(&self.region, &self.name)
    }
}

/// Tables of which a document's `_ready_at` or `_node_ready_at` may change what Kubernetes shows.
const TIMED: &[&str] = &["eks.cluster", "eks.nodegroup", "instance", "elbv2"];

impl World {
    /// Begins to keep the two together; ends when the handle is aborted.
    ///
    /// # Errors
    /// When a cluster that was there cannot be opened.
    pub fn start(env: &Arc<Env>) -> Result<(Arc<Self>, AbortHandle), KubeError> {
        let world = Arc::new(Self { env: Arc::downgrade(env), seen: Mutex::default() });
        env.kube.set_cloud(Arc::clone(&world) as Arc<dyn Cloud>);
        // Only now: another cloud would give their Services other names.
        env.kube.reopen()?;
        let weak = Arc::downgrade(&world);
        let _ = env.sync.set(Box::new(move || weak.upgrade().into_iter().for_each(|world| world.sync())));
        world.look(true);
        let weak = Arc::downgrade(&world);
        let ticks = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let Some(world) = weak.upgrade() else { return };
                world.look(true);
            }
        });
        Ok((world, ticks.abort_handle()))
    }

    /// Brings both sides together when a document has changed or a moment has come since the last time.
    pub fn sync(&self) {
        self.look(false);
    }

    fn look(&self, whole: bool) {
        let Some(env) = self.env.upgrade() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = seen.commits == Some(env.store.commits()) && !env.clock.reached(seen.due_at);
        if unchanged && !whole {
            return;
        }
        if !unchanged {
            bring_clusters(&env, &mut seen);
            seen.due_at = next_moment(&env);
            seen.commits = Some(env.store.commits());
        }
        if whole {
            bring_volumes_and_balancers(&env, &clusters(&env));
        }
    }
}

/// Gives persistent volumes and Services of type LoadBalancer what they stand for, and takes away what is left over.
fn bring_volumes_and_balancers(env: &Env, clusters: &[Cluster]) {
    for cluster in clusters {
        volumes::bring(env, cluster, &env.kube.volumes(&cluster.kube_name()));
        let wanted = env.kube.load_balancers(&cluster.kube_name());
        for balancer in wanted.iter().filter(|b| b.host.is_none()) {
            if let Some(host) = balancers::ensure(env, cluster, balancer) {
                // A Service that has gone meanwhile needs no name.
                let _ =
                    env.kube.set_load_balancer_host(&balancer.cluster, &balancer.namespace, &balancer.service, &host);
            }
        }
        balancers::remove_others(env, cluster, &wanted);
    }
}

/// The cluster that has this name in the world of Kubernetes.
fn cluster_named(env: &Env, kube_name: &str) -> Option<Cluster> {
    clusters(env).into_iter().find(|cluster| cluster.kube_name() == kube_name)
}

/// Lets what is due come about, and gives clusters their Kubernetes and nodes.
fn bring_clusters(env: &Env, seen: &mut Seen) {
    for region in env.store.scopes() {
        let settled: Result<(), StoreError> = env.store.tx(&region, |tx| {
            aws::settle(tx, env, &region);
            Ok(())
        });
        // A journal that cannot be written shows at the next call, which fails with it.
        drop(settled);
    }
    let clusters = clusters(env);
    for name in env.kube.clusters() {
        if !clusters.iter().any(|cluster| cluster.kube_name() == name) {
            drop(env.kube.remove_cluster(&name));
            seen.nodes.remove(&name);
            seen.drivers.remove(&name);
        }
    }
    for cluster in &clusters {
        let name = cluster.kube_name();
        if env.kube.ensure_cluster(&name, &cluster.version).is_err() {
            continue;
        }
        let (nodes, addon) = {
            let tx = env.store.begin(&cluster.region);
            let nodes = aws::eks::kube_nodes(&tx, env, &cluster.region, &cluster.name);
            (nodes, aws::eks::addon_runs(&tx, &cluster.name, "aws-ebs-csi-driver"))
        };
        // It runs on the nodes.
        let driver = addon && !nodes.is_empty();
        if seen.drivers.get(&name) != Some(&driver) && env.kube.set_ebs_driver(&name, driver).is_ok() {
            seen.drivers.insert(name.clone(), driver);
        }
        if seen.nodes.get(&name) != Some(&nodes) && env.kube.set_nodes(&name, nodes.clone()).is_ok() {
            seen.nodes.insert(name, nodes);
        }
    }
}

/// The clusters that have a Kubernetes: those that are there and not on their way out of existence.
fn clusters(env: &Env) -> Vec<Cluster> {
    let mut all = Vec::new();
    for region in env.store.scopes() {
        let tx = env.store.begin(&region);
        for (name, doc) in tx.scan("eks.cluster") {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if matches!(doc["status"].as_str(), Some("ACTIVE" | "UPDATING" | "DELETING")) {
                all.push(Cluster {
                    region: region.clone(),
                    name: name.clone(),
                    version: text(&doc["version"]),
                    vpc: text(&doc["resourcesVpcConfig"]["vpcId"]),
                });
            }
        }
    }
    all
}

/// The next moment at which time alone changes something, unix milliseconds.
fn next_moment(env: &Env) -> i64 {
    let (mut next, now) = (i64::MAX, env.clock.now());
    for region in env.store.scopes() {
        let tx = env.store.begin(&region);
        for (_, doc) in TIMED.iter().flat_map(|table| tx.scan(table)) {
            for at in ["_ready_at", "_node_ready_at"].iter().filter_map(|name| doc[*name].as_i64()) {
                if at > now || doc["_ready_at"] == json!(at) {
                    next = next.min(at);
                }
            }
        }
    }
    next
}

impl Cloud for World {
    fn load_balancer_wanted(&self, wanted: &LoadBalancer) -> Option<String> {
        let env = self.env.upgrade()?;
        let cluster = cluster_named(&env, &wanted.cluster)?;
        balancers::ensure(&env, &cluster, wanted)
    }

    fn load_balancer_gone(&self, gone: &LoadBalancer) {
        let Some(env) = self.env.upgrade() else { return };
        if let Some(cluster) = cluster_named(&env, &gone.cluster) {
            balancers::remove(&env, &cluster, gone);
        }
    }

    fn volumes_changed(&self, cluster: &str, volumes: &[Volume]) {
        let Some(env) = self.env.upgrade() else { return };
        if let Some(cluster) = cluster_named(&env, cluster) {
            volumes::bring(&env, &cluster, volumes);
        }
    }

    /// The creator of the cluster and whoever has an access entry; where the cluster goes by its `aws-auth`
    /// ConfigMap too, every key that is known.
    fn accepts(&self, cluster: &str, access_key: &str) -> bool {
        let Some(env) = self.env.upgrade() else { return false };
        let Some(found) = cluster_named(&env, cluster) else { return false };
        let tx = env.store.begin(&found.region);
        let Ok(caller) = aws::auth::caller(&env, &tx, aws::Protocol::Json11, access_key) else { return false };
        let principal = principal(&tx, &caller.arn);
        let mode = tx.get("eks.cluster", &found.name).map(|doc| doc["accessConfig"]["authenticationMode"].clone());
        let entry = |doc: &Value| doc["clusterName"] == *found.name && doc["principalArn"] == *principal;
        mode != Some(json!("API")) || tx.any("eks.access", entry)
    }

    fn signed(&self, cluster: &str, url: &str) -> bool {
        let Some(env) = self.env.upgrade() else { return false };
        let Some(found) = cluster_named(&env, cluster) else { return false };
        let Some(request) = presigned(url, &found.name) else { return false };
        let Some(scope) = aws::auth::scope(&request) else { return false };
        let tx = env.store.begin(&found.region);
        aws::auth::check_signature(&env, &tx, aws::Protocol::Json11, &request, &scope.access_key).is_ok()
    }

    fn fault(&self, cluster: &str, method: &str, path: &str) -> Option<Fault> {
        let env = self.env.upgrade()?;
        let operation = format!("{method} {path}");
        let action = env.faults.meet("kubernetes", &operation);
        let (fault, status) = fault_of(&action);
        env.calls.add(Call {
            number: 0,
            at_ms: env.clock.now(),
            service: "kubernetes".to_owned(),
            operation,
            region: cluster.split('.').next().unwrap_or_default().to_owned(),
            status,
            error: action.error.map(|error| error.code),
            write: !matches!(method, "GET" | "HEAD" | "OPTIONS"),
            access_key: String::new(),
        });
        fault
    }
}

fn fault_of(action: &FaultAction) -> (Option<Fault>, u16) {
    if action.drop_before {
        return (Some(Fault::Drop), 0);
    }
    if action.drop_after {
        return (Some(Fault::LoseReply), 0);
    }
    if let Some(error) = &action.error {
        let status = match error.code.as_str() {
            "TooManyRequests" => 429,
            _ => error.status(),
        };
        return (Some(Fault::Refuse(status, error.message().to_owned())), status);
    }
    let late = |ms: u64| Fault::Late(Duration::from_millis(ms));
    let fault = action.delay_ms.map(|ms| Fault::Delay(Duration::from_millis(ms)));
    (fault.or(action.reply_delay_ms.map(late)), 200)
}

/// The request to STS that a token's URL stands for, with the headers that its maker signed.
fn presigned(url: &str, cluster: &str) -> Option<Request> {
    let (host, rest) = url.strip_prefix("https://")?.split_once('/')?;
    let (path, query) = rest.split_once('?')?;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Some(Request {
        method: "GET".to_owned(),
        raw_path: format!("/{path}"),
        signed_path: format!("/{path}"),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: [header("host", host), header("x-k8s-aws-id", cluster)].into(),
        ..Request::default()
    })
}

/// The IAM principal behind an identity: the role of an assumed role.
fn principal(tx: &Tx<'_>, arn: &str) -> String {
    let role = arn.split_once(":assumed-role/").and_then(|(_, path)| path.split('/').next());
    let known = role.and_then(|role| tx.get("/iam.role", role)).and_then(|doc| doc["Arn"].as_str());
    known.unwrap_or(arn).to_owned()
}
