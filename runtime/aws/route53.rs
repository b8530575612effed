//! Route53: zones and the records in them. Names travel in one form: lower case, no final dot, `*` as it is.

pub mod find_zone;
pub mod record;
mod record_sets;
#[cfg(all(test, feature = "sandbox"))]
mod sandbox_tests;
pub mod zone;

use crate::{
    bind::Registry,
    error::{Error, Result},
};

/// Registers the bindings of this service.
pub fn register(registry: &mut Registry) {
    registry.lookup::<find_zone::FindZone>();
    registry.resource::<zone::Zone>();
    registry.resource::<record::Record>();
}

/// A name in our form: answers write `*` as `\052` and end with a dot.
fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').replace("\\052", "*").to_ascii_lowercase()
}

/// An id without the path that answers put before it.
fn plain_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// Refuses what is no name of a domain.
fn check_name(name: &str) -> Result<()> {
    let plain = plain_name(name);
    let label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '*';
        !label.is_empty() && label.len() <= 63 && label.chars().all(fits)
    };
    if plain.len() > 253 || !plain.contains('.') || !plain.split('.').all(label) {
        return Err(Error::usage(format!("`{name}` is no name of a domain")).hint("write it as `gitpod.example.com`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        assert_eq!(plain_name("\\052.ws.Gitpod.example.com."), "*.ws.gitpod.example.com");
        assert_eq!(plain_id("/hostedzone/Z1"), "Z1");
        assert_eq!(plain_id("Z1"), "Z1");
    }

    #[test]
    fn names_are_checked() {
        for good in ["gitpod.example.com", "*.gitpod.example.com.", "_acme-challenge.a.b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "com", "a..b", "a b.com", "https://a.com"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
