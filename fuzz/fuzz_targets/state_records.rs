//! Any bytes as records and snapshots of the state log: what is damaged is refused, what is accepted comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{path::PathBuf, sync::LazyLock};

static KEYS: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("gitpod-play-fuzz-{}", std::process::id())));

fuzz_target!(|bytes: &[u8]| gitpod_play::fuzzed::state_records(&KEYS, bytes));
