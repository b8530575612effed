//! Options that several verbs share.

use crate::{
    cx::Pace,
    error::{Error, Result},
};
use clap::{Args, ValueEnum};
use std::{fmt, path::PathBuf, str::FromStr};

/// Where calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The simulated clouds on this machine.
    Sandbox,
    /// The real ones, with your credentials.
    Live,
}

/// The playbook and its settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Playbook")]
pub struct Script {
    /// The playbook: a file, or the name of a shipped one (`playbooks/aws.rhai`).
    #[arg(help_heading = None::<&'static str>)]
    pub playbook: String,
    /// File with settings (YAML or TOML). May be given several times; later files win.
    #[arg(long = "settings", value_name = "FILE")]
    pub settings_files: Vec<PathBuf>,
    /// One setting: `--set workspaces.max=20`. May be given several times; wins over files.
    #[arg(long = "set", value_name = "A.B=VALUE")]
    pub set: Vec<String>,
    /// Folder or file outside the playbook's folder that it may read. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub allow_read: Vec<PathBuf>,
}

/// The stack and where its state lies.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stack")]
pub struct Place {
    /// Where state is kept: a folder or `s3://bucket/prefix`.
    #[arg(long, value_name = "URL", default_value = ".gitpod-play", env = "GITPOD_PLAY_STATE", hide_env_values = true)]
    pub state: String,
    /// Name of the stack; by default the playbook's file name without its ending.
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
}

/// How a run reaches the clouds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clouds")]
pub struct Reach {
    /// Where calls go.
    #[arg(long, value_enum, default_value = "sandbox")]
    pub target: Target,
    /// Send a cloud's calls to another address, an emulator for example: `aws=http://127.0.0.1:5000`.
    #[arg(long = "endpoint", value_name = "CLOUD=URL")]
    pub endpoints: Vec<String>,
    /// Reach every Kubernetes cluster through this file, whatever the playbook says.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How many steps may run at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Append each API call to this file as a JSON line: at, service, operation, write, step, resource, status, ms.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How many times faster than life simulated waits pass: a number, or `max`. Default: as in the clouds that another
    /// command serves, else 600.
    #[arg(long, value_name = "N|max", value_parser = Pace::from_str)]
    pub pace: Option<Pace>,
    /// Faults that the simulated clouds shall have (JSON; see docs/sandbox.md), whoever serves them.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Program that the playbook may run; with `NAME:VARIABLE` it may set this variable for it, too. May be given several times.
    #[arg(long, value_name = "NAME[:VARIABLE]")]
    pub allow_run: Vec<String>,
    /// Host that the playbook may reach beside the clouds' own. May be given several times.
    #[arg(long, value_name = "HOST")]
    pub allow_net: Vec<String>,
}

/// What is shown, and what is agreed to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Consent and output")]
pub struct Manner {
    /// Show events as JSON lines on standard output.
    #[arg(long)]
    pub json: bool,
    /// Agree to everything that would be asked. Needed where there is nobody to ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Delete or replace this resource (name or address) although it is protected or holds data. May be given several
    /// times.
    #[arg(long, value_name = "NAME")]
    pub allow_delete: Vec<String>,
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "max" => Ok(Pace::Max),
            _ => match text.parse() {
                Ok(times) if times > 0 => Ok(Pace::Times(times)),
                _ => Err("a whole number from 1 up, or `max`".to_owned()),
            },
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Times(times) => write!(f, "{times}"),
            Pace::Max => f.write_str("max"),
        }
    }
}

impl Place {
    /// The stack's name, checked: it becomes a folder's name and a tag's value.
    pub fn stack_of(&self, playbook: &str) -> Result<String> {
        let name = match &self.stack {
            Some(name) => name.clone(),
            None if std::path::Path::new(playbook).is_dir() => {
                return Err(Error::usage(format!("`{playbook}` is a folder")).hint("name the playbook in it"));
            }
            None => playbook.rsplit(['/', '\\']).next().unwrap_or(playbook).trim_end_matches(".rhai").to_owned(),
        };
        let fits = !name.is_empty()
            && name.len() <= 64
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if fits {
            return Ok(name);
        }
        Err(Error::usage(format!("`{name}` cannot be the name of a stack"))
            .because("it takes letters, digits, `-`, `_` and `.`, begins with a letter or digit, and has at most 64 characters")
            .hint("name the stack with `--stack NAME`"))
    }
}

impl Reach {
    /// `--endpoint` as pairs, checked.
    pub fn endpoint_pairs(&self) -> Result<Vec<(String, String)>> {
        let pair = |text: &String| {
            let (cloud, url) = text.split_once('=').ok_or_else(|| {
                Error::usage(format!("`--endpoint {text}` lacks `=`"))
                    .hint("write `--endpoint aws=http://127.0.0.1:5000`")
            })?;
            if cloud != "aws" {
                return Err(Error::usage(format!("`--endpoint` knows no cloud `{cloud}`")).hint("the clouds are: aws"));
            }
            let parsed = url::Url::parse(url)
                .map_err(|error| Error::usage(format!("`{url}` is no URL")).because(error.to_string()))?;
            if !matches!(parsed.scheme(), "http" | "https") {
                return Err(Error::usage(format!("`{url}` is neither http nor https")));
            }
            Ok((cloud.to_owned(), url.trim_end_matches('/').to_owned()))
        };
        self.endpoints.iter().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stack: Option<&str>) -> Place {
        Place { state: ".gitpod-play".into(), stack: stack.map(str::to_owned) }
    }

    #[test]
    fn stacks_are_named_after_playbooks() {
        assert_eq!(place(None).stack_of("playbooks/aws.rhai").unwrap(), "aws");
        assert_eq!(place(Some("prod-1")).stack_of("x").unwrap(), "prod-1");
        assert!(place(None).stack_of("./").unwrap_err().to_string().contains("is a folder"));
        for bad in ["", "../up", "a/b", "-x", "ü"] {
            assert!(place(Some(bad)).stack_of("x").is_err(), "{bad}");
        }
    }

    #[test]
    fn paces_are_numbers_or_max() {
        assert_eq!(Pace::from_str("max"), Ok(Pace::Max));
        assert_eq!(Pace::from_str("60"), Ok(Pace::Times(60)));
        assert!(Pace::from_str("0").is_err() && Pace::from_str("fast").is_err());
    }
}
