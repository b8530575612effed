//! Domain names as Route 53 keeps them: lower case, with a dot at the end, special characters escaped.

/// A name in the form that Route 53 shows; `None` when it is no domain name.
pub fn canonical(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('.').unwrap_or(&lower).replace("\\052", "*");
    let label = |label: &str| {
        let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '*');
        !label.is_empty() && label.len() <= 63 && plain
    };
    let fine = bare.len() <= 253 && bare.split('.').all(label);
    fine.then(|| format!("{}.", bare.replace('*', "\\052")))
}

/// The order of names: by their labels from the right. The parent comes before its children.
pub fn sort_key(name: &str) -> String {
    let mut labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    labels.reverse();
    format!("{}.", labels.join("."))
}

/// Whether a record of this name may be in the zone.
pub fn within(name: &str, zone: &str) -> bool {
    name == zone || name.ends_with(&format!(".{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form() {
        assert_eq!(canonical("*.WS.Example.com").as_deref(), Some("\\052.ws.example.com."));
        assert_eq!(canonical("\\052.x.org.").as_deref(), Some("\\052.x.org."));
        assert_eq!(canonical("a..b"), None);
        assert_eq!(canonical("a b.c"), None);
    }

    #[test]
    fn order_and_zones() {
        let mut names = ["b.x.org.", "x.org.", "a.x.org.", "c.a.x.org."];
        names.sort_by_key(|n| sort_key(n));
        assert_eq!(names, ["x.org.", "a.x.org.", "c.a.x.org.", "b.x.org."]);
        assert!(within("a.x.org.", "x.org.") && !within("ax.org.", "x.org."));
    }
}
