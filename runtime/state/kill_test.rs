//! Writers that are killed: the test starts itself as another process, kills it in the middle of its work, and looks at
//! what it left.

use super::{Event, Holder, Keys, Log, Outcome, Place, S3Access, Timing, lease::MachineClock};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

const FOLDER_VARIABLE: &str = "GITPOD_PLAY_KILL_TEST";
const ROUNDS: usize = 12;
const ACKNOWLEDGED: &str = "acknowledged ";

async fn open(folder: &Path) -> Log {
    let place = Place::parse(&folder.join("state").to_string_lossy(), &S3Access::default()).unwrap();
    let keys = Keys::in_folder(&folder.join("keys"));
    let timing = Timing { snapshot_every: 8, ..Timing::default() };
    Log::open_with(&place, "demo", &keys, Arc::new(MachineClock::default()), timing).await.unwrap()
}

/// The process that is killed: records for ever, from four tasks, and says what was acknowledged.
async fn record_for_ever(folder: &Path) {
    let log = open(folder).await;
    // The one before was killed on this machine, so that nobody has to wait for its lease.
    let lease = log.acquire(Holder::here("kill test")).await.unwrap();
    let run_id = format!("run-{}", lease.epoch);
    let started = Event::RunStarted {
        run_id: run_id.clone(),
        verb: "run".into(),
        playbook: "p".into(),
        targets: serde_json::Value::Null,
        settings_digest: String::new(),
        version: String::new(),
        host: String::new(),
        user: None,
    };
    log.append(vec![started]).await.unwrap();
    let tasks = (0..4).map(|task| {
        let (log, run_id) = (log.clone(), run_id.clone());
        tokio::spawn(async move {
            for count in 0.. {
                let step = format!("{run_id}-{task}-{count}");
                log.append(vec![Event::StepFailed { step: step.clone(), message: String::new() }]).await.unwrap();
                // One write, so that a line is there as a whole or not at all.
                std::io::stdout().write_all(format!("{ACKNOWLEDGED}{step}\n").as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
}

#[test]
fn a_killed_writer_loses_nothing_it_was_told_is_recorded() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return runtime.block_on(record_for_ever(&PathBuf::from(folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "state::kill_test::a_killed_writer_loses_nothing_it_was_told_is_recorded"])
            .env(FOLDER_VARIABLE, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut wanted = 3 + round * 7;
        for line in lines {
            // The harness may have begun the line.
            let Some((_, step)) = line.split_once(ACKNOWLEDGED) else { continue };
            acknowledged.push(step.to_owned());
            wanted = wanted.saturating_sub(1);
            if wanted == 0 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert_eq!(wanted, 0, "the writer of round {round} ended by itself");
        runtime.block_on(open(folder.path())).with(|state| {
            let lost: Vec<_> = acknowledged.iter().filter(|step| !state.steps.contains_key(*step)).collect();
            assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        });
    }
    let history = runtime.block_on(open(folder.path())).history();
    assert_eq!(history.len(), ROUNDS);
    assert!(history[..ROUNDS - 1].iter().all(|run| run.outcome == Some(Outcome::Killed)));
}
