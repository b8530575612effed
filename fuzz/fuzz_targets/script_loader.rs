//! Any bytes as a playbook: loaded, checked, its steps run. Never a panic, a hang, or a file outside of its folder.
#![no_main]

use gitpod_play::fuzzed::Playground;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PLAYGROUND: LazyLock<Playground> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("gitpod-play-fuzz-{}", std::process::id()));
    Playground::new(&root).expect("a folder for the playbook")
});

fuzz_target!(|bytes: &[u8]| PLAYGROUND.script_loader(bytes));
