//! "did you mean": the nearest of the names that would have been right.

/// The name among `known` that `word` was most likely meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(word);
    // Long names would make this quadratic, and nobody mistypes those by a letter or two.
    if wanted.len() > 128 {
        return None;
    }
    let letters = wanted.chars().count();
    let allowed = (letters / 3).clamp(1, 4).min(letters.saturating_sub(1));
    known
        .into_iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= 8)
        .map(|name| (strsim::damerau_levenshtein(&wanted, &plain(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, name)| (*distance, *name))
        .map(|(_, name)| name)
}

/// `did you mean `x`?`, or the few names there are, or nothing.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(word, names.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    names.sort_unstable();
    names.dedup();
    match names.len() {
        1..=12 => format!("there is {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_and_missing_letters_are_found() {
        assert_eq!(nearest("vcp", ["vpc", "rds"]), Some("vpc"));
        assert_eq!(nearest("cluser", ["cluster", "clusters"]), Some("cluster"));
        assert_eq!(nearest("private-subnets", ["private_subnets"]), Some("private_subnets"));
        assert_eq!(nearest("database", ["network"]), None);
    }

    #[test]
    fn few_names_are_listed() {
        assert_eq!(hint("zzz", ["b", "aa"]), "there is `aa`, `b`");
        assert_eq!(hint("zzz", []), "");
    }
}
