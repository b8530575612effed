//! Durations as playbooks write them: `90s`, `45m`, `1h30m`.

use std::time::Duration;

/// A month: nothing in a playbook takes longer.
const LONGEST_S: u64 = 31 * 24 * 3600;

/// Reads a duration of at least a second.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total_s: u64 = 0;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return None,
        };
        // Units go from large to small, each once.
        if seconds >= largest {
            return None;
        }
        largest = seconds;
        total_s = total_s.checked_add(number.checked_mul(seconds)?)?;
        rest = rest[digits + unit.len_utf8()..].trim_start();
    }
    (1..=LONGEST_S).contains(&total_s).then(|| Duration::from_secs(total_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("1d 2h", 93_600)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "m", "0s", "5x", "1m1h", "1m1m", "99999999999999999999h", "-1s", "1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
