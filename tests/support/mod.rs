//! A folder to run the program in, and what it left there.

pub mod hand;
pub mod leaks;
pub mod plain;
pub mod quick;
pub mod servers;
pub mod world;

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The shipped playbook.
pub const AWS: &str = "playbooks/aws.rhai";
/// What `destroy` has to be allowed: the database holds data by its nature.
pub const ALLOW_DATABASE: [&str; 2] = ["--allow-delete", "gitpod-instance"];

static ALONE: Mutex<()> = Mutex::new(());

/// Held by tests that use all of the machine, or watch how long something takes: they would disturb each other.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Body of a step that says when it runs, and runs until [`Place::lets_go`], or for two minutes. Allow it with `--allow-run sh`.
pub fn holding(name: &str) -> String {
    let until = format!("touch {name}.begun; for i in $(seq 2400); do [ -e {name}.go ] && break; sleep 0.05; done");
    format!("process::run(#{{ program: \"sh\", args: [\"-c\", \"{until}\"] }})")
}

/// An empty folder, with a home of its own, so that no test sees another's keys.
pub struct Place {
    folder: TempDir,
}

/// What a command left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; -1 when it was killed.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, folders included.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Waits until the step of [`holding`] runs.
    pub fn is_held(&self, name: &str) {
        let begun = self.path().join(format!("{name}.begun"));
        until(&format!("`{name}` runs"), Duration::from_mins(2), || begun.exists());
    }

    /// Lets the step of [`holding`] end.
    pub fn lets_go(&self, name: &str) {
        self.write(&format!("{name}.go"), "");
    }

    /// The command, ready to be run here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gitpod-play"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        let ours = ["GITPOD_PLAY_STATE", "GITPOD_PLAY_LOG", "GITPOD_PLAY_LOG_LEVEL"];
        for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].into_iter().chain(ours)
        {
            command.env_remove(name);
        }
        command.env("HOME", self.path().join("home")).env("XDG_CONFIG_HOME", self.path().join("home/.config"));
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Runs the program; it may take four minutes.
    pub fn play(&self, args: &[&str]) -> Ended {
        ended(bounded(self.command(args), Duration::from_mins(4)))
    }

    /// Runs the program, which has to succeed.
    pub fn play_ok(&self, args: &[&str]) -> Ended {
        let ended = self.play(args);
        assert_eq!(ended.code, 0, "gitpod-play {}\n{}\n{}", args.join(" "), ended.stdout, ended.stderr);
        ended
    }

    /// `state show --json`.
    pub fn resources(&self) -> Vec<Value> {
        let shown = self.play_ok(&["state", "show", "--json"]);
        serde_json::from_str(&shown.stdout).expect("a JSON list")
    }

    /// The calls that `--record FILE` wrote.
    pub fn calls(&self, file: &str) -> Vec<Value> {
        self.read(file).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

/// Runs `command` to its end, or fails the test after `limit`.
pub fn bounded(mut command: Command, limit: Duration) -> Output {
    let shown = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    wait(child, limit, &shown)
}

fn wait(child: Child, limit: Duration, shown: &str) -> Output {
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    if let Ok(output) = receiver.recv_timeout(limit) {
        waiter.join().expect("the waiting thread ends");
        output.expect("the output can be read")
    } else {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        panic!("not ended after {} s: {shown}", limit.as_secs());
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what has ended is used up")]
pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `done`, or fails the test.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "not so after {} s: {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes among the calls.
pub fn writes(calls: &[Value]) -> Vec<String> {
    let writes = calls.iter().filter(|call| call["write"] == true);
    writes
        .map(|call| {
            format!("{} {}", call["service"].as_str().unwrap_or("?"), call["operation"].as_str().unwrap_or("?"))
        })
        .collect()
}
