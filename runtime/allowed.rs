//! What a playbook may reach beside its clouds and its folder: nothing but what the command line names.
//!
//! Every refusal is raised at the line of the script that wants it, and names the option that allows it.

use crate::error::{Class, Error, Result, pasteable};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What `--allow-…` named.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Programs that may be run.
    pub run: BTreeSet<String>,
    /// Hosts that may be reached beside the clouds': `example.com`, or `example.com:8443` for one port.
    pub net: BTreeSet<String>,
    /// Files and folders that may be read beside the playbook's folder.
    pub read: Vec<PathBuf>,
    /// Addresses that the scripts built into the program name; a playbook of others cannot change them.
    pub urls: BTreeSet<String>,
    /// Programs are not started, and what they would print is unknown: this pass only looks whether a run can begin.
    pub nothing_started: bool,
}

impl Allowed {
    /// Whether the playbook may run `program`.
    pub fn check_run(&self, program: &str) -> Result<()> {
        if self.run.contains(program) {
            return Ok(());
        }
        Err(refused(format!("the playbook wants to run `{program}`, which is not allowed"), "--allow-run", program))
    }

    /// Whether the playbook may reach `host`; `port` where one is written.
    pub fn check_net(&self, host: &str, port: Option<u16>) -> Result<()> {
        let named = |wanted: &str| self.net.iter().any(|allowed| allowed.eq_ignore_ascii_case(wanted));
        if named(host) || port.is_some_and(|port| named(&format!("{host}:{port}"))) {
            return Ok(());
        }
        let message = format!("the playbook wants to reach `{host}`, which is none of its clouds' and not allowed");
        Err(refused(message, "--allow-net", host))
    }

    /// The real path of `path`, which has to lie in `folder` (the playbook's) or in one that is allowed.
    pub fn check_read(&self, folder: &Path, path: &str) -> Result<PathBuf> {
        let wanted = folder.join(path);
        let unreadable = |mistake: std::io::Error| {
            Error::usage(format!("cannot read `{}`", wanted.display())).because(mistake.to_string())
        };
        let real = wanted.canonicalize().map_err(unreadable)?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let holds = |place: &Path| place.canonicalize().is_ok_and(|place| real.starts_with(place));
        if holds(folder) || self.read.iter().any(|place| holds(place)) {
            return Ok(real);
        }
        let message = format!("`{path}` lies outside the playbook's folder, and reading it is not allowed");
        Err(refused(message, "--allow-read", &real.display().to_string()))
    }
}

fn refused(message: String, option: &str, value: &str) -> Error {
    Error::new(Class::Usage, message).hint(format!("if you trust it, add `{option} {}`", pasteable(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(hosts: &[&str]) -> Allowed {
        Allowed { net: hosts.iter().map(|host| (*host).to_owned()).collect(), ..Allowed::default() }
    }

    #[test]
    fn hosts_are_named_whole() {
        let allowed = net(&["example.com", "other.test:8443"]);
        assert!(allowed.check_net("example.com", None).is_ok());
        assert!(allowed.check_net("Example.COM", Some(80)).is_ok());
        assert!(allowed.check_net("other.test", Some(8443)).is_ok());
        for (host, port) in [
            ("evil.example.com", None),
            ("example.com.evil.test", None),
            ("example.com.", None),
            ("other.test", Some(443)),
            ("other.test", None),
        ] {
            let error = allowed.check_net(host, port).unwrap_err();
            assert_eq!(error.hint.unwrap(), format!("if you trust it, add `--allow-net {host}`"));
        }
    }

    #[test]
    fn links_and_dots_do_not_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("book");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a"), "a").unwrap();
        let secret = outside.path().join("it's secret");
        std::fs::write(&secret, "s").unwrap();
        std::os::unix::fs::symlink(&secret, folder.join("link")).unwrap();
        let none = Allowed::default();
        assert!(none.check_read(&folder, "a").is_ok());
        for path in ["../it's secret", "link", &secret.display().to_string()] {
            let hint = none.check_read(&folder, path).unwrap_err().hint.unwrap();
            assert!(hint.contains(r"--allow-read '") && hint.contains(r"it'\''s secret'"), "{hint}");
        }
        let allowed = Allowed { read: vec![secret], ..Allowed::default() };
        assert!(allowed.check_read(&folder, "link").is_ok());
    }
}
