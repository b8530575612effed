//! One cluster: its objects, and what its API and its controllers share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use super::{
    Cloud, KubeError, LoadBalancer, NodeSpec, SharedCloud, Volume,
    store::{ApiError, ApiResult, Key, Store, Write},
};

/// Name of the driver of EBS volumes.
pub const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// The patch release that a version without one stands for.
const PATCH_RELEASE: &str = "4";
/// The annotation that tells the simulation when a node's kubelet may report Ready.
pub const READY_AT: &str = "sandbox.local/ready-at";

/// A cluster.
pub struct Cluster {
    /// Its name in the world.
    pub name: String,
    /// Its objects.
    pub store: Arc<Store>,
    /// The token of its admin.
    pub admin_token: String,
    /// Simulated seconds that pass in a real one.
    pub pace: f64,
    version: RwLock<String>,
    cloud: SharedCloud,
    /// What to stop when the cluster goes.
    controllers: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Cluster {
    /// A cluster around a store.
    pub fn new(name: &str, store: Store, admin_token: &str, pace: f64, cloud: SharedCloud) -> Self {
        Self {
            name: name.to_owned(),
            store: Arc::new(store),
            admin_token: admin_token.to_owned(),
            pace,
            version: RwLock::default(),
            cloud,
            controllers: Mutex::default(),
        }
    }

    /// The cloud that the cluster runs in.
    pub fn cloud(&self) -> Arc<dyn Cloud> {
        self.cloud.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kubernetes version of the control plane, as the cloud gave it.
    pub fn version(&self) -> String {
        self.version.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the Kubernetes version.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut self.version.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// `1.33` with its patch release.
    pub fn full_version(version: &str) -> String {
        let version = version.trim_start_matches('v');
        if version.split('.').count() < 3 { format!("{version}.{PATCH_RELEASE}") } else { version.to_owned() }
    }

    /// Notes the controllers, to stop them with the cluster.
    pub fn started(&self, controllers: tokio::task::AbortHandle) {
        *self.controllers.lock().unwrap_or_else(PoisonError::into_inner) = Some(controllers);
    }

    /// Stops the controllers.
    pub fn stop(&self) {
        let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(controllers) = controllers.take() {
            controllers.abort();
        }
    }

    fn refused(&self, error: ApiError) -> KubeError {
        KubeError::Refused { cluster: self.name.clone(), message: error.message }
    }

    /// Makes the nodes be those in `nodes`.
    pub fn set_nodes(&self, nodes: &[NodeSpec]) -> Result<(), KubeError> {
        self.store
            .with(|objects| {
                for node in objects.list("/nodes", "", "", "") {
                    let name = node["metadata"]["name"].as_str().unwrap_or("");
                    if nodes.iter().all(|n| n.name != name) {
                        objects.delete(&Key::new("/nodes", "", name), &Value::Null, false)?;
                    }
                }
                for node in nodes {
                    let key = Key::new("/nodes", "", &node.name);
                    let write = Write { manager: "kubelet".to_owned(), ..Write::simulation() };
                    if objects.find(&key).is_some() {
                        objects.update(&key, &write, |old| Ok(refresh_node(old, node)))?;
                    } else {
                        objects.create(&key, new_node(node), &write)?;
                    }
                }
                Ok(())
            })
            .map_err(|e| self.refused(e))
    }

    /// Shows, or takes away, the driver of EBS volumes.
    pub fn set_ebs_driver(&self, runs: bool) -> Result<(), KubeError> {
        let key = Key::new("storage.k8s.io/csidrivers", "", EBS_DRIVER);
        let write = Write { manager: "eks".to_owned(), ..Write::simulation() };
        let driver = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": EBS_DRIVER},
            "spec": {"attachRequired": true, "podInfoOnMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType"}});
        self.store
            .with(|objects| match (objects.find(&key).is_some(), runs) {
                (false, true) => objects.create(&key, driver, &write).map(drop),
                (true, false) => objects.delete(&key, &Value::Null, false).map(drop),
                _ => Ok(()),
            })
            .map_err(|e| self.refused(e))
    }

    /// Names of the nodes that are Ready.
    pub fn ready_nodes(&self) -> Vec<String> {
        let nodes = self.store.read().list("/nodes", "", "", "");
        let ready = nodes.iter().filter(|n| condition_is_true(n, "Ready"));
        ready.filter_map(|n| n["metadata"]["name"].as_str().map(String::from)).collect()
    }

    /// The Services of type LoadBalancer.
    pub fn load_balancers(&self) -> Vec<LoadBalancer> {
        let services = self.store.read().list("/services", "", "", "");
        services.iter().filter(|s| s["spec"]["type"] == "LoadBalancer").map(|s| load_balancer(&self.name, s)).collect()
    }

    /// Sets the host name of a Service's load balancer.
    pub fn set_host(&self, namespace: &str, service: &str, host: &str) -> Result<(), KubeError> {
        let key = Key::new("/services", namespace, service);
        let set = |old: &Value| -> ApiResult<Value> {
            let mut new = old.clone();
            new["status"] = json!({"loadBalancer": {"ingress": [{"hostname": host}]}});
            Ok(new)
        };
        let updated = self.store.update(&key, &Write::simulated_status(), set);
        updated.map(|_| ()).map_err(|e| self.refused(e))
    }

    /// The persistent volumes.
    pub fn volumes(&self) -> Vec<Volume> {
        let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let volumes = self.store.read().list("/persistentvolumes", "", "", "");
        volumes
            .iter()
            .map(|v| Volume {
                name: text(&v["metadata"]["name"]),
                namespace: text(&v["spec"]["claimRef"]["namespace"]),
                claim: text(&v["spec"]["claimRef"]["name"]),
                class: text(&v["spec"]["storageClassName"]),
                size_gib: gib(&text(&v["spec"]["capacity"]["storage"])),
                released: v["status"]["phase"] == "Released",
            })
            .collect()
    }
}

/// Whether a condition of an object is true.
pub fn condition_is_true(object: &Value, name: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|a| a.iter().any(|c| c["type"] == name && c["status"] == "True"))
}

/// A quantity of storage, rounded up.
fn gib(quantity: &str) -> u64 {
    let end = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let number: u64 = quantity[..end].parse().unwrap_or(0);
    match &quantity[end..] {
        "Ti" => number * 1024,
        "Gi" => number,
        "Mi" => number.div_ceil(1024),
        "G" => (number * 1_000_000_000).div_ceil(1 << 30),
        _ => number.div_ceil(1 << 30),
    }
}

/// A Service as the cloud needs to see it.
pub fn load_balancer(cluster: &str, service: &Value) -> LoadBalancer {
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let meta = &service["metadata"];
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    let annotations = meta["annotations"].as_object().into_iter().flatten();
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    LoadBalancer {
        cluster: cluster.to_owned(),
        namespace: text(&meta["namespace"]),
        service: text(&meta["name"]),
        uid: text(&meta["uid"]),
        annotations: annotations.map(|(k, v)| (k.clone(), text(v))).collect(),
        ports: ports.map(|p| (number(&p["port"]), number(&p["nodePort"]), text(&p["protocol"]))).collect(),
        host: service["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str().map(String::from),
    }
}

/// The labels that kubelet and cloud controller put on a node.
fn node_labels(node: &NodeSpec) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": node.instance_type,
        "topology.kubernetes.io/region": node.region,
        "topology.kubernetes.io/zone": node.zone,
    });
    for (name, value) in &node.labels {
        labels[name] = json!(value);
    }
    labels
}

fn node_info(node: &NodeSpec) -> Value {
    json!({"kubeletVersion": format!("v{}", Cluster::full_version(&node.version)),
        "containerRuntimeVersion": node.runtime, "kernelVersion": node.kernel,
        "osImage": node.image, "operatingSystem": "linux", "architecture": "amd64",
        "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": ""})
}

fn new_node(node: &NodeSpec) -> Value {
    let resources = json!({"cpu": "4", "memory": "16Gi", "ephemeral-storage": "300Gi",
        "pods": node.max_pods.to_string()});
    let taints: Vec<Value> =
        node.taints.iter().map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect})).collect();
    let mut spec = json!({"providerID": node.provider_id});
    if !taints.is_empty() {
        spec["taints"] = json!(taints);
    }
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": node.name, "labels": node_labels(node),
            "annotations": {READY_AT: node.ready_at.to_string()}},
        "spec": spec,
        "status": {"capacity": resources, "allocatable": resources, "nodeInfo": node_info(node),
            "addresses": [{"type": "InternalIP", "address": node.internal_ip},
                {"type": "Hostname", "address": node.name}],
            "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady",
                "message": "the kubelet has not started", "lastTransitionTime": super::store::now()}]}})
}

/// What changes on a node that is there: what the cloud says of it, and nothing that clients wrote.
fn refresh_node(old: &Value, node: &NodeSpec) -> Value {
    let mut new = old.clone();
    if !new["metadata"]["labels"].is_object() {
        new["metadata"]["labels"] = json!({});
    }
    for (name, value) in node_labels(node).as_object().into_iter().flatten() {
        new["metadata"]["labels"][name] = value.clone();
    }
    if !new["metadata"]["annotations"].is_object() {
        new["metadata"]["annotations"] = json!({});
    }
    new["metadata"]["annotations"][READY_AT] = json!(node.ready_at.to_string());
    new["status"]["nodeInfo"] = node_info(node);
    new
}

#[cfg(test)]
mod tests {
    use super::{Cluster, gib};

    #[test]
    fn quantities_and_versions() {
        assert_eq!((gib("20Gi"), gib("1500Mi"), gib("1Ti"), gib("")), (20, 2, 1024, 0));
        assert_eq!(Cluster::full_version("1.33"), "1.33.4");
        assert_eq!(Cluster::full_version("v1.31.9"), "1.31.9");
    }
}
