//! The one place that sends. Every call to a cloud asks here first: writes are refused in a plan, each call is recorded,
//! and a test can make the process die, or the network fail, at any of them.

mod crash;
mod unreachable;

use crash::{Crash, Point, die};
use unreachable::Unreachable;

use crate::error::{Class, Error, Result};
use serde::Serialize;
use std::{
    fs::File,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Environment variable with the seconds for which a call's answer is waited for, in place of the usual ones: behind a slow
/// proxy, and in tests.
pub const CALL_TIMEOUT_VARIABLE: &str = "GITPOD_PLAY_CALL_TIMEOUT_S";

/// How long the answer of a call is waited for: `usual_s`, or what [`CALL_TIMEOUT_VARIABLE`] says.
pub fn call_timeout(usual_s: u64) -> Duration {
    let asked = std::env::var(CALL_TIMEOUT_VARIABLE).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.filter(|asked| *asked > 0).unwrap_or(usual_s))
}

/// Whether the server of a URL is on this machine: an emulator, which no proxy leads to.
pub fn is_on_this_machine(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}

tokio::task_local! {
    /// Who asks, for the record of a call.
    pub static ASKED_BY: Asker;
    /// Which try of the same call this is, for the log.
    pub static TRY: u32;
    /// Counts the writes that are sent for one create.
    pub static WRITES: Arc<AtomicU64>;
}

/// The step and the resource for which a call is made.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    /// The step's name.
    pub step: Arc<str>,
    /// The resource's address, or empty.
    pub resource: Arc<str>,
}

/// One call, as `--record FILE` writes it.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// When it was sent, RFC 3339.
    pub at: String,
    /// `ec2`, `eks`, `k8s`, `http` …
    pub service: String,
    /// `CreateVpc`; for Kubernetes `PATCH deployments`.
    pub operation: String,
    /// Whether it could change something. A server-side dry run is not a write.
    pub write: bool,
    /// The step that asked.
    pub step: String,
    /// The resource's address.
    pub resource: String,
    /// `200`, or the cloud's error code.
    pub status: String,
    /// From sending to the answer, in milliseconds.
    pub ms: u64,
}

/// How many calls of each sort were made.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls that read.
    pub reads: AtomicU64,
    /// Calls that may have written.
    pub writes: AtomicU64,
}

struct Inner {
    writes_allowed: bool,
    record: Option<Mutex<File>>,
    counts: Counts,
    crash: Option<Crash>,
    unreachable: Option<Unreachable>,
    lease: Box<dyn Fn() -> Result<()> + Send + Sync>,
}

/// Cheap to clone; see the module.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

/// A call under way.
pub struct Ticket {
    wire: Wire,
    recorded: Recorded,
    began: Instant,
    dies_at: Option<Point>,
}

impl Wire {
    /// `writes_allowed` is false in a plan. `lease` is asked before each write and refuses when the stack is no longer ours.
    pub fn new(writes_allowed: bool, record: Option<File>, lease: Box<dyn Fn() -> Result<()> + Send + Sync>) -> Self {
        Self(Arc::new(Inner {
            writes_allowed,
            record: record.map(Mutex::new),
            counts: Counts::default(),
            // A process dies in the run, not while it looks whether to begin.
            crash: crash::point().filter(|_| writes_allowed),
            unreachable: Unreachable::from_environment(),
            lease,
        }))
    }

    /// Asks to send. An error means that nothing may be sent.
    pub fn begin(&self, service: &str, operation: &str, write: bool) -> Result<Ticket> {
        if write && !self.0.writes_allowed {
            tracing::warn!(service, operation, "a write was refused: this is a plan");
            return Err(Error::new(
                Class::Refused,
                format!("`{service} {operation}` would write, which a plan never does"),
            ));
        }
        if write {
            (self.0.lease)()?;
        }
        let counter = if write { &self.0.counts.writes } else { &self.0.counts.reads };
        counter.fetch_add(1, Ordering::Relaxed);
        if write {
            let _ = WRITES.try_with(|writes| writes.fetch_add(1, Ordering::Relaxed));
        }
        let asker = ASKED_BY.try_with(Clone::clone).unwrap_or_default();
        let recorded = Recorded {
            at: jiff::Timestamp::now().to_string(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            write,
            step: asker.step.to_string(),
            resource: asker.resource.to_string(),
            status: String::new(),
            ms: 0,
        };
        self.before_record(&asker.step);
        let dies_at = self.0.crash.as_ref().filter(|crash| crash.means(&recorded)).map(|crash| crash.point);
        if dies_at == Some(Point::Before) {
            die();
        }
        let unreached = self.0.unreachable.as_ref().and_then(|unreachable| unreachable.meets(&recorded));
        let mut ticket = Ticket { wire: self.clone(), recorded, began: Instant::now(), dies_at };
        match unreached {
            Some(error) => {
                ticket.note("no reply");
                Err(error)
            }
            None => Ok(ticket),
        }
    }

    /// Calls so far: (reads, writes).
    pub fn counts(&self) -> (u64, u64) {
        (self.0.counts.reads.load(Ordering::Relaxed), self.0.counts.writes.load(Ordering::Relaxed))
    }

    /// Called between an answer that `step` got and its record, and before the step's next call.
    pub fn before_record(&self, step: &str) {
        if self.0.crash.as_ref().is_some_and(|crash| crash.is_armed(step)) {
            die();
        }
    }
}

impl Ticket {
    /// The answer came (`200`, or the cloud's error code), or no answer will come (`no reply`).
    pub fn answered(mut self, status: &str) {
        if self.dies_at == Some(Point::Answered) {
            die();
        }
        self.note(status);
        if self.dies_at == Some(Point::Unrecorded) {
            // Calls that no step asked for have no record to come.
            if self.recorded.step.is_empty() {
                die();
            }
            self.wire.0.crash.iter().for_each(|crash| crash.arm(&self.recorded.step));
        }
    }

    fn note(&mut self, status: &str) {
        self.recorded.ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.clone_into(&mut self.recorded.status);
        self.log();
        let Some(record) = &self.wire.0.record else { return };
        let Ok(mut line) = serde_json::to_string(&self.recorded) else { return };
        line = crate::secret::hide(&line);
        line.push('\n');
        if let Ok(mut file) = record.lock() {
            // A record that cannot be written must not fail the call that was made.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

impl Ticket {
    fn log(&self) {
        let Recorded { service, operation, write, step, resource, status, ms, .. } = &self.recorded;
        let attempt = TRY.try_with(|attempt| *attempt).unwrap_or(1);
        tracing::debug!(service, operation, write, status, ms, attempt, step, resource, "call");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(writes_allowed: bool) -> Wire {
        Wire::new(writes_allowed, None, Box::new(|| Ok(())))
    }

    #[test]
    fn a_plan_never_writes() {
        let wire = wire(false);
        assert!(wire.begin("ec2", "DescribeVpcs", false).is_ok());
        let refused = wire.begin("ec2", "CreateVpc", true).err().unwrap();
        assert_eq!(refused.class, Class::Refused);
        assert_eq!(wire.counts(), (1, 0));
    }

    #[test]
    fn a_lost_lease_stops_writes_and_not_reads() {
        let wire = Wire::new(true, None, Box::new(|| Err(Error::failed("the lease is lost"))));
        assert!(wire.begin("ec2", "DescribeVpcs", false).is_ok());
        assert!(wire.begin("ec2", "CreateVpc", true).is_err());
    }

    #[test]
    fn calls_are_recorded_as_json_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        let wire = Wire::new(true, Some(File::create(&path).unwrap()), Box::new(|| Ok(())));
        wire.begin("ec2", "CreateVpc", true).unwrap().answered("200");
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["operation"], "CreateVpc");
        assert_eq!(line["write"], true);
        assert_eq!(line["status"], "200");
    }

    #[test]
    fn servers_on_this_machine_are_told_apart() {
        assert!(is_on_this_machine("http://127.0.0.1:5000") && is_on_this_machine("http://localhost:5000"));
        assert!(!is_on_this_machine("http://10.0.0.1:9000") && !is_on_this_machine("http://localhost.example.com"));
    }
}
