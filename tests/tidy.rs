//! What no compiler checks: layers, sizes, manuals, the reference, the README.

use crate::support::Place;
use gitpod_play::{
    bind::Registry,
    cli::registry,
    error::{Error, Result},
    playbook::{Diagnostic, FUNCTIONS, Host, Limits, Load, Playbook, Position, Sources},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of a folder with one of these endings, as paths from the workspace.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![root().join(folder)];
    while let Some(folder) = queue.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root()).expect("a path in the workspace").display().to_string();
            if path.is_dir() {
                queue.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(name);
            }
        }
    }
    assert!(!found.is_empty(), "no {endings:?} in {folder}");
    found.sort();
    found
}

#[test]
fn layers_use_only_those_below_them() {
    // (files, what they may not use): tests may look anywhere.
    let rules: &[(&str, &[&str])] = &[
        ("runtime/aws/", &["engine", "cli", "playbook", "report", "state"]),
        ("runtime/k8s/", &["engine", "cli", "playbook", "report", "state"]),
        ("runtime/engine/", &["aws", "k8s", "cli", "random", "file", "kept", "process"]),
        ("runtime/state/", &["aws", "k8s", "cli", "engine", "playbook", "report"]),
        ("runtime/playbook/", &["aws", "k8s", "cli", "engine", "report", "state"]),
        ("runtime/report/", &["aws", "k8s", "cli", "playbook"]),
        ("runtime/bind/", &["aws", "k8s", "cli", "engine", "playbook", "report", "state"]),
        ("runtime/reference/", &["aws", "k8s", "cli", "engine", "report", "state"]),
    ];
    let mut wrong = Vec::new();
    for (folder, forbidden) in rules {
        for file in files(folder.trim_end_matches('/'), &[".rs"]) {
            let is_test = file.contains("test") || file.ends_with("/lab.rs");
            let text = read(&file);
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for module in modules_used(&lines.collect::<Vec<_>>().join("\n")) {
                if !is_test && forbidden.contains(&module.as_str()) {
                    wrong.push(format!("{file} uses `{module}`"));
                }
            }
        }
    }
    for file in files("sandbox", &[".rs", "Cargo.toml"]) {
        let text = read(&file);
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.any(|line| line.contains("gitpod_play::") || line.contains("gitpod-play =")) {
            wrong.push(format!("{file} uses the runtime"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The modules of the crate that a file names: `crate::a::b`, and `crate::{a::b, c}`.
fn modules_used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if !rest.starts_with('{') {
            found.insert(name(rest));
            continue;
        }
        let mut depth = 0;
        for (at, c) in rest.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            match (depth, c) {
                (0, _) => break,
                (1, '{' | ',') => drop(found.insert(name(&rest[at + 1..]))),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn files_are_short() {
    let mut all = files("runtime", &[".rs"]);
    all.extend(files("sandbox", &[".rs"]));
    all.extend(files("tests", &[".rs"]));
    all.extend(files("benches", &[".rs"]));
    all.extend(files("fuzz/fuzz_targets", &[".rs"]));
    let long = |file: &&String| read(file).lines().count() > 400;
    let long: Vec<&String> = all.iter().filter(long).collect();
    assert!(long.is_empty(), "more than 400 lines: {long:?}");
}

#[test]
fn nothing_names_a_folder_of_one_machine() {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/ba", "sh")];
    let mut found = Vec::new();
    for folder in ["runtime", "sandbox", "tests", "docs", "playbooks", "stdlib"] {
        let endings = [".rs", ".md", ".rhai", ".toml", ".sh", ".go", ".json"];
        found.extend(
            files(folder, &endings).into_iter().filter(|file| folders.iter().any(|it| read(file).contains(it))),
        );
    }
    for file in ["README.md", "CHANGELOG.md", "Cargo.toml", "justfile", ".ci/run"] {
        found.extend(folders.iter().any(|folder| read(file).contains(folder)).then(|| file.to_owned()));
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_reference_is_what_the_program_says() {
    let place = Place::new();
    place.play_ok(&["docs", "--write", "reference"]);
    let made = place.path().join("reference");
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let again = "make the reference again: cargo run -- docs --write docs/reference";
    assert_eq!(names(&made), names(&root().join("docs/reference")), "{again}");
    for name in names(&made) {
        let (new, old) = (place.read(&format!("reference/{name}")), read(&format!("docs/reference/{name}")));
        let differs = new.lines().zip(old.lines()).find(|(new, old)| new != old);
        assert_eq!(differs, None, "docs/reference/{name} is out of date; {again}");
        assert_eq!(new.len(), old.len(), "docs/reference/{name} is out of date; {again}");
        assert!(!new.contains("cannot be read"), "docs/reference/{name}: {new}");
    }
}

#[test]
fn every_binding_has_a_manual() {
    let mut wrong = Vec::new();
    for entry in registry::all().iter() {
        let args = (entry.args)();
        let manual = args["description"].as_str().unwrap_or_default();
        for (part, wanted) in
            [("```rhai\n", "an example"), ("\n\n", "more than one line"), ("\nStands on", "what it stands on")]
        {
            if !manual.contains(part) {
                wrong.push(format!("{}: lacks {wanted}", entry.name));
            }
        }
        // Bindings that share a type share its manual.
        let space = entry.name.rsplit_once("::").map_or(entry.name, |(space, _)| space);
        if let Some(example) = example(manual).filter(|example| !example.contains(&format!("{space}::"))) {
            wrong.push(format!("{}: its example is about something else: {example}", entry.name));
        }
        let maps = args["$defs"].as_object().into_iter().flatten().map(|(name, map)| (name.as_str(), map));
        for (map, schema) in maps.chain([("", &args)]) {
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                if schema["description"].as_str().unwrap_or_default().trim().is_empty() {
                    wrong.push(format!("{}: field `{map}.{field}` has no description", entry.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_function_of_scripts_has_a_manual() {
    let playbook = load("playbooks/aws.rhai", registry::all()).unwrap_or_else(|why| panic!("{}", shown(&why)));
    let known: BTreeSet<&str> = FUNCTIONS
        .iter()
        .flat_map(|(_, functions)| functions.iter().map(gitpod_play::playbook::Function::name))
        .collect();
    let own = playbook.functions();
    assert!(own.contains("step") && own.contains("cidr_subnet"), "{own:?}");
    let missing: Vec<_> = own.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "runtime/playbook/manual.rs lacks {missing:?}");
}

#[test]
fn every_setting_is_described() {
    let playbook = load("playbooks/aws.rhai", registry::all()).unwrap_or_else(|why| panic!("{}", shown(&why)));
    let bare: Vec<_> =
        playbook.settings.entries.iter().filter(|it| it.description.is_empty()).map(|it| &it.path).collect();
    assert!(bare.is_empty(), "settings without a comment in playbooks/aws.rhai: {bare:?}");
}

#[test]
fn examples_are_free_of_mistakes() {
    let place = Place::new();
    let registry = registry::all();
    let mut wrong = Vec::new();
    for entry in registry.iter() {
        let args = (entry.args)();
        let Some(code) = args["description"].as_str().and_then(example) else { continue };
        if let Err(why) = checked(&place, &registry, &code) {
            wrong.push(format!("{}: {why}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks `code` as the body of a step. Variables that it does not declare become outputs of other steps.
fn checked(place: &Place, registry: &Arc<Registry>, code: &str) -> Result<(), String> {
    let mut needs: Vec<String> = Vec::new();
    loop {
        let steps: String = needs.iter().map(|need| format!("step(\"{need}\", || #{{}});\n")).collect();
        let file =
            place.write("example.rhai", &format!("{steps}step(\"example\", |{}| {{\n{code}\n}});\n", needs.join(", ")));
        let Err(found) = load(&file.display().to_string(), registry.clone()) else { return Ok(()) };
        let free = |found: &Diagnostic| found.message.strip_prefix("there is no variable `").map(str::to_owned);
        match found.iter().find_map(free) {
            Some(name) if needs.len() < 16 => needs.push(name.trim_end_matches('`').to_owned()),
            _ => return Err(shown(&found)),
        }
    }
}

/// Reads a playbook; mistakes that would stop a run are errors. An example may well leave a variable unused.
fn load(path: &str, registry: Arc<Registry>) -> Result<Playbook, Vec<Diagnostic>> {
    Playbook::load(Load {
        path,
        layers: Vec::new(),
        planning: true,
        registry,
        host: Arc::new(Nobody),
        limits: Limits::default(),
        allow_read: Vec::new(),
        sources: Arc::new(Sources::embedded()),
    })
}

fn shown(found: &[Diagnostic]) -> String {
    found.iter().map(|found| found.render(false)).collect()
}

/// Answers no binding: nothing is run.
struct Nobody;

impl Host for Nobody {
    fn call(&self, _: &str, binding: &str, _: Value, _: &Position) -> Result<Value> {
        Err(Error::failed(format!("`{binding}` is called while nothing is run")))
    }
    fn say(&self, _: &str, _: &str) {}
}

/// The first example of a manual.
fn example(manual: &str) -> Option<String> {
    let (_, rest) = manual.split_once("```rhai\n")?;
    Some(rest.split_once("```")?.0.to_owned())
}

/// The fenced blocks of a language in a Markdown text.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// The arguments of each command of ours in a text's shell blocks, as a shell would split them.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = blocks(text, "sh").join("\n");
    let lines = blocks.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let ours =
        lines.filter_map(|line| line.strip_prefix("cargo run -- ").or_else(|| line.strip_prefix("gitpod-play ")));
    ours.map(|line| line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()).collect()
}

#[test]
fn the_guides_examples_run_as_written() {
    let examples = blocks(&read("docs/playbooks.md"), "rhai");
    assert!(examples.len() > 2, "the examples of docs/playbooks.md");
    for example in examples {
        let place = Place::new();
        // What stands before it in the text: a target.
        let target = if example.contains("target(") || example.contains("extends(") {
            ""
        } else {
            "target(\"aws\", #{ region: \"eu-west-1\" });\n"
        };
        place.write("main.rhai", &format!("{target}{example}"));
        place.play_ok(&["check", "main.rhai"]);
        place.play_ok(&["plan", "main.rhai", "--pace", "max"]);
        if !example.contains("extends(") {
            place.play_ok(&["run", "main.rhai", "--pace", "max"]);
        }
    }
}

#[test]
fn the_readmes_commands_exist_as_written() {
    let place = Place::new();
    let readme = read("README.md");
    let mut documents = vec![readme.clone()];
    documents.extend(
        files("docs", &[".md"]).into_iter().filter(|file| !file.starts_with("docs/reference/")).map(|file| read(&file)),
    );
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    for words in documents.iter().flat_map(|text| commands(text)) {
        let plain = words.iter().skip(1).take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
        let two = ["state", "sandbox"].contains(&words[0].as_str());
        let verb: Vec<&str> =
            std::iter::once(words[0].as_str()).chain(plain.take(usize::from(two)).map(String::as_str)).collect();
        let help = helps.entry(verb.join(" ")).or_insert_with(|| {
            let with_help: Vec<&str> = verb.iter().copied().chain(["--help"]).collect();
            place.play_ok(&with_help).stdout
        });
        for option in words.iter().filter(|word| word.starts_with("--")) {
            let name = option.split('=').next().unwrap_or_default();
            assert!(help.contains(name), "{words:?}: there is no `{name}`\n{help}");
        }
    }
    assert!(readme.contains("cargo run -- run playbooks/aws.rhai"), "the command that builds and runs the playbook");
    assert!(read(".ci/run").contains("cargo test --workspace"), "CI runs the README's test command");
    assert!(readme.contains("cargo test --workspace"), "the command that passes all tests");
}

#[test]
fn the_readmes_commands_and_its_fork_run() {
    let place = Place::new();
    let readme = read("README.md");
    let forks = blocks(&readme, "rhai");
    place.write("acme.rhai", forks.first().expect("a fork"));
    let stays_up = |words: &Vec<String>| {
        words.iter().any(|word| word == "live" || word == "serve" || word == "watch" || word.starts_with("https://"))
    };
    let commands: Vec<_> = commands(&readme).into_iter().filter(|words| !stays_up(words)).collect();
    assert!(commands.iter().any(|words| words[0] == "run" && words[1] == "acme.rhai"), "the fork is run");
    for words in commands {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        if ["run", "plan", "destroy"].contains(&args[0]) {
            args.extend(["--pace", "max"]);
            // A person would be asked.
            if args[0] != "plan" && !args.contains(&"--yes") {
                args.push("--yes");
            }
        }
        place.play_ok(&args);
    }
}
