//! IPv4 address blocks.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A block such as `10.0.0.0/16`, its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    first: u32,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl FromStr for Cidr {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').ok_or(())?;
        let address: Ipv4Addr = address.parse().map_err(|_| ())?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or(())?;
        Ok(Self { first: u32::from(address) & mask(prefix), prefix })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl Cidr {
    /// Whether `other` lies inside.
    pub fn contains(self, other: Self) -> bool {
        other.prefix >= self.prefix && other.first & mask(self.prefix) == self.first
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// How many addresses it has.
    pub fn size(self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    /// The address `offset` after the first.
    pub fn address(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first.wrapping_add(offset))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let block = |text: &str| text.parse::<Cidr>().unwrap();
        assert_eq!(block("10.1.2.3/16").to_string(), "10.1.0.0/16");
        assert!(block("10.0.0.0/16").contains(block("10.0.255.0/24")));
        assert!(!block("10.0.0.0/24").contains(block("10.0.0.0/16")));
        assert!(block("10.0.0.0/25").overlaps(block("10.0.0.0/24")));
        assert!(block("0.0.0.0/0").contains(block("1.2.3.4/32")));
        assert_eq!(block("10.0.0.0/24").size(), 256);
        assert!("banana".parse::<Cidr>().is_err() && "1.2.3.4/33".parse::<Cidr>().is_err());
    }
}
