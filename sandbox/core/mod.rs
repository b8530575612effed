//! What every simulated cloud stands on: documents, time, faults, blobs, recorded calls.

pub mod blob;
pub mod calls;
pub mod clock;
pub mod fault;
pub mod quota;
pub mod store;
