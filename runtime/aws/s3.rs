//! S3: buckets, and the proof that a key can use one.

pub mod bucket;
mod bucket_calls;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod try_access;

use crate::{
    aws::Clients,
    bind::Registry,
    error::{Error, Result},
};
use aws_sdk_s3::{Client, config::Region};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.resource::<bucket::Bucket>();
    registry.action::<try_access::TryAccess>();
}

/// The client for `region`, which may be another one than the run's.
fn client(aws: &Clients, region: &str) -> Client {
    if region == aws.region() {
        return aws.s3().clone();
    }
    Client::from_conf(aws.s3().config().to_builder().region(Region::new(region.to_owned())).build())
}

/// Refuses names that S3 would refuse.
fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let address = name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok());
    let reserved = name.starts_with("xn--") || name.starts_with("sthree-") || name.ends_with("-s3alias");
    let bad = !(3..=63).contains(&name.len())
        || !name.chars().all(fits)
        || !ends(name.chars().next())
        || !ends(name.chars().last())
        || name.contains("..")
        || address
        || reserved;
    if bad {
        return Err(Error::usage(format!("`{name}` cannot be the name of a bucket"))
            .hint("use 3 to 63 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_s3() {
        for good in ["gitpod-123456789012", "abc", "a.b.c", "1ab"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["ab", "Gitpod", "-ab", "ab-", "a..b", "192.168.1.1", "git_pod", "xn--abc", "abc-s3alias", &long] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
