//! Secrets show nowhere: not in any file, output, recorded call or log that whole runs leave behind, in any encoding.

use crate::support::{
    AWS, Ended, Place,
    leaks::{Named, files, leak, parts},
    until,
};
use gitpod_play::state;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// A key as one brings it; no real one.
const OWN_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n\
    MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----\n";
const OWN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIC+zCCAeOgAwIBAgIJAOPk\n-----END CERTIFICATE-----\n";
/// What every token for an EKS cluster begins with, and its first part, the address of a signed request to STS.
const TOKEN: &str = "k8s-aws-v1.aHR0cHM6Ly9zdHMu";

/// The place of a whole life of a stack, and all that was shown in it.
struct Life {
    place: Place,
    /// Files that hold secrets by their nature: faults that name them. Outside of the place.
    aside: Place,
    level: &'static str,
    shown: Vec<(String, String)>,
    secrets: Vec<Named>,
}

impl Life {
    fn new(level: &'static str) -> Self {
        let mut secrets = parts("the own key", OWN_KEY);
        secrets.extend(parts("the secret key of the simulated AWS", &sandbox::Options::default().secret_key));
        secrets.push(("a token for the cluster".to_owned(), TOKEN.to_owned()));
        Self { place: Place::new(), aside: Place::new(), level, shown: Vec::new(), secrets }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut all = args.to_vec();
        all.extend(["--log", "play.log", "--log-level", self.level]);
        let (key, certificate) =
            (format!("certificates.own_key={OWN_KEY}"), format!("certificates.own_certificate={OWN_CERTIFICATE}"));
        if args.contains(&AWS) && args[0] != "destroy" {
            all.extend(["--set", &key, "--set", &certificate]);
        }
        if ["run", "plan", "watch", "destroy"].contains(&args[0]) {
            all.extend(["--pace", "max", "--record", "calls.jsonl"]);
        }
        self.place.command(&all)
    }

    fn play(&mut self, args: &[&str]) -> Ended {
        let ended = crate::support::ended(crate::support::bounded(self.command(args), Duration::from_mins(4)));
        self.show(&args.join(" "), &ended);
        ended
    }

    fn show(&mut self, what: &str, ended: &Ended) {
        self.shown.push((format!("the output of `{what}`"), ended.stdout.clone()));
        self.shown.push((format!("the errors of `{what}`"), ended.stderr.clone()));
    }

    /// Plays with faults that tell `words` in every error of an operation.
    fn play_told(&mut self, args: &[&str], service: &str, operation: &str, words: &str) -> Ended {
        let error = json!({ "code": "InvalidParameterValue", "message": words });
        let faults = json!([{ "service": service, "operation": operation, "action": { "error": error } }]);
        let file = self.aside.write("faults.json", &faults.to_string()).display().to_string();
        let mut args = args.to_vec();
        args.extend(["--faults", &file]);
        let ended = self.play(&args);
        assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("words of a cloud: <secret>"), "the error is shown: {}", ended.stderr);
        ended
    }

    /// Every secret that the state knows.
    fn reveal_all(&mut self) {
        let mut names = Vec::new();
        for resource in self.place.resources() {
            hidden(resource["address"].as_str().unwrap(), &resource["outputs"], &mut names);
        }
        assert!(names.len() >= 3, "a password, a key, an access key: {names:?}");
        for name in names {
            let secret = revealed(&self.place, &name);
            assert!(secret.len() >= 16, "{name} is revealed on a terminal: {secret:?}");
            self.secrets.extend(parts(&name, &secret));
        }
    }

    /// A second process edits a setting while `watch` runs.
    fn watch(&mut self) {
        self.place.write("more.yaml", "workspaces:\n  max: 11\n");
        let mut command = self.command(&["watch", AWS, "--json", "--settings", "more.yaml"]);
        let errors = std::fs::File::create(self.aside.path().join("watch.err")).unwrap();
        let output = std::fs::File::create(self.aside.path().join("watch.out")).unwrap();
        let mut child = command.stdout(output).stderr(errors).spawn().unwrap();
        let ended = |aside: &Place| aside.read("watch.out").matches("\"event\":\"run_ended\"").count();
        until("the first pass ends", Duration::from_mins(2), || ended(&self.aside) == 1);
        self.place.write("more.yaml", "workspaces:\n  max: 12\n");
        until("the edit is run", Duration::from_mins(2), || ended(&self.aside) == 2);
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
        let read = |name: &str| self.aside.read(name);
        let ended = Ended { code: 0, stdout: read("watch.out"), stderr: read("watch.err") };
        self.show("watch", &ended);
    }

    /// Searches everything; fails at the first secret.
    fn search(&self) {
        assert!(self.secrets.len() > 8, "{}", self.secrets.len());
        for (what, text) in &self.shown {
            assert_eq!(leak(text, &self.secrets), None, "in {what}");
        }
        // The simulated clouds are clouds: they must know the secrets that were sent to them.
        let clouds = self.place.path().join(".gitpod-play/sandbox");
        let ours: Vec<_> = files(self.place.path()).into_iter().filter(|file| !file.starts_with(&clouds)).collect();
        assert!(ours.len() > 20, "{ours:?}");
        for file in ours {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert_eq!(leak(&text, &self.secrets), None, "in {}", file.display());
        }
    }
}

/// Names of the fields that are hidden as a whole.
fn hidden(name: &str, value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) if text == "<secret>" => names.push(name.to_owned()),
        Value::Object(map) => map.iter().for_each(|(key, inner)| hidden(&format!("{name}.{key}"), inner, names)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, it)| hidden(&format!("{name}.{at}"), it, names)),
        _ => {}
    }
}

/// `state reveal` on a terminal, which `script` lends.
fn revealed(place: &Place, name: &str) -> String {
    let command = place.command(&["state", "reveal", name]);
    let typed: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let typed: Vec<String> = typed.iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &typed.join(" "), "/dev/null"]).current_dir(place.path()).stdin(Stdio::null());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = script.output().expect("script(1) is there: install the package bsdutils");
    String::from_utf8_lossy(&output.stdout).trim().replace("\r\n", "\n")
}

fn a_whole_life_leaves_no_secret(level: &'static str) {
    let mut life = Life::new(level);
    let run = life.play(&["run", AWS, "--yes", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    life.reveal_all();
    let password = revealed(&life.place, "random::password/database");
    for args in [
        &["plan", AWS, "--set", "database.engine_version=8.4"][..],
        &["plan", AWS, "--json", "--set", "workspaces.max=17"],
        &["state", "show"],
        &["state", "show", "--json"],
        &["state", "history"],
        &["state", "history", "--json"],
        &["settings", AWS],
        &["settings", AWS, "--json"],
        &["check", AWS],
    ] {
        assert_eq!(life.play(args).code, 0, "{args:?}");
    }
    life.watch();
    // A cloud that tells the password in its error, as it is and in other forms.
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("gitpod:{password}"));
    let words = format!("words of a cloud: {password} {base64} {} \"{OWN_KEY}\"", hex::encode(&password));
    let change = ["run", AWS, "--yes", "--set", "database.max_storage_gib=200", "--jobs", "1"];
    life.play_told(&change, "rds", "ModifyDBInstance", &words);
    let change = [&change[..], &["--json"]].concat();
    life.play(&change);
    life.play_told(&["plan", AWS], "kubernetes", "GET /*", &words);
    life.play(&["state", "rotate"]);
    let piped = life.play(&["state", "reveal", "random::password/database"]);
    assert_eq!(piped.code, 2, "a secret is not written into a pipe");
    let destroyed = life.play(&["destroy", AWS, "--yes", "--allow-delete", "gitpod-instance"]);
    assert_eq!(destroyed.code, 0, "{}", destroyed.stderr);
    the_log_tells_what_happened(&life);
    life.search();
}

/// The log is of use to whoever has to find a mistake, and holds each call.
fn the_log_tells_what_happened(life: &Life) {
    let log = life.place.read("play.log");
    for wanted in [
        "INFO gitpod_play::cli::log: started",
        "own_key=…",
        "INFO gitpod_play::state::journal::take: took the lease",
        "DEBUG gitpod_play::state::journal: recorded",
        "DEBUG gitpod_play::engine::converge: declared",
        "DEBUG gitpod_play::engine::converge: differs",
        "step started",
        "step failed",
        "aws_smithy_runtime",
        "hyper_util",
        "HTTP{http.method=GET",
    ] {
        assert!(log.contains(wanted), "the log lacks `{wanted}`");
    }
    let calls = log.lines().filter(|line| line.contains("gitpod_play::wire: call ")).count();
    assert_eq!(calls, life.place.read("calls.jsonl").lines().count(), "each recorded call is in the log");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(life.place.path().join("play.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the log is its owner's");
    }
}

#[test]
fn a_whole_life_with_a_debug_log_leaves_no_secret_in_the_clear() {
    a_whole_life_leaves_no_secret("debug");
}

#[test]
fn a_whole_life_with_a_trace_log_leaves_no_secret_in_the_clear() {
    a_whole_life_leaves_no_secret("trace");
}

#[test]
fn a_secret_stays_one_through_everything_a_script_does_with_it() {
    let place = Place::new();
    place.write(
        "p.rhai",
        r#"step("a", || {
    let key = random::key(#{ name: "k", bytes: 32 }).value;
    let inside = `mysql://user:${key}@host`;
    print(inside);
    #{ plain: inside, list: [key, `x${key}`], nested: #{ deep: `${`${key}`}` } }
});
step("b", |a| { print(a.plain); print(`${a}`); a.list });
step("c", |b| file::write(#{ name: "leak.txt", content: `${b[1]}` }));
"#,
    );
    let run = place.play(&["run", "p.rhai"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("takes no secret"), "{}", run.stderr);
    let secret = revealed(&place, "random::key/k");
    assert!(secret.len() >= 40, "{secret}");
    assert!(run.stderr.contains("mysql://user:<secret>@host"), "{}", run.stderr);
    assert!(!run.stderr.contains(&secret) && !run.stdout.contains(&secret));
}

#[test]
fn what_a_program_makes_of_a_secret_is_one() {
    let place = Place::new();
    place.write(
        "p.rhai",
        r#"step("a", || {
    let key = random::password(#{ name: "k", bytes: 18 }).value;
    let turned = process::run(#{ program: "rev", input: key }).stdout;
    let cut = process::run(#{ program: "cut", args: ["-c1-30"], input: key }).stdout;
    let echoed = process::run(#{ program: "echo", args: ["-n", key] }).stdout;
    let plain = process::run(#{ program: "echo", args: ["nothing hidden"] }).stdout;
    #{ turned: turned, cut: cut, echoed: echoed, plain: plain }
});
step("b", |a| print(`${a.turned}|${a.cut}|${a.echoed}|${a.plain}`));
step("c", |b| {
    let key = random::password(#{ name: "other", bytes: 18 }).value;
    process::run(#{ program: "sh", args: ["-c", "rev >&2; exit 1"], input: key })
});
"#,
    );
    let allowed = ["rev", "cut", "echo", "sh"].map(|program| ["--allow-run", program]).concat();
    let run = place.play(&[&["run", "p.rhai"], &allowed[..]].concat());
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("<secret>|<secret>|<secret>|nothing hidden"), "{}", run.stderr);
    assert!(run.stderr.contains("it was given a secret, so what it printed is left out"), "{}", run.stderr);
    let shown = format!("{}{}", run.stdout, run.stderr);
    for address in ["random::password/k", "random::password/other"] {
        let secret = revealed(&place, address);
        let turned: String = secret.chars().rev().collect();
        for form in [&secret, &turned, &secret[..30]] {
            assert!(!shown.contains(form), "{address}: {shown}");
            for file in files(&place.path().join(".gitpod-play")) {
                let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
                assert!(!text.contains(form), "{address} is in {}", file.display());
            }
        }
    }
}

#[test]
fn a_secret_too_short_to_be_hidden_is_refused_and_the_lease_keeps_no_values() {
    let place = Place::new();
    place.write(
        "p.rhai",
        r#"let cfg = settings(#{ pin: secret(""), name: "" });
step("a", || kept::value(#{ name: "x", value: `${cfg.pin}` }));
"#,
    );
    let refused = place.play(&["run", "p.rhai", "--set", "pin=k9zQ7"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("`pin`") && refused.stderr.contains("at least 6 bytes"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("k9zQ7"), "{}", refused.stderr);
    place.play_ok(&["run", "p.rhai", "--set", "pin=k9zQ7x", "--set", "name=visible-no-more"]);
    for file in files(&place.path().join(".gitpod-play")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("k9zQ7") && !text.contains("visible-no-more"), "{}: {text}", file.display());
    }
}

/// A wrong name for a secret setting, a value of the wrong type, a file that does not parse: what is said about it does not
/// show the value, although nobody knows yet that it is secret.
#[test]
fn mistakes_in_settings_do_not_show_values() {
    let place = Place::new();
    let word = "a-secret-that-nobody-knows";
    for (file, text) in [
        ("typo.yaml", format!("certificates:\n  own_kye: {word}\n")),
        ("type.yaml", format!("certificates:\n  own_key: [{word}]\n")),
        ("flow.yaml", format!("certificates: {{ own_kye: {word} }}\n")),
        ("broken.yaml", format!("certificates:\n  own_key: \"{word}\n")),
        ("typo.toml", format!("[certificates]\nown_kye = \"{word}\"\n")),
        ("broken.toml", format!("certificates.own_key = \"{word}\n")),
        ("text.toml", format!("certificates.own_key = {word}\n")),
    ] {
        place.write(file, &text);
        let ended = place.play(&["run", AWS, "--settings", file, "--log", "play.log"]);
        assert_eq!(ended.code, 2, "{file}: {}", ended.stderr);
        assert!(ended.stderr.contains(file), "{file}: {}", ended.stderr);
        assert!(!ended.stderr.contains(word), "{file}: {}", ended.stderr);
    }
    for set in [format!("certificates.own_kye={word}"), format!("certificates..own_key={word}")] {
        let ended = place.play(&["run", AWS, "--set", &set, "--log", "play.log"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(!ended.stderr.contains(word), "{}", ended.stderr);
    }
    assert!(!place.read("play.log").contains(word));
}

#[test]
fn rotating_the_recipients_encrypts_every_secret_anew() {
    let place = Place::new();
    place.write("p.rhai", "step(\"a\", || random::key(#{ name: \"k\", bytes: 32 }).value);\n");
    place.play_ok(&["run", "p.rhai"]);
    let secret = revealed(&place, "random::key/k");
    let log = place.path().join(".gitpod-play/p/log");
    let sealed_before = sealed(&log);
    assert!(!sealed_before.is_empty(), "the secret is in the log");
    let theirs = age::x25519::Identity::generate();
    let file = place.write("theirs.txt", age::secrecy::ExposeSecret::expose_secret(&theirs.to_string()));
    place.play_ok(&["state", "rotate", &theirs.to_public().to_string()]);
    let after: String = files(&place.path().join(".gitpod-play/p"))
        .iter()
        .map(|it| std::fs::read_to_string(it).unwrap_or_default())
        .collect();
    for text in sealed_before {
        assert!(!after.contains(&text), "something for the former recipients is left");
    }
    // Our own identity no longer opens it, theirs does.
    let ours = place.play(&["state", "show"]);
    assert!(ours.code == 1 && ours.stderr.contains("encrypted for others"), "{}{}", ours.stdout, ours.stderr);
    let own = place.path().join("home/.config/gitpod-play/identity.txt");
    std::fs::copy(file, own).unwrap();
    assert_eq!(revealed(&place, "random::key/k"), secret);
}

/// Every encrypted text in the records of a log.
fn sealed(log: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(log) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let number: u64 = file.file_stem().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default();
        state::read_record(text.as_bytes(), number).expect("a record");
        found.extend(text.split("\"$age\":\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}
