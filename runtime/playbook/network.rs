//! Ranges of IPv4 addresses: cutting and comparing them.

use std::net::Ipv4Addr;

/// The subnet `number` when `range` is cut into parts that are `bits` bits smaller: `10.0.0.0/16`, 8, 2 → `10.0.2.0/24`.
pub(super) fn subnet(range: &str, bits: i64, number: i64) -> Result<String, String> {
    let (start, length) = parse(range)?;
    let added = u32::try_from(bits).ok().filter(|bits| *bits > 0 && length + bits <= 32);
    let added = added.ok_or_else(|| format!("`{range}` cannot be cut into parts {bits} bits smaller"))?;
    let number = u64::try_from(number).ok().filter(|number| *number < 1_u64 << added);
    let number = number.ok_or_else(|| format!("`{range}` has {} such parts, counted from 0", 1_u64 << added))?;
    let length = length + added;
    let offset = number << (32 - length);
    let start = u32::try_from(u64::from(start) + offset).map_err(|_| format!("`{range}` has no such part"))?;
    Ok(format!("{}/{length}", Ipv4Addr::from_bits(start)))
}

/// Whether all addresses of `other` (a range or one address) lie in `range`.
pub(super) fn contains(range: &str, other: &str) -> Result<bool, String> {
    let (start, length) = parse(range)?;
    let (inner, inner_length) = if other.contains('/') { parse(other)? } else { parse(&format!("{other}/32"))? };
    Ok(inner_length >= length && mask(inner, length) == start)
}

fn parse(range: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("`{range}` is no range of addresses such as `10.0.0.0/16`");
    let (address, length) = range.split_once('/').ok_or_else(wrong)?;
    let address = address.parse::<Ipv4Addr>().map_err(|_| wrong())?.to_bits();
    let length = length.parse::<u32>().ok().filter(|length| *length <= 32).ok_or_else(wrong)?;
    if mask(address, length) != address {
        return Err(format!("`{range}` has bits set behind its prefix"));
    }
    Ok((address, length))
}

fn mask(address: u32, length: u32) -> u32 {
    address & u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut() {
        assert_eq!(subnet("10.0.0.0/16", 8, 2).unwrap(), "10.0.2.0/24");
        assert_eq!(subnet("10.0.0.0/16", 4, 15).unwrap(), "10.0.240.0/20");
        assert_eq!(subnet("0.0.0.0/0", 32, 0xffff_ffff).unwrap(), "255.255.255.255/32");
        for (range, bits, number) in
            [("10.0.0.0/16", 8, 256), ("10.0.0.0/16", 17, 0), ("10.0.0.1/16", 8, 0), ("x", 1, 0)]
        {
            assert!(subnet(range, bits, number).is_err());
        }
        assert!(subnet("10.0.0.0/16", -1, 0).is_err() && subnet("10.0.0.0/16", 8, -1).is_err());
    }

    #[test]
    fn ranges_hold_others() {
        assert!(contains("10.0.0.0/16", "10.0.5.0/24").unwrap());
        assert!(contains("10.0.0.0/16", "10.0.5.7").unwrap());
        assert!(!contains("10.0.0.0/16", "10.1.0.0/24").unwrap());
        assert!(!contains("10.0.0.0/16", "10.0.0.0/8").unwrap());
    }
}
