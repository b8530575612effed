//! A plan as text: by step, field by field, old → new.

mod differing;
mod telling;

use crate::{
    engine::planned::{Planned, Verdict},
    error::pasteable,
    printable::tame,
    secret::hide,
};
use differing::{Differing, differing};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// Longer values are cut in the middle of the screen, never in `--json`.
const LONGEST_VALUE: usize = 96;
/// Longer addresses do not push aside what stands beside the others.
const WIDEST_ADDRESS: usize = 48;

/// How many resources meet each verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// The whole plan. `steps` gives the order of the steps. Unless `verbose`, what would be created is shown by its most telling
/// fields, one line a resource.
pub fn text(planned: &[Planned], steps: &[String], verbose: bool) -> String {
    let mut out = String::new();
    let mut hidden = false;
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
        let width = mine.iter().map(|line| line.address.chars().count()).filter(|width| *width <= WIDEST_ADDRESS).max();
        for line in mine {
            if line.verdict == Verdict::Create && !verbose {
                hidden |= !line.changes.is_empty();
                let told = telling::fields(line);
                let _ =
                    writeln!(out, "{}", format!("  + {:<w$}  {told}", line.address, w = width.unwrap_or(0)).trim_end());
                write_notes(&mut out, line);
            } else {
                write_line(&mut out, line);
            }
        }
        out.push('\n');
    }
    out.push_str(&last_line(&Counts::of(planned)));
    out.push_str(if hidden { " (`--verbose` shows every field)\n" } else { "\n" });
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
    let aside = line.note.as_ref().filter(|_| line.changes.is_empty() && line.needs_allow_delete.is_empty());
    let aside = aside.map(|note| format!("  ({note})")).unwrap_or_default();
    let _ = writeln!(out, "  {sign} {}{word}{aside}", line.address);
    let width = line.changes.iter().map(|change| change.field.chars().count()).max().unwrap_or(0).min(32);
    for change in &line.changes {
        let field = &change.field;
        if line.verdict == Verdict::Create {
            let _ = writeln!(out, "      {field:<width$}  {}", cut(&change.new, LONGEST_VALUE));
            continue;
        }
        match differing(&change.old, &change.new) {
            Differing::Beside(old, new) => {
                let _ = writeln!(out, "      {field:<width$}  {old} → {new}");
            }
            Differing::Below(lines) => {
                let _ = writeln!(out, "      {field:<width$}  differs in");
                for line in lines {
                    let _ = writeln!(out, "        {line}");
                }
            }
        }
    }
    if aside.is_empty() {
        write_notes(out, line);
    }
}

fn write_notes(out: &mut String, line: &Planned) {
    if let Some(note) = &line.note {
        let _ = writeln!(out, "      note: {note}");
    }
    if !line.needs_allow_delete.is_empty() {
        let options: Vec<String> =
            line.needs_allow_delete.iter().map(|name| format!("--allow-delete {}", pasteable(name))).collect();
        let _ = writeln!(out, "      refused without `{}`", options.join(" "));
    }
}

/// A value as one line of at most `longest` characters.
fn cut(value: &Value, longest: usize) -> String {
    let text = one_line(&hide(&text_of(value)));
    if text.chars().count() <= longest {
        return text;
    }
    format!("{}…", text.chars().take(longest - 1).collect::<String>())
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => crate::value::shown_text(text),
        Value::Null => "(none)".to_owned(),
        other => crate::value::shown(other).to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', "⏎")
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
            needs_allow_delete: Vec::new(),
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
        let text = text(&planned, &["nodes".to_owned()], true);
        assert_eq!(
            text,
            "nodes\n  ~ aws::eks::nodegroup/w\n      scaling.max  10 → 20\n  + aws::rds::instance/d\n      scaling.max  <secret>\n\n\
             plan: 1 to create, 1 to change, 1 as wanted\n"
        );
    }

    #[test]
    fn says_when_there_is_nothing_to_do() {
        let planned = vec![line("a", Verdict::Keep, vec![])];
        assert_eq!(text(&planned, &[], false), "plan: nothing to do, 1 resources are as wanted\n");
        assert!(!Counts::of(&planned).any());
    }

    #[test]
    fn what_would_be_created_takes_a_line() {
        let field = |field: &str, new| Change { field: field.into(), old: Value::Null, new, effect: Effect::Update };
        let fields = vec![
            field("cidr", json!("10.0.0.0/19")),
            field("name", json!("gitpod-public-1")),
            field("public_ips", json!(true)),
            field("tags", json!({ "Name": "gitpod-public-1" })),
            field("vpc", json!("\u{E000}vpc.gitpod.id\u{E001}")),
            field("zone", json!("eu-west-1a")),
        ];
        let mut long = line("aws::ec2::subnet/gitpod-private-10", Verdict::Create, vec![]);
        long.note = Some("was deleted by someone else".into());
        let planned = vec![line("aws::ec2::subnet/gitpod-public-1", Verdict::Create, fields), long];
        assert_eq!(
            text(&planned, &[], false),
            "nodes\n  + aws::ec2::subnet/gitpod-public-1    cidr 10.0.0.0/19, zone eu-west-1a, public_ips, vpc <vpc.gitpod.id>\n  \
             + aws::ec2::subnet/gitpod-private-10\n      note: was deleted by someone else\n\n\
             plan: 2 to create (`--verbose` shows every field)\n"
        );
    }
}
