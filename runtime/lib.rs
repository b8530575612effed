//! The host of playbooks: scripts in Rhai that declare steps, and the engine that converges what they declare.
//!
//! Layers, of which each may use only those below it:
//!
//! ```text
//! cli → report, playbook, engine → bind → wire, state → value, secret, error
//!                      aws, k8s, random, file (bindings) → bind, wire
//! ```

pub mod allowed;
#[cfg(feature = "aws")]
pub mod aws;
pub mod bind;
pub mod cli;
pub mod cx;
pub mod debug_log;
pub mod engine;
pub mod error;
pub mod file;
#[doc(hidden)]
pub mod fuzzed;
pub mod graph;
pub mod http;
#[cfg(feature = "k8s")]
pub mod k8s;
pub mod kept;
pub mod playbook;
pub mod printable;
pub mod process;
pub mod random;
pub mod reference;
pub mod report;
pub mod secret;
pub mod state;
pub mod value;
pub mod wire;
