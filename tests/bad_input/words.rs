//! Slips of the command line, and how a run that failed ends.

use super::{refused, script};
use crate::support::{AWS, Place};

#[test]
fn slips_in_the_command_line_follow_the_template() {
    let place = Place::new();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["rnu", AWS], &["error: there is no verb `rnu`", "hint: did you mean `run`?"]),
        (&["plan"], &["error: `<PLAYBOOK>` is missing", "hint: `gitpod-play plan --help`"]),
        (&["plan", AWS, "--stepp", "x"], &["error: there is no option `--stepp`", "hint: did you mean `--step`?"]),
        (
            &["plan", AWS, "--jobs", "0"],
            &["error: `--jobs` cannot be `0`", "hint: it takes a whole number from 1 to 256"],
        ),
        (&["plan", AWS, "--pace", "0"], &["error: `--pace` cannot be `0`", "hint: it takes a whole number from 1 up"]),
        (&["plan", AWS, "--endpoint", "gcp=http://x"], &["no cloud `gcp`"]),
        (&["plan", AWS, "--endpoint", "aws=ftp://x"], &["`ftp://x` is neither http nor https"]),
        (&["plan", AWS, "--state", "gs://x"], &["`gs://x`", "hint: use a folder or `s3://bucket/prefix`"]),
    ];
    for (args, words) in cases {
        refused(&place, args, 2, words);
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_found_first() {
    let place = Place::new();
    refused(&place, &["plan", AWS, "--kubeconfig", "none"], 2, &["there is no kubeconfig `none`"]);
    for text in ["{", "kind: Config\n"] {
        place.write("kc", text);
        refused(&place, &["run", AWS, "--kubeconfig", "kc"], 2, &["cannot use kubeconfig `kc`", "cause: "]);
    }
}

#[test]
fn a_bucket_for_state_without_access() {
    refused(&Place::new(), &["plan", AWS, "--state", "s3://nobody-has-this/p"], 1, &["hint: there are no credentials"]);
}

#[test]
fn a_run_that_failed_ends_with_each_error_once_what_was_left_and_how_to_go_on() {
    let place = script(
        "step(\"d\", || random::password(#{ name: \"p\" }).name);\n\
         step(\"a\", |d| fail(\"no luck\", \"try again\"));\n\
         step(\"b\", |a| 1);\n\
         step(\"c\", |b| 1);\n\
         step(\"e\", |d| 1);\n",
    );
    let ended = place.play(&["run", "p.rhai"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("failed: no luck"), "{}", ended.stderr);
    let (_, end) = ended.stderr.split_once("\n\n").expect("an empty line before the end");
    let took = end.split(" in ").nth(1).and_then(|rest| rest.lines().next()).expect("how long it took");
    let wanted = format!(
        "error: no luck\n  --> p.rhai:2:15, step `a`\n   |\n 2 | step(\"a\", |d| fail(\"no luck\", \"try again\"));\n   |               ^^^^\n\
         hint: try again\n\nnot started: `b`, `c` (`a` failed)\n\n\
         run not finished: 2 steps done, 1 failed, 2 not started in {took}\n\
         state: 1 resource in stack `p`, 1 created\ngo on: gitpod-play run p.rhai\n"
    );
    assert_eq!(end, wanted);
}

#[test]
fn a_manifest_with_another_digest_names_both() {
    let place = script(
        "step(\"m\", || k8s::manifest(#{ cluster: #{ name: \"x\", endpoint: \"https://127.0.0.1:1\", certificate_authority: \"\" }, \
         url: \"m.yaml\", sha256: \"0000000000000000000000000000000000000000000000000000000000000000\" }));\n",
    );
    place.write("m.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n");
    refused(&place, &["run", "p.rhai"], 1, &["m.yaml", "0000000000", "p.rhai:1"]);
    assert!(!place.path().join(".gitpod-play/p/gitpod").exists());
}
