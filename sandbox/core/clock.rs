//! Simulated time: how long things take, divided by a pace.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much faster than the real cloud things become ready.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Real durations divided by this number.
    Times(f64),
    /// Ready at the next call; the reply of the create itself still shows the transient state.
    Max,
}

impl Default for Pace {
    fn default() -> Self {
        Self::Times(600.0)
    }
}

impl FromStr for Pace {
    type Err = String;

    /// `max`, or a number of at least 1 such as `600`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times >= 0.01 => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is not a pace: give `max` or a number such as `600`")),
        }
    }
}

/// About how long each kind of thing takes on AWS, in seconds. Control plane, node group: as the guide reports them;
/// the others are estimates. Add-ons and DNS changes are set at the long end, so that their transient state can be
/// polled at the default pace.
const DURATIONS: &[(&str, u64)] = &[
    ("vpc", 2),
    ("subnet", 2),
    ("nat-gateway", 120),
    ("nat-gateway-delete", 60),
    ("nat-gateway-gone", 3600),
    ("vpc-endpoint", 20),
    ("image", 30),
    ("volume", 5),
    ("eks-cluster", 17 * 60),
    ("eks-cluster-delete", 8 * 60),
    ("eks-update", 5 * 60),
    ("eks-version-update", 10 * 60),
    ("eks-addon", 120),
    ("eks-addon-delete", 30),
    ("eks-nodegroup", 4 * 60),
    ("eks-nodegroup-delete", 5 * 60),
    ("eks-nodegroup-update", 90),
    ("node-join", 60),
    ("instance", 20),
    ("rds-instance", 12 * 60),
    ("rds-instance-delete", 5 * 60),
    ("rds-modify", 3 * 60),
    ("route53-change", 60),
    ("load-balancer", 120),
    ("autoscaling-delete", 60),
    ("kms-key", 0),
    // Off unless asked for: fresh roles and keys are usable at once.
    ("iam-consistency", 0),
];

/// The clock of one simulation.
pub struct Clock {
    pace: Mutex<Pace>,
    overrides: BTreeMap<String, u64>,
}

impl Clock {
    /// A clock of pace `pace`; `overrides` replaces durations (seconds) by kind.
    pub fn new(pace: Pace, overrides: BTreeMap<String, u64>) -> Self {
        Self { pace: Mutex::new(pace), overrides }
    }

    /// Wall time, unix milliseconds.
    pub fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// The pace that holds now.
    pub fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pace for everything that begins from now on.
    pub fn set_pace(&self, pace: Pace) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// How long a thing of this kind takes on the real cloud; unknown kinds take no time.
    pub fn duration_of(&self, kind: &str) -> Duration {
        let listed = || DURATIONS.iter().find(|(name, _)| *name == kind).map_or(0, |(_, seconds)| *seconds);
        Duration::from_secs(self.overrides.get(kind).copied().unwrap_or_else(listed))
    }

    /// When a thing of this kind that begins now is ready, unix milliseconds.
    pub fn ready_at(&self, kind: &str) -> i64 {
        self.after(self.duration_of(kind))
    }

    /// When something that takes `real` on the real cloud and begins now is ready, unix milliseconds.
    pub fn after(&self, real: Duration) -> i64 {
        let now = self.now();
        match self.pace() {
            Pace::Max => now,
            #[allow(clippy::cast_possible_truncation)]
            Pace::Times(times) => now + (real.as_secs_f64() * 1000.0 / times).ceil() as i64,
        }
    }

    /// Whether the moment `at_ms` is over.
    pub fn reached(&self, at_ms: i64) -> bool {
        self.now() >= at_ms
    }

    /// The current time as AWS writes it: `2026-01-02T03:04:05.678Z`.
    pub fn iso_now(&self) -> String {
        iso(self.now())
    }
}

/// Unix milliseconds as `2026-01-02T03:04:05.678Z`.
pub fn iso(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_divided_by_the_pace() {
        let clock = Clock::new(Pace::Times(600.0), BTreeMap::new());
        let ready = clock.ready_at("eks-cluster");
        assert!((1600..=1700).contains(&(ready - clock.now())), "17 minutes are 1.7 s");
        assert!(!clock.reached(ready));
    }

    #[test]
    fn max_is_ready_at_once_and_overrides_hold() {
        let clock = Clock::new(Pace::Max, BTreeMap::from([("eks-cluster".to_owned(), 5)]));
        assert!(clock.reached(clock.ready_at("eks-cluster")));
        assert_eq!(clock.duration_of("eks-cluster"), Duration::from_secs(5));
        assert_eq!("max".parse(), Ok(Pace::Max));
        assert!("-1".parse::<Pace>().is_err());
    }

    #[test]
    fn times_are_written_as_aws_does() {
        assert_eq!(iso(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
