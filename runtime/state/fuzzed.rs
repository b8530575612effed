//! Bytes as records and snapshots; see [`crate::fuzzed`].

use super::{
    keys::{Keys, needs_sealing},
    model::State,
    record::{self, Document, FORMAT, Flaw},
    show,
};
use crate::value::has_secret;
use jiff::Timestamp;
use serde_json::Value;
use std::path::Path;

/// Number of the record that bytes are read as.
const NUMBER: u64 = 7;

/// Reads `bytes` as a record, as a record with its checksum set right, and as the body of a record or a snapshot.
///
/// `folder` is where the identity for the secrets in it is kept.
///
/// # Panics
/// Reading panicked, something damaged was accepted, or what was accepted comes back changed.
pub fn state_records(folder: &Path, bytes: &[u8]) {
    if let Ok(document) = record::decode(bytes, NUMBER) {
        comes_back(&document);
        damage(bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match record::decode(record::sealed(text).as_bytes(), NUMBER) {
        Ok(document) => comes_back(&document),
        Err(flaw) => assert_ne!(flaw, Flaw::Torn, "what ends in its checksum is complete"),
    }
    let Ok(body) = serde_json::from_str::<Value>(text) else { return };
    let document = document(FORMAT, body.clone());
    let written = record::encode(&document);
    assert_eq!(record::decode(written.as_bytes(), NUMBER).as_ref(), Ok(&document), "what is written is read");
    damage(written.as_bytes());
    let keys = Keys::in_folder(folder);
    for body in [body.clone(), old(body)] {
        if let Ok(body) = keys.open(body) {
            means(&body);
            secrets(&keys, &body);
        }
    }
}

fn document(format: u32, body: Value) -> Document {
    Document { format, number: NUMBER, epoch: 1, writer: "w".into(), at: Timestamp::UNIX_EPOCH, body }
}

/// The body as it is after the migration from the first format.
fn old(body: Value) -> Value {
    let written = record::encode(&document(1, body));
    record::decode(written.as_bytes(), NUMBER).expect("the first format is read").body
}

fn comes_back(document: &Document) {
    let again = record::encode(document);
    assert_eq!(record::decode(again.as_bytes(), document.number).as_ref(), Ok(document), "{again}");
    means(&document.body);
}

/// No other byte, no byte less and no other number is taken for the same record.
fn damage(written: &[u8]) {
    // Where, is told by the input, so that the same input does the same.
    let place = written.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    for step in [1, 7, 31] {
        let at = place.wrapping_mul(step) % written.len();
        let mut other = written.to_vec();
        other[at] ^= 1 << (place % 8);
        assert!(record::decode(&other, NUMBER).is_err(), "byte {at} was changed");
        assert!(record::decode(&written[..at], NUMBER).is_err(), "cut off at {at}");
    }
    assert!(record::decode(written, NUMBER + 1).is_err(), "it is another record");
}

/// The body as events that happen one after another, and as a snapshot.
fn means(body: &Value) {
    let mut state = State::read(body.clone()).unwrap_or_default();
    if let Ok(events) = record::events(body.clone()) {
        let text = serde_json::to_value(&events).expect("events are JSON");
        assert_eq!(record::events(text).as_ref(), Ok(&events), "events come back");
        for event in &events {
            let before = state.resources.clone();
            if state.apply(event, Timestamp::UNIX_EPOCH).is_err() {
                assert_eq!(state.resources, before, "an illegal event changes no resource");
            }
        }
    }
    let text = serde_json::to_value(&state).expect("a state is JSON");
    assert_eq!(State::read(text).ok().as_ref(), Some(&state), "a snapshot comes back");
    show::resource_lines(&state);
    show::history_lines(&state.runs);
    assert!(!has_secret(&show::resources(&state, "")), "`state show` hides secrets");
}

/// What is sealed holds no secret, and opens to what it was.
fn secrets(keys: &Keys, body: &Value) {
    if !needs_sealing(body) {
        return;
    }
    let recipients = keys.default_recipients().expect("an identity can be made");
    let sealed = keys.seal(body, &recipients).expect("it can be sealed");
    assert!(!has_secret(&sealed), "{sealed}");
    assert_eq!(keys.open(sealed).ok().as_ref(), Some(body), "what is sealed opens");
}
