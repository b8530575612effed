//! The one place that sends. Every call to a cloud asks here first: writes are refused in a plan, each call is recorded,
//! and a test can make the process die at any of them.

use crate::error::{Class, Error, Result};
use serde::Serialize;
use std::{
    fs::File,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Environment variable by which a test makes the process die: `before:17`, `answered:17` or `unrecorded:17` kill it at its
/// seventeenth call, `before:2 ec2 CreateVpc network aws::ec2::vpc/gitpod` at the second call of this service and operation
/// that this step makes for this resource, `before:1 eks DescribeCluster ?` at the first one that any step makes for none of
/// its resources. Only builds with debug assertions look at it.
pub const CRASH_VARIABLE: &str = "GITPOD_PLAY_CRASH_AT";

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

/// The point of a call at which a test wants the process to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before it is sent.
    Before,
    /// After the server did it, before the answer is looked at.
    Answered,
    /// After the answer, before the log holds it and before the step's next call.
    Unrecorded,
}

/// Where a test wants the process to die.
struct Crash {
    point: Point,
    nth: u64,
    /// `service operation step resource`, or with `*` at its end the beginning of it, or with `?` for any step; all calls
    /// count when it is empty.
    call: String,
    seen: AtomicU64,
    /// The step whose next call or record is the last.
    armed: Mutex<Option<String>>,
}

impl Crash {
    fn from_text(wanted: &str) -> Option<Self> {
        let (instant, call) = wanted.split_once(':')?;
        let (nth, call) = call.split_once(' ').unwrap_or((call, ""));
        let point = match instant {
            "before" => Point::Before,
            "answered" => Point::Answered,
            "unrecorded" => Point::Unrecorded,
            _ => return None,
        };
        let (seen, armed) = (AtomicU64::new(0), Mutex::default());
        Some(Self { point, nth: nth.parse().ok()?, call: call.trim_end().to_owned(), seen, armed })
    }

    /// Whether this is the call that is meant. Counts it.
    fn means(&self, it: &Recorded) -> bool {
        let any_step = self.call.split(' ').nth(2) == Some("?") && !it.step.is_empty();
        let step = if any_step { "?" } else { &it.step };
        let call = format!("{} {} {step} {}", it.service, it.operation, it.resource);
        let fits = match self.call.strip_suffix('*') {
            Some(begin) => call.starts_with(begin),
            None => self.call.is_empty() || self.call == call.trim_end(),
        };
        fits && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.nth
    }

    fn arm(&self, step: &str) {
        if let Ok(mut armed) = self.armed.lock() {
            *armed = Some(step.to_owned());
        }
    }

    fn is_armed(&self, step: &str) -> bool {
        self.armed.lock().is_ok_and(|armed| armed.as_deref() == Some(step))
    }
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
            crash: crash_point().filter(|_| writes_allowed),
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
        Ok(Ticket { wire: self.clone(), recorded, began: Instant::now(), dies_at })
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

/// The same as `kill -9`: no destructor runs, nothing is flushed.
fn die() {
    let me = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-9", &me]).status();
    std::process::abort();
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

fn crash_point() -> Option<Crash> {
    if !cfg!(debug_assertions) {
        return None;
    }
    Crash::from_text(&std::env::var(CRASH_VARIABLE).ok()?)
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
    fn crash_points_count_all_calls_or_those_of_a_name() {
        let wire = wire(true);
        let vpc = wire.begin("ec2", "CreateVpc", true).unwrap();
        let any = Crash::from_text("before:2").unwrap();
        assert!(!any.means(&vpc.recorded) && any.means(&vpc.recorded) && !any.means(&vpc.recorded));
        let named = Crash::from_text("unrecorded:1 ec2 CreateVpc").unwrap();
        assert!(named.means(&vpc.recorded));
        let other = Crash::from_text("answered:1 ec2 CreateVpc network aws::ec2::vpc/gitpod").unwrap();
        assert!(!other.means(&vpc.recorded));
        assert!(Crash::from_text("answered:1 ec2 Create*").unwrap().means(&vpc.recorded));
        let of_a_step = Recorded { step: "network".into(), ..vpc.recorded.clone() };
        assert!(Crash::from_text("before:1 ec2 CreateVpc ?").unwrap().means(&of_a_step));
        let of_a_resource = Recorded { resource: "aws::ec2::vpc/gitpod".into(), ..of_a_step };
        assert!(!Crash::from_text("before:1 ec2 CreateVpc ?").unwrap().means(&of_a_resource));
        named.arm("network");
        assert!(named.is_armed("network") && !named.is_armed("cluster"));
    }
}
