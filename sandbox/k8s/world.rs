//! The world: its clusters, its listener, its folder.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Cloud, KubeError, LoadBalancer, NoCloud, NodeSpec, SharedCloud, Volume, cluster::Cluster, control, fresh, serve,
    store::Store, tls,
};

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

type Clusters = Mutex<BTreeMap<String, Arc<Cluster>>>;

struct Shared {
    dir: Option<PathBuf>,
    pace: f64,
    address: SocketAddr,
    ca_pem: String,
    admin_token: String,
    cloud: SharedCloud,
    clusters: Arc<Clusters>,
    server: tokio::task::AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.server.abort();
        for cluster in lock(&self.clusters).values() {
            cluster.stop();
        }
    }
}

fn lock(clusters: &Clusters) -> MutexGuard<'_, BTreeMap<String, Arc<Cluster>>> {
    clusters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All simulated clusters of a sandbox. Cloning gives another handle to the same world; the
/// listener closes with the last one.
#[derive(Clone)]
pub struct KubeWorld {
    shared: Arc<Shared>,
}

/// The admin's token: read back, or made and kept.
fn admin_token(dir: Option<&Path>) -> Result<String, KubeError> {
    let path = dir.map(|d| d.join("admin.token"));
    if let Some(path) = path.as_deref().filter(|p| p.exists()) {
        return std::fs::read_to_string(path).map_err(|e| io(path, e));
    }
    let token = uuid::Uuid::new_v4().simple().to_string();
    if let Some(path) = &path {
        write_private(path, token.as_bytes())?;
    }
    Ok(token)
}

/// Where the port of the last start is kept.
fn port_file(dir: &Path) -> PathBuf {
    dir.join("port")
}

/// A cluster's endpoint stays the same for as long as it lives, so the port of the last start is taken again; a free one
/// when there was none or something else listens there.
fn bind_where_it_was(dir: Option<&Path>) -> std::io::Result<std::net::TcpListener> {
    let former = dir.and_then(|dir| std::fs::read_to_string(port_file(dir)).ok());
    let former: Option<u16> = former.and_then(|port| port.trim().parse().ok());
    former
        .and_then(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok())
        .map_or_else(|| std::net::TcpListener::bind(("127.0.0.1", 0)), Ok)
}

impl KubeWorld {
    /// Opens the world kept in `dir` (or one in memory), with the clusters that it had, and serves
    /// it; to be called inside a tokio runtime. `pace` is how many simulated seconds pass in a real
    /// one.
    ///
    /// # Errors
    /// When the folder cannot be used or no port can be listened on.
    pub fn open(dir: Option<&Path>, pace: f64) -> Result<Self, KubeError> {
        let world = Self::prepare(dir, pace)?;
        world.reopen()?;
        Ok(world)
    }

    /// As [`KubeWorld::open`], but the clusters come back with [`KubeWorld::reopen`] only: after the cloud is set that they ask.
    ///
    /// # Errors
    /// When the folder cannot be used or no port can be listened on.
    pub fn prepare(dir: Option<&Path>, pace: f64) -> Result<Self, KubeError> {
        if let Some(dir) = dir {
            std::fs::create_dir_all(dir).map_err(|e| io(dir, e))?;
        }
        let authority = tls::open(dir)?;
        let anywhere = Path::new("127.0.0.1:0");
        let listener = bind_where_it_was(dir);
        let listener = listener.and_then(|l| l.set_nonblocking(true).map(|()| l));
        let listener = listener.and_then(tokio::net::TcpListener::from_std);
        let listener = listener.map_err(|e| io(anywhere, e))?;
        let address = listener.local_addr().map_err(|e| io(anywhere, e))?;
        if let Some(file) = dir.map(port_file) {
            std::fs::write(&file, address.port().to_string()).map_err(|e| io(&file, e))?;
        }
        let clusters = Arc::<Clusters>::default();
        let known = clusters.clone();
        let find: serve::Find = Arc::new(move |name| lock(&known).get(name).cloned());
        let server = tokio::spawn(serve::serve(listener, authority.server, find));
        Ok(Self {
            shared: Arc::new(Shared {
                dir: dir.map(Path::to_path_buf),
                pace,
                address,
                ca_pem: authority.ca_pem,
                admin_token: admin_token(dir)?,
                cloud: Arc::new(RwLock::new(Arc::new(NoCloud))),
                clusters,
                server: server.abort_handle(),
            }),
        })
    }

    /// Opens the clusters that the folder holds.
    ///
    /// # Errors
    /// When the folder or a cluster's journal cannot be used.
    pub fn reopen(&self) -> Result<(), KubeError> {
        let Some(dir) = self.shared.dir.as_ref().map(|d| d.join("clusters")) else {
            return Ok(());
        };
        std::fs::create_dir_all(&dir).map_err(|e| io(&dir, e))?;
        for entry in std::fs::read_dir(&dir).map_err(|e| io(&dir, e))? {
            let path = entry.map_err(|e| io(&dir, e))?.path();
            let version = path.join("version");
            let name = path.file_name().and_then(|n| n.to_str());
            // A folder without a version is one whose removal was cut short.
            let (Some(name), true) = (name, version.exists()) else { continue };
            let kept = std::fs::read_to_string(&version).map_err(|e| io(&version, e))?;
            self.ensure_cluster(name, &kept)?;
        }
        Ok(())
    }

    fn cluster(&self, name: &str) -> Result<Arc<Cluster>, KubeError> {
        lock(&self.shared.clusters).get(name).cloned().ok_or_else(|| absent(name))
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
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(good) {
            let reason = "use letters, digits, `-`, `_` and `.`".to_owned();
            return Err(KubeError::Cluster { name: name.to_owned(), reason });
        }
        let mut clusters = lock(&self.shared.clusters);
        let folder = self.shared.dir.as_ref().map(|d| d.join("clusters").join(name));
        let cluster = match clusters.get(name) {
            Some(cluster) if cluster.version() == version => return Ok(()),
            Some(cluster) => cluster.clone(),
            None => {
                if let Some(folder) = &folder {
                    std::fs::create_dir_all(folder).map_err(|e| io(folder, e))?;
                }
                let cluster = self.start_cluster(name, version, folder.as_deref())?;
                clusters.insert(name.to_owned(), cluster.clone());
                cluster
            }
        };
        cluster.set_version(version);
        if let Some(folder) = &folder {
            write_private(&folder.join("version"), version.as_bytes())?;
        }
        Ok(())
    }

    fn start_cluster(&self, name: &str, version: &str, folder: Option<&Path>) -> Result<Arc<Cluster>, KubeError> {
        let journal = folder.map(|f| f.join("journal.jsonl"));
        let store = Store::open(journal.as_deref()).map_err(|e| io(journal.as_deref().unwrap_or(Path::new("")), e))?;
        let shared = &self.shared;
        let cluster = Cluster::new(name, store, &shared.admin_token, shared.pace, shared.cloud.clone());
        cluster.set_version(version);
        let cluster = Arc::new(cluster);
        fresh::furnish(&cluster).map_err(|e| KubeError::Refused { cluster: name.to_owned(), message: e.message })?;
        let controllers = tokio::spawn(control::run(Arc::downgrade(&cluster)));
        cluster.started(controllers.abort_handle());
        Ok(cluster)
    }

    /// Removes the cluster and all that is in it. What the cloud made for it stays, as it does
    /// when a real cluster is deleted before its load balancers.
    ///
    /// # Errors
    /// When its folder cannot be removed. An absent cluster is no error.
    pub fn remove_cluster(&self, name: &str) -> Result<(), KubeError> {
        let Some(cluster) = lock(&self.shared.clusters).remove(name) else { return Ok(()) };
        cluster.stop();
        if let Some(dir) = &self.shared.dir {
            let folder = dir.join("clusters").join(name);
            // Without its version the folder no longer counts, should the removal be cut short.
            let version = folder.join("version");
            std::fs::remove_file(&version).map_err(|e| io(&version, e))?;
            std::fs::remove_dir_all(&folder).map_err(|e| io(&folder, e))?;
        }
        Ok(())
    }

    /// Names of the clusters.
    pub fn clusters(&self) -> Vec<String> {
        lock(&self.shared.clusters).keys().cloned().collect()
    }

    /// Sets the nodes of a cluster: a node that is there keeps its identity (and what clients have
    /// written to it), one that is missing from `nodes` goes with its pods.
    ///
    /// # Errors
    /// When there is no such cluster.
    #[allow(clippy::needless_pass_by_value)]
    pub fn set_nodes(&self, cluster: &str, nodes: Vec<NodeSpec>) -> Result<(), KubeError> {
        self.cluster(cluster)?.set_nodes(&nodes)
    }

    /// Says whether the driver of EBS volumes runs in a cluster: without it no volume is made, and none is deleted.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub fn set_ebs_driver(&self, cluster: &str, runs: bool) -> Result<(), KubeError> {
        self.cluster(cluster)?.set_ebs_driver(runs)
    }

    /// Every object of a cluster, for tests and people who look around; none for an absent cluster.
    pub fn objects(&self, cluster: &str) -> Vec<serde_json::Value> {
        let Ok(cluster) = self.cluster(cluster) else { return Vec::new() };
        let objects = cluster.store.read();
        objects.keys().iter().filter_map(|key| objects.find(key)).map(|object| (**object).clone()).collect()
    }

    /// Names of the nodes whose condition Ready is true; none for an absent cluster.
    pub fn ready_nodes(&self, cluster: &str) -> Vec<String> {
        self.cluster(cluster).map(|c| c.ready_nodes()).unwrap_or_default()
    }

    /// The Services of type LoadBalancer of a cluster; none for an absent cluster.
    pub fn load_balancers(&self, cluster: &str) -> Vec<LoadBalancer> {
        self.cluster(cluster).map(|c| c.load_balancers()).unwrap_or_default()
    }

    /// Tells the host name that the cloud gave to a Service's load balancer.
    ///
    /// # Errors
    /// When there is no such cluster or Service.
    pub fn set_load_balancer_host(
        &self,
        cluster: &str,
        namespace: &str,
        service: &str,
        host: &str,
    ) -> Result<(), KubeError> {
        self.cluster(cluster)?.set_host(namespace, service, host)
    }

    /// The persistent volumes of a cluster; none for an absent cluster.
    pub fn volumes(&self, cluster: &str) -> Vec<Volume> {
        self.cluster(cluster).map(|c| c.volumes()).unwrap_or_default()
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

    /// The token of the clusters' admin, as the kubeconfig holds it.
    pub fn admin_token(&self) -> &str {
        &self.shared.admin_token
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
