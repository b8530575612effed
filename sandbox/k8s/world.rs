//! The world: its clusters, its listener, its folder.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Cloud, KubeError, LoadBalancer, NoCloud, NodeSpec, SharedCloud, Volume, tls};

/// Turns a failure to use `path` into ours.
pub(super) fn io(path: &Path, source: std::io::Error) -> KubeError {
    KubeError::Io { path: path.display().to_string(), source }
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), KubeError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| io(path, e))?;
    file.write_all(content).map_err(|e| io(path, e))
}

/// One cluster of the world.
#[derive(Debug, Default)]
struct Cluster {
    version: String,
    nodes: Vec<NodeSpec>,
}

struct Shared {
    dir: Option<PathBuf>,
    pace: f64,
    address: SocketAddr,
    ca_pem: String,
    admin_token: String,
    cloud: SharedCloud,
    clusters: Mutex<BTreeMap<String, Cluster>>,
}

/// All simulated clusters of a sandbox. Cloning gives another handle to the same world.
#[derive(Clone)]
pub struct KubeWorld {
    shared: Arc<Shared>,
}

impl KubeWorld {
    /// Opens the world kept in `dir` (or one in memory) and starts to serve it; to be called inside
    /// a tokio runtime. `pace` is how many simulated seconds pass in a real one.
    ///
    /// # Errors
    /// When the folder cannot be used or no port can be listened on.
    pub fn open(dir: Option<&Path>, pace: f64) -> Result<Self, KubeError> {
        if let Some(dir) = dir {
            std::fs::create_dir_all(dir).map_err(|e| io(dir, e))?;
        }
        let authority = tls::open(dir)?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(|e| io(Path::new("127.0.0.1:0"), e))?;
        let address = listener.local_addr().map_err(|e| io(Path::new("127.0.0.1:0"), e))?;
        let shared = Shared {
            dir: dir.map(Path::to_path_buf),
            pace,
            address,
            ca_pem: authority.ca_pem,
            admin_token: uuid::Uuid::new_v4().simple().to_string(),
            cloud: Arc::new(RwLock::new(Arc::new(NoCloud))),
            clusters: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Sets the cloud that the clusters ask from now on; [`NoCloud`] until then.
    pub fn set_cloud(&self, cloud: Arc<dyn Cloud>) {
        *self.shared.cloud.write().unwrap_or_else(PoisonError::into_inner) = cloud;
    }

    /// Makes the cluster when there is none of that name, and sets its Kubernetes version (`1.33`).
    ///
    /// # Errors
    /// When the name cannot stand in a URL or the cluster's journal cannot be used.
    pub fn ensure_cluster(&self, name: &str, version: &str) -> Result<(), KubeError> {
        let mut clusters = self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(name.to_owned()).or_default().version = version.to_owned();
        Ok(())
    }

    /// Removes the cluster and all that is in it. What the cloud made for it stays, as it does
    /// when a real cluster is deleted before its load balancers.
    ///
    /// # Errors
    /// When its journal cannot be removed. An absent cluster is no error.
    pub fn remove_cluster(&self, name: &str) -> Result<(), KubeError> {
        self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Names of the clusters.
    pub fn clusters(&self) -> Vec<String> {
        let clusters = self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.keys().cloned().collect()
    }

    /// Sets the nodes of a cluster: a node that is there keeps its identity (and what clients have
    /// written to it), one that is missing from `nodes` goes with its pods.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub fn set_nodes(&self, cluster: &str, nodes: Vec<NodeSpec>) -> Result<(), KubeError> {
        let mut clusters = self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        match clusters.get_mut(cluster) {
            Some(found) => found.nodes = nodes,
            None => return Err(absent(cluster)),
        }
        Ok(())
    }

    /// Names of the nodes whose condition Ready is true.
    pub fn ready_nodes(&self, _cluster: &str) -> Vec<String> {
        Vec::new()
    }

    /// The Services of type LoadBalancer of a cluster; none for an absent cluster.
    pub fn load_balancers(&self, _cluster: &str) -> Vec<LoadBalancer> {
        Vec::new()
    }

    /// Tells the host name that the cloud gave to a Service's load balancer.
    ///
    /// # Errors
    /// When there is no such cluster or Service.
    pub fn set_load_balancer_host(
        &self,
        cluster: &str,
        _namespace: &str,
        _service: &str,
        _host: &str,
    ) -> Result<(), KubeError> {
        Err(absent(cluster))
    }

    /// The persistent volumes of a cluster; none for an absent cluster.
    pub fn volumes(&self, _cluster: &str) -> Vec<Volume> {
        Vec::new()
    }

    /// The certificate authority that vouches for every cluster, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    /// Server URL of a cluster.
    pub fn url(&self, cluster: &str) -> String {
        format!("https://{}/clusters/{cluster}", self.shared.address)
    }

    /// A kubeconfig for a cluster, with the admin's token.
    pub fn kubeconfig(&self, cluster: &str) -> String {
        let (url, token) = (self.url(cluster), &self.shared.admin_token);
        let ca = STANDARD.encode(&self.shared.ca_pem);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n\
             clusters:\n- name: {cluster}\n  cluster:\n    server: {url}\n    \
             certificate-authority-data: {ca}\n\
             contexts:\n- name: {cluster}\n  context:\n    cluster: {cluster}\n    user: admin\n\
             users:\n- name: admin\n  user:\n    token: {token}\n"
        )
    }

    /// The folder that the world is kept in.
    pub fn dir(&self) -> Option<&Path> {
        self.shared.dir.as_deref()
    }

    /// Simulated seconds that pass in a real one.
    pub fn pace(&self) -> f64 {
        self.shared.pace
    }
}

fn absent(cluster: &str) -> KubeError {
    KubeError::Cluster { name: cluster.to_owned(), reason: "there is no cluster of that name".to_owned() }
}
