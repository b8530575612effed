//! Playbooks as their authors write them, against a host that makes things up.

use super::*;
use crate::{
    bind::{Change, Ownership, Resource},
    cx::Cx,
    error::Class,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Mutex;

mod checks;
mod docs;
mod errors;
mod forks;
mod sizes;
mod steps;
mod taints;

/// What is to be made.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThingArgs {
    /// Its name.
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<crate::secret::Secret>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    key: String,
}

/// A thing.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Thing {
    id: String,
}

struct Things;

#[async_trait::async_trait]
impl Resource for Things {
    const KIND: &'static str = "cloud::box::thing";
    type Args = ThingArgs;
    type Observed = Thing;
    const OWNERSHIP: Ownership = Ownership::Intent;
    fn name(args: &Value) -> Option<String> {
        args["name"].as_str().map(str::to_owned)
    }
    fn validate(args: &ThingArgs) -> Result<(), Error> {
        if args.name.len() > 20 { Err(Error::usage("the name of a thing has at most 20 characters")) } else { Ok(()) }
    }
    async fn find(_: &Cx, _: &ThingArgs) -> Result<Option<Thing>, Error> {
        Ok(None)
    }
    async fn read(_: &Cx, _: &Thing) -> Result<Option<Thing>, Error> {
        Ok(None)
    }
    async fn create(_: &Cx, _: &ThingArgs, _: &str) -> Result<Thing, Error> {
        Err(Error::failed("not in this test"))
    }
    async fn update(_: &Cx, _: &ThingArgs, _: &Thing, _: &[Change]) -> Result<(), Error> {
        Ok(())
    }
    async fn delete(_: &Cx, _: &Thing) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes any fields.
struct Anything;

#[async_trait::async_trait]
impl crate::bind::Lookup for Anything {
    const NAME: &'static str = "cloud::box::any";
    type Args = BTreeMap<String, Value>;
    type Output = Value;
    async fn look(_: &Cx, _: &Self::Args) -> Result<Value, Error> {
        Ok(Value::Null)
    }
}

/// Remembers what it was asked and told.
#[derive(Default)]
pub(super) struct Fake {
    planning: bool,
    pub calls: Mutex<Vec<(String, String, Value, String)>>,
    pub said: Mutex<Vec<(String, String)>>,
}

impl Host for Fake {
    fn call(&self, step: &str, binding: &str, args: Value, at: &Position) -> Result<Value, Error> {
        let name = args["name"].as_str().unwrap_or_default().to_owned();
        self.calls.lock().unwrap().push((step.into(), binding.into(), args.clone(), at.to_string()));
        if name == "broken" {
            let quota = Error::new(Class::Invalid, "cannot create thing `broken`: storage quota exceeded");
            return Err(quota.because("Box CreateThing: QuotaExceeded (request 7f3a)").hint("raise the quota"));
        }
        let mut output = args;
        output["id"] =
            if self.planning { crate::value::unknown(&format!("{name}.id")) } else { json!(format!("id-{name}")) };
        output["ids"] = json!([output["id"].clone(), "fixed"]);
        Ok(output)
    }
    fn say(&self, step: &str, text: &str) {
        self.said.lock().unwrap().push((step.into(), text.into()));
    }
}

/// A folder with files, and how to load them.
pub(super) struct Bench {
    pub folder: tempfile::TempDir,
    pub host: Arc<Fake>,
    pub sources: Sources,
    pub layers: Vec<SettingsLayer>,
    pub limits: Limits,
    pub planning: bool,
    pub allow_read: Vec<PathBuf>,
}

impl Bench {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self {
            folder,
            host: Arc::default(),
            sources: Sources::default(),
            layers: vec![],
            limits: Limits::default(),
            planning: false,
            allow_read: vec![],
        };
        for (name, text) in files {
            bench.write(name, text.as_bytes());
        }
        bench
    }

    pub fn planning(files: &[(&str, &str)]) -> Self {
        Self { planning: true, host: Arc::new(Fake { planning: true, ..Fake::default() }), ..Self::new(files) }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn load(&self) -> Result<Playbook, Vec<Diagnostic>> {
        self.load_path(&self.folder.path().join("main.rhai").display().to_string())
    }

    pub fn load_path(&self, path: &str) -> Result<Playbook, Vec<Diagnostic>> {
        let mut registry = Registry::default();
        registry.resource::<Things>();
        registry.lookup::<Anything>();
        Playbook::load(Load {
            path,
            layers: self.layers.clone(),
            planning: self.planning,
            registry: Arc::new(registry),
            host: self.host.clone(),
            limits: self.limits.clone(),
            allow_read: self.allow_read.clone(),
            sources: Arc::new(self.sources.clone()),
        })
    }

    /// All diagnostics of a playbook that does not load, as a user reads them, without the name of the folder.
    pub fn refused(&self) -> String {
        let found = self.load().err().expect("the playbook should be refused");
        self.shown(&found)
    }

    pub fn shown(&self, found: &[Diagnostic]) -> String {
        let texts: Vec<String> = found.iter().map(|found| found.render(false)).collect();
        let folder = self.folder.path().display().to_string();
        let real = self.folder.path().canonicalize().unwrap().display().to_string();
        texts.join("").replace(&format!("{real}/"), "").replace(&format!("{folder}/"), "").replace(&folder, "FOLDER")
    }
}

impl Playbook {
    /// Runs all steps in the order of declaration, which the tests keep right.
    pub(super) fn run_all(&self) -> Result<BTreeMap<String, Value>, Diagnostic> {
        let mut outputs = BTreeMap::new();
        for step in &self.steps {
            let outcome = self.run_step(&step.name, &outputs, &CancellationToken::new(), None)?;
            outputs.insert(step.name.clone(), outcome.output);
        }
        Ok(outputs)
    }
}

/// The output of the one step of a playbook whose step body is `body`.
pub(super) fn eval(body: &str) -> Result<Value, Diagnostic> {
    let script = format!("step(\"it\", || {{ {body} }});");
    let playbook = Bench::new(&[("main.rhai", &script)]).load().map_err(|mut found| found.remove(0))?;
    playbook.run_all().map(|mut outputs| outputs.remove("it").unwrap())
}
