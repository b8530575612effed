//! `watch`, driven as editors drive it.

use crate::support::{Place, until};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

const SCRIPT: &str = r#"import "helper" as helper;
let cfg = settings(#{ size: 1, color: "red" });

// The first.
step("a", || helper::twice(cfg.size));

step("b", |a| #{ from: a, color: cfg.color });

step("c", || "alone");
"#;
const HELPER: &str = "fn twice(n) { n * 2 }\nfn other(n) { n }\n";
const LIMIT: Duration = Duration::from_mins(1);

struct Watching {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Watching {
    fn start(place: &Place) -> Self {
        place.write("p.rhai", SCRIPT);
        place.write("helper.rhai", HELPER);
        place.write("settings.yaml", "size: 1\n");
        let watching = Self::of(place, &["--settings", "settings.yaml"]);
        assert_eq!(watching.ran(|| {}), ["a", "b", "c"], "the first pass runs everything");
        watching
    }

    /// Watches the `p.rhai` that lies in `place`.
    fn of(place: &Place, args: &[&str]) -> Self {
        let mut command = place.command(&[&["watch", "p.rhai", "--json"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("watch starts");
        let lines = collected(child.stdout.take().expect("standard output"));
        let errors = collected(child.stderr.take().expect("standard error"));
        Self { child, lines, errors }
    }

    /// Nothing runs because of `edit`.
    fn rests(&self, edit: impl FnOnce()) {
        let runs = self.ended_runs();
        edit();
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(self.ended_runs(), runs, "nothing was to run: {:?}", self.errors.lock().unwrap());
    }

    /// What the last run printed in `step`.
    fn printed(&self, step: &str) -> String {
        let lines = self.lines.lock().unwrap();
        let events = lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
        let mut printed = events.filter(|event| event["event"] == "printed" && event["step"] == step);
        printed.next().map(|event| event["text"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    fn ended_runs(&self) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains("\"event\":\"run_ended\"")).count()
    }

    /// The steps that run because of `edit`, sorted.
    fn ran(&self, edit: impl FnOnce()) -> Vec<String> {
        let before = self.ended_runs();
        let from = if before == 0 { 0 } else { self.lines.lock().unwrap().len() };
        edit();
        until("a run ends", LIMIT, || self.ended_runs() > before);
        let lines = self.lines.lock().unwrap();
        let events = lines[from..].iter().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
        let started = events.filter(|event| event["event"] == "step_started");
        let mut steps: Vec<String> = started.map(|event| event["step"].as_str().unwrap_or("?").to_owned()).collect();
        steps.sort();
        steps
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn collected(from: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let into = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.lock().unwrap().push(line);
        }
    });
    lines
}

fn edited(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is missing in {text}");
    text.replace(from, to)
}

/// vim: the old file becomes a backup, a new file gets the name, the backup goes.
fn save_as_vim(path: &Path, text: &str) {
    let backup = path.with_extension("rhai~");
    std::fs::rename(path, &backup).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::remove_file(backup).unwrap();
}

/// VS Code: the file is truncated and written in place, in pieces.
fn save_as_vscode(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    let (first, second) = text.split_at(text.len() / 2);
    file.write_all(first.as_bytes()).unwrap();
    file.flush().unwrap();
    file.write_all(second.as_bytes()).unwrap();
}

/// `sed -i`: a new file beside it takes the name.
fn save_as_sed(path: &Path, from: &str, to: &str) {
    let status = Command::new("sed").args(["-i", &format!("s/{from}/{to}/")]).arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn only_what_an_edit_changed_runs_again() {
    let place = Place::new();
    let watching = Watching::start(&place);
    let script = place.path().join("p.rhai");
    let helper = place.path().join("helper.rhai");

    let code = edited(SCRIPT, "\"alone\"", "\"alone now\"");
    assert_eq!(watching.ran(|| save_as_vim(&script, &code)), ["c"]);
    let code = edited(&code, "helper::twice(cfg.size)", "helper::twice(cfg.size) + 1");
    assert_eq!(watching.ran(|| save_as_vscode(&script, &code)), ["a", "b"], "its output changed");
    assert_eq!(watching.ran(|| save_as_sed(&script, "alone now", "alone again")), ["c"]);
    let doubled = edited(HELPER, "n * 2", "n + n");
    assert_eq!(
        watching.ran(|| std::fs::write(&helper, &doubled).unwrap()),
        ["a"],
        "the same output changes nothing else"
    );
    assert_eq!(watching.ran(|| drop(place.write("settings.yaml", "size: 1\ncolor: blue\n"))), ["b"]);
}

#[test]
fn comments_run_nothing_and_mistakes_are_waited_out() {
    let place = Place::new();
    let watching = Watching::start(&place);
    let script = place.path().join("p.rhai");
    let runs = watching.ended_runs();

    std::fs::write(&script, edited(SCRIPT, "// The first.", "// The very first.\n")).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(watching.ended_runs(), runs, "a comment runs nothing");

    std::fs::write(&script, edited(SCRIPT, "step(\"c\", ||", "step(\"c\", |")).unwrap();
    until("the mistake is shown", LIMIT, || {
        watching.errors.lock().unwrap().iter().any(|line| line.contains("p.rhai:"))
    });
    assert_eq!(watching.ended_runs(), runs);
    let mended = edited(SCRIPT, "\"alone\"", "\"mended\"");
    assert_eq!(watching.ran(|| std::fs::write(&script, mended).unwrap()), ["c"]);
}

#[test]
fn steps_that_read_a_file_run_again_when_it_is_saved() {
    let place = Place::new();
    let outside = Place::new();
    let shared = outside.write("shared.txt", "1");
    place.write("data/in.txt", "one");
    place.write(
        "p.rhai",
        &format!(
            r#"step("reads", || {{ let text = read_file("data/in.txt"); print(text); text }});
step("needs", |reads| reads + "!");
step("far", || {{ print(read_file("{}")); "far" }});
step("alone", || 1);
"#,
            shared.display()
        ),
    );
    let folder = outside.path().display().to_string();
    let watching = Watching::of(&place, &["--allow-read", &folder]);
    assert_eq!(watching.ran(|| {}), ["alone", "far", "needs", "reads"]);
    let file = place.path().join("data/in.txt");
    assert_eq!(watching.ran(|| std::fs::write(&file, "two").unwrap()), ["needs", "reads"]);
    assert_eq!(watching.printed("reads"), "two");
    assert_eq!(watching.ran(|| save_as_vim(&file, "three")), ["needs", "reads"]);
    watching.rests(|| std::fs::write(&file, "three").unwrap());
    assert_eq!(watching.ran(|| std::fs::write(&shared, "2").unwrap()), ["far"], "a file outside is followed");
    assert_eq!(watching.printed("far"), "2");
    drop(watching);

    // What was saved meanwhile is seen at the start.
    std::fs::write(&file, "four").unwrap();
    let watching = Watching::of(&place, &["--allow-read", &folder]);
    assert_eq!(watching.ran(|| {}), ["needs", "reads"]);
}

#[test]
fn a_file_that_goes_and_comes_back_is_seen() {
    let place = Place::new();
    let file = place.write("data/in.txt", "one");
    place.write("p.rhai", "step(\"reads\", || { print(read_file(\"data/in.txt\")); });\nstep(\"alone\", || 1);\n");
    let watching = Watching::of(&place, &[]);
    assert_eq!(watching.ran(|| {}), ["alone", "reads"]);
    assert_eq!(watching.ran(|| std::fs::remove_file(&file).unwrap()), ["reads"], "the step fails");
    assert_eq!(watching.ran(|| std::fs::write(&file, "two").unwrap()), ["reads"]);
    assert_eq!(watching.printed("reads"), "two");
    let folder = place.path().join("data");
    assert_eq!(watching.ran(|| std::fs::rename(&folder, place.path().join("away")).unwrap()), ["reads"]);
    assert_eq!(watching.ran(|| std::fs::rename(place.path().join("away"), &folder).unwrap()), ["reads"]);
}

#[test]
fn a_step_that_failed_and_what_waits_for_it_run_after_an_edit() {
    let place = Place::new();
    let broken = "step(\"a\", || 1);\nstep(\"b\", |a| fail(\"not yet\"));\nstep(\"c\", |b| b);\n";
    let script = place.write("p.rhai", broken);
    let watching = Watching::of(&place, &[]);
    assert_eq!(watching.ran(|| {}), ["a", "b"], "`c` is not started");
    let mended = broken.replace("fail(\"not yet\")", "a + 1");
    assert_eq!(watching.ran(|| std::fs::write(&script, mended).unwrap()), ["b", "c"], "`a` keeps its output");
}

#[test]
fn a_new_file_that_wins_over_a_built_in_one_is_seen() {
    let place = Place::new();
    place.write(
        "p.rhai",
        "import \"std/gitpod\" as gitpod;\nstep(\"a\", || gitpod::deployments().len());\nstep(\"b\", || 1);\n",
    );
    let watching = Watching::of(&place, &[]);
    assert_eq!(watching.ran(|| {}), ["a", "b"]);
    let own = "fn deployments() { [\"mine\"] }\n";
    assert_eq!(watching.ran(|| drop(place.write("std/gitpod.rhai", own))), ["a"]);
    watching.rests(|| drop(place.write("std/gitpod.rhai", &format!("// Ours.\n{own}"))));
    assert_eq!(watching.ran(|| std::fs::remove_file(place.path().join("std/gitpod.rhai")).unwrap()), ["a"]);
}

#[test]
fn the_digest_of_a_steps_code_is_the_same_in_every_process() {
    let place = Place::new();
    let names = ["one", "two", "three", "four", "five", "six"];
    let functions: String = names.iter().map(|name| format!("fn {name}(x) {{ x + \"{name}\" }}\n")).collect();
    let cases: String = names.iter().map(|name| format!("\"{name}\" => {name}(x), ")).collect();
    let script =
        format!("{functions}fn chosen(x) {{ switch x {{ {cases} _ => x }} }}\nstep(\"a\", || chosen(\"one\"));\n");
    place.write("p.rhai", &script);
    for _ in 0..4 {
        place.play_ok(&["run", "p.rhai"]);
    }
    let log = std::fs::read_dir(place.path().join(".gitpod-play/p/log")).expect("the log");
    let records = log.map(|entry| std::fs::read_to_string(entry.expect("a record").path()).expect("text"));
    let codes: Vec<String> =
        records.filter_map(|record| Some(record.split_once("\"code\":\"")?.1.split('"').next()?.to_owned())).collect();
    assert_eq!(codes.len(), 4, "each run began the step");
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
}

#[test]
fn a_manifest_of_ones_own_is_applied_again_when_it_is_saved() {
    let place = Place::new();
    let manifest =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: banner, namespace: default }\ndata: { text: one }\n";
    let file = place.write("banner.yaml", manifest);
    place.write(
        "p.rhai",
        "extends(\"playbooks/aws\");\n\
         insert_after(\"cluster\", \"banner\", |cluster| k8s::manifest(#{ cluster: cluster, url: \"banner.yaml\" }));\n",
    );
    let watching = Watching::of(&place, &["--pace", "max"]);
    assert!(watching.ran(|| {}).contains(&"banner".to_owned()));
    assert_eq!(watching.ran(|| std::fs::write(&file, edited(manifest, "one", "two")).unwrap()), ["banner"]);
}

#[test]
fn each_pass_counts_its_own_calls() {
    let place = Place::new();
    let script = |cidr: &str| {
        format!(
            "target(\"aws\", #{{ region: \"eu-west-1\" }});\n\
             step(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"10.0.0.0/16\" }}));\n\
             step(\"w\", || \"{cidr}\");\n"
        )
    };
    let file = place.write("p.rhai", &script("one"));
    let watching = Watching::of(&place, &["--pace", "max", "--yes"]);
    let calls = |watching: &Watching| {
        let lines = watching.lines.lock().unwrap();
        let last = lines.iter().rev().find(|line| line.contains("\"event\":\"run_ended\"")).expect("a summary").clone();
        let summary: Value = serde_json::from_str(&last).expect("a JSON line");
        (summary["reads"].as_u64().unwrap(), summary["writes"].as_u64().unwrap())
    };
    assert_eq!(watching.ran(|| {}), ["v", "w"]);
    let (reads, writes) = calls(&watching);
    assert!(reads > 0 && writes > 0, "{reads} {writes}");
    assert_eq!(watching.ran(|| std::fs::write(&file, script("two")).unwrap()), ["w"]);
    assert_eq!(calls(&watching), (0, 0), "the second pass asks no cloud");
}
