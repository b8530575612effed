//! Where a test wants the process to die.

use super::Recorded;
use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Environment variable by which a test makes the process die: `before:17`, `answered:17` or `unrecorded:17` kill it at its
/// seventeenth call, `before:2 ec2 CreateVpc network aws::ec2::vpc/gitpod` at the second call of this service and operation
/// that this step makes for this resource, `before:1 eks DescribeCluster ?` at the first one that any step makes for none of
/// its resources. Only builds with debug assertions look at it.
pub const CRASH_VARIABLE: &str = "GITPOD_PLAY_CRASH_AT";

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
pub(super) struct Crash {
    pub(super) point: Point,
    nth: u64,
    /// `service operation step resource`, or with `*` at its end the beginning of it, or with `?` for any step; all calls
    /// count when it is empty.
    call: String,
    seen: AtomicU64,
    /// The step whose next call or record is the last.
    armed: Mutex<Option<String>>,
}

impl Crash {
    pub(super) fn from_text(wanted: &str) -> Option<Self> {
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
    pub(super) fn means(&self, it: &Recorded) -> bool {
        let any_step = self.call.split(' ').nth(2) == Some("?") && !it.step.is_empty();
        let step = if any_step { "?" } else { &it.step };
        let call = format!("{} {} {step} {}", it.service, it.operation, it.resource);
        let fits = match self.call.strip_suffix('*') {
            Some(begin) => call.starts_with(begin),
            None => self.call.is_empty() || self.call == call.trim_end(),
        };
        fits && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.nth
    }

    pub(super) fn arm(&self, step: &str) {
        if let Ok(mut armed) = self.armed.lock() {
            *armed = Some(step.to_owned());
        }
    }

    pub(super) fn is_armed(&self, step: &str) -> bool {
        self.armed.lock().is_ok_and(|armed| armed.as_deref() == Some(step))
    }
}

/// The same as `kill -9`: no destructor runs, nothing is flushed.
pub(super) fn die() {
    let me = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-9", &me]).status();
    std::process::abort();
}

/// What [`CRASH_VARIABLE`] says.
pub(super) fn point() -> Option<Crash> {
    if !cfg!(debug_assertions) {
        return None;
    }
    Crash::from_text(&std::env::var(CRASH_VARIABLE).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    #[test]
    fn crash_points_count_all_calls_or_those_of_a_name() {
        let wire = Wire::new(true, None, Box::new(|| Ok(())));
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
