//! Texts of others on a terminal: a playbook must not command the terminal, nor fill it.

use std::borrow::Cow;

/// Longer words of a playbook or a cloud are cut in messages.
const LONGEST_WORDS: usize = 8 << 10;

/// `text` without characters that move the cursor, hide text or turn its direction; `�` stands for each.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if commands(c) { '\u{fffd}' } else { c }).collect())
}

/// The same, cut where it gets long.
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => Cow::Owned(format!("{}… ({} bytes)", tame(&text[..end]), text.len())),
        None => tame(text),
    }
}

fn commands(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(tame("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(tame("\x1b]52;c;x\x07 \x1b[2J\r\u{202e}"), "\u{fffd}]52;c;x\u{fffd} \u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(short("ok"), "ok");
        let long = short(&"ä".repeat(100_000)).into_owned();
        assert!(long.len() < 20_000 && long.ends_with("… (200000 bytes)"), "{}", long.len());
    }
}
