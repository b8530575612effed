//! What the program claims about time and memory, measured on whole processes: `cargo bench`.
//!
//! Each figure is printed beside its bound, as minimum, median and maximum of several runs; a missed bound ends the
//! command with 1. `cargo bench -- start growth` measures only the named ones. The machine should have nothing else to do.

mod growth;
mod makespan;
mod measured;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;
mod watching;

use measured::{Figure, Measured, table};
use std::process::ExitCode;
use support::{AWS, Place};

/// Runs of each figure.
const RUNS: usize = 7;

/// A name for the command line, and what is measured.
type Case = (&'static str, fn() -> Vec<Figure>);

const CASES: [Case; 5] = [
    ("start", start),
    ("playbook", playbook),
    ("makespan", makespan::figures),
    ("watch", watching::figures),
    ("growth", growth::figures),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let known = |name: &String| CASES.iter().any(|(case, _)| case == name);
    if let Some(name) = wanted.iter().find(|name| !known(name)) {
        eprintln!("there is no figure `{name}`; there are: {}", CASES.map(|(case, _)| case).join(", "));
        return ExitCode::from(2);
    }
    let mut missed = 0;
    for (name, measure) in CASES {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            let figures = measure();
            missed += figures.iter().filter(|figure| figure.missed()).count();
            println!("{}", table(name, &figures));
        }
    }
    if missed > 0 {
        println!("{missed} bounds were missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// From the command to the list of the shipped playbook's steps.
fn start() -> Vec<Figure> {
    let place = Place::new();
    let ended: Vec<Measured> = (0..RUNS * 3).map(|_| Measured::of(place.command(&["steps", AWS]))).collect();
    vec![
        Figure::over("`steps`", "ms", ended.iter().map(Measured::ms)).at_most(50.0),
        Figure::over("`steps`, memory", "MB", ended.iter().map(Measured::mb)),
    ]
}

/// The whole AWS playbook on the simulated clouds, as fast as the machine can; then again, with nothing to change.
fn playbook() -> Vec<Figure> {
    const ARGS: [&str; 5] = ["run", AWS, "--pace", "max", "--yes"];
    let mut first = Vec::new();
    let mut again = Vec::new();
    let mut reads = Vec::new();
    for _ in 0..RUNS {
        let place = Place::new();
        first.push(Measured::of(place.command(&ARGS)));
        for file in ["1.jsonl", "2.jsonl"] {
            again.push(Measured::of(place.command(&[&ARGS[..], &["--record", file]].concat())));
            let calls = place.calls(file);
            assert!(calls.iter().all(|call| call["write"] == false), "a re-run writes nothing");
            #[expect(clippy::cast_precision_loss, reason = "some hundred")]
            reads.push(calls.len() as f64 / place.resources().len() as f64);
        }
    }
    vec![
        Figure::over("first run", "s", first.iter().map(Measured::s)).at_most(3.0),
        Figure::over("first run, memory", "MB", first.iter().map(Measured::mb)).at_most(200.0),
        Figure::over("run again", "s", again.iter().map(Measured::s)).at_most(0.7),
        Figure::over("run again, memory", "MB", again.iter().map(Measured::mb)).at_most(200.0),
        Figure::over("run again, read calls a resource", "", reads.into_iter()).at_most(1.5),
    ]
}
