//! Secrets show nowhere.

use crate::support::{AWS, Place};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// The secrets of a stack, by `state reveal` on a terminal (`script` lends one).
fn revealed(place: &Place, name: &str) -> String {
    let program = env!("CARGO_BIN_EXE_gitpod-play");
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("{program} state reveal {name}"), "/dev/null"]);
    command
        .current_dir(place.path())
        .env("HOME", place.path().join("home"))
        .env("XDG_CONFIG_HOME", place.path().join("home/.config"));
    let output = command.stdin(Stdio::null()).output().expect("script(1) is there: install the package bsdutils");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_whole_run_leaves_no_secret_in_the_clear() {
    let place = Place::new();
    let mut shown = String::new();
    for args in [
        &["run", AWS, "--pace", "max", "--yes", "--json", "--record", "calls.jsonl"][..],
        &["plan", AWS, "--pace", "max", "--set", "database.engine_version=8.4"],
        &["state", "show"],
        &["state", "show", "--json"],
        &["state", "history"],
        &["settings", AWS],
    ] {
        let ended = place.play(args);
        shown.push_str(&ended.stdout);
        shown.push_str(&ended.stderr);
    }
    let names = ["random::password/database", "random::key/encryption"];
    let secrets: Vec<String> = names.iter().map(|name| revealed(&place, name)).collect();
    for secret in &secrets {
        assert!(secret.len() >= 36, "a secret is revealed on a terminal: {secret:?}");
        assert!(!shown.contains(secret.as_str()), "a secret is shown");
    }
    let mut files = Vec::new();
    files_below(place.path(), &mut files);
    // The simulated clouds are clouds: they must know the secrets that were sent to them.
    let clouds = place.path().join(".gitpod-play/sandbox");
    let ours: Vec<&PathBuf> = files.iter().filter(|file| !file.starts_with(&clouds)).collect();
    assert!(ours.len() > 5, "{ours:?}");
    for file in ours {
        let content = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        for secret in &secrets {
            assert!(!content.contains(secret.as_str()), "a secret stands in {}", file.display());
        }
    }
    let piped = place.play(&["state", "reveal", names[0]]);
    assert_eq!(piped.code, 2, "a secret is not written into a pipe");
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
