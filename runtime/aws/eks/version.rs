//! Kubernetes versions as EKS writes them: `1.33`.

use crate::error::{Class, Error, Result};
use std::{fmt, str::FromStr};

/// Major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed =
            text.split_once('.').and_then(|(major, minor)| Some(Self(major.parse().ok()?, minor.parse().ok()?)));
        parsed.ok_or_else(|| {
            Error::usage(format!("`{text}` is no Kubernetes version of EKS")).hint("write major and minor: `1.33`")
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Whether a control plane can go from `old` to `new` in place: to the same or the next minor version.
pub fn check_step(old: &str, new: &str) -> Result<()> {
    let (from, to): (Version, Version) = (old.parse()?, new.parse()?);
    if to < from {
        return Err(Error::new(Class::Invalid, format!("the control plane cannot go back from `{old}` to `{new}`"))
            .hint(format!("set `version` to `{old}`, or make a new cluster under another name")));
    }
    if to.0 != from.0 || to.1 > from.1 + 1 {
        let next = Version(from.0, from.1 + 1);
        return Err(Error::new(Class::Invalid, format!("the control plane cannot go from `{old}` to `{new}` at once"))
            .hint(format!("set `version` to `{next}` and run, then go on one minor version at a time")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_version_at_a_time_and_never_back() {
        assert!(check_step("1.32", "1.32").is_ok());
        assert!(check_step("1.9", "1.10").is_ok());
        let far = check_step("1.31", "1.33").unwrap_err();
        assert_eq!(far.class, Class::Invalid);
        assert!(far.hint.unwrap().contains("`1.32`"));
        assert_eq!(check_step("1.33", "1.32").unwrap_err().class, Class::Invalid);
        assert!(check_step("1.33", "latest").is_err());
    }

    #[test]
    fn versions_sort_by_number() {
        assert!("1.10".parse::<Version>().unwrap() > "1.9".parse().unwrap());
    }
}
