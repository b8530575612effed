//! When and how often a failed call is made again. Pure but for the wait itself.

use crate::{
    cx::Cx,
    error::{Class, Error, Result},
    wire::TRY,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Codes by which clouds say "not now": the work was surely not done.
const THROTTLES: [&str; 9] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TooManyRequests",
    "SlowDown",
    "PriorRequestNotComplete",
    "RequestThrottled",
];
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Life time within which a fresh object may not be visible to every reader.
pub const CONSISTENCY_WINDOW: Duration = Duration::from_mins(1);
/// Life time within which something that is being deleted may still be in use by what is being deleted beside it.
pub const IN_USE_WINDOW: Duration = Duration::from_mins(15);

/// However fast simulated waits pass, a machine with much to do needs this long.
const SHORTEST_WINDOW: Duration = Duration::from_secs(2);
/// Tries of what is not visible yet, also where they take longer than [`CONSISTENCY_WINDOW`].
const TRIES_WITHIN_WINDOW: u32 = 6;

/// How a call's failures are met.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Tries of a passing failure, the first included; of each call, where an operation makes several.
    pub tries: u32,
    /// Whether the object was just made, so that `NotFound` may pass.
    pub fresh: bool,
    /// Whether `InUse` may pass, as it does while dependents are going away.
    pub in_use_passes: bool,
}

impl Policy {
    /// Reads and writes of things that exist.
    pub const CALL: Self = Self { tries: 12, fresh: false, in_use_passes: false };
    /// Calls about something that was made moments ago.
    pub const FRESH: Self = Self { tries: 12, fresh: true, in_use_passes: false };
    /// Deletes.
    pub const DELETE: Self = Self { tries: 12, fresh: false, in_use_passes: true };
}

/// Whether a failed write may have been done all the same.
pub fn is_ambiguous(error: &Error) -> bool {
    error.class == Class::Passing && !error.code.as_deref().is_some_and(|code| THROTTLES.contains(&code))
}

/// Life time to wait before try number `next` (2 is the first retry), with jitter in `0.0..1.0`.
pub fn backoff(next: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << next.saturating_sub(2).min(10));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + jitter / 2.0)
}

/// How often each call of an operation has failed. An operation that gets further than before is not given up for what
/// other calls of it met.
#[derive(Debug, Default)]
pub struct Failures(HashMap<Option<Arc<str>>, u32>);

impl Failures {
    /// Counts one; how often that call has failed by now.
    pub fn count(&mut self, error: &Error) -> u32 {
        let failed = self.0.entry(error.call.clone()).or_default();
        *failed += 1;
        *failed
    }
}

/// Makes `call` until it succeeds, fails for good, or the policy is used up.
pub async fn retried<T, F>(cx: &Cx, policy: Policy, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let began = Instant::now();
    let mut failures = Failures::default();
    let mut tried = 0;
    loop {
        tried += 1;
        let error = match TRY.scope(tried, call()).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let within = |window: Duration| began.elapsed() < cx.run.pace.scaled(window).max(SHORTEST_WINDOW);
        let failed = failures.count(&error);
        let again = match error.class {
            Class::Passing => failed < policy.tries,
            Class::NotFound => policy.fresh && (failed < TRIES_WITHIN_WINDOW || within(CONSISTENCY_WINDOW)),
            Class::InUse => policy.in_use_passes && within(IN_USE_WINDOW),
            _ => false,
        };
        let (step, resource) = (&*cx.step, &*cx.address);
        tracing::debug!(step, resource, tried, again, class = ?error.class, code = error.code, %error, "a call failed");
        if !again || cx.run.cancel.is_cancelled() {
            return Err(error);
        }
        cx.say(&format!("trying again: {}", error.cause.as_deref().unwrap_or(&error.message)));
        cx.sleep(backoff(failed + 1, rand::random())).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        assert_eq!(backoff(2, 1.0), FIRST_WAIT);
        assert_eq!(backoff(3, 1.0), FIRST_WAIT * 2);
        assert_eq!(backoff(40, 1.0), LONGEST_WAIT);
        assert!(backoff(5, 0.0) >= FIRST_WAIT * 4);
    }

    #[test]
    fn each_call_of_an_operation_has_its_own_tries() {
        let mut failures = Failures::default();
        let of = |call: &str| Error::new(Class::Passing, "x").of_call(call);
        assert_eq!([failures.count(&of("IAM GetUser")), failures.count(&of("IAM GetUser"))], [1, 2]);
        assert_eq!(failures.count(&of("IAM TagUser")), 1, "it got further");
        assert_eq!(failures.count(&of("IAM GetUser")), 3);
        let other = Error::new(Class::Passing, "x");
        assert_eq!([failures.count(&other), failures.count(&other)], [1, 2]);
    }

    #[test]
    fn only_a_throttle_surely_did_nothing() {
        let error = |code: &str| Error::new(Class::Passing, "x").code(code);
        assert!(!is_ambiguous(&error("RequestLimitExceeded")));
        assert!(is_ambiguous(&error("InternalFailure")));
        assert!(is_ambiguous(&Error::new(Class::Passing, "no reply")));
        assert!(!is_ambiguous(&Error::new(Class::Invalid, "x")));
    }
}
