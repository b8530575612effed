//! What is wrong with a playbook, and where: one type for syntax errors, static checks, settings and failed steps.

use crate::{
    error::{Class, Error},
    printable::short,
    secret::hide,
};
use std::{fmt, fmt::Write as _, sync::Arc};

/// Files longer than this per line are cut in excerpts, so that a minified line does not fill the screen.
const EXCERPT_COLUMNS: usize = 160;

/// A place in a script or a settings file. Lines and columns count from 1; column 0 stands for the whole line, line 0 for
/// the whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as the user knows it: `playbooks/aws.rhai`.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// A place in `file`.
    pub fn new(file: impl Into<Arc<str>>, line: usize, column: usize) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// Whether a diagnostic stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Whether it stops the run.
    pub severity: Severity,
    /// One line, lower case, names in backticks.
    pub message: String,
    /// Where, when it is about a place in a file.
    pub position: Option<Position>,
    /// The text of that file, for the excerpt.
    pub source: Option<Arc<str>>,
    /// What stands beside the caret.
    pub label: Option<String>,
    /// Why, in the words of whoever refused.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The step it happened in.
    pub step: Option<String>,
    /// What led there, innermost first: (`` `network` called ``, from where).
    pub trace: Vec<(String, Position)>,
    /// What the engine may do about it.
    pub class: Class,
    /// Whether it is about the arguments of a binding alone, whatever the clouds hold.
    pub of_arguments: bool,
}

impl Diagnostic {
    /// A mistake in the playbook or the settings.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            position: None,
            source: None,
            label: None,
            cause: None,
            hint: None,
            step: None,
            trace: Vec::new(),
            class: Class::Usage,
            of_arguments: false,
        }
    }

    /// The same, of another class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The same, at a place.
    #[must_use]
    pub fn at(mut self, position: Position, source: Option<Arc<str>>) -> Self {
        self.position = Some(position);
        self.source = source;
        self
    }

    /// The same, with what to do; nothing when `hint` is empty.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }

    /// The same, with words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same, with the reason.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Whether it stops the run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Whether a plan stopped because it cannot know something, which a run will.
    pub fn is_about_unknowns(&self) -> bool {
        self.hint.as_deref() == Some(super::explain::BRANCH_HINT)
    }

    /// The error for the engine, without the place.
    pub fn to_error(&self) -> Error {
        let mut error = Error::new(self.class, self.message.clone());
        error.cause.clone_from(&self.cause);
        error.hint.clone_from(&self.hint);
        error.of_arguments = self.of_arguments;
        error
    }

    /// The text for a person, after the template of all errors; `color` for terminals. Secrets are hidden.
    ///
    /// ```text
    /// error: there is no setting `cluster.nmae`
    ///   --> playbooks/aws.rhai:12:9, step `network`
    ///    |
    /// 12 |     cfg.cluster.nmae
    ///    |                 ^^^^ not a setting
    ///   cause: …
    /// hint: did you mean `name`?
    /// ```
    pub fn render(&self, color: bool) -> String {
        let paint = Paint(color);
        let (word, style) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let mut out = format!("{}: {}\n", paint.with(style, word), paint.with("1", &short(&self.message)));
        let step = self.step.as_ref().map(|step| format!("step `{step}`"));
        if let Some(position) = &self.position {
            let step = step.map(|step| format!(", {step}")).unwrap_or_default();
            let _ = writeln!(out, "  {} {position}{step}", paint.with("34", "-->"));
            self.excerpt(paint, &mut out);
        } else if let Some(step) = step {
            let _ = writeln!(out, "  {} {step}", paint.with("34", "-->"));
        }
        for (call, position) in &self.trace {
            let _ = writeln!(out, "  {call} from {position}");
        }
        if let Some(cause) = self.cause.as_deref().filter(|cause| !cause.trim().is_empty()) {
            let _ = writeln!(out, "  cause: {}", short(cause));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{}: {}", paint.with("1;36", "hint"), short(hint));
        }
        hide(&out)
    }

    fn excerpt(&self, paint: Paint, out: &mut String) {
        let (Some(position), Some(source)) = (&self.position, &self.source) else { return };
        let Some(line) = position.line.checked_sub(1).and_then(|line| source.lines().nth(line)) else { return };
        let number = position.line.to_string();
        let gutter = " ".repeat(number.len());
        let bar = paint.with("34", "|");
        let shown: String = line.chars().take(EXCERPT_COLUMNS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(out, " {gutter} {bar}");
        let _ = writeln!(out, " {} {bar} {}", paint.with("34", &number), shown.trim_end());
        if let Some(before) = position.column.checked_sub(1).filter(|before| *before <= shown.chars().count()) {
            let marked = caret_width(line, before);
            let label = self.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
            let caret = paint.with("1;31", &format!("{}{label}", "^".repeat(marked)));
            let _ = writeln!(out, " {gutter} {bar} {}{caret}", " ".repeat(before));
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.is_error() { miette::Severity::Error } else { miette::Severity::Warning })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as _)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// How many characters the caret spans: the whole name or number that begins at `before`, otherwise one.
fn caret_width(line: &str, before: usize) -> usize {
    let rest = line.chars().skip(before);
    rest.take_while(|c| c.is_alphanumeric() || *c == '_').count().clamp(1, EXCERPT_COLUMNS)
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, style: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_kept() {
        let source: Arc<str> = "let a = 1;\n\tlet b = cfg.nmae;\n".into();
        let mut found = Diagnostic::usage("there is no setting `nmae`")
            .at(Position::new("fork.rhai", 2, 14), Some(source))
            .label("not a setting")
            .because("settings(#{…}) has no such key")
            .hint("did you mean `name`?");
        found.step = Some("network".into());
        found.trace.push(("`network` called".into(), Position::new("main.rhai", 3, 1)));
        let expected = "\
error: there is no setting `nmae`
  --> fork.rhai:2:14, step `network`
   |
 2 |  let b = cfg.nmae;
   |              ^^^^ not a setting
  `network` called from main.rhai:3:1
  cause: settings(#{…}) has no such key
hint: did you mean `name`?
";
        let plain = found.render(false);
        assert_eq!(plain, expected);
        assert!(found.render(true).contains("\u{1b}[1;31merror\u{1b}[0m"));
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        for (line, column) in [(0, 0), (1, 0), (9, 9), (1, 99), (usize::MAX, usize::MAX)] {
            let found = Diagnostic::usage("x").at(Position::new("f", line, column), Some("ab".into()));
            assert!(found.render(false).starts_with("error: x\n  --> f"));
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = crate::secret::Secret::new("swordfish-1234");
        assert!(!Diagnostic::usage(format!("bad {}", secret.reveal())).render(false).contains("swordfish"));
    }
}
