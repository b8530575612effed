//! A network that fails on the way to a cloud: names that cannot be resolved, certificates that are not trusted. Servers of
//! tests cannot bring that about for one call among others.

use super::Recorded;
use crate::error::{Class, Error};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
};

/// Environment variable by which a test makes the network fail: `dns:7:80` at 80 of 1,000 calls, chosen by the seed 7 from
/// what is called and for whom, and so the same in each run; `certificate:7:80` likewise. Only builds with debug assertions
/// look at it.
pub const UNREACHABLE_VARIABLE: &str = "GITPOD_PLAY_UNREACHABLE_AT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Dns,
    Certificate,
}

/// Which calls do not reach their cloud.
pub(super) struct Unreachable {
    trouble: Trouble,
    seed: u64,
    of_a_thousand: u64,
    /// How often each call was made.
    seen: Mutex<HashMap<String, u64>>,
}

impl Unreachable {
    /// What [`UNREACHABLE_VARIABLE`] says.
    pub(super) fn from_environment() -> Option<Self> {
        if !cfg!(debug_assertions) {
            return None;
        }
        Self::from_text(&std::env::var(UNREACHABLE_VARIABLE).ok()?)
    }

    fn from_text(wanted: &str) -> Option<Self> {
        let mut parts = wanted.split(':');
        let trouble = match parts.next()? {
            "dns" => Trouble::Dns,
            "certificate" => Trouble::Certificate,
            _ => return None,
        };
        let (seed, of_a_thousand) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { trouble, seed, of_a_thousand, seen: Mutex::default() })
    }

    /// Why this call does not reach its cloud, if it does not.
    pub(super) fn meets(&self, it: &Recorded) -> Option<Error> {
        let call = format!("{} {} {} {}", it.service, it.operation, it.step, it.resource);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = seen.entry(call.clone()).or_default();
        *nth += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, call, *nth).hash(&mut hasher);
        let cause = format!("{} {}", it.service, it.operation);
        (hasher.finish() % 1000 < self.of_a_thousand).then(|| match self.trouble {
            Trouble::Dns => Error::new(Class::Passing, "the name of the endpoint cannot be resolved")
                .because(format!("{cause}: dns error"))
                .code("NameNotResolved"),
            Trouble::Certificate => Error::failed("the certificate of the endpoint is not trusted")
                .because(format!("{cause}: invalid peer certificate"))
                .code("UntrustedCertificate"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    #[test]
    fn the_same_seed_meets_the_same_calls() {
        let call = Wire::new(true, None, Box::new(|| Ok(()))).begin("ec2", "CreateVpc", true).unwrap().recorded.clone();
        let met = |wanted: &str| {
            let unreachable = Unreachable::from_text(wanted).unwrap();
            (0..1000).map(|_| unreachable.meets(&call).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(met("dns:1:100"), met("dns:1:100"));
        assert_ne!(met("dns:1:100"), met("dns:2:100"));
        let often = met("certificate:1:100").into_iter().filter(|met| *met).count();
        assert!((60..140).contains(&often), "{often}");
        assert!(Unreachable::from_text("flood:1:1").is_none() && Unreachable::from_text("dns").is_none());
    }
}
