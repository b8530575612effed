//! The old and the new value of a field, shown where they differ.

use super::{LONGEST_VALUE, one_line, text_of};
use crate::{secret::hide, value::SECRET_SHOWN};
use serde_json::Value;

/// Lines of a text that are shown; the others are counted.
const MOST_LINES: usize = 12;
/// Texts with more lines than this squared are not compared line by line.
const LARGEST_TABLE: usize = 1_000_000;

/// What stands behind the name of a field.
#[derive(Debug, PartialEq, Eq)]
pub enum Differing {
    /// Old and new in one line.
    Beside(String, String),
    /// The lines that go and come, each below the field.
    Below(Vec<String>),
}

/// `old` and `new` as a person can tell them apart.
pub fn differing(old: &Value, new: &Value) -> Differing {
    // Hidden before they are cut: the rest of a secret is none that could be found.
    let (before, after) = (hide(&text_of(old)), hide(&text_of(new)));
    if before == after && before.contains(SECRET_SHOWN) {
        return Differing::Beside(start_of(&before), "(the same, but for a secret)".to_owned());
    }
    let long = |text: &str| text.chars().count() > LONGEST_VALUE;
    let texts = old.is_string() && new.is_string();
    if texts && (long(&before) || long(&after)) && (before.contains('\n') || after.contains('\n')) {
        return Differing::Below(lines(&before, &after));
    }
    let (before, after) = around(&one_line(&before), &one_line(&after));
    Differing::Beside(before, after)
}

fn start_of(text: &str) -> String {
    around(&one_line(text), "").0
}

/// Both, each cut so that the first difference is seen.
fn around(old: &str, new: &str) -> (String, String) {
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let longest = old.len().max(new.len());
    let all_seen = longest <= LONGEST_VALUE || same == longest || same < LONGEST_VALUE * 2 / 3;
    let from = if all_seen { 0 } else { same - LONGEST_VALUE / 3 };
    (part(&old, from), part(&new, from))
}

fn part(text: &[char], from: usize) -> String {
    let rest: String = text.iter().skip(from).collect();
    let before = if from > 0 { "…" } else { "" };
    let room = LONGEST_VALUE - before.chars().count();
    if rest.chars().count() <= room {
        return format!("{before}{rest}");
    }
    format!("{before}{}…", rest.chars().take(room - 1).collect::<String>())
}

/// The lines that go (`- `) and those that come (`+ `), in their order.
fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut shown = Vec::new();
    let (mut gone, mut come): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in compared(&old, &new) {
        match line {
            Line::Gone(text) => gone.push(text),
            Line::Come(text) => come.push(text),
            Line::Same => told(&mut gone, &mut come, &mut shown),
        }
    }
    told(&mut gone, &mut come, &mut shown);
    if shown.is_empty() {
        return vec!["only the end of the last line differs".to_owned()];
    }
    let more = shown.len().saturating_sub(MOST_LINES);
    if more > 0 {
        shown.truncate(MOST_LINES);
        shown.push(format!("… and {more} more"));
    }
    shown
}

/// Moves a block of lines into `shown`; lines that stand for each other are cut alike.
fn told(gone: &mut Vec<&str>, come: &mut Vec<&str>, shown: &mut Vec<String>) {
    let (gone, come) = (std::mem::take(gone), std::mem::take(come));
    let beside = |one: &[&str], other: &[&str], at: usize| around(one[at], other.get(at).unwrap_or(&"")).0;
    shown.extend((0..gone.len()).map(|at| format!("- {}", beside(&gone, &come, at))));
    shown.extend((0..come.len()).map(|at| format!("+ {}", beside(&come, &gone, at))));
}

enum Line<'a> {
    Same,
    Gone(&'a str),
    Come(&'a str),
}

/// By the longest common subsequence of what stands between the same beginning and the same end.
fn compared<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let begin = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[begin..], &new[begin..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    if old.len() * new.len() > LARGEST_TABLE {
        let gone = old.iter().map(|line| Line::Gone(line));
        return gone.chain(new.iter().map(|line| Line::Come(line))).collect();
    }
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            found.push(Line::Same);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            found.push(Line::Gone(old[i]));
            i += 1;
        } else {
            found.push(Line::Come(new[j]));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use serde_json::json;

    fn below(old: &str, new: &str) -> Vec<String> {
        match differing(&json!(old), &json!(new)) {
            Differing::Below(lines) => lines,
            Differing::Beside(..) => panic!("they are long"),
        }
    }

    #[test]
    fn values_that_differ_late_are_cut_around_the_difference() {
        let value = |end: &str| json!(format!("{}{end}", "same ".repeat(40)));
        let Differing::Beside(old, new) = differing(&value("old and more"), &value("new and more")) else { panic!() };
        assert!(old.starts_with('…') && old.ends_with("same old and more"), "{old}");
        assert!(new.starts_with('…') && new.ends_with("same new and more"), "{new}");
        let list = |last: &str| json!(["a".repeat(200), last]);
        let Differing::Beside(old, new) = differing(&list("x"), &list("y")) else { panic!() };
        assert_ne!(old, new);
        let short = differing(&json!("a"), &Value::Null);
        assert_eq!(short, Differing::Beside("a".to_owned(), "(none)".to_owned()));
    }

    #[test]
    fn of_texts_the_lines_that_differ_are_shown() {
        let text = |domain: &str, last: &str| {
            format!("apiVersion: v1\n{}domain: {domain}\nkind: Config\nlast: {last}\n", "filler: x\n".repeat(20))
        };
        assert_eq!(
            below(&text("example.com", "1"), &text("other.example.com", "1")),
            ["- domain: example.com", "+ domain: other.example.com"]
        );
        assert_eq!(below(&text("a", "1"), &text("b", "2")), ["- domain: a", "+ domain: b", "- last: 1", "+ last: 2"]);
        let many: String = (0..40).map(|line| format!("line {line}\n")).collect();
        let shown = below(&many, "one\n");
        assert_eq!((shown.len(), shown[12].as_str()), (13, "… and 29 more"));
        assert_eq!(below(&many, many.trim_end()), ["only the end of the last line differs"]);
        let long = |end: &str| format!("{}\n{}{end}\n", "first", "x".repeat(200));
        let shown = below(&long("old"), &long("new"));
        assert!(shown[0].ends_with("old") && shown[1].ends_with("new") && shown.len() == 2, "{shown:?}");
    }

    #[test]
    fn no_part_of_a_secret_is_shown() {
        let key = |name: &str| Secret::new(format!("{name}{}", "0123456789".repeat(30)));
        let (old, new) = (key("one"), key("two"));
        let text = |secret: &Secret| json!(format!("a: {}\nb: 1", secret.reveal()));
        let shown = differing(&text(&old), &text(&new));
        let same = "(the same, but for a secret)".to_owned();
        assert_eq!(shown, Differing::Beside("a: <secret>⏎b: 1".to_owned(), same));
    }
}
