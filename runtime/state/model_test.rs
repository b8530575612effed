//! A model of two runs that want the same stack, over every interleaving of their object-store calls that a random
//! schedule finds: crashes between any two calls, lost requests and replies, machines that sleep, clocks that differ,
//! snapshots and deletions meanwhile. The code under test is the journal itself, on a store in memory and made-up clocks.

use super::{
    event::{Event, Holder},
    journal::Journal,
    keys::Keys,
    lease::{Clock, Tenure, Timing},
    model::State,
    place::Place,
    store::Store,
};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use jiff::Timestamp;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult, memory::InMemory, path::Path,
};
use proptest::prelude::*;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, RwLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

const TTL_S: u64 = 60;
const MARGIN_S: u64 = 5;

/// What the world does next.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// A run gets so many turns, each up to the next call of the store or its answer.
    Turns(usize, u8),
    /// Time passes for everyone.
    Time(u8),
    /// Time passes, and that run's machine sleeps meanwhile: one of its clocks stands still.
    Sleep(usize, u8),
    /// A run is killed; the same command starts again.
    Kill(usize),
    /// A run's next call never reaches the store.
    LoseRequest(usize),
    /// A run's next call is done and its answer lost.
    LoseReply(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0..2_usize, 1..9_u8).prop_map(|(run, turns)| Move::Turns(run, turns)),
        4 => (0..2_usize, 20..=250_u8).prop_map(|(run, turns)| Move::Turns(run, turns)),
        2 => (1..8_u8).prop_map(Move::Time),
        2 => (40..70_u8).prop_map(Move::Time),
        2 => (0..2_usize, 50..120_u8).prop_map(|(run, seconds)| Move::Sleep(run, seconds)),
        1 => (0..2_usize).prop_map(Move::Kill),
        1 => (0..2_usize).prop_map(Move::LoseRequest),
        1 => (0..2_usize).prop_map(Move::LoseReply),
    ];
    proptest::collection::vec(one, 1..60)
}

/// Clocks of one machine, in seconds: true time, how much its clock of day is ahead, how long it slept.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "units")]
struct Clocks {
    time_s: i64,
    ahead_s: i64,
    slept_s: i64,
}

struct FakeClock(Arc<Mutex<Clocks>>);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let clocks = self.0.lock().unwrap();
        Timestamp::from_second(1_000_000 + clocks.time_s + clocks.ahead_s).unwrap()
    }
    fn elapsed(&self) -> Duration {
        let clocks = self.0.lock().unwrap();
        Duration::from_secs(u64::try_from(clocks.time_s - clocks.slept_s).unwrap())
    }
}

#[derive(Debug, Default)]
struct Faults {
    lose_request: bool,
    lose_reply: bool,
}

/// The shared store as one run reaches it: each call takes two turns, one to arrive and one to be answered.
#[derive(Debug)]
struct Line {
    store: Arc<InMemory>,
    faults: Arc<Mutex<Faults>>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("line")
    }
}

fn lost() -> StoreError {
    StoreError::Generic { store: "line", source: "the connection was lost".into() }
}

async fn turn() {
    let mut waited = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Line {
    async fn call<T>(&self, work: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        turn().await;
        if std::mem::take(&mut self.faults.lock().unwrap().lose_request) {
            return Err(lost());
        }
        let answer = work.await;
        turn().await;
        if std::mem::take(&mut self.faults.lock().unwrap().lose_reply) {
            return Err(lost());
        }
        answer
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        self.call(self.store.put_opts(at, payload, options)).await
    }
    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> StoreResult<Box<dyn MultipartUpload>> {
        Err(lost())
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.call(self.store.get_opts(at, options)).await
    }
    fn delete_stream(&self, places: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        let store = self.store.clone();
        let first = async move {
            turn().await;
            store.delete_stream(places)
        };
        futures::stream::once(first).flatten().boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let (store, prefix) = (self.store.clone(), prefix.cloned());
        let first = async move {
            turn().await;
            let found: Vec<_> = store.list(prefix.as_ref()).collect().await;
            turn().await;
            futures::stream::iter(found)
        };
        futures::stream::once(first).flatten().boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.call(self.store.list_with_delimiter(prefix)).await
    }
    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> StoreResult<()> {
        Err(lost())
    }
}

/// What was acknowledged to a run.
#[derive(Debug, Clone, PartialEq)]
struct Acknowledged {
    id: String,
    number: u64,
    epoch: u64,
    /// The process: a run that was killed and started again is another one.
    process: usize,
}

#[derive(Default)]
struct Seen {
    acknowledged: Vec<Acknowledged>,
    processes: usize,
}

struct Run {
    clocks: Arc<Mutex<Clocks>>,
    faults: Arc<Mutex<Faults>>,
    tenure: Arc<Tenure>,
    work: Pin<Box<dyn Future<Output = ()>>>,
}

fn timing() -> Timing {
    let seconds = Duration::from_secs;
    Timing {
        ttl: seconds(TTL_S),
        heartbeat: seconds(TTL_S / 3),
        margin: seconds(MARGIN_S),
        patience: Duration::ZERO,
        snapshot_every: 2,
    }
}

fn journal_store(objects: Arc<dyn ObjectStore>) -> Store {
    Store::open(&Place::given(objects), "stack").unwrap()
}

/// No secret is written, so that no key is ever made there.
fn no_keys() -> Keys {
    Keys::in_folder(std::path::Path::new("/nonexistent/gitpod-play"))
}

impl Run {
    fn start(which: usize, store: &Arc<InMemory>, clocks: &Arc<Mutex<Clocks>>, seen: &Arc<Mutex<Seen>>) -> Self {
        let faults = Arc::new(Mutex::new(Faults::default()));
        let tenure = Arc::new(Tenure::new("stack"));
        let line = Arc::new(Line { store: store.clone(), faults: faults.clone() });
        let process = {
            let mut seen = seen.lock().unwrap();
            seen.processes += 1;
            seen.processes
        };
        let work = Box::pin(work(which, process, line, clocks.clone(), tenure.clone(), seen.clone()));
        Self { clocks: clocks.clone(), faults, tenure, work }
    }

    fn poll(&mut self) {
        let _ = self.work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    fn holds(&self) -> bool {
        self.tenure.check(&FakeClock(self.clocks.clone())).is_ok()
    }
}

/// A user who never gives up: takes the stack, records for a while, gives it back, and starts anew after every error.
async fn work(
    which: usize,
    process: usize,
    line: Arc<Line>,
    clocks: Arc<Mutex<Clocks>>,
    tenure: Arc<Tenure>,
    seen: Arc<Mutex<Seen>>,
) {
    let who = Holder { host: format!("host-{which}"), pid: 1, user: None, command: "run".into() };
    let state = Arc::new(RwLock::new(State::default()));
    let clock = Arc::new(FakeClock(clocks));
    for attempt in 0.. {
        let store = journal_store(line.clone());
        let opened = Journal::open(store, &no_keys(), clock.clone(), timing(), state.clone(), tenure.clone()).await;
        let Ok(mut journal) = opened else { continue };
        let Ok(epoch) = journal.acquire(&who).await else {
            turn().await;
            continue;
        };
        for count in 0..7 {
            let id = format!("{process}-{attempt}-{count}");
            let event = Event::StepFailed { step: id.clone(), message: String::new() };
            if journal.commit(vec![event]).await.is_err() {
                break;
            }
            let number = journal.head;
            seen.lock().unwrap().acknowledged.push(Acknowledged { id, number, epoch, process });
            let _ = journal.snapshot_if_due().await;
            let _ = journal.heartbeat().await;
        }
        let _ = journal.release().await;
    }
}

fn pass(clocks: &[Arc<Mutex<Clocks>>], seconds: u8) {
    for clock in clocks {
        clock.lock().unwrap().time_s += i64::from(seconds);
    }
}

fn play(moves: &[Move], ahead_s: i64) -> Result<(), TestCaseError> {
    let store = Arc::new(InMemory::new());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let clocks = [0, ahead_s].map(|ahead_s| Arc::new(Mutex::new(Clocks { ahead_s, ..Clocks::default() })));
    let start = |which: usize| Run::start(which, &store, &clocks[which], &seen);
    let mut runs = [start(0), start(1)];
    for one in moves {
        match *one {
            Move::Turns(which, turns) => {
                for _ in 0..turns {
                    runs[which].poll();
                    prop_assert!(!(runs[0].holds() && runs[1].holds()), "both runs may write to the cloud");
                }
            }
            Move::Time(seconds) => pass(&clocks, seconds),
            Move::Sleep(which, seconds) => {
                pass(&clocks, seconds);
                clocks[which].lock().unwrap().slept_s += i64::from(seconds);
            }
            Move::Kill(which) => runs[which] = start(which),
            Move::LoseRequest(which) => runs[which].faults.lock().unwrap().lose_request = true,
            Move::LoseReply(which) => runs[which].faults.lock().unwrap().lose_reply = true,
        }
        prop_assert!(!(runs[0].holds() && runs[1].holds()), "both runs may write to the cloud");
    }
    drop(runs);
    check(&store, &seen.lock().unwrap().acknowledged)
}

/// What holds at the end: the log can be read, nothing acknowledged is lost, and no epoch had two writers.
fn check(store: &Arc<InMemory>, acknowledged: &[Acknowledged]) -> Result<(), TestCaseError> {
    let state = Arc::new(RwLock::new(State::default()));
    let clock = Arc::new(FakeClock(Arc::default()));
    let tenure = Arc::new(Tenure::new("stack"));
    let keys = no_keys();
    let read = Journal::open(journal_store(store.clone()), &keys, clock, timing(), state.clone(), tenure);
    let journal = futures::executor::block_on(read).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let state = state.read().unwrap();
    for (place, one) in acknowledged.iter().enumerate() {
        prop_assert!(state.steps.contains_key(&one.id), "{one:?} was acknowledged and is lost");
        prop_assert!(one.number <= journal.head, "{one:?} stands above the head");
        for other in &acknowledged[..place] {
            prop_assert_ne!(one.number, other.number, "two records under one number");
            prop_assert!(one.epoch != other.epoch || one.process == other.process, "two writers in one epoch");
            prop_assert_eq!(one.epoch < other.epoch, one.number < other.number && one.epoch != other.epoch);
        }
    }
    Ok(())
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_runs_never_both_hold_a_stack_and_nothing_acknowledged_is_lost(moves in moves(), ahead_s in -9..10_i64) {
        play(&moves, ahead_s)?;
    }
}

/// The model is worth something only if its runs get anywhere.
#[test]
fn the_model_records_takes_over_and_deletes() {
    let mut moves = Vec::new();
    for _ in 0..30 {
        moves.extend([Move::Turns(0, 200), Move::Kill(0), Move::Time(70), Move::Turns(1, 200), Move::Kill(1)]);
        moves.push(Move::Time(70));
    }
    let store = Arc::new(InMemory::new());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let clocks = [0, 0].map(|_| Arc::new(Mutex::new(Clocks::default())));
    let mut run = Run::start(0, &store, &clocks[0], &seen);
    (0..600).for_each(|_| run.poll());
    let numbers = futures::executor::block_on(journal_store(store.clone()).list(super::store::Sort::Log, 0)).unwrap();
    let acknowledged = seen.lock().unwrap().acknowledged.clone();
    assert!(acknowledged.len() > 20, "only {} records", acknowledged.len());
    assert!(numbers.len() < acknowledged.len(), "nothing was deleted");
    play(&moves, 0).unwrap();
}
