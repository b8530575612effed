//! The simulated Kubernetes: many clusters behind one TLS listener on the loopback address.
//!
//! A cluster is chosen by the path of its server URL, `https://127.0.0.1:PORT/clusters/NAME`, which
//! kubectl, helm and client libraries accept as they do any other. Nothing here knows of a cloud:
//! what a cluster needs from one (load balancers, whose access key a token was signed with, which
//! requests shall fail) it asks through [`Cloud`], and what the cloud gives (nodes, host names of
//! load balancers) is told to it through [`KubeWorld`].
//!
//! Time is simulated: a controller's work takes as long as the table in `control/pace.rs` says,
//! divided by the pace.

mod api;
mod auth;
mod cluster;
mod control;
mod discovery;
mod fresh;
mod kinds;
pub mod manifests;
mod merge;
mod protobuf;
mod selector;
mod serve;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod typed;
mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use world::KubeWorld;

/// What goes wrong in the simulated Kubernetes itself, not in a request to it.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// A file of the world's folder cannot be read or written, or the listener cannot be opened.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// The file or address in question.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate authority cannot be made or read back.
    #[error("cannot set up the cluster's certificates: {0}")]
    Tls(String),
    /// A cluster's name cannot stand in a URL, or no cluster has it.
    #[error("cluster `{name}`: {reason}")]
    Cluster {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The API refused a write that the simulation made itself.
    #[error("cluster `{cluster}` refused: {message}")]
    Refused {
        /// The cluster.
        cluster: String,
        /// The API's own message.
        message: String,
    },
}

/// One node as the cloud gives it to a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// The node's name, such as `ip-192-168-100-7.eu-west-1.compute.internal`; its identity.
    pub name: String,
    /// Labels beside the well-known ones, which are filled in from the other fields.
    pub labels: BTreeMap<String, String>,
    /// Taints as `(key, value, effect)`.
    pub taints: Vec<(String, String, String)>,
    /// Instance type, such as `m6i.xlarge`.
    pub instance_type: String,
    /// Kubernetes version of the kubelet, `1.33` or `1.33.4`.
    pub version: String,
    /// Operating system image, such as `Ubuntu 22.04.5 LTS`.
    pub image: String,
    /// Kernel release, such as `6.8.0-1024-aws`.
    pub kernel: String,
    /// Container runtime and version, such as `containerd://1.7.24`.
    pub runtime: String,
    /// Region, such as `eu-west-1`.
    pub region: String,
    /// Availability zone, such as `eu-west-1a`.
    pub zone: String,
    /// Address inside the network, such as `192.168.100.7`.
    pub internal_ip: String,
    /// `aws:///ZONE/INSTANCE`, as the cloud's controller writes it.
    pub provider_id: String,
    /// Pods that fit on the node.
    pub max_pods: u32,
    /// From when on (real time) the kubelet can report Ready; it does so once a network plugin
    /// runs on the node as well.
    pub ready_at: jiff::Timestamp,
}

impl NodeSpec {
    /// A node called `name` with the defaults of a managed node group, ready at once.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            instance_type: "m6i.xlarge".to_owned(),
            version: "1.33".to_owned(),
            image: "Ubuntu 22.04.5 LTS".to_owned(),
            kernel: "6.8.0-1024-aws".to_owned(),
            runtime: "containerd://1.7.24".to_owned(),
            region: "eu-west-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            internal_ip: "192.168.96.10".to_owned(),
            provider_id: format!("aws:///eu-west-1a/{name}"),
            max_pods: 110,
            ready_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }
}

/// A Service of type LoadBalancer, as the cloud needs to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// The cluster the Service is in.
    pub cluster: String,
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Service's uid; the cloud names the load balancer after it.
    pub uid: String,
    /// The Service's annotations, which choose the kind of load balancer.
    pub annotations: BTreeMap<String, String>,
    /// Each port as `(port, node port, protocol)`.
    pub ports: Vec<(u16, u16, String)>,
    /// Host name, once the cloud has given one.
    pub host: Option<String>,
}

/// A persistent volume that a cluster has made for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name of the PersistentVolume.
    pub name: String,
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// Storage class, such as `gp2`.
    pub class: String,
    /// Size.
    pub size_gib: u64,
    /// Whether the claim is gone and the volume is kept by its reclaim policy.
    pub released: bool,
}

/// What shall go wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Wait this long, then handle the request.
    Delay(Duration),
    /// Handle the request, then wait this long before the answer.
    Late(Duration),
    /// Answer with this status and message instead of handling the request.
    Refuse(u16, String),
    /// Close the connection instead of handling the request.
    Drop,
    /// Handle the request, then close the connection instead of answering.
    LoseReply,
}

/// What a cluster asks of the cloud that it runs in. Every method is called without any lock of the
/// clusters held, and may call [`KubeWorld`] in turn.
pub trait Cloud: Send + Sync {
    /// A Service of type LoadBalancer wants a load balancer, or its ports or annotations changed,
    /// or the process started again: the call can come more than once for one Service. The answer
    /// is the host name, or `None` when [`KubeWorld::set_load_balancer_host`] will tell it later.
    fn load_balancer_wanted(&self, wanted: &LoadBalancer) -> Option<String>;

    /// The Service is going away; its load balancer is to be removed. Can come more than once.
    fn load_balancer_gone(&self, gone: &LoadBalancer);

    /// These are the cluster's volumes now: those that have no disk get one, the disks of others are to be removed. Can come
    /// more than once.
    fn volumes_changed(&self, _cluster: &str, _volumes: &[Volume]) {}

    /// Whether requests signed with this access key may use the cluster.
    fn accepts(&self, cluster: &str, access_key: &str) -> bool;

    /// Whether the presigned URL of a token was signed for this cluster with the secret of its key. Yes, where the
    /// cloud knows no secrets.
    fn signed(&self, _cluster: &str, _url: &str) -> bool {
        true
    }

    /// What shall go wrong with this request, if anything.
    fn fault(&self, cluster: &str, method: &str, path: &str) -> Option<Fault>;
}

/// A cloud that gives every load balancer a name at once, accepts every key and injects no fault.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoCloud;

impl Cloud for NoCloud {
    fn load_balancer_wanted(&self, wanted: &LoadBalancer) -> Option<String> {
        let id: String = wanted.uid.chars().filter(|c| *c != '-').take(20).collect();
        Some(format!("{id}.elb.sandbox.test"))
    }

    fn load_balancer_gone(&self, _gone: &LoadBalancer) {}

    fn accepts(&self, _cluster: &str, _access_key: &str) -> bool {
        true
    }

    fn fault(&self, _cluster: &str, _method: &str, _path: &str) -> Option<Fault> {
        None
    }
}

/// The cloud of a world, shared by its clusters.
pub(crate) type SharedCloud = Arc<std::sync::RwLock<Arc<dyn Cloud>>>;
