//! What the fuzz targets in `fuzz/` and the test of their corpora feed with bytes. Each function panics when a promise
//! does not hold.

pub use crate::{playbook::fuzzed::settings, state::fuzzed::state_records};

use crate::{
    bind::Registry,
    error::{Class, Error, Result},
    playbook::{Diagnostic, Host, Limits, Load, Playbook, Position, Sources},
    value::unknown,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Stands in files outside of the playbook's folder.
const OUTSIDE: &str = "what-no-script-may-read";
/// The longest that one input may take: the limits below leave a script no work for longer.
const LONGEST: Duration = Duration::from_secs(10);

/// A folder with a playbook in it, and files around it that it must not reach.
pub struct Playground {
    folder: PathBuf,
    registry: Arc<Registry>,
}

impl Playground {
    /// Lays the files out below `root`, which is empty.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(root: &Path) -> std::io::Result<Self> {
        let folder = root.join("book");
        fs::create_dir_all(folder.join("part"))?;
        let outside = format!("const WORD = \"{OUTSIDE}\";\nfn word() {{ \"{OUTSIDE}\" }}\n");
        for name in ["outside.rhai", "outside.txt"] {
            fs::write(root.join(name), &outside)?;
        }
        fs::write(folder.join("beside.rhai"), "const C = 3;\nfn twice(n) { n * 2 }\nfn again(n) { twice(n) + C }\n")?;
        fs::write(folder.join("part/deep.rhai"), "import \"beside\" as b;\nfn four(n) { b::twice(b::twice(n)) }\n")?;
        fs::write(folder.join("data.txt"), "some words\n")?;
        #[cfg(unix)]
        for (name, ending) in [("leads_out", "rhai"), ("leads_out", "txt")] {
            std::os::unix::fs::symlink(format!("../outside.{ending}"), folder.join(format!("{name}.{ending}")))?;
        }
        let mut registry = Registry::default();
        crate::random::register(&mut registry);
        crate::file::register(&mut registry);
        crate::kept::register(&mut registry);
        crate::process::register(&mut registry);
        Ok(Self { folder, registry: Arc::new(registry) })
    }

    /// Reads `bytes` as a playbook, checks it and runs its steps, once planned and once in earnest, against a host that
    /// makes things up.
    ///
    /// # Panics
    /// The loader panicked, took too long, or read a file outside of the playbook's folder.
    pub fn script_loader(&self, bytes: &[u8]) {
        let main = self.folder.join("main.rhai");
        fs::write(&main, bytes).expect("the playbook can be written");
        for planning in [true, false] {
            let began = Instant::now();
            self.play(&main, planning);
            assert!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
        }
    }

    fn play(&self, main: &Path, planning: bool) {
        let host = Arc::new(Answers { planning, ..Answers::default() });
        let loaded = Playbook::load(Load {
            path: &main.display().to_string(),
            layers: Vec::new(),
            planning,
            registry: self.registry.clone(),
            host: host.clone(),
            limits: limits(),
            allow_read: Vec::new(),
            sources: Arc::new(Sources::default().with("std/built", "fn built(n) { `built ${n}` }\n")),
        });
        match loaded {
            Err(found) => {
                assert!(!found.is_empty(), "a refusal says why");
                found.iter().for_each(seen);
            }
            Ok(playbook) => self.run(&playbook),
        }
        let said = host.said.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!said.contains(OUTSIDE), "a script read outside of its folder: {said}");
    }

    fn run(&self, playbook: &Playbook) {
        playbook.check().iter().for_each(seen);
        let folder = self.folder.canonicalize().expect("the folder is there");
        for file in playbook.files() {
            let file = file.canonicalize().unwrap_or(file);
            assert!(file.starts_with(&folder), "{} was read", file.display());
        }
        let mut outputs = BTreeMap::new();
        for step in &playbook.steps {
            assert_eq!(playbook.code_digest(&step.name), playbook.code_digest(&step.name), "a digest is stable");
            let deadline = Some(Instant::now() + Duration::from_secs(2));
            match playbook.run_step(&step.name, &outputs, &CancellationToken::new(), deadline) {
                Ok(outcome) => {
                    assert!(!outcome.output.to_string().contains(OUTSIDE), "a step read outside of its folder");
                    outputs.insert(step.name.clone(), outcome.output);
                }
                Err(found) => seen(&found),
            }
        }
    }
}

/// Small, so that a script that does not end is stopped soon.
fn limits() -> Limits {
    Limits {
        operations_per_step: 5_000,
        operations_at_load: 10_000,
        text_bytes: 16 << 10,
        list_items: 1_000,
        map_keys: 1_000,
        modules: 8,
        file_bytes: 64 << 10,
        steps: 64,
        printed_bytes: 4 << 10,
        ..Limits::default()
    }
}

/// A diagnostic can be shown, and is none that stands for a panic.
fn seen(found: &Diagnostic) {
    let text = found.render(false);
    found.render(true);
    for panicked in ["the script engine gave up", "ended in an unexpected way"] {
        assert!(!text.contains(panicked), "{text}");
    }
    assert!(!text.contains(OUTSIDE), "a script read outside of its folder: {text}");
}

/// Answers each binding with its arguments and an id; some names fail.
#[derive(Default)]
struct Answers {
    planning: bool,
    said: Mutex<String>,
}

impl Host for Answers {
    fn call(&self, _: &str, binding: &str, args: Value, _: &Position) -> Result<Value> {
        let name = args["name"].as_str().unwrap_or(binding).to_owned();
        if name == "broken" {
            return Err(Error::new(Class::Invalid, "cannot make `broken`").because("it is full").hint("make room"));
        }
        let id = if self.planning { unknown(&format!("{name}.id")) } else { json!(format!("id-{name}")) };
        let mut output = args;
        match output.as_object_mut() {
            Some(map) => drop(map.insert("id".to_owned(), id)),
            None => output = json!({ "id": id }),
        }
        Ok(output)
    }

    fn say(&self, _: &str, text: &str) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }
}
