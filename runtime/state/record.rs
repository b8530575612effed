//! The text of a record and of a snapshot: one JSON object on one line, which ends in the checksum of all before it.

use super::event::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The format that this version writes. Older ones are migrated while they are read; newer ones are refused.
pub const FORMAT: u32 = 2;

const START: &str = "{\"format\":";
const SEAL: &str = ",\"sha256\":\"";
const END: &str = "\"}\n";

/// A record or a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// See [`FORMAT`].
    pub format: u32,
    /// Its own number, so that a renamed file is noticed.
    pub number: u64,
    /// The lease under which it was written.
    pub epoch: u64,
    /// The process that wrote it.
    pub writer: String,
    /// When.
    pub at: Timestamp,
    /// A list of events, or the state; secrets in it are encrypted.
    pub body: Value,
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It is empty, or ends before its checksum.
    Torn,
    /// It is complete and wrong.
    Damaged(String),
    /// Its format is this one.
    Newer(u32),
}

/// The text of `document`.
pub fn encode(document: &Document) -> String {
    // A `Document` has string keys only, so that it always is JSON.
    let mut text = serde_json::to_string(document).unwrap_or_default();
    text.pop();
    sealed(&text)
}

/// `covered`, and the checksum of it.
pub(super) fn sealed(covered: &str) -> String {
    let mut text = covered.to_owned();
    let _ = write!(text, "{SEAL}{}{END}", digest(covered));
    text
}

/// The document called `number`, in today's format.
pub fn decode(bytes: &[u8], number: u64) -> Result<Document, Flaw> {
    let newer = sniffed_format(bytes).filter(|format| *format > FORMAT);
    let Some((covered, sum)) = parts(bytes) else {
        return Err(match newer {
            Some(format) => Flaw::Newer(format),
            None if is_torn(bytes) => Flaw::Torn,
            None => Flaw::Damaged("it is no record".into()),
        });
    };
    if digest(covered) != sum {
        return Err(Flaw::Damaged("its checksum does not fit".into()));
    }
    if let Some(format) = newer {
        return Err(Flaw::Newer(format));
    }
    let mut document: Document =
        serde_json::from_str(&format!("{covered}}}")).map_err(|mistake| Flaw::Damaged(mistake.to_string()))?;
    if document.number != number {
        return Err(Flaw::Damaged(format!("it is number {}", document.number)));
    }
    if document.format == 1 {
        migrate_1(&mut document.body);
    }
    Ok(document)
}

/// The events of a record, secrets opened.
pub fn events(body: Value) -> Result<Vec<Event>, Flaw> {
    serde_json::from_value(body).map_err(|mistake| Flaw::Damaged(mistake.to_string()))
}

/// Format 1 knew neither `protect` nor `stateful`, and its leases lasted a minute without saying so.
fn migrate_1(body: &mut Value) {
    let default = |object: &mut Value, key: &str, value: Value| {
        if let Some(object) = object.as_object_mut() {
            object.entry(key).or_insert(value);
        }
    };
    for event in body.as_array_mut().into_iter().flatten() {
        match event["event"].as_str() {
            Some("intent" | "adopted") => {
                default(event, "protect", false.into());
                default(event, "stateful", false.into());
            }
            Some("lease") => default(event, "ttl_s", 60.into()),
            _ => {}
        }
    }
    for resource in
        body.get_mut("resources").and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut())
    {
        default(resource, "protect", false.into());
        default(resource, "stateful", false.into());
    }
    if let Some(lease) = body.get_mut("lease").filter(|lease| lease.is_object()) {
        default(lease, "ttl_s", 60.into());
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// What the checksum covers, and the checksum.
fn parts(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (covered, sum) = text.strip_suffix(END)?.rsplit_once(SEAL)?;
    (sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((covered, sum))
}

/// Whether it is the beginning of a document, or what a file system leaves of one after a power cut (zeros).
fn is_torn(bytes: &[u8]) -> bool {
    let written = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let (bytes, start) = (&bytes[..written], START.as_bytes());
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common] && !bytes.ends_with(END.as_bytes())
}

fn sniffed_format(bytes: &[u8]) -> Option<u32> {
    let rest = bytes.strip_prefix(START.as_bytes())?;
    let digits: String =
        rest.iter().take(9).map_while(|byte| byte.is_ascii_digit().then_some(char::from(*byte))).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn document(body: Value) -> Document {
        Document { format: FORMAT, number: 7, epoch: 2, writer: "w".into(), at: Timestamp::UNIX_EPOCH, body }
    }

    #[test]
    fn what_is_written_is_read() {
        let document = document(json!([{ "event": "heartbeat" }, { "x": 0.1, "ü": "\"}\n" }]));
        assert_eq!(decode(encode(&document).as_bytes(), 7), Ok(document));
    }

    #[test]
    fn another_number_is_damage() {
        let text = encode(&document(json!([])));
        assert!(matches!(decode(text.as_bytes(), 8), Err(Flaw::Damaged(_))));
    }

    #[test]
    fn every_truncation_is_torn() {
        let text = encode(&document(json!([{ "event": "heartbeat" }])));
        for length in 0..text.len() {
            assert_eq!(decode(&text.as_bytes()[..length], 7), Err(Flaw::Torn), "first {length} bytes");
        }
        let mut zeroed = text.into_bytes();
        zeroed[40..].fill(0);
        assert_eq!(decode(&zeroed, 7), Err(Flaw::Torn));
    }

    #[test]
    fn a_newer_format_is_named() {
        let newer = Document { format: FORMAT + 1, ..document(json!([])) };
        assert_eq!(decode(encode(&newer).as_bytes(), 7), Err(Flaw::Newer(FORMAT + 1)));
        assert_eq!(decode(b"{\"format\":12,\"all\":\"is different\"}", 7), Err(Flaw::Newer(12)));
    }

    #[test]
    fn the_first_format_is_migrated() {
        let old = json!([{ "event": "intent", "address": "k/a", "kind": "k", "name": "a", "step": "s", "args": {},
                           "token": "t" },
                         { "event": "lease", "epoch": 1, "nonce": "n",
                           "holder": { "host": "h", "pid": 1, "user": null, "command": "c" } }]);
        let text = encode(&Document { format: 1, ..document(old) });
        let read = events(decode(text.as_bytes(), 7).unwrap().body).unwrap();
        assert!(matches!(read[0], Event::Intent { protect: false, stateful: false, .. }));
        assert!(matches!(read[1], Event::Lease { ttl_s: 60, .. }));
    }

    proptest! {
        /// Whatever bytes stand in a file, reading them ends, and a single wrong byte is never taken for a record.
        #[test]
        fn one_wrong_byte_is_noticed(place in 0_usize..150, byte: u8) {
            let text = encode(&document(json!([{ "event": "heartbeat" }])));
            let mut bytes = text.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            prop_assert_eq!(decode(&bytes, 7).is_ok(), bytes == text.as_bytes());
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            prop_assert!(decode(&bytes, 7).is_err());
        }
    }
}
