//! What verbs that work on a stack have in common: its log, the clouds, the playbook, the engine.

use super::{
    Refusal,
    clouds::{self, Clouds},
    options::{Manner, Place, Reach, Script},
    registry,
    slips::nearest,
};
use crate::{
    allowed::Allowed,
    bind::Registry,
    cx::{Clients, Mode, Run, Telling, Told},
    engine::{Engine, Permissions, steps::EngineHost},
    error::{Class, Error, Result},
    playbook::{Diagnostic, Host, Limits, Load, Playbook, Position, SettingsLayer, Sources},
    report::{Event, Reporter},
    state::{self, Keys, Log, S3Access},
    wire::Wire,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicU64},
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Answers bindings once there is an engine. While a playbook is read there is none: no binding may be called then.
#[derive(Default)]
pub struct LateHost(OnceLock<EngineHost>);

impl LateHost {
    /// From now on `engine` answers.
    pub fn set(&self, engine: Arc<Engine>, runtime: &Runtime) {
        let _ = self.0.set(EngineHost::new(engine, runtime.handle().clone()));
    }
}

impl Host for LateHost {
    fn call(&self, step: &str, binding: &str, args: Value, at: &Position) -> Result<Value> {
        match self.0.get() {
            Some(host) => host.call(step, binding, args, at),
            None => {
                Err(Error::usage(format!("`{binding}` is called outside a step")).hint("call it inside a step's body"))
            }
        }
    }

    fn say(&self, step: &str, text: &str) {
        match self.0.get() {
            Some(host) => host.say(step, text),
            None => super::tell(text),
        }
    }
}

/// Reads a playbook. `planning`: outputs may be unknown.
pub fn load(
    script: &Script,
    registry: &Arc<Registry>,
    planning: bool,
) -> std::result::Result<(Playbook, Arc<LateHost>), Refusal> {
    let mut layers = Vec::new();
    for file in &script.settings_files {
        layers.push(SettingsLayer::from_file(file)?);
    }
    for text in &script.set {
        layers.push(SettingsLayer::from_set(text)?);
    }
    let host = Arc::new(LateHost::default());
    let playbook = Playbook::load(Load {
        path: &script.playbook,
        layers,
        planning,
        registry: registry.clone(),
        host: host.clone(),
        limits: Limits::default(),
        allow_read: script.allow_read.clone(),
        sources: Arc::new(Sources::embedded()),
    })?;
    let mistakes: Vec<Diagnostic> = playbook.check().into_iter().filter(Diagnostic::is_error).collect();
    if mistakes.is_empty() { Ok((playbook, host)) } else { Err(mistakes.into()) }
}

/// A stack that is open.
pub struct Session {
    /// The async runtime of this command.
    pub runtime: Runtime,
    /// All bindings.
    pub registry: Arc<Registry>,
    /// The stack's name.
    pub stack: String,
    /// The folder of this state on this machine; for `s3://` the default one.
    pub state_folder: PathBuf,
    /// The stack's log.
    pub log: Arc<Log>,
    /// Set when the run is to stop.
    pub cancel: CancellationToken,
    /// Read calls of passes that only looked, for the summary.
    pub looked: AtomicU64,
    /// What was told already.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Session {
    /// Opens a stack for reading; nothing is made.
    pub fn open(place: &Place, playbook: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .map_err(|error| Error::failed("cannot start").because(error.to_string()))?;
        let stack = place.stack_of(playbook)?;
        let state_folder = clouds::state_folder(&place.state);
        let place = state::Place::parse(&place.state, &S3Access::from_env())?;
        let log = Arc::new(runtime.block_on(Log::open(&place, &stack, &Keys::from_env()))?);
        let (registry, cancel, told) = (registry::all(), CancellationToken::new(), Arc::default());
        let looked = AtomicU64::new(0);
        Ok(Self { runtime, registry, stack, state_folder, log, cancel, looked, told })
    }

    /// Takes the stack for this process. What was found about former holders is said.
    pub fn take(&self) -> Result<state::Lease> {
        let args = std::iter::once("gitpod-play".to_owned()).chain(std::env::args().skip(1));
        let holder = state::Holder::here(super::log::command(args));
        let lease = self.runtime.block_on(self.log.acquire(holder))?;
        for notice in self.log.notices() {
            super::tell(&format!("note: {notice}"));
        }
        Ok(lease)
    }

    /// What the playbook says about each cloud, and what the last run was told about those that it no longer names: what
    /// is left there has to be reached.
    pub fn targets(&self, playbook: &Playbook) -> BTreeMap<String, Value> {
        let recorded = self.log.with(|state| state.targets.as_object().cloned().unwrap_or_default());
        let mut targets: BTreeMap<String, Value> =
            recorded.into_iter().filter(|(_, value)| value.is_object()).collect();
        targets.extend(playbook.targets.clone());
        targets
    }

    /// The folder of this stack's files.
    pub fn folder(&self) -> PathBuf {
        self.state_folder.join(&self.stack)
    }

    /// Finds or starts the clouds.
    pub fn reach(&self, reach: &Reach) -> Result<Clouds> {
        self.runtime.block_on(Clouds::reach(reach, &self.state_folder, &self.cancel))
    }

    /// Tells `reporter` each thing once. What is only looked at tells nothing: the run after it does.
    fn told_to(&self, reporter: Arc<dyn Reporter>, looking: bool) -> Told {
        let told = self.told.clone();
        Box::new(move |step, what| {
            let (Telling::Note(text) | Telling::Kept(text)) = what;
            if looking || !told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
                return;
            }
            let (step, text) = (step.to_owned(), text.to_owned());
            reporter.hear(&match what {
                Telling::Note(_) => Event::Note { step, text },
                Telling::Kept(_) => Event::Kept { step, text },
            });
        })
    }

    /// An engine for one pass.
    pub fn engine(&self, wanted: Wanted<'_>) -> Result<Arc<Engine>> {
        let record = wanted.reach.record.as_deref().map(record_file).transpose()?;
        let log = self.log.clone();
        let lease: Box<dyn Fn() -> Result<()> + Send + Sync> = match wanted.mode {
            Mode::Plan => Box::new(|| Ok(())),
            Mode::Run => Box::new(move || log.lease_ok()),
        };
        let heard_by = wanted.reporter.clone();
        let run = Run {
            stack: self.stack.clone(),
            mode: wanted.mode,
            wire: Wire::new(wanted.mode == Mode::Run, record, lease),
            pace: wanted.clouds.pace,
            cancel: self.cancel.clone(),
            folder: self.folder(),
            playbook_folder: wanted.playbook_folder,
            targets: wanted.targets,
            endpoints: wanted.clouds.endpoints.clone(),
            allowed: Allowed {
                run: wanted.reach.allow_run.iter().cloned().collect(),
                net: wanted.reach.allow_net.iter().cloned().collect(),
                read: wanted.allow_read.to_vec(),
                urls: built_in_urls(),
                nothing_started: wanted.looking,
            },
            heard: Box::new(move |step, resource, text| {
                heard_by.hear(&Event::Working {
                    step: step.to_owned(),
                    resource: resource.to_owned(),
                    text: text.to_owned(),
                });
            }),
            told: self.told_to(wanted.reporter.clone(), wanted.looking),
            clients: Clients::default(),
        };
        let permissions = Permissions {
            allow_delete: wanted.manner.allow_delete.iter().cloned().collect(),
            protected_steps: wanted.protected_steps,
        };
        Ok(Arc::new(Engine::new(Arc::new(run), self.registry.clone(), self.log.clone(), wanted.reporter, permissions)))
    }
}

/// What an engine is made of, beside the session.
pub struct Wanted<'a> {
    /// Plan or run.
    pub mode: Mode,
    /// Whether this only looks if a run can begin: no program is started.
    pub looking: bool,
    /// How the clouds are reached.
    pub reach: &'a Reach,
    /// What is agreed to.
    pub manner: &'a Manner,
    /// The clouds.
    pub clouds: &'a Clouds,
    /// What the playbook said about each cloud.
    pub targets: BTreeMap<String, Value>,
    /// Where the playbook lives.
    pub playbook_folder: PathBuf,
    /// Files and folders outside of it that may be read.
    pub allow_read: &'a [PathBuf],
    /// Steps declared with `.protect()`.
    pub protected_steps: BTreeSet<String>,
    /// Who hears what happens.
    pub reporter: Arc<dyn Reporter>,
}

/// Every address that stands as a text in a script built into the program.
fn built_in_urls() -> BTreeSet<String> {
    let sources = Sources::embedded();
    let texts =
        sources.iter().flat_map(|(_, text)| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    texts.filter(|text| text.starts_with("https://") && !text.contains(char::is_whitespace)).collect()
}

/// The folder of a playbook's file.
pub fn folder_of(playbook: &str) -> PathBuf {
    Path::new(playbook)
        .parent()
        .map(Path::to_path_buf)
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Names of the steps declared with `.protect()`.
pub fn protected(playbook: &Playbook) -> BTreeSet<String> {
    playbook.steps.iter().filter(|step| step.protect).map(|step| step.name.clone()).collect()
}

/// The steps that `--step NAME` means: it and what it needs; all without a name.
pub fn chosen(playbook: &Playbook, step: Option<&str>) -> Result<BTreeSet<String>> {
    let all: BTreeSet<String> = playbook.steps.iter().map(|step| step.name.clone()).collect();
    let Some(wanted) = step else { return Ok(all) };
    if !all.contains(wanted) {
        let near = nearest(wanted, all.iter().map(String::as_str));
        let error = Error::new(Class::Usage, format!("there is no step `{wanted}`"));
        return Err(match near {
            Some(near) => error.hint(format!("did you mean `--step {near}`?")),
            None => error,
        });
    }
    let mut chosen = BTreeSet::new();
    let mut queue = vec![wanted.to_owned()];
    while let Some(name) = queue.pop() {
        if let Some(step) = playbook.steps.iter().find(|step| step.name == name)
            && chosen.insert(name)
        {
            queue.extend(crate::engine::steps::all_needs(step));
        }
    }
    Ok(chosen)
}

fn record_file(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| Error::usage(format!("cannot write calls to `{}`", path.display())).because(error.to_string()))
}
