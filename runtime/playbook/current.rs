//! What runs on this thread: which step, how far it may go, and what it read.

use super::{Limits, memory};
use rhai::Dynamic;
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Looking at the clock at each operation would be dearer than the operations.
const OPERATIONS_BETWEEN_LOOKS: u64 = 256;
/// Each operation may make a text of several MiB.
const OPERATIONS_BETWEEN_MEASURES: u64 = 32;
/// Threads of one step, those of `parallel` within `parallel` included.
const THREADS_AT_MOST: usize = 128;
/// Native stack of the threads that scripts run on; only what is touched takes memory.
const STACK_BYTES: usize = 128 << 20;

/// One piece of work: the declarations, or one step.
pub(super) struct Current {
    /// `None` while the declarations run.
    pub step: Option<String>,
    /// Settings read so far.
    pub reads: Mutex<BTreeMap<String, Value>>,
    /// Files read so far, as the script names them, with the digest of what was in them; empty for what could not be read.
    pub files: Mutex<BTreeMap<String, String>>,
    cancel: CancellationToken,
    deadline: Option<Instant>,
    operations: AtomicU64,
    max_operations: u64,
    printed: AtomicUsize,
    max_printed: usize,
    max_memory: usize,
    began: Instant,
    max_computing: std::time::Duration,
    /// Milliseconds spent in bindings.
    away_ms: AtomicU64,
    /// Threads of `parallel` that run right now.
    threads: AtomicUsize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Current>>> = const { RefCell::new(None) };
}

/// A value that may be nested deeper than the stack of an ordinary thread allows to take apart; it is dropped on a thread
/// with a deep one.
pub(super) struct Deep<T: Send>(Option<T>);

impl<T: Send> Deep<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send> std::ops::Deref for Deep<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // Only `drop` takes the value out.
        self.0.as_ref().expect("the value is there until it is dropped")
    }
}

impl<T: Send> Drop for Deep<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            // Without a thread to be had, this one has to do.
            drop(thread.spawn_scoped(scope, move || drop(value)));
        });
    }
}

/// After this the declarations of a playbook count as endless.
const LONGEST_LOAD: std::time::Duration = std::time::Duration::from_secs(20);

/// Why a script was stopped from outside. Travels as the token of a termination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Operations(u64),
    Printed(usize),
    Memory(usize),
    Cancelled,
    Deadline,
    LoadDeadline,
    Busy(u64),
}

impl Current {
    /// The declarations of a playbook.
    pub fn loading(limits: &Limits) -> Arc<Self> {
        // Some operations are long: a list is measured at each change of it.
        let deadline = Instant::now() + LONGEST_LOAD;
        Arc::new(Self::new(None, CancellationToken::new(), Some(deadline), limits.operations_at_load, limits))
    }

    /// The step called `name`.
    pub fn step(name: &str, cancel: CancellationToken, deadline: Option<Instant>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self::new(Some(name.to_owned()), cancel, deadline, limits.operations_per_step, limits))
    }

    fn new(
        step: Option<String>,
        cancel: CancellationToken,
        deadline: Option<Instant>,
        max_operations: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            step,
            reads: Mutex::default(),
            files: Mutex::default(),
            cancel,
            deadline,
            operations: AtomicU64::new(0),
            max_operations,
            printed: AtomicUsize::new(0),
            max_printed: limits.printed_bytes,
            max_memory: limits.memory_bytes,
            began: Instant::now(),
            max_computing: std::time::Duration::from_secs(limits.computing_s),
            away_ms: AtomicU64::new(0),
            threads: AtomicUsize::new(0),
        }
    }

    /// What runs on this thread.
    pub fn get() -> Option<Arc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Runs `work` on a thread of its own with a deep stack, so that no script can exhaust the caller's. `None` when it
    /// panicked.
    pub fn run<T: Send>(self: &Arc<Self>, work: impl FnOnce() -> T + Send) -> Option<T> {
        std::thread::scope(|scope| {
            let own = self.clone();
            let name = self.step.clone().unwrap_or_else(|| "declarations".into()).replace('\0', "");
            let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES);
            let thread = thread.spawn_scoped(scope, move || {
                CURRENT.with(|current| *current.borrow_mut() = Some(own));
                work()
            });
            thread.ok()?.join().ok()
        })
    }

    /// Counts one operation of this thread's work; the token to stop it with when it must not go on.
    pub fn tick() -> Option<Dynamic> {
        CURRENT.with(|current| current.borrow().as_ref().and_then(|current| current.count())).map(Dynamic::from)
    }

    fn count(&self) -> Option<Stopped> {
        let operations = self.operations.fetch_add(1, Ordering::Relaxed);
        if operations >= self.max_operations {
            return Some(Stopped::Operations(self.max_operations));
        }
        if self.printed.load(Ordering::Relaxed) > self.max_printed {
            return Some(Stopped::Printed(self.max_printed));
        }
        if operations.is_multiple_of(OPERATIONS_BETWEEN_MEASURES)
            && memory::resident_bytes().is_some_and(|held| held > self.max_memory)
        {
            return Some(Stopped::Memory(self.max_memory));
        }
        if operations.is_multiple_of(OPERATIONS_BETWEEN_LOOKS) { self.stopped() } else { None }
    }

    /// Whether the work must not go on, asked for outside of scripts.
    pub fn stopped(&self) -> Option<Stopped> {
        if self.cancel.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        let away = std::time::Duration::from_millis(self.away_ms.load(Ordering::Relaxed));
        if self.step.is_some() && self.began.elapsed().saturating_sub(away) >= self.max_computing {
            return Some(Stopped::Busy(self.max_computing.as_secs()));
        }
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late.then_some(if self.step.is_some() { Stopped::Deadline } else { Stopped::LoadDeadline })
    }

    /// Counts printed bytes; whether there were too many.
    pub fn print(&self, bytes: usize) -> bool {
        self.printed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.max_printed
    }

    /// Notes that the file `name` was read.
    pub fn read_file(name: &str, digest: String) {
        let Some(current) = Self::get() else { return };
        if let Ok(mut files) = current.files.lock() {
            files.insert(name.to_owned(), digest);
        }
    }

    /// Does `work`, which does not count as computing.
    pub fn away<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.away_ms.fetch_add(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        done
    }

    /// Does `work` with `threads` more threads; `None` when that would be too many, as when `parallel` calls itself.
    pub fn with_threads<T>(&self, threads: usize, work: impl FnOnce() -> T) -> Option<T> {
        let before = self.threads.fetch_add(threads, Ordering::SeqCst);
        let done = (before + threads <= THREADS_AT_MOST).then(work);
        self.threads.fetch_sub(threads, Ordering::SeqCst);
        done
    }

    /// Notes that the setting at `path` was read.
    pub fn read(path: &str, value: impl FnOnce() -> Value) {
        let Some(current) = Self::get() else { return };
        let Ok(mut reads) = current.reads.lock() else { return };
        if !reads.contains_key(path) {
            reads.insert(path.to_owned(), value());
        }
    }
}
