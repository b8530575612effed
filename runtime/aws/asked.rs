//! What a playbook's `target("aws", …)` may ask for. A region becomes part of a host's name, and a profile may start a
//! program of this machine: neither is taken as it comes from a script.

use crate::{
    allowed::Allowed,
    error::{Error, Result},
};
use aws_config::profile::{self, ProfileSet, load};
use aws_types::os_shim_internal::{Env, Fs};

/// How many profiles may lead on to one another.
const LONGEST_CHAIN: usize = 16;
/// Variable that names the profile of whoever starts the program.
const PROFILE_VARIABLE: &str = "AWS_PROFILE";

/// A region is a name of letters, digits and dashes: anything else could name another host.
///
/// # Errors
/// [`crate::error::Class::Usage`] for anything else.
pub fn check_region(region: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.len() <= 63 && region.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::usage(format!("`{region}` is no AWS region")).hint("regions are called like `eu-west-1`"))
}

/// A profile that gets its credentials from a program needs that program to be allowed, unless `AWS_PROFILE` names it.
///
/// # Errors
/// [`crate::error::Class::Usage`] with the option that allows the program.
#[expect(deprecated, reason = "the new name is that of a crate which nothing else here needs")]
pub async fn check_profile(allowed: &Allowed, profile: &str) -> Result<()> {
    if std::env::var(PROFILE_VARIABLE).is_ok_and(|own| own == profile) {
        return Ok(());
    }
    let loaded = load(&Fs::real(), &Env::real(), &profile::profile_file::ProfileFiles::default(), None).await;
    // A file that cannot be read is an error of the chain, in its own words.
    let Ok(profiles) = loaded else { return Ok(()) };
    match program_of(&profiles, profile) {
        Some(line) => {
            let program = line.split_whitespace().next().unwrap_or_default().trim_matches('"');
            allowed.check_run(program).map_err(|error| {
                error.because(format!(
                    "the playbook asks for the AWS profile `{profile}`, which gets its credentials from it"
                ))
            })
        }
        None => Ok(()),
    }
}

/// The `credential_process` of a profile, or of one that it leads to.
fn program_of(profiles: &ProfileSet, profile: &str) -> Option<String> {
    let mut name = profile.to_owned();
    for _ in 0..LONGEST_CHAIN {
        let profile = profiles.get_profile(&name)?;
        if let Some(line) = profile.get("credential_process") {
            return Some(line.to_owned());
        }
        name = profile.get("source_profile").filter(|next| *next != name)?.to_owned();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_names_no_other_host() {
        assert!(check_region("eu-west-1").is_ok() && check_region("us-gov-east-1").is_ok());
        for wrong in ["", "x.evil.test", "eu-west-1.evil.test/", "@evil.test#", "evil.test:443/", "EU", "a b"] {
            assert!(check_region(wrong).is_err(), "`{wrong}`");
        }
    }
}
