//! Programs of this machine that a playbook runs.

use crate::{
    allowed::Allowed,
    bind::{Lookup, Registry},
    cx::Cx,
    error::{Class, Error, Result, pasteable},
    secret::Secret,
    value::{UNKNOWN_CLOSE, UNKNOWN_OPEN, has_secret, has_unknown, revealed},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
};

const SIGINT: i32 = 2;
const LONGEST_OUTPUT: usize = 64 << 20;
/// Code of the error of a program that ended with a failure.
const FAILED: &str = "ExitStatus";

/// Runs a program and gives its output. For programs that only compute: it also runs in a plan.
///
/// The program must be named on the command line by `--allow-run NAME`. No shell is involved; the environment is empty but
/// for `PATH`, `HOME` and what `env` says: `LANG`, `LC_…`, `TZ`, `NO_COLOR`, and what `--allow-run NAME:VARIABLE` names. What it
/// prints is secret when a secret stands among its arguments.
///
/// - `program`: its name on `PATH`, or a path.
/// - `args`: its arguments.
/// - `input`: what it reads on standard input.
/// - `env`: variables; most need `--allow-run NAME:VARIABLE`.
/// - `timeout_s`: seconds after which it is ended; default 600.
///
/// # Errors
/// The program or a variable is not allowed, it is not there, fails (its last lines are shown, unless it was given a secret),
/// or takes too long.
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
    /// Variables; those that do not only say how something is shown need `--allow-run NAME:VARIABLE`.
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

    // What a program makes of a secret is one as well.
    const REVEALED: bool = false;

    fn may(cx: &Cx, args: &Value) -> Result<()> {
        let Some(program) = args["program"].as_str().filter(|_| !has_unknown(&args["program"])) else { return Ok(()) };
        let allowed = &cx.run.allowed;
        allowed.check_run(program)?;
        let variables = args["env"].as_object().into_iter().flatten();
        check_variables(allowed, program, variables.map(|(name, _)| name.as_str()))?;
        // Another program that is allowed may bring it along.
        let only = allowed.run.iter().all(|other| other.split(':').next() == program.split(':').next());
        if only && !is_there(program) {
            return Err(not_there(program, "there is no such program"));
        }
        Ok(())
    }

    async fn look(cx: &Cx, args: &RunProgram) -> Result<Ran> {
        if cx.run.allowed.nothing_started {
            let later = |field: &str| format!("{UNKNOWN_OPEN}{}.{field}{UNKNOWN_CLOSE}", Self::NAME);
            return Ok(Ran { stdout: later("stdout"), stderr: later("stderr") });
        }
        cx.say(&format!("running {}", args.program));
        let given = serde_json::to_value(args).map_err(|error| Error::failed(error.to_string()))?;
        if !has_secret(&given) {
            return run(args).await;
        }
        let plain = serde_json::from_value(revealed(&given)).map_err(|error| Error::failed(error.to_string()))?;
        let ran = run(&plain).await.map_err(|error| match error.cause {
            Some(_) if error.code.as_deref() == Some(FAILED) => {
                error.because("it was given a secret, so what it printed is left out")
            }
            _ => error,
        })?;
        Ok(Ran { stdout: secret(&ran.stdout), stderr: secret(&ran.stderr) })
    }
}

/// `printed` as a secret; also without the end of its line, as it is passed on most of the time.
fn secret(printed: &str) -> String {
    if printed.is_empty() {
        return String::new();
    }
    crate::secret::remember(printed.trim());
    Secret::new(printed).marked()
}

/// Variables that a script may set for a program: they say how something is shown. All others are named on the command line
/// first, since many make a program run other code (`BASH_ENV`, `PYTHONPATH`, `NODE_OPTIONS`, `GIT_SSH_COMMAND`, `LD_PRELOAD`).
///
/// # Errors
/// [`Class::Usage`] for the first that is not named, with the option that does it.
pub fn check_variables<'a>(allowed: &Allowed, program: &str, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let harmless = |name: &str| ["LANG", "TZ", "NO_COLOR"].contains(&name) || name.starts_with("LC_");
    let named = |name: &str| allowed.run.contains(&format!("{program}:{name}"));
    match names.into_iter().find(|name| !harmless(name) && !named(name)) {
        Some(name) => {
            let option = pasteable(&format!("{program}:{name}"));
            Err(Error::new(
                Class::Usage,
                format!("the playbook wants to set `{name}` for `{program}`, which is not allowed"),
            )
            .because("a variable can make a program run other code")
            .hint(format!("if you trust it, add `--allow-run {option}`")))
        }
        None => Ok(()),
    }
}

/// Whether `program` is a file that can be run, by its path or on `PATH`.
fn is_there(program: &str) -> bool {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|about| {
            about.is_file() && std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0
        })
    };
    if program.contains('/') {
        return runs(Path::new(program));
    }
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| runs(&folder.join(program))))
}

fn not_there(program: &str, why: &str) -> Error {
    Error::failed(format!("cannot run `{program}`")).because(why).hint("install it, or put it on PATH")
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
    let mut child = command.spawn().map_err(|error| not_there(program, &error.to_string()))?;
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
        return Err(Error::failed(format!("`{program}` failed with {status}")).because(last).code(FAILED));
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
