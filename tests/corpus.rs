//! The corpora of the fuzz targets, run through the functions that the targets call.

use crate::support::leaks::files;
use gitpod_play::fuzzed::{self, Playground};
use std::path::{Path, PathBuf};

/// Inputs of a target; at least a few dozen, each small.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = files(&folder);
    inputs.sort();
    assert!(inputs.len() >= 30, "{}: {} inputs", folder.display(), inputs.len());
    for input in &inputs {
        assert!(std::fs::metadata(input).unwrap().len() < 4096, "{} is large", input.display());
    }
    inputs
}

/// Runs all inputs, and names those that fail.
fn run(target: &str, one: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let mut failed = Vec::new();
    for input in inputs(target) {
        let bytes = std::fs::read(&input).unwrap();
        if std::panic::catch_unwind(|| one(&bytes)).is_err() {
            failed.push(input.display().to_string());
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn scripts_of_the_corpus_neither_panic_nor_hang_nor_read_outside() {
    let folder = tempfile::tempdir().unwrap();
    let playground = Playground::new(folder.path()).unwrap();
    let playground = std::panic::AssertUnwindSafe(playground);
    run("script_loader", move |bytes| playground.script_loader(bytes));
}

#[test]
fn settings_of_the_corpus_are_what_was_declared_or_refused() {
    run("settings", fuzzed::settings);
}

#[test]
fn records_of_the_corpus_come_back_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    run("state_records", |bytes| fuzzed::state_records(folder.path(), bytes));
}
