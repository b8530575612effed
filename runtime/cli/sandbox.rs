//! `gitpod-play sandbox …`.

mod contents;

use super::{
    Exit, Outcome,
    ask::{Answer, ask},
    clouds::{self, Standing},
    options::{Reach, Target},
    print,
    run::command_line,
};
use crate::{cx::Pace, error::Error};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{path::PathBuf, str::FromStr};

/// The simulated clouds of a state folder: keep them up, look at them, empty them.
#[derive(Args)]
pub struct Sandbox {
    #[command(subcommand)]
    what: What,
    /// State that they belong to: a folder or `s3://bucket/prefix`, as it is given to `run`.
    #[arg(
        long,
        value_name = "URL",
        default_value = ".gitpod-play",
        env = "GITPOD_PLAY_STATE",
        hide_env_values = true,
        global = true
    )]
    state: String,
}

#[derive(Subcommand)]
enum What {
    /// Keep them up until stopped.
    ///
    /// Runs in other shells use them; the printed variables let `aws` and `kubectl` see them.
    Serve {
        /// How many times faster than life things become ready: a number, or `max`.
        #[arg(long, value_name = "N|max", default_value = "600", value_parser = Pace::from_str)]
        pace: Pace,
        /// Faults that they shall have (JSON; see docs/sandbox.md).
        #[arg(long, value_name = "FILE")]
        faults: Option<PathBuf>,
        /// Port of the simulated AWS; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Whether they are up, and what is in them.
    Status {
        /// Show it as JSON: served, url, folder, and how many objects of each kind there are.
        #[arg(long)]
        json: bool,
    },
    /// Delete everything in them.
    Reset {
        /// Agree to what would be asked.
        #[arg(long, short)]
        yes: bool,
    },
}

impl Sandbox {
    pub(super) fn carry_out(self) -> Outcome {
        let folder = clouds::folder(&clouds::state_folder(&self.state));
        match self.what {
            What::Serve { pace, faults, port } => {
                let reach = Reach {
                    target: Target::Sandbox,
                    endpoints: Vec::new(),
                    kubeconfig: None,
                    jobs: 1,
                    record: None,
                    pace: Some(pace),
                    faults,
                    allow_run: Vec::new(),
                    allow_net: Vec::new(),
                };
                serve(&folder, &reach, port)
            }
            What::Status { json } => status(&folder, json),
            What::Reset { yes } => reset(&folder, yes),
        }
    }
}

fn serve(folder: &std::path::Path, reach: &Reach, port: u16) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::failed("cannot start").because(error.to_string()))?;
    runtime.block_on(async {
        let (serving, standing) = Standing::start(folder, reach, port).await?;
        print(&format!("export AWS_ENDPOINT_URL={}", serving.aws_url));
        print(&format!("export AWS_ACCESS_KEY_ID={}", serving.access_key));
        // It may be in this shell's environment already, and then be hidden from all other output.
        println!("export AWS_SECRET_ACCESS_KEY={}", serving.secret_key);
        print("export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1");
        for (cluster, file) in standing.kubeconfigs(folder)? {
            print(&format!("export KUBECONFIG={file}  # cluster {cluster}"));
        }
        eprintln!("serving until Ctrl-C; kubeconfigs of clusters appear in {}", folder.join("kubeconfigs").display());
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|error| Error::failed("cannot wait for signals").because(error.to_string()))?;
        let mut look = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = terminate.recv() => break,
                _ = look.tick() => drop(standing.kubeconfigs(folder)?),
            }
        }
        Ok(Exit::Done)
    })
}

fn status(folder: &std::path::Path, json: bool) -> Outcome {
    let serving = clouds::serving(folder);
    let contents = contents::of(folder, serving.as_ref())?;
    if json {
        print(
            &json!({
                "served": serving.is_some(),
                "url": serving.map(|serving| serving.aws_url),
                "folder": folder,
                "objects": contents.counts,
            })
            .to_string(),
        );
        return Ok(Exit::Done);
    }
    match serving {
        Some(serving) => print(&format!("served by process {} at {}", serving.pid, serving.aws_url)),
        None => print("not served: each command starts and ends them itself"),
    }
    print(&format!("kept in {} ({} KiB)", folder.display(), folder_size(folder).div_ceil(1024)));
    print(&contents.lines().join("\n"));
    Ok(Exit::Done)
}
/// How long a server that was told to end may take.
const ENDING: std::time::Duration = std::time::Duration::from_secs(3);

fn reset(folder: &std::path::Path, yes: bool) -> Outcome {
    // Whoever serves them may be about to end, as when it was told to by the hint below.
    let began = std::time::Instant::now();
    while clouds::serving(folder).is_some() && began.elapsed() < ENDING {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    if let Some(serving) = clouds::serving(folder) {
        return Err(Error::usage(format!("the simulated clouds are up, served by process {}", serving.pid))
            .hint(format!("kill {} && {}", serving.pid, command_line()))
            .into());
    }
    match ask(&format!("empty the simulated clouds in `{}`?", folder.display()), yes) {
        Answer::Yes => {}
        Answer::No => return Ok(Exit::Failed),
        Answer::Nobody => {
            return Err(Error::usage("there is nobody to ask").hint(format!("{} --yes", command_line())).into());
        }
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::failed(format!("cannot empty `{}`", folder.display())).because(error.to_string()).into())
        }
        _ => {
            print("the simulated clouds are empty");
            Ok(Exit::Done)
        }
    }
}

fn folder_size(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => folder_size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
