//! Mistakes: each gets an error after the template, with its exit code, and nothing is written.

mod early;
mod words;

use crate::support::{AWS, Place};

/// Runs `args`, which must fail with `code`, say all of `words`, and leave no resource behind.
fn refused(place: &Place, args: &[&str], code: i32, words: &[&str]) {
    let ended = place.play(args);
    let shown = format!("gitpod-play {}\nexit {}\n{}{}", args.join(" "), ended.code, ended.stdout, ended.stderr);
    assert_eq!(ended.code, code, "{shown}");
    assert!(ended.stderr.starts_with("error: ") || ended.stderr.contains("\nerror: "), "{shown}");
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is missing in:\n{shown}");
    }
    assert!(!ended.stderr.contains("panicked"), "{shown}");
}

fn script(text: &str) -> Place {
    let place = Place::new();
    place.write("p.rhai", text);
    place
}

#[test]
fn mistakes_in_a_playbook_are_found_before_anything_runs() {
    let cases: [(&str, &[&str]); 12] = [
        ("step(\"a\", || aws::ec2::vcp(#{ name: \"x\", cidr: \"10.0.0.0/16\" }));", &["vcp", "vpc", "p.rhai:1"]),
        ("step(\"a\", || aws::ec2::vpc(#{ name: \"x\", cdir: \"10.0.0.0/16\" }));", &["cdir", "cidr", "p.rhai:1"]),
        ("step(\"a\", |b| 1);\nstep(\"b\", |a| 2);", &["a → b → a", "p.rhai:1"]),
        ("step(\"a\", |netwrok| 1);\nstep(\"network\", || 2);", &["netwrok", "network"]),
        ("step(\"a\", || { let unused = 1; 2 });", &["unused"]),
        ("let cfg = settings(#{ size: 3 });\nstep(\"a\", || cfg.sise);", &["sise", "size"]),
        ("step(\"a\", || 1);\nstep(\"a\", || 2);", &["twice"]),
        ("step(\"a\", || 1).after(\"z\");", &["z"]),
        ("import \"../outside\" as o;\nstep(\"a\", || 1);", &["outside"]),
        ("import \"/etc/passwd\" as o;\nstep(\"a\", || 1);", &["passwd"]),
        ("loop { }", &["p.rhai:1"]),
        ("", &["p.rhai"]),
    ];
    for (text, words) in cases {
        let place = script(text);
        refused(&place, &["run", "p.rhai"], 2, words);
        assert!(!place.path().join(".gitpod-play/p/log").exists(), "nothing is written for: {text}");
    }
    let place = Place::new();
    std::fs::write(place.path().join("p.rhai"), [0xff, 0, 1, 2, 0xfe]).unwrap();
    refused(&place, &["check", "p.rhai"], 2, &["p.rhai"]);
    refused(&place, &["run", "nowhere.rhai"], 2, &["nowhere.rhai"]);
}

#[test]
fn scripts_that_grow_or_nest_for_ever_are_stopped() {
    for text in [
        "fn f(n) { f(n + 1) }\nf(0);",
        "let a = []; loop { a.push(\"xxxxxxxxxxxxxxxx\"); }",
        "let s = \"x\"; loop { s += s; }",
    ] {
        refused(&script(text), &["check", "p.rhai"], 2, &["p.rhai:"]);
    }
    let nested = format!("let x = {}1{};", "(".repeat(5000), ")".repeat(5000));
    refused(&script(&nested), &["check", "p.rhai"], 2, &["p.rhai"]);
}

#[test]
fn mistakes_in_settings_and_options() {
    let place = Place::new();
    refused(&place, &["plan", AWS, "--set", "workspaces.mx=3"], 2, &["workspaces.mx", "workspaces.max"]);
    refused(&place, &["plan", AWS, "--set", "workspaces.max=many"], 2, &["workspaces.max"]);
    refused(&place, &["plan", AWS, "--step", "netwrok"], 2, &["netwrok", "network"]);
    refused(&place, &["plan", AWS, "--stack", "../up"], 2, &["../up"]);
    refused(&place, &["plan", AWS, "--endpoint", "aws"], 2, &["--endpoint"]);
    refused(&place, &["plan", AWS, "--settings", "none.yaml"], 2, &["none.yaml"]);
    place.write("bad.yaml", "workspaces:\n  max: 3\n  mim: 1\n");
    refused(&place, &["plan", AWS, "--settings", "bad.yaml"], 2, &["bad.yaml:3", "mim", "min"]);
    place.write("broken.yaml", "workspaces: [\n");
    refused(&place, &["plan", AWS, "--settings", "broken.yaml"], 2, &["broken.yaml"]);
    let typo = place.play(&["rnu", AWS]);
    assert_eq!(typo.code, 2, "{}", typo.stderr);
}

#[test]
fn live_without_credentials_says_what_to_do() {
    let place = Place::new();
    refused(&place, &["plan", AWS, "--target", "live"], 1, &["credentials"]);
}

#[test]
fn damaged_records_are_named_and_kept() {
    let place = script("step(\"a\", || random::password(#{ name: \"x\" }).name);\n");
    place.play_ok(&["run", "p.rhai"]);
    place.play_ok(&["run", "p.rhai"]);
    let log = place.path().join(".gitpod-play/p/log");
    let mut records: Vec<_> = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    records.sort();
    let damaged = records[records.len() / 2].clone();
    std::fs::write(&damaged, "{\"not\": \"a record\"}").unwrap();
    let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
    refused(&place, &["run", "p.rhai"], 1, &[&name]);
    refused(&place, &["state", "show"], 1, &[&name]);
    assert!(damaged.exists());
}
