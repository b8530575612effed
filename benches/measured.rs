//! A process, measured from outside, and figures as a table.

use std::{
    fmt::Write as _,
    fs::read_to_string,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How often the memory of a process is looked at. What counts is the kernel's own high-water mark, so that only a peak in
/// the last moment could be missed.
const LOOK: Duration = Duration::from_millis(2);
/// How long a process may take.
const LIMIT: Duration = Duration::from_mins(2);

/// How long a process took, and the most memory that it held.
pub struct Measured {
    wall: Duration,
    peak_kib: u64,
    /// Its standard output.
    pub stdout: String,
}

impl Measured {
    /// Runs `command`, which has to succeed.
    pub fn of(mut command: Command) -> Self {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let status = format!("/proc/{}/status", child.id());
        let stdout = child.stdout.take().expect("standard output");
        let stderr = child.stderr.take().expect("standard error");
        let read = |mut from: Box<dyn std::io::Read + Send>| {
            std::thread::spawn(move || {
                let mut text = String::new();
                let _ = from.read_to_string(&mut text);
                (text, Instant::now())
            })
        };
        let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
        let mut peak_kib = 0;
        let ended = loop {
            peak_kib = high_water_kib(&status).unwrap_or(0).max(peak_kib);
            if let Some(ended) = child.try_wait().expect("the process can be waited for") {
                break ended;
            }
            if began.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("not ended after {} s: {command:?}", LIMIT.as_secs());
            }
            std::thread::sleep(LOOK);
        };
        let (stdout, closed) = stdout.join().expect("standard output is read");
        let (stderr, _) = stderr.join().expect("standard error is read");
        assert!(ended.success(), "{command:?}: {ended}\n{stderr}");
        Self { wall: closed - began, peak_kib, stdout }
    }

    /// Milliseconds.
    pub fn ms(&self) -> f64 {
        self.wall.as_secs_f64() * 1000.0
    }

    /// Seconds.
    pub fn s(&self) -> f64 {
        self.wall.as_secs_f64()
    }

    /// Peak memory in megabytes.
    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
    pub fn mb(&self) -> f64 {
        self.peak_kib as f64 * 1024.0 / 1e6
    }
}

fn high_water_kib(status: &str) -> Option<u64> {
    let text = read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// One line of a table.
pub struct Figure {
    what: String,
    unit: &'static str,
    sorted: Vec<f64>,
    bound: Option<f64>,
}

impl Figure {
    /// A figure over several runs.
    pub fn over(what: impl Into<String>, unit: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        assert!(!sorted.is_empty(), "nothing was measured");
        Self { what: what.into(), unit, sorted, bound: None }
    }

    /// What the median may be at most.
    pub fn at_most(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.sorted[self.sorted.len() / 2]
    }

    /// Whether the bound does not hold.
    pub fn missed(&self) -> bool {
        self.bound.is_some_and(|bound| self.median() > bound)
    }
}

/// Figures as a table of Markdown.
pub fn table(title: &str, figures: &[Figure]) -> String {
    let mut out = format!("| {title} | median | min … max | at most | of it |\n|---|---|---|---|---|\n");
    for figure in figures {
        let (low, high) = (figure.sorted[0], figure.sorted[figure.sorted.len() - 1]);
        let (unit, median) = (figure.unit, figure.median());
        let bound = figure.bound.map_or_else(
            || " | ".to_owned(),
            |bound| {
                format!(
                    "{bound} {unit} | {:.0} %{}",
                    median / bound * 100.0,
                    if figure.missed() { " MISSED" } else { "" }
                )
            },
        );
        let _ = writeln!(out, "| {} | {median:.2} {unit} | {low:.2} … {high:.2} | {bound} |", figure.what);
    }
    out
}
