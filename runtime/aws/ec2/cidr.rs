//! Ranges of addresses.

use crate::error::{Class, Error, Result};
use std::net::Ipv4Addr;

/// Checks that `cidr` (the field `field`) is an IPv4 range with a prefix within `prefixes`, written as EC2 will show it:
/// with all bits behind the prefix zero.
pub(super) fn check(field: &str, cidr: &str, prefixes: std::ops::RangeInclusive<u8>) -> Result<()> {
    let bad = |why: &str| Error::new(Class::Invalid, format!("`{field}`: `{cidr}` {why}"));
    let parsed = cidr.split_once('/').and_then(|(address, prefix)| {
        Some((address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 32)?))
    });
    let Some((address, prefix)) = parsed else {
        return Err(bad("is no IPv4 range").hint("write it like `192.168.0.0/16`"));
    };
    if !prefixes.contains(&prefix) {
        return Err(bad(&format!("must have a prefix from /{} to /{}", prefixes.start(), prefixes.end())));
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let first = Ipv4Addr::from(u32::from(address) & mask);
    if first != address {
        return Err(bad("has bits behind its prefix").hint(format!("write `{first}/{prefix}`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_as_ec2_does() {
        assert!(check("cidr", "192.168.0.0/16", 16..=28).is_ok());
        assert!(check("cidr", "0.0.0.0/0", 0..=32).is_ok());
        assert!(check("cidr", "10.0.0.0/8", 16..=28).unwrap_err().message.contains("/16 to /28"));
        assert!(check("cidr", "10.0.0.0", 16..=28).is_err());
        assert!(check("cidr", "10.0.0.300/16", 16..=28).is_err());
        let shifted = check("cidr", "192.168.7.9/16", 16..=28).unwrap_err();
        assert_eq!(shifted.hint.as_deref(), Some("write `192.168.0.0/16`"));
    }
}
