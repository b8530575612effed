//! Programs of this machine that a playbook runs.

use crate::{
    bind::{Lookup, Registry},
    cx::Cx,
    error::{Class, Error, Result},
    value::{UNKNOWN_CLOSE, UNKNOWN_OPEN},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
};

const SIGINT: i32 = 2;
const LONGEST_OUTPUT: usize = 64 << 20;

/// Runs a program and gives its output. For programs that only compute: it also runs in a plan.
///
/// The program must be named on the command line by `--allow-run NAME`. No shell is involved; the environment is empty but
/// for `PATH`, `HOME` and what `env` says.
///
/// - `program`: its name on `PATH`, or a path.
/// - `args`: its arguments.
/// - `input`: what it reads on standard input.
/// - `env`: variables.
/// - `timeout_s`: seconds after which it is ended; default 600.
///
/// # Errors
/// The program is not allowed, is not there, fails (its last lines are shown), or takes too long.
///
/// ```rhai
/// let rendered = process::run(#{ program: "gitpod-installer", args: ["version"] });
/// ```
///
/// Stands on no API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunProgram {
    /// Its name on `PATH`, or a path.
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// What it reads on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Seconds after which it is ended; default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// What a program left.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Ran {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program.
pub struct ProcessRun;

#[async_trait]
impl Lookup for ProcessRun {
    const NAME: &'static str = "process::run";
    type Args = RunProgram;
    type Output = Ran;

    async fn look(cx: &Cx, args: &RunProgram) -> Result<Ran> {
        let program = &args.program;
        cx.run.allowed.check_run(program)?;
        check_variables(args.env.keys().map(String::as_str))?;
        if cx.run.allowed.nothing_started {
            let later = |field: &str| format!("{UNKNOWN_OPEN}{}.{field}{UNKNOWN_CLOSE}", Self::NAME);
            return Ok(Ran { stdout: later("stdout"), stderr: later("stderr") });
        }
        cx.say(&format!("running {program}"));
        run(args).await
    }
}

/// Variables by which a script could make an allowed program run other code.
///
/// # Errors
/// [`Class::Usage`] for the first of them.
pub fn check_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let decides_code =
        |name: &str| ["LD_", "DYLD_"].iter().any(|begin| name.starts_with(begin)) || ["PATH", "HOME"].contains(&name);
    match names.into_iter().find(|name| decides_code(name)) {
        Some(name) => Err(Error::new(Class::Usage, format!("the variable `{name}` is not a script's to set"))
            .because("it decides which code an allowed program runs")
            .hint("set it where you start `gitpod-play`, if you need it")),
        None => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts programs for playbooks")]
async fn run(args: &RunProgram) -> Result<Ran> {
    let program = &args.program;
    let mut command = Command::new(program);
    command.args(&args.args).env_clear().envs(&args.env).kill_on_drop(true);
    for kept in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        Error::failed(format!("cannot run `{program}`"))
            .because(error.to_string())
            .hint("install it, or put it on PATH")
    })?;
    let feed = async |stdin: Option<ChildStdin>| -> std::io::Result<()> {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input ends the pipe early; its exit code says whether that is bad.
            let _ = stdin.write_all(args.input.as_deref().unwrap_or_default().as_bytes()).await;
        }
        Ok(())
    };
    let timeout = Duration::from_secs(args.timeout_s.unwrap_or(600));
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ended = async { tokio::try_join!(feed(stdin), bounded(out), bounded(err)) };
    let ((), stdout, stderr) = tokio::time::timeout(timeout, ended)
        .await
        .map_err(|_| Error::new(Class::TimedOut, format!("`{program}` did not end in {} s", timeout.as_secs())))?
        .map_err(|error| Error::failed(format!("cannot read what `{program}` prints")).because(error.to_string()))?;
    // Dropped at the return, and killed by it.
    if stdout.len().max(stderr.len()) > LONGEST_OUTPUT {
        return Err(Error::failed(format!("`{program}` printed more than {} MiB", LONGEST_OUTPUT >> 20)));
    }
    let status = tokio::time::timeout(timeout, child.wait())
        .await
        .map_err(|_| Error::new(Class::TimedOut, format!("`{program}` did not end in {} s", timeout.as_secs())))?
        .map_err(|error| Error::failed(format!("cannot run `{program}`")).because(error.to_string()))?;
    // Ctrl-C reaches all programs of the terminal.
    if std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGINT) {
        return Err(Error::new(Class::Interrupted, format!("`{program}` was stopped")));
    }
    if !status.success() {
        let lines: Vec<&str> = stderr.lines().chain(stdout.lines()).collect();
        let last = lines[lines.len().saturating_sub(5)..].join("; ");
        return Err(Error::failed(format!("`{program}` failed with {status}")).because(last));
    }
    Ok(Ran { stdout, stderr })
}

/// What is printed, up to a byte more than is taken.
async fn bounded(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(LONGEST_OUTPUT as u64 + 1).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Registers what this module has.
pub fn register(registry: &mut Registry) {
    registry.lookup::<ProcessRun>();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(program: &str, args: &[&str], input: &str) -> RunProgram {
        RunProgram {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).into()).collect(),
            input: Some(input.into()),
            env: BTreeMap::new(),
            timeout_s: Some(20),
        }
    }

    #[tokio::test]
    async fn output_and_failure_come_back() {
        assert_eq!(run(&program("cat", &[], "hello")).await.unwrap().stdout, "hello");
        let failed = run(&program("sh", &["-c", "echo reason >&2; exit 3"], "")).await.err().unwrap();
        assert!(failed.to_string().contains("reason"), "{failed}");
        assert!(run(&program("no-such-program-at-all", &[], "")).await.is_err());
    }
}
