//! The state log: what every run did, on any object store, so that a run killed at any instant can be gone on with.
//!
//! ```text
//! <place>/<stack>/log/0000000017.json        one record: a list of events, checksummed, never overwritten
//! <place>/<stack>/snapshots/0000000256.json  everything up to that record
//! ```
//!
//! A record is put *create-if-absent* under the next number, so of two writers only one can win, on any backend. The
//! lease stands in the same log: whoever takes over writes the next record, and whoever was taken over finds its number
//! taken and stops. See `docs/decisions/state-log.md`.

mod apply;
#[cfg(all(test, feature = "sandbox"))]
mod bucket_test;
#[cfg(test)]
mod damage_test;
mod event;
#[doc(hidden)]
pub mod fuzzed;
mod journal;
mod keys;
#[cfg(test)]
mod kill_test;
mod lease;
mod log;
#[cfg(test)]
mod log_test;
mod model;
#[cfg(test)]
mod model_test;
mod place;
mod record;
pub mod show;
mod status;
mod store;

pub use event::{Event, Holder, Outcome};
pub use keys::Keys;
pub use lease::{Lease, Timing};
pub use log::Log;
pub use model::{ActionState, Changes, HeldLease, Resource, RunSummary, State, StepState, StepStatus};
pub use place::{Place, S3Access};
pub use status::{Illegal, Status, next};

/// The events in the text of the record `number`, or what is wrong with it. For tools and tests; encrypted strings stay so.
pub fn read_record(text: &[u8], number: u64) -> Result<Vec<Event>, String> {
    let flawed = |flaw| match flaw {
        record::Flaw::Torn => "it is cut off".to_owned(),
        record::Flaw::Damaged(why) => why,
        record::Flaw::Newer(format) => format!("it has format {format}"),
    };
    record::decode(text, number).and_then(|document| record::events(document.body)).map_err(flawed)
}
