//! A plan as text: by step, field by field, old → new.

use crate::{
    engine::planned::{Planned, Verdict},
    error::pasteable,
    printable::tame,
    secret::hide,
};
use serde_json::Value;
use std::fmt::Write;

/// Longer values are cut in the middle of the screen, never in `--json`.
const LONGEST_VALUE: usize = 96;

/// How many resources meet each verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Created or adopted.
    pub create: usize,
    /// Changed in place, or done.
    pub change: usize,
    /// Replaced.
    pub replace: usize,
    /// Deleted.
    pub delete: usize,
    /// Not known until run.
    pub unknown: usize,
    /// As wanted.
    pub keep: usize,
}

impl Counts {
    /// Counts `planned`.
    pub fn of(planned: &[Planned]) -> Self {
        let mut counts = Self::default();
        for line in planned {
            match line.verdict {
                Verdict::Keep => counts.keep += 1,
                Verdict::Create | Verdict::Adopt => counts.create += 1,
                Verdict::Update | Verdict::Do => counts.change += 1,
                Verdict::Replace => counts.replace += 1,
                Verdict::Delete => counts.delete += 1,
                Verdict::Unknown => counts.unknown += 1,
            }
        }
        counts
    }

    /// Whether a run would change anything.
    pub fn any(&self) -> bool {
        self.create + self.change + self.replace + self.delete + self.unknown > 0
    }
}

/// The whole plan. `steps` gives the order of the steps.
pub fn text(planned: &[Planned], steps: &[String]) -> String {
    let mut out = String::new();
    let mut order: Vec<&str> = steps.iter().map(String::as_str).collect();
    for line in planned {
        if !order.contains(&line.step.as_str()) {
            order.push(&line.step);
        }
    }
    for step in order {
        let mine: Vec<&Planned> = planned.iter().filter(|line| line.step == step && line.writes()).collect();
        if mine.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{step}");
        for line in mine {
            write_line(&mut out, line);
        }
        out.push('\n');
    }
    out.push_str(&last_line(&Counts::of(planned)));
    out.push('\n');
    tame(&hide(&out)).into_owned()
}

fn last_line(counts: &Counts) -> String {
    if !counts.any() {
        return format!("plan: nothing to do, {} resources are as wanted", counts.keep);
    }
    let parts = [
        (counts.create, "to create"),
        (counts.change, "to change"),
        (counts.replace, "to replace"),
        (counts.delete, "to delete"),
        (counts.unknown, "not known until run"),
        (counts.keep, "as wanted"),
    ];
    let shown: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")).collect();
    format!("plan: {}", shown.join(", "))
}

fn write_line(out: &mut String, line: &Planned) {
    let sign = match line.verdict {
        Verdict::Create => "+",
        Verdict::Adopt => "=",
        Verdict::Update => "~",
        Verdict::Replace => "±",
        Verdict::Delete => "-",
        Verdict::Do => "!",
        Verdict::Unknown => "?",
        Verdict::Keep => " ",
    };
    let word = match line.verdict {
        Verdict::Replace => "  (deleted and made again)",
        Verdict::Adopt => "  (taken over)",
        _ => "",
    };
    let _ = writeln!(out, "  {sign} {}{word}", line.address);
    let width = line.changes.iter().map(|change| change.field.chars().count()).max().unwrap_or(0).min(32);
    for change in &line.changes {
        let new = short(&change.new);
        let _ = match line.verdict {
            Verdict::Create => writeln!(out, "      {:<width$}  {new}", change.field),
            _ => writeln!(out, "      {:<width$}  {} → {new}", change.field, short(&change.old)),
        };
    }
    if let Some(note) = &line.note {
        let _ = writeln!(out, "      note: {note}");
    }
    if line.needs_allow_delete {
        // All behind the kind is the name, and names may have parts of their own.
        let name = line.address.split_once('/').map_or(line.address.as_str(), |(_, name)| name);
        let _ = writeln!(out, "      refused without `--allow-delete {}`", pasteable(name));
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => crate::value::shown_text(text),
        Value::Null => "(none)".to_owned(),
        other => crate::value::shown(other).to_string(),
    };
    let text = text.replace('\n', "⏎");
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    format!("{}…", text.chars().take(LONGEST_VALUE - 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::{Change, Effect};
    use serde_json::json;

    fn line(address: &str, verdict: Verdict, changes: Vec<Change>) -> Planned {
        Planned {
            address: address.into(),
            step: "nodes".into(),
            verdict,
            changes,
            note: None,
            needs_allow_delete: false,
        }
    }

    #[test]
    fn shows_old_and_new_and_counts() {
        let change = |old, new| Change { field: "scaling.max".into(), old, new, effect: Effect::Update };
        let planned = vec![
            line("aws::ec2::vpc/a", Verdict::Keep, vec![]),
            line("aws::eks::nodegroup/w", Verdict::Update, vec![change(json!(10), json!(20))]),
            line("aws::rds::instance/d", Verdict::Create, vec![change(Value::Null, json!("\u{E002}pw\u{E003}"))]),
        ];
        let text = text(&planned, &["nodes".to_owned()]);
        assert_eq!(
            text,
            "nodes\n  ~ aws::eks::nodegroup/w\n      scaling.max  10 → 20\n  + aws::rds::instance/d\n      scaling.max  <secret>\n\n\
             plan: 1 to create, 1 to change, 1 as wanted\n"
        );
    }

    #[test]
    fn says_when_there_is_nothing_to_do() {
        let planned = vec![line("a", Verdict::Keep, vec![])];
        assert_eq!(text(&planned, &[]), "plan: nothing to do, 1 resources are as wanted\n");
        assert!(!Counts::of(&planned).any());
    }
}
