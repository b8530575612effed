//! From saving a file under `watch` to the first call of the step that runs again.

use crate::{
    measured::Figure,
    support::{AWS, Place, until},
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const EDITS: usize = 15;
const LIMIT: Duration = Duration::from_mins(1);
/// A line of the shipped playbook, and what the edits make of it.
const LINE: &str = r#"step("storage", |account| buckets::storage(cfg, account));"#;

struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The shipped playbook is watched whole; an edit changes the step `storage`.
pub fn figures() -> Vec<Figure> {
    let place = Place::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(AWS);
    let script = std::fs::read_to_string(shipped).expect("the shipped playbook");
    assert!(script.contains(LINE), "the line that is edited");
    place.write("main.rhai", &script);
    let events = std::fs::File::create(place.path().join("events.jsonl")).expect("a file");
    let mut command =
        place.command(&["watch", "main.rhai", "--pace", "max", "--json", "--yes", "--record", "calls.jsonl"]);
    let _watch = Watch(command.stdout(events).stderr(Stdio::null()).spawn().expect("watch starts"));
    let ended = || place.read("events.jsonl").matches("\"event\":\"run_ended\"").count();
    until("the first pass ends", LIMIT, || ended() == 1);
    let mut taken = Vec::new();
    for edit in 1..=EDITS {
        std::thread::sleep(Duration::from_millis(200));
        let before = place.calls("calls.jsonl").len();
        let line = format!(r#"step("storage", |account| {{ print("edit {edit}"); buckets::storage(cfg, account) }});"#);
        place.write("next.rhai", &script.replace(LINE, &line));
        std::fs::rename(place.path().join("next.rhai"), place.path().join("main.rhai")).expect("the file is saved");
        let saved = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
        until("the step ran again", LIMIT, || ended() == edit + 1);
        let calls = place.calls("calls.jsonl");
        let first = calls[before..].iter().find(|call| call["step"] == "storage").expect("a call of the step");
        taken.push((sent(first) - saved) * 1000.0);
    }
    vec![Figure::over("save to first call", "ms", taken.into_iter()).at_most(50.0)]
}

/// When a call was sent, in seconds.
fn sent(call: &Value) -> f64 {
    let at: jiff::Timestamp = call["at"].as_str().expect("a time").parse().expect("RFC 3339");
    at.as_duration().as_secs_f64()
}
