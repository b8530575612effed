//! Where the clouds are for this command: live, at a given address, served by another process, or simulated in this one.

use super::options::{Reach, Target};
use crate::{
    cx::Pace,
    error::{Error, Result},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The clouds of one command; those that this process simulates end with it.
pub struct Clouds {
    /// Addresses by cloud, for [`crate::cx::Run::endpoints`].
    pub endpoints: BTreeMap<String, String>,
    /// `sandbox`, `live` or the address, for people.
    pub target: String,
    /// How fast waits pass.
    pub pace: Pace,
    #[cfg(feature = "sandbox")]
    served: Option<Served>,
}

#[cfg(feature = "sandbox")]
struct Served {
    sandbox: sandbox::Sandbox,
    _notice: Notice,
}

/// What a process that serves simulated clouds leaves for others: `<state folder>/sandbox/serving.json`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Serving {
    /// The process.
    pub pid: u32,
    /// Address of the simulated AWS.
    pub aws_url: String,
    /// Its access key id.
    pub access_key: String,
    /// Its secret access key; of no value anywhere else.
    pub secret_key: String,
}

impl Clouds {
    /// Finds or starts the clouds. Must be called inside the async runtime.
    pub async fn reach(reach: &Reach, state_folder: &Path) -> Result<Self> {
        let mut endpoints: BTreeMap<String, String> = reach.endpoint_pairs()?.into_iter().collect();
        if let Some(file) = &reach.kubeconfig {
            if !file.is_file() {
                return Err(Error::usage(format!("there is no kubeconfig `{}`", file.display())));
            }
            #[cfg(feature = "k8s")]
            crate::k8s::check_kubeconfig(file)?;
            // Named from here, not from the playbook's folder.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            endpoints.insert("kubeconfig".to_owned(), file.display().to_string());
        }
        let given = endpoints.contains_key("aws");
        match reach.target {
            Target::Live => Ok(Self::at(endpoints, "live".to_owned(), Pace::Times(1))),
            Target::Sandbox if given => {
                let target = format!("at {}", endpoints["aws"]);
                Ok(Self::at(endpoints, target, reach.pace))
            }
            Target::Sandbox => Self::simulated(reach, state_folder, endpoints).await,
        }
    }

    fn at(endpoints: BTreeMap<String, String>, target: String, pace: Pace) -> Self {
        Self {
            endpoints,
            target,
            pace,
            #[cfg(feature = "sandbox")]
            served: None,
        }
    }

    #[cfg(not(feature = "sandbox"))]
    async fn simulated(_: &Reach, _: &Path, _: BTreeMap<String, String>) -> Result<Self> {
        Err(Error::usage("this build has no simulated clouds").hint("add `--target live`"))
    }

    #[cfg(feature = "sandbox")]
    async fn simulated(reach: &Reach, state_folder: &Path, mut endpoints: BTreeMap<String, String>) -> Result<Self> {
        let folder = folder(state_folder);
        let (serving, served) = if let Some(serving) = serving(&folder) {
            (serving, None)
        } else {
            let (serving, served) = serve(&folder, reach, 0).await?;
            (serving, Some(served))
        };
        crate::secret::remember(&serving.secret_key);
        endpoints.insert("aws".to_owned(), serving.aws_url.clone());
        endpoints.insert("aws.access_key_id".to_owned(), serving.access_key.clone());
        endpoints.insert("aws.secret_access_key".to_owned(), serving.secret_key.clone());
        endpoints.insert("manifests".to_owned(), serving.aws_url.clone());
        let mut clouds = Self::at(endpoints, "sandbox".to_owned(), reach.pace);
        clouds.served = served;
        Ok(clouds)
    }

    /// Whether writes reach a real cloud.
    pub fn is_live(&self) -> bool {
        self.target == "live"
    }

    /// Whether this process simulates the clouds itself.
    pub fn is_served_here(&self) -> bool {
        #[cfg(feature = "sandbox")]
        return self.served.is_some();
        #[cfg(not(feature = "sandbox"))]
        return false;
    }
}

/// The folder of the simulated clouds that belong to a state folder.
pub fn folder(state_folder: &Path) -> PathBuf {
    state_folder.join("sandbox")
}

/// Who serves the clouds of `folder` right now, if anyone does.
pub fn serving(folder: &Path) -> Option<Serving> {
    let text = std::fs::read_to_string(folder.join("serving.json")).ok()?;
    let serving: Serving = serde_json::from_str(&text).ok()?;
    let address = serving.aws_url.strip_prefix("http://")?;
    // A notice that came with a playbook must not send us to another machine.
    let address = address.parse::<std::net::SocketAddr>().ok().filter(|address| address.ip().is_loopback())?;
    let alive = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300)).is_ok();
    // Another process may have got the port of one that was killed; where there is no `/proc`, the port has to do.
    let runs = Path::new("/proc").join(serving.pid.to_string()).exists() || !Path::new("/proc/self").exists();
    (alive && runs).then_some(serving)
}

#[cfg(feature = "sandbox")]
struct Notice(PathBuf);

#[cfg(feature = "sandbox")]
impl Drop for Notice {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts simulated clouds in this process and leaves the notice for others.
#[cfg(feature = "sandbox")]
async fn serve(folder: &Path, reach: &Reach, port: u16) -> Result<(Serving, Served)> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("cannot start the simulated clouds in `{}`", folder.display())).because(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let options = sandbox::Options {
        dir: Some(folder.to_owned()),
        pace: match reach.pace {
            Pace::Times(times) => sandbox::core::clock::Pace::Times(f64::from(times)),
            Pace::Max => sandbox::core::clock::Pace::Max,
        },
        faults: faults(reach.faults.as_deref())?,
        port,
        ..sandbox::Options::default()
    };
    let sandbox = sandbox::Sandbox::start(options).await.map_err(failed)?;
    let serving = Serving {
        pid: std::process::id(),
        aws_url: sandbox.aws_url.clone(),
        access_key: sandbox.access_key.clone(),
        secret_key: sandbox.secret_key.clone(),
    };
    let path = folder.join("serving.json");
    let text = serde_json::to_string(&serving).map_err(|error| Error::failed(error.to_string()))?;
    std::fs::write(&path, text).map_err(failed)?;
    Ok((serving, Served { sandbox, _notice: Notice(path) }))
}

/// Clouds that stay up until dropped, for `sandbox serve`.
#[cfg(feature = "sandbox")]
pub struct Standing(Served);

#[cfg(feature = "sandbox")]
impl Standing {
    /// Starts them.
    pub async fn start(folder: &Path, reach: &Reach, port: u16) -> Result<(Serving, Self)> {
        if let Some(serving) = serving(folder) {
            return Err(Error::failed(format!(
                "the simulated clouds of `{}` are served by process {} already, at {}",
                folder.display(),
                serving.pid,
                serving.aws_url
            )));
        }
        let (serving, served) = serve(folder, reach, port).await?;
        Ok((serving, Self(served)))
    }

    /// Writes a kubeconfig for each simulated cluster; (cluster, file).
    pub fn kubeconfigs(&self, folder: &Path) -> Result<Vec<(String, String)>> {
        let kube = &self.0.sandbox.env().kube;
        // Other shells stand in other folders.
        let into = folder.join("kubeconfigs");
        let into = std::path::absolute(&into).unwrap_or(into);
        let mut files = Vec::new();
        for cluster in kube.clusters() {
            let file = into.join(format!("{cluster}.yaml"));
            let text = kube.kubeconfig(&cluster);
            let failed = |error: std::io::Error| {
                Error::failed(format!("cannot write `{}`", file.display())).because(error.to_string())
            };
            if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
                std::fs::create_dir_all(&into).map_err(failed)?;
                std::fs::write(&file, text).map_err(failed)?;
            }
            files.push((cluster, file.display().to_string()));
        }
        Ok(files)
    }
}

#[cfg(feature = "sandbox")]
fn faults(file: Option<&Path>) -> Result<Vec<sandbox::core::fault::FaultRule>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::usage(format!("cannot read `{}`", file.display())).because(error.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::usage(format!("`{}` is no list of faults", file.display())).because(error.to_string()))
}
