//! Any texts as YAML, TOML and `--set`, over a declaration of every sort of setting.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gitpod_play::fuzzed::settings(bytes));
