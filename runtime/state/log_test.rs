//! The log in a folder, as runs use it.

use super::{Event, Holder, Keys, Log, Outcome, Place, S3Access, Status, Timing, lease::Clock, lease::MachineClock};
use crate::{
    error::{Class, Error},
    secret::Secret,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

pub(super) struct World {
    pub(super) folder: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    pub(super) fn place(&self) -> Place {
        Place::parse(&self.folder.path().join("state").to_string_lossy(), &S3Access::default()).unwrap()
    }
    pub(super) fn keys(&self) -> Keys {
        Keys::in_folder(&self.folder.path().join("keys"))
    }
    pub(super) async fn open(&self) -> Log {
        Log::open(&self.place(), "demo", &self.keys()).await.unwrap()
    }
    pub(super) async fn open_error(&self) -> Error {
        Log::open(&self.place(), "demo", &self.keys()).await.err().expect("the log was opened")
    }
    pub(super) fn record(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("state/demo/log/{number:010}.json"))
    }
    pub(super) fn snapshots(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("state/demo/snapshots"))
    }
    pub(super) fn records(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("state/demo/log"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(super) fn all_files(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

pub(super) fn who(name: &str) -> Holder {
    Holder { host: name.into(), pid: 7, user: Some("ada".into()), command: "gitpod-play run x.rhai".into() }
}

pub(super) fn intent(name: &str, args: Value) -> Event {
    Event::Intent {
        address: format!("k/{name}"),
        kind: "k".into(),
        name: name.into(),
        step: "s".into(),
        args,
        token: format!("token-{name}"),
        protect: false,
        stateful: false,
    }
}

fn ready(name: &str, outputs: Value) -> Event {
    Event::Ready { address: format!("k/{name}"), outputs }
}

fn run_started() -> Event {
    Event::RunStarted {
        run_id: "r1".into(),
        verb: "run".into(),
        playbook: "x.rhai".into(),
        targets: json!({ "aws": "sandbox" }),
        settings_digest: "d".into(),
        version: "0".into(),
        host: "h".into(),
        user: None,
    }
}

pub(super) fn timing(ttl_ms: u64) -> Timing {
    let ttl = Duration::from_millis(ttl_ms);
    Timing { ttl, heartbeat: ttl / 3, margin: ttl / 12, patience: Duration::ZERO, snapshot_every: 8 }
}

#[tokio::test]
async fn opening_makes_nothing() {
    let world = World::new();
    let log = world.open().await;
    assert!(log.with(|state| state.resources.is_empty()));
    assert_eq!(files(world.folder.path()), Vec::<PathBuf>::new());
    assert_eq!(log.append(vec![intent("a", json!(1))]).await.unwrap_err().class, Class::Failed);
    assert_eq!(world.place().stacks().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_appended_is_there_for_the_next_process() {
    let world = World::new();
    let log = world.open().await;
    let lease = log.acquire(who("h")).await.unwrap();
    log.lease_ok().unwrap();
    log.append(vec![run_started(), intent("a", json!({ "size": 1 }))]).await.unwrap();
    log.append(vec![ready("a", json!({ "id": "a-1" }))]).await.unwrap();
    let ended = Event::RunEnded { run_id: "r1".into(), outcome: Outcome::Done, changes: None };
    log.append(vec![ended]).await.unwrap();
    log.release(lease).await.unwrap();
    assert!(log.lease_ok().is_err());
    let again = world.open().await;
    again.with(|state| {
        let resource = &state.resources["k/a"];
        assert_eq!((resource.status, resource.token.as_str()), (Status::Ready, "token-a"));
        assert_eq!(resource.outputs, json!({ "id": "a-1" }));
        assert_eq!((state.runs[0].outcome, state.runs[0].changes.created), (Some(Outcome::Done), 1));
        assert_eq!(super::show::resources(state, "")[0]["outputs"]["id"], "a-1");
    });
    assert_eq!(world.place().stacks().await.unwrap(), ["demo"]);
    again.acquire(who("h")).await.unwrap();
    assert_eq!(again.notices(), Vec::<String>::new());
}

#[tokio::test]
async fn an_event_that_cannot_happen_is_refused_alone() {
    let world = World::new();
    let log = world.open().await;
    let _lease = log.acquire(who("h")).await.unwrap();
    let wrong = log.append(vec![
        intent("a", json!(1)),
        Event::Updated { address: "k/a".into(), args: json!(2), outputs: json!({}) },
    ]);
    let (wrong, right) = tokio::join!(wrong, log.append(vec![intent("b", json!(1))]));
    assert!(wrong.unwrap_err().to_string().contains("`updated` cannot happen to `k/a`, which is intended"));
    right.unwrap();
    assert!(log.with(|state| !state.resources.contains_key("k/a") && state.resources.contains_key("k/b")));
    let lease = log.append(vec![Event::Heartbeat]).await.unwrap_err();
    assert!(lease.message.contains("`heartbeat`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_at_the_same_time_share_records() {
    let world = World::new();
    let log = world.open().await;
    let lease = log.acquire(who("h")).await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(vec![intent(&format!("r{number}"), json!(number))]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    log.release(lease).await.unwrap();
    assert!(world.records().len() < 100, "{} records", world.records().len());
    assert_eq!(world.open().await.with(|state| state.resources.len()), 200);
}

#[tokio::test]
async fn a_stack_in_use_says_by_whom_since_when_and_until_when() {
    let world = World::new();
    let first = world.open().await;
    let _lease = first.acquire(who("one")).await.unwrap();
    for host in ["one", "two"] {
        let second = world.open().await;
        let refused = second.acquire(who(host)).await.err().unwrap();
        assert_eq!(refused.class, Class::Conflict);
        let text = refused.to_string();
        assert!(text.contains("`demo` is in use by ada@one (pid 7) since 20"), "{text}");
        assert!(text.contains("`gitpod-play run x.rhai`") && text.contains("ends at 20"), "{text}");
        assert!(second.lease_ok().is_err());
    }
    first.lease_ok().unwrap();
    first.append(vec![intent("a", json!(1))]).await.unwrap();
}

#[tokio::test]
async fn a_holder_on_this_machine_that_died_is_taken_over_from_at_once() {
    let world = World::new();
    let first = world.open().await;
    let lease = first.acquire(who("h")).await.unwrap();
    first.append(vec![run_started()]).await.unwrap();
    lease.forsake();
    tokio::task::yield_now().await;
    let other_host = world.open().await;
    assert_eq!(other_host.acquire(who("elsewhere")).await.err().unwrap().class, Class::Conflict);
    let second = world.open().await;
    assert!(first.lease_ok().is_err());
    let lease = second.acquire(who("h")).await.unwrap();
    assert_eq!(lease.epoch, 2);
    assert!(second.notices()[0].contains("took over from ada@h"));
    assert_eq!(second.history()[0].outcome, Some(Outcome::Killed));
}

#[tokio::test]
async fn a_holder_that_slept_past_its_lease_is_fenced() {
    let world = World::new();
    let open = |clock: Arc<dyn Clock>| {
        let (place, keys) = (world.place(), world.keys());
        async move { Log::open_with(&place, "demo", &keys, clock, timing(60_000)).await.unwrap() }
    };
    let sleeper = open(Arc::new(MachineClock::default())).await;
    let _lease = sleeper.acquire(who("one")).await.unwrap();
    sleeper.append(vec![intent("a", json!(1))]).await.unwrap();
    let later = open(Arc::new(Ahead(Duration::from_secs(66)))).await;
    let _other = later.acquire(who("two")).await.unwrap();
    let refused = sleeper.append(vec![intent("b", json!(1))]).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict);
    assert!(refused.to_string().contains("was taken over") && refused.to_string().contains("by ada@two"), "{refused}");
    assert_eq!(sleeper.lease_ok().unwrap_err().class, Class::Conflict);
    later.append(vec![intent("c", json!(1))]).await.unwrap();
    let names: Vec<String> = world.open().await.with(|state| state.resources.keys().cloned().collect());
    assert_eq!(names, ["k/a", "k/c"]);
}

struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }
    fn elapsed(&self) -> Duration {
        self.0
    }
}

/// A clock that a test sets.
struct Hand(Mutex<Duration>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + *self.0.lock().unwrap()
    }
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn a_holder_that_slept_and_was_not_replaced_goes_on_after_its_next_record() {
    let world = World::new();
    let clock = Arc::new(Hand(Mutex::new(Duration::from_secs(1))));
    let log = Log::open_with(&world.place(), "demo", &world.keys(), clock.clone(), timing(60_000)).await.unwrap();
    let _lease = log.acquire(who("h")).await.unwrap();
    *clock.0.lock().unwrap() = Duration::from_secs(4000);
    assert_eq!(log.lease_ok().unwrap_err().class, Class::Passing);
    // Asking was enough: the writer renews what nobody took.
    for _ in 0..200 {
        if log.lease_ok().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    log.lease_ok().unwrap();
    *clock.0.lock().unwrap() = Duration::from_secs(8000);
    log.append(vec![intent("a", json!(1))]).await.unwrap();
    log.lease_ok().unwrap();
}

#[tokio::test]
async fn heartbeats_are_written_only_when_nothing_else_is() {
    let world = World::new();
    let clock = Arc::new(MachineClock::default());
    let log = Log::open_with(&world.place(), "demo", &world.keys(), clock, timing(3000)).await.unwrap();
    let _lease = log.acquire(who("h")).await.unwrap();
    let before = world.records().len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let after = world.records().len();
    assert!((before + 1..=before + 3).contains(&after), "{before} records, then {after}");
    log.lease_ok().unwrap();
}

#[tokio::test]
async fn no_secret_stands_in_the_clear_in_any_file() {
    let world = World::new();
    let secret = Secret::new("s3cr3t-of-the-database");
    let clock = Arc::new(MachineClock::default());
    let log = Log::open_with(&world.place(), "demo", &world.keys(), clock, timing(60_000)).await.unwrap();
    let lease = log.acquire(who("h")).await.unwrap();
    log.append(vec![
        intent("db", json!({ "password": secret.marked(), "url": format!("mysql://u:{}@h", secret.marked()) })),
        ready("db", json!({ "unmarked": "s3cr3t-of-the-database", "id": 1 })),
        Event::StepFailed { step: "s".into(), message: "cannot log in with s3cr3t-of-the-database".into() },
    ])
    .await
    .unwrap();
    for number in 0..20 {
        log.append(vec![intent(&format!("r{number}"), json!(secret.marked()))]).await.unwrap();
    }
    log.release(lease).await.unwrap();
    assert!(!world.snapshots().is_empty());
    for file in all_files(world.folder.path()) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("s3cr3t"), "{} holds a secret", file.display());
    }
    let again = world.open().await;
    assert_eq!(again.with(Clone::clone), log.with(Clone::clone));
    again.with(|state| {
        assert_eq!(super::show::resources(state, "")[0]["outputs"]["id"], 1);
        assert!(crate::value::has_secret(&state.resources["k/db"].args));
    });
    assert_ne!(fs::read_dir(world.folder.path().join("keys")).unwrap().count(), 0);
}

#[tokio::test]
async fn rotating_leaves_nothing_that_the_former_key_reads() {
    let world = World::new();
    let log = world.open().await;
    let lease = log.acquire(who("h")).await.unwrap();
    let secret = Secret::new("rotate-me-please");
    log.append(vec![intent("db", json!(secret.marked()))]).await.unwrap();
    let theirs = Keys::in_folder(&world.folder.path().join("theirs"));
    let wrong = log.rotate(vec!["age1nonsense".into()]).await.unwrap_err();
    assert_eq!(wrong.class, Class::Usage);
    log.rotate(theirs.default_recipients().unwrap()).await.unwrap();
    log.append(vec![intent("more", json!(secret.marked()))]).await.unwrap();
    log.release(lease).await.unwrap();
    let refused = Log::open(&world.place(), "demo", &world.keys()).await.err().unwrap();
    assert_eq!(refused.class, Class::Denied);
    let read = Log::open(&world.place(), "demo", &theirs).await.unwrap();
    assert_eq!(read.with(|state| state.resources["k/db"].args.clone()), json!(secret.marked()));
    // No single text of the former encryption is left: every sealed value opens with the new key alone.
    for file in world.records().iter().chain(&world.snapshots()) {
        let text = fs::read_to_string(file).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        Keys::in_folder(&world.folder.path().join("theirs")).open(value).unwrap();
    }
}

#[tokio::test]
async fn revealing_names_what_there_is() {
    let world = World::new();
    let log = world.open().await;
    let _lease = log.acquire(who("h")).await.unwrap();
    let value = Secret::new("reveal-me-please").marked();
    log.append(vec![intent("db", json!({})), ready("db", json!({ "value": value }))]).await.unwrap();
    log.with(|state| {
        assert_eq!(super::show::reveal(state, "k/db.value").unwrap(), "reveal-me-please");
        assert_eq!(super::show::reveal(state, "k/db").unwrap(), "reveal-me-please");
        assert!(super::show::reveal(state, "k").unwrap_err().hint.unwrap().contains("`k/db.value`"));
        assert_eq!(super::show::resources(state, "")[0]["outputs"]["value"], "<secret>");
        assert!(super::show::resource_lines(state).join("\n").contains("<secret>"));
    });
}

#[tokio::test]
async fn names_of_stacks_are_checked() {
    let world = World::new();
    for wrong in ["", "../x", "A", "a/b", "-a", "sandbox", &"a".repeat(49)] {
        let error = Log::open(&world.place(), wrong, &world.keys()).await.err().unwrap();
        assert_eq!(error.class, Class::Usage);
    }
}

#[test]
fn a_command_that_ends_with_an_error_gives_its_stack_back() {
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = runtime.block_on(world.open());
    let lease = runtime.block_on(log.acquire(who("one"))).unwrap();
    drop(lease);
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let next = runtime.block_on(world.open());
    let _lease = runtime.block_on(next.acquire(who("two"))).unwrap();
    assert_eq!(next.notices(), Vec::<String>::new());
    assert_eq!(files(&world.folder.path().join("state/demo")).len(), 3);
}
