//! Checks of arguments that several services share.

use crate::error::{Error, Result};
use std::net::IpAddr;

/// Refuses what is no block of addresses (`10.0.0.0/16`); `field` is the argument it stands in.
pub fn cidr(field: &str, text: &str) -> Result<()> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        (length <= if address.is_ipv4() { 32 } else { 128 }).then_some(())
    });
    parsed.ok_or_else(|| {
        Error::usage(format!("`{text}` in `{field}` is no block of addresses")).hint("write it as `10.0.0.0/16`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_both_families_pass() {
        for good in ["0.0.0.0/0", "10.0.0.0/16", "::/0", "2001:db8::/32"] {
            assert!(cidr("x", good).is_ok(), "{good}");
        }
        for bad in ["10.0.0.0", "10.0.0/16", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/"] {
            assert!(cidr("x", bad).is_err(), "{bad}");
        }
    }
}
