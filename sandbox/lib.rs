//! Simulated AWS and Kubernetes on the loopback address, speaking the clouds' own protocols.
//!
//! [`Sandbox::start`] opens the state, binds a listener on 127.0.0.1 and answers until [`Sandbox::shutdown`].

pub mod aws;
pub mod core;
pub mod k8s;
pub mod world;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::AbortHandle;

use crate::aws::Env;
use crate::core::blob::Blobs;
use crate::core::clock::Pace;
use crate::core::fault::FaultRule;
use crate::core::store::Store;
use crate::k8s::KubeWorld;
use crate::world::World;

/// How a simulation starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that keeps the state; in memory when left out.
    pub dir: Option<PathBuf>,
    /// How much faster than the real cloud things become ready.
    pub pace: Pace,
    /// Durations of the real cloud by kind, in seconds, that differ from the built-in ones.
    pub durations: BTreeMap<String, u64>,
    /// Faults that hold from the start.
    pub faults: Vec<FaultRule>,
    /// Service quotas by code (`L-F678F1CE`) that differ from AWS's defaults.
    pub quotas: BTreeMap<String, f64>,
    /// Account of everything, twelve digits.
    pub account_id: String,
    /// Port of the AWS listener; 0 takes a free one.
    pub port: u16,
    /// Access key id that is always known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Accept `AKIA…EXAMPLE` keys too, those of AWS's documentation.
    pub allow_example_keys: bool,
    /// Refuse requests that were not signed with the secret of their key. Keys of the documentation have none here.
    pub verify_signatures: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            pace: Pace::default(),
            durations: BTreeMap::new(),
            faults: Vec::new(),
            quotas: BTreeMap::new(),
            account_id: "111122223333".to_owned(),
            port: 0,
            access_key: "AKIASANDBOX000000000".to_owned(),
            secret_key: "sandbox-secret-key-of-no-value-anywhere0".to_owned(),
            allow_example_keys: true,
            verify_signatures: true,
        }
    }
}

/// A simulation that runs.
pub struct Sandbox {
    /// `http://127.0.0.1:PORT` of all AWS services.
    pub aws_url: String,
    /// Access key id to sign with.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    env: Arc<Env>,
    listener: AbortHandle,
    /// Keeps AWS and Kubernetes together.
    world: Arc<World>,
    ticks: AbortHandle,
}

impl Sandbox {
    /// Starts a simulation; must be called inside a Tokio runtime, which must live as long as it.
    ///
    /// # Errors
    /// When the folder is in use or damaged, or the port is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let store = match &options.dir {
            Some(dir) => open_store(&dir.join("aws")).await?,
            None => Store::in_memory(),
        };
        let blobs = Blobs::open(options.dir.as_ref().map(|dir| dir.join("blobs")).as_deref())?;
        let port = options.port;
        let pace = match options.pace {
            Pace::Times(times) => times,
            Pace::Max => 1.0e6,
        };
        let kube = KubeWorld::prepare(options.dir.as_ref().map(|dir| dir.join("k8s")).as_deref(), pace)
            .map_err(io::Error::other)?;
        let env = Arc::new(Env::new(options, store, blobs, kube));
        let (world, ticks) = World::start(&env).map_err(io::Error::other)?;
        let (address, listener) = aws::server::serve(Arc::clone(&env), port).await?;
        let aws_url = format!("http://{address}");
        let _ = env.base_url.set(aws_url.clone());
        let (access_key, secret_key) = (env.options.access_key.clone(), env.options.secret_key.clone());
        Ok(Self { aws_url, access_key, secret_key, env, listener, world, ticks })
    }

    /// What all services share: documents, clock, faults, recorded calls.
    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// What keeps AWS and Kubernetes together.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Stops listening and closes all connections. Everything answered is kept already.
    pub fn shutdown(&self) {
        self.listener.abort();
        self.ticks.abort();
    }
}

/// Opens the store; waits a little for a simulation in the same process whose tasks are about to end.
async fn open_store(dir: &std::path::Path) -> io::Result<Store> {
    for _ in 0..20 {
        match Store::open(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
    Store::open(dir)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown();
    }
}
