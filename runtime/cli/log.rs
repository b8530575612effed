//! `--log FILE`, for all verbs.

use crate::{
    debug_log,
    error::{Error, Result},
    secret,
};
use clap::{Args, ValueEnum};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};
use tracing::Level;

/// Variables with the URL of a proxy, in which a password may stand.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// Variables with credentials that the SDKs read, and that no output may show.
const CREDENTIALS: [&str; 3] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// How much goes into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    // Without comments of their own, which would take ten lines in each verb's help.
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The log of one command.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// Append to this file what is decided, called, recorded and answered, one line an event. Secrets are hidden.
    #[arg(
        long,
        value_name = "FILE",
        env = "GITPOD_PLAY_LOG",
        hide_env_values = true,
        global = true,
        help_heading = "Log"
    )]
    log: Option<PathBuf>,
    /// How much of it: failures, surprises, steps and changes, all decisions and calls and what the SDKs do, everything.
    #[arg(
        long,
        value_name = "LEVEL",
        value_enum,
        default_value = "debug",
        env = "GITPOD_PLAY_LOG_LEVEL",
        hide_env_values = true,
        global = true,
        help_heading = "Log"
    )]
    log_level: LogLevel,
}

impl LogOptions {
    /// Opens the log, when there is to be one.
    pub(super) fn begin(&self) -> Result<()> {
        for value in CREDENTIALS.iter().filter_map(|name| std::env::var(name).ok()) {
            secret::remember(&value);
        }
        for url in PROXIES.iter().filter_map(|name| std::env::var(name).ok()) {
            let password = url::Url::parse(&url).ok().and_then(|url| url.password().map(str::to_owned));
            password.iter().for_each(|password| secret::remember(password));
        }
        let Some(path) = &self.log else { return Ok(()) };
        debug_log::begin(file(path)?, self.log_level.into());
        let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
        tracing::info!(version, pid, command = command(std::env::args()), "started");
        Ok(())
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// The file, for its owner only: what is in it helps whoever attacks the clouds, too.
fn file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| Error::usage(format!("cannot log to `{}`", path.display())).because(error.to_string()))
}

/// The command as it was typed, without the values of `--set`: which of them are secret is not known before the playbook
/// is read.
pub(super) fn command(args: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut is_setting = false;
    for word in args {
        let given = word.strip_prefix("--set=");
        let setting = if is_setting { Some(word.as_str()) } else { given };
        let shown = setting.map(|setting| {
            let (path, _) = setting.split_once('=').unwrap_or_default();
            format!("{}{path}=…", if given.is_some() && !is_setting { "--set=" } else { "" })
        });
        is_setting = !is_setting && word == "--set";
        words.push(shown.unwrap_or(word));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_settings_are_left_out() {
        let typed = "gitpod-play run p.rhai --set a.b=hunter2 --set=c=hunter2 --set hunter2 --yes --set --set=x";
        let shown = command(typed.split(' ').map(str::to_owned));
        assert_eq!(shown, "gitpod-play run p.rhai --set a.b=… --set=c=… --set =… --yes --set --set=…");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_log() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("play.log");
        drop(file(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(file(&folder.path().join("none/play.log")).is_err());
    }
}
