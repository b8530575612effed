//! Names on the command line that fit nothing, and what was probably meant.

use std::collections::BTreeSet;

/// Names further from a known one than this are not taken for a slip.
const LARGEST_SLIP: usize = 3;

/// The one of `known` that is nearest to `wanted`.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|name| strsim::damerau_levenshtein(name, wanted))
}

/// What to say about each name of `--allow-delete` that is that of no resource among `addresses`. When not `all` of them are
/// known, only about those that look like a slip.
pub fn unfitting(allowed: &[String], addresses: &BTreeSet<String>, all: bool) -> Vec<String> {
    // All behind the kind is the name, and names may have parts of their own.
    let name = |address: &'_ String| address.split_once('/').map(|(_, name)| name.to_owned());
    let known: BTreeSet<String> = addresses.iter().filter_map(name).chain(addresses.iter().cloned()).collect();
    let said = |wanted: &&String| {
        let near = nearest(wanted, known.iter().map(String::as_str));
        let near = near.filter(|near| strsim::damerau_levenshtein(near, wanted) <= LARGEST_SLIP);
        let nothing = format!("`--allow-delete {wanted}` fits no resource");
        match near {
            Some(near) => Some(format!("{nothing}: did you mean `{near}`?")),
            None => all.then_some(nothing),
        }
    };
    allowed.iter().filter(|wanted| !known.contains(*wanted)).filter_map(|wanted| said(&wanted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fits_nothing_is_told_with_the_one_that_was_meant() {
        let addresses = BTreeSet::from(["aws::rds::instance/gitpod".to_owned(), "aws::route53::record/a/A".to_owned()]);
        let allowed = ["gitpod", "aws::rds::instance/gitpod", "a/A", "gitpdo", "elsewhere"].map(str::to_owned);
        let slip = "`--allow-delete gitpdo` fits no resource: did you mean `gitpod`?";
        assert_eq!(unfitting(&allowed, &addresses, true), [slip, "`--allow-delete elsewhere` fits no resource"]);
        assert_eq!(unfitting(&allowed, &addresses, false), [slip]);
    }
}
