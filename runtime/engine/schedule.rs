//! Runs tasks that need each other on worker threads, longest remaining path first.

use std::{
    collections::{BinaryHeap, HashMap},
    sync::{Condvar, Mutex, PoisonError},
};

/// Something to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name, unique.
    pub name: String,
    /// Names that must be done before. Names that are no task count as done.
    pub needs: Vec<String>,
    /// How long it is expected to take, in seconds; only the order depends on it.
    pub expected_s: f64,
}

/// What became of the tasks, each list in the order of ending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Done.
    pub done: Vec<String>,
    /// Failed.
    pub failed: Vec<String>,
    /// Never started, because something they need failed or the run was stopped.
    pub left: Vec<String>,
}

/// For each task, seconds from its start to the end of the longest chain that waits for it. Pure. Tasks that stand in a
/// cycle count for themselves only.
pub fn remaining_s(tasks: &[Task]) -> Vec<f64> {
    let Edges { dependents, mut waiting } = Edges::of(tasks);
    let mut order: Vec<usize> = (0..tasks.len()).filter(|task| waiting[*task] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for dependent in &dependents[order[next]] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                order.push(*dependent);
            }
        }
        next += 1;
    }
    let mut remaining: Vec<f64> = tasks.iter().map(|task| task.expected_s).collect();
    for task in order.into_iter().rev() {
        let longest = dependents[task].iter().map(|dependent| remaining[*dependent]).fold(0.0, f64::max);
        remaining[task] = tasks[task].expected_s + longest;
    }
    remaining
}

/// Runs all tasks, at most `jobs` at once. `work` says whether the task was done. A failed task lets independent ones go on.
/// Once `stopped` says so, nothing more is started.
pub fn run_all(
    tasks: &[Task],
    jobs: usize,
    stopped: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(&Task) -> bool + Sync),
) -> Outcome {
    let edges = Edges::of(tasks);
    let board = Mutex::new(Board::new(&edges, remaining_s(tasks)));
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, tasks.len().max(1)) {
            scope.spawn(|| worker(tasks, &edges, &board, &changed, stopped, work));
        }
    });
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let names = |ids: &[usize]| ids.iter().map(|id| tasks[*id].name.clone()).collect();
    let mut ended = vec![false; tasks.len()];
    board.done.iter().chain(&board.failed).for_each(|id| ended[*id] = true);
    let left: Vec<usize> = (0..tasks.len()).filter(|id| !ended[*id]).collect();
    Outcome { done: names(&board.done), failed: names(&board.failed), left: names(&left) }
}

fn worker(
    tasks: &[Task],
    edges: &Edges,
    board: &Mutex<Board>,
    changed: &Condvar,
    stopped: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(&Task) -> bool + Sync),
) {
    let mut held = board.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if stopped() {
            held.ready.clear();
        }
        let Some(Ready { task, .. }) = held.ready.pop() else {
            if held.running == 0 {
                changed.notify_all();
                return;
            }
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        held.running += 1;
        drop(held);
        let done = work(&tasks[task]);
        held = board.lock().unwrap_or_else(PoisonError::into_inner);
        held.ended(edges, task, done);
        changed.notify_all();
    }
}

struct Edges {
    dependents: Vec<Vec<usize>>,
    waiting: Vec<usize>,
}

impl Edges {
    fn of(tasks: &[Task]) -> Self {
        let index: HashMap<&str, usize> = tasks.iter().enumerate().map(|(id, task)| (task.name.as_str(), id)).collect();
        let mut dependents = vec![Vec::new(); tasks.len()];
        let mut waiting = vec![0; tasks.len()];
        for (id, task) in tasks.iter().enumerate() {
            let mut needs: Vec<usize> =
                task.needs.iter().filter_map(|need| index.get(need.as_str()).copied()).collect();
            needs.sort_unstable();
            needs.dedup();
            waiting[id] = needs.len();
            for need in needs {
                dependents[need].push(id);
            }
        }
        Self { dependents, waiting }
    }
}

struct Board {
    ready: BinaryHeap<Ready>,
    waiting: Vec<usize>,
    remaining_s: Vec<f64>,
    running: usize,
    done: Vec<usize>,
    failed: Vec<usize>,
}

impl Board {
    fn new(edges: &Edges, remaining_s: Vec<f64>) -> Self {
        let ready = (0..edges.waiting.len()).filter(|id| edges.waiting[*id] == 0);
        let ready = ready.map(|task| Ready { remaining_s: remaining_s[task], task }).collect();
        Self { ready, waiting: edges.waiting.clone(), remaining_s, running: 0, done: Vec::new(), failed: Vec::new() }
    }

    fn ended(&mut self, edges: &Edges, task: usize, done: bool) {
        self.running -= 1;
        if !done {
            self.failed.push(task);
            return;
        }
        self.done.push(task);
        for dependent in &edges.dependents[task] {
            self.waiting[*dependent] -= 1;
            if self.waiting[*dependent] == 0 {
                self.ready.push(Ready { remaining_s: self.remaining_s[*dependent], task: *dependent });
            }
        }
    }
}

#[derive(PartialEq)]
struct Ready {
    remaining_s: f64,
    task: usize,
}

impl Eq for Ready {}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Longest first; among equals the one declared first.
        self.remaining_s.total_cmp(&other.remaining_s).then(other.task.cmp(&self.task))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, needs: &[&str], expected_s: f64) -> Task {
        Task { name: name.into(), needs: needs.iter().map(|need| (*need).into()).collect(), expected_s }
    }

    fn diamond() -> Vec<Task> {
        vec![
            task("a", &[], 1.0),
            task("short", &["a"], 1.0),
            task("long", &["a"], 5.0),
            task("z", &["long", "short"], 1.0),
        ]
    }

    #[test]
    fn the_longest_path_goes_first() {
        assert_eq!(remaining_s(&diamond()), [7.0, 2.0, 6.0, 1.0]);
        let outcome = run_all(&diamond(), 1, &|| false, &|_| true);
        assert_eq!(outcome.done, ["a", "long", "short", "z"]);
    }

    #[test]
    fn a_failure_lets_independent_tasks_finish_and_starts_no_dependents() {
        let mut tasks = diamond();
        tasks.push(task("alone", &[], 0.1));
        let outcome = run_all(&tasks, 4, &|| false, &|task| task.name != "long");
        assert_eq!(outcome.failed, ["long"]);
        assert_eq!(outcome.left, ["z"]);
        assert!(outcome.done.contains(&"alone".to_owned()) && outcome.done.contains(&"short".to_owned()));
    }

    #[test]
    fn nothing_starts_after_a_stop() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let outcome = run_all(&diamond(), 2, &|| stop.load(std::sync::atomic::Ordering::SeqCst), &|_| {
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            true
        });
        assert_eq!(outcome.done, ["a"]);
        assert_eq!(outcome.left.len(), 3);
    }

    #[test]
    fn ten_thousand_tasks_in_a_chain_and_beside_each_other() {
        let chain: Vec<Task> = (0..10_000).map(|n| task(&n.to_string(), &[&(n - 1).to_string()], 1.0)).collect();
        assert_eq!(run_all(&chain, 8, &|| false, &|_| true).done.len(), 10_000);
        let wide: Vec<Task> = (0..10_000).map(|n| task(&n.to_string(), &[], 1.0)).collect();
        assert_eq!(run_all(&wide, 8, &|| false, &|_| true).done.len(), 10_000);
    }
}
