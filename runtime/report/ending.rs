//! How a run ends, for a person: what failed, what was not started and why, what holds now, how to go on.

use super::{Summary, terminal::seconds};

/// Names that are written out; the others are counted.
const NAMES_SHOWN: usize = 8;

/// What is kept of a run until its end.
#[derive(Debug, Default)]
pub struct Ending {
    failures: Vec<Failure>,
    left: Vec<(String, Vec<String>)>,
    kept: Vec<String>,
}

#[derive(Debug)]
struct Failure {
    text: String,
    /// Without the lines that say where.
    gist: String,
    /// Other steps that failed in the same way.
    also: Vec<String>,
}

impl Ending {
    /// Notes that `step` failed with the error `text`. What several steps say alike is kept once.
    pub fn failed(&mut self, step: &str, text: &str) {
        let gist = gist(text);
        match self.failures.iter_mut().find(|it| it.gist == gist) {
            Some(known) => known.also.push(step.to_owned()),
            None => self.failures.push(Failure { text: text.trim_end().to_owned(), gist, also: Vec::new() }),
        }
    }

    /// Notes that `step` was not started.
    pub fn left(&mut self, step: &str, why: &str) {
        match self.left.iter_mut().find(|(known, _)| known == why) {
            Some((_, steps)) => steps.push(step.to_owned()),
            None => self.left.push((why.to_owned(), vec![step.to_owned()])),
        }
    }

    /// Notes what a delete leaves on purpose.
    pub fn kept(&mut self, text: &str) {
        self.kept.push(text.to_owned());
    }

    /// The end as text: of a run that is done, its three lines; of another, the errors and what was left before them.
    pub fn text(&self, summary: &Summary) -> String {
        let mut parts: Vec<String> = self.failures.iter().map(Failure::shown).collect();
        let left = self.left.iter().map(|(why, steps)| format!("not started: {} ({why})", names(steps)));
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            parts.push(left.join("\n"));
        }
        let kept: String = self.kept.iter().map(|text| format!("kept: {text}\n")).collect();
        let summary = format!("{kept}{}", summary_text(summary));
        if parts.is_empty() {
            return summary;
        }
        parts.push(summary);
        format!("\n{}", parts.join("\n\n"))
    }
}

impl Failure {
    fn shown(&self) -> String {
        if self.also.is_empty() {
            return self.text.clone();
        }
        format!("{}\n  the same in: {}", self.text, names(&self.also))
    }
}

/// What an error says, without where it says so.
fn gist(text: &str) -> String {
    let says = |line: &&str| ["error: ", "  cause: ", "hint: "].iter().any(|begin| line.starts_with(begin));
    text.lines().filter(says).collect::<Vec<_>>().join("\n")
}

fn names(steps: &[String]) -> String {
    let shown: Vec<String> = steps.iter().take(NAMES_SHOWN).map(|step| format!("`{step}`")).collect();
    match steps.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 step`, `2 steps`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// The end of a run in three lines.
pub fn summary_text(summary: &Summary) -> String {
    let verb = &summary.verb;
    let not_done = [
        (summary.steps_failed.len(), "failed"),
        (summary.steps_stopped.len(), "stopped"),
        (summary.steps_left.len(), "not started"),
    ];
    let not_done: Vec<String> =
        not_done.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
    let steps = counted(summary.steps_done, "step");
    let steps = if not_done.is_empty() { steps } else { format!("{steps} done, {}", not_done.join(", ")) };
    let outcome = if summary.ok { "done" } else { "not finished" };
    let changes = [
        (summary.created, "created"),
        (summary.updated, "changed"),
        (summary.replaced, "replaced"),
        (summary.deleted, "deleted"),
    ];
    let changes: Vec<String> =
        changes.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
    let changes = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
    let last = match &summary.go_on {
        Some(command) => format!("go on: {command}"),
        None => format!("calls: {} reads, {} writes", summary.reads, summary.writes),
    };
    format!(
        "{verb} {outcome}: {steps} in {}\nstate: {} in stack `{}`, {changes}\n{last}",
        seconds(summary.took_s),
        counted(summary.resources, "resource"),
        summary.stack
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary { verb: "run".into(), stack: "aws".into(), ok: true, steps_done: 3, ..Summary::default() }
    }

    #[test]
    fn a_run_that_is_done_ends_with_three_lines() {
        let text = Ending::default().text(&summary());
        assert_eq!(
            text,
            "run done: 3 steps in 0.0 s\nstate: 0 resources in stack `aws`, nothing changed\ncalls: 0 reads, 0 writes"
        );
    }

    #[test]
    fn a_run_that_failed_ends_with_each_error_once_and_what_was_left() {
        let mut ending = Ending::default();
        ending.failed("a", "error: no credentials\n  --> p.rhai:1:1, step `a`\nhint: log in\n");
        ending.failed("b", "error: no credentials\n  --> p.rhai:2:1, step `b`\nhint: log in\n");
        ending.left("c", "`a` failed");
        ending.left("d", "`a` failed");
        let failed = vec!["a".to_owned(), "b".to_owned()];
        let broken = Summary {
            ok: false,
            steps_failed: failed.clone(),
            steps_left: failed,
            go_on: Some("gitpod-play run x".into()),
            ..summary()
        };
        assert_eq!(
            ending.text(&broken),
            "\nerror: no credentials\n  --> p.rhai:1:1, step `a`\nhint: log in\n  the same in: `b`\n\n\
             not started: `c`, `d` (`a` failed)\n\n\
             run not finished: 3 steps done, 2 failed, 2 not started in 0.0 s\n\
             state: 0 resources in stack `aws`, nothing changed\ngo on: gitpod-play run x"
        );
    }
}
