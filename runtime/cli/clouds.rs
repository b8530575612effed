//! Where the clouds are for this command: live, at a given address, served by another process, or simulated in this one.

#[cfg(feature = "sandbox")]
pub mod admin;
#[cfg(feature = "sandbox")]
mod using;

use super::options::{Reach, Target};
use crate::{
    cx::Pace,
    error::{Error, Result},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use tokio_util::sync::CancellationToken;
#[cfg(feature = "sandbox")]
use using::Using;

/// How many times faster than life simulated waits pass, when nobody says otherwise.
const USUAL_PACE: Pace = Pace::Times(600);
/// How long another command may take to start or end the clouds.
#[cfg(feature = "sandbox")]
const CHANGING_HANDS: std::time::Duration = std::time::Duration::from_secs(5);

/// The clouds of one command. Those that this process simulates end with it, once no other command uses them.
pub struct Clouds {
    /// Addresses by cloud, for [`crate::cx::Run::endpoints`].
    pub endpoints: BTreeMap<String, String>,
    /// `sandbox`, `live` or the address, for people.
    pub target: String,
    /// How fast waits pass.
    pub pace: Pace,
    #[cfg(feature = "sandbox")]
    held: Option<Held>,
}

/// What keeps simulated clouds up.
#[cfg(feature = "sandbox")]
enum Held {
    /// This process serves them.
    Here { _served: Served },
    /// Another one does, and sees by this that they are used.
    Elsewhere { aws_url: String, _using: Option<Using> },
}

#[cfg(feature = "sandbox")]
struct Served {
    _notice: Notice,
    sandbox: sandbox::Sandbox,
    /// By which it is seen whether others use them; without it they end with their command.
    using: Option<(Using, CancellationToken)>,
}

#[cfg(feature = "sandbox")]
impl Drop for Served {
    fn drop(&mut self) {
        if let Some((using, cancel)) = &self.using {
            using.outlast_others(cancel);
        }
    }
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
    /// Finds or starts the clouds. Must be called inside the async runtime. Those that are started here stay up while others
    /// use them; setting `cancel` ends that.
    pub async fn reach(reach: &Reach, state_folder: &Path, cancel: &CancellationToken) -> Result<Self> {
        check(reach)?;
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
                Ok(Self::at(endpoints, target, reach.pace.unwrap_or(USUAL_PACE)))
            }
            Target::Sandbox => Self::simulated(reach, state_folder, endpoints, cancel).await,
        }
    }

    fn at(endpoints: BTreeMap<String, String>, target: String, pace: Pace) -> Self {
        Self {
            endpoints,
            target,
            pace,
            #[cfg(feature = "sandbox")]
            held: None,
        }
    }

    #[cfg(not(feature = "sandbox"))]
    async fn simulated(_: &Reach, _: &Path, _: BTreeMap<String, String>, _: &CancellationToken) -> Result<Self> {
        Err(Error::usage("this build has no simulated clouds").hint("add `--target live`"))
    }

    #[cfg(feature = "sandbox")]
    async fn simulated(
        reach: &Reach,
        state_folder: &Path,
        mut endpoints: BTreeMap<String, String>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let folder = folder(state_folder);
        // Before it is looked who serves them: whoever does sees it before it ends them.
        let using = Using::begin(&folder);
        let (serving, served) = served_by_someone(&folder, reach).await?;
        let (pace, held) = if let Some(mut served) = served {
            served.using = using.map(|using| (using, cancel.clone()));
            (reach.pace.unwrap_or(USUAL_PACE), Held::Here { _served: served })
        } else {
            let aws_url = serving.aws_url.clone();
            (told(&serving, reach)?, Held::Elsewhere { aws_url, _using: using })
        };
        crate::secret::remember(&serving.secret_key);
        endpoints.insert("aws".to_owned(), serving.aws_url.clone());
        endpoints.insert("aws.access_key_id".to_owned(), serving.access_key.clone());
        endpoints.insert("aws.secret_access_key".to_owned(), serving.secret_key.clone());
        endpoints.insert("manifests".to_owned(), serving.aws_url.clone());
        Ok(Self { held: Some(held), ..Self::at(endpoints, "sandbox".to_owned(), pace) })
    }

    /// That another process served these clouds and has ended, in words. A command that failed has to say so.
    pub fn lost(&self) -> Option<String> {
        #[cfg(feature = "sandbox")]
        if let Some(Held::Elsewhere { aws_url, .. }) = &self.held
            && !answers(aws_url)
        {
            return Some(
                "the process that served the simulated clouds has ended; the same command starts them again, and \
                 `gitpod-play sandbox serve` keeps them up"
                    .to_owned(),
            );
        }
        None
    }

    /// Whether writes reach a real cloud.
    pub fn is_live(&self) -> bool {
        self.target == "live"
    }
}

/// Refuses what nobody would heed: faults that cannot be read, or are meant for clouds that are not simulated.
pub fn check(reach: &Reach) -> Result<()> {
    if reach.faults.is_some() && (reach.target == Target::Live || !reach.endpoints.is_empty()) {
        return Err(Error::usage("`--faults` is for the simulated clouds only").hint("leave it out"));
    }
    #[cfg(feature = "sandbox")]
    faults(reach.faults.as_deref())?;
    Ok(())
}

/// The folder of a state on this machine; for `s3://` the default one.
pub fn state_folder(state: &str) -> PathBuf {
    PathBuf::from(if state.contains("://") { ".gitpod-play" } else { state })
}

/// The folder of the simulated clouds that belong to a state folder.
pub fn folder(state_folder: &Path) -> PathBuf {
    state_folder.join("sandbox")
}

/// Who serves the clouds of `folder` right now, if anyone does.
pub fn serving(folder: &Path) -> Option<Serving> {
    let text = std::fs::read_to_string(folder.join("serving.json")).ok()?;
    let serving: Serving = serde_json::from_str(&text).ok()?;
    let alive = answers(&serving.aws_url);
    // Another process may have got the port of one that was killed; where there is no `/proc`, the port has to do.
    let runs = Path::new("/proc").join(serving.pid.to_string()).exists() || !Path::new("/proc/self").exists();
    (alive && runs).then_some(serving)
}

/// Whether someone listens at `url`. A notice that came with a playbook must not send us to another machine.
fn answers(url: &str) -> bool {
    let address = url.strip_prefix("http://").and_then(|address| address.parse::<std::net::SocketAddr>().ok());
    address.filter(|address| address.ip().is_loopback()).is_some_and(|address| {
        std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300)).is_ok()
    })
}

#[cfg(feature = "sandbox")]
struct Notice(PathBuf);

#[cfg(feature = "sandbox")]
impl Drop for Notice {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Finds who serves the clouds, or starts them here. Another command may start or end them right now.
#[cfg(feature = "sandbox")]
async fn served_by_someone(folder: &Path, reach: &Reach) -> Result<(Serving, Option<Served>)> {
    let began = std::time::Instant::now();
    loop {
        if let Some(serving) = serving(folder) {
            return Ok((serving, None));
        }
        match serve(folder, reach, 0).await? {
            Ok((serving, served)) => return Ok((serving, Some(served))),
            Err(in_use) if began.elapsed() > CHANGING_HANDS => return Err(in_use),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// Tells clouds that another process serves which faults they shall have and how fast they shall be. Their pace.
#[cfg(feature = "sandbox")]
fn told(serving: &Serving, reach: &Reach) -> Result<Pace> {
    let rules = faults(reach.faults.as_deref())?;
    let (pid, url) = (serving.pid, &serving.aws_url);
    if !rules.is_empty() {
        let rules = serde_json::to_string(&rules).map_err(|error| Error::failed(error.to_string()))?;
        admin::ask(url, "POST", "faults", &rules)?;
        eprintln!("note: process {pid} serves the simulated clouds, and they have these faults until it ends");
    }
    let now = pace_of(&admin::ask(url, "GET", "pace", "")?);
    match reach.pace {
        Some(wanted) if wanted != now => {
            admin::ask(url, "PUT", "pace", &wanted.to_string())?;
            eprintln!("note: process {pid} serves the simulated clouds, and their pace is {wanted} from now on");
            Ok(wanted)
        }
        _ => Ok(now),
    }
}

#[cfg(feature = "sandbox")]
fn pace_of(shown: &serde_json::Value) -> Pace {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a pace is a small number from 1 up")]
    shown.as_f64().map_or(Pace::Max, |times| Pace::Times(times.max(1.0).round() as u32))
}

/// Starts simulated clouds in this process and leaves the notice for others. The inner error: another process has them.
#[cfg(feature = "sandbox")]
async fn serve(folder: &Path, reach: &Reach, port: u16) -> Result<Result<(Serving, Served)>> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("cannot start the simulated clouds in `{}`", folder.display())).because(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let options = sandbox::Options {
        dir: Some(folder.to_owned()),
        pace: match reach.pace.unwrap_or(USUAL_PACE) {
            Pace::Times(times) => sandbox::core::clock::Pace::Times(f64::from(times)),
            Pace::Max => sandbox::core::clock::Pace::Max,
        },
        faults: faults(reach.faults.as_deref())?,
        port,
        ..sandbox::Options::default()
    };
    let sandbox = match sandbox::Sandbox::start(options).await {
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => return Ok(Err(failed(error))),
        other => other.map_err(failed)?,
    };
    let serving = Serving {
        pid: std::process::id(),
        aws_url: sandbox.aws_url.clone(),
        access_key: sandbox.access_key.clone(),
        secret_key: sandbox.secret_key.clone(),
    };
    let path = folder.join("serving.json");
    let text = serde_json::to_string(&serving).map_err(|error| Error::failed(error.to_string()))?;
    crate::http::keep(&path, text.as_bytes()).map_err(failed)?;
    Ok(Ok((serving, Served { sandbox, _notice: Notice(path), using: None })))
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
        let (serving, served) = serve(folder, reach, port).await??;
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
            // Whoever waits for it reads it as soon as it is there.
            if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
                crate::http::keep(&file, text.as_bytes()).map_err(|error| crate::file::failed(&file, &error))?;
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
