//! Errors of the script engine → diagnostics: in our words, at the right place, with the calls that led there.

use super::{Diagnostic, current::Stopped, fault::Fault, suggest, taint, units::Units};
use crate::{error::Class, value::shown_text};
use rhai::{Engine, EvalAltResult, ParseError, ParseErrorType, Position};
use std::{collections::BTreeSet, sync::Arc};

/// More callers than this do not help anyone.
const MOST_CALLERS: usize = 8;

/// A syntax error in the file called `id`.
pub(super) fn syntax(mistake: &ParseError, id: &str, text: &Arc<str>) -> Diagnostic {
    let hint = match mistake.err_type() {
        ParseErrorType::VariableUndefined(name) if text.contains(&format!("fn {name}(")) => {
            "a function that is handed over by its name stands above the line that does so"
        }
        other => syntax_hint(other),
    };
    let message = match mistake.err_type() {
        ParseErrorType::VariableUndefined(name) => format!("there is no variable `{name}`"),
        ParseErrorType::ModuleUndefined(name) => format!("there is no module `{name}`"),
        ParseErrorType::UnexpectedEOF => "the script ends in the middle of something".into(),
        ParseErrorType::ExprTooDeep => "the script is nested too deep".into(),
        other => lower(&other.to_string()),
    };
    let mut position = mistake.position();
    if position.is_none() {
        let last = text.lines().count().max(1);
        position = Position::new(u16::try_from(last).unwrap_or(u16::MAX), 1);
    }
    Diagnostic::usage(message).at(Units::position(id, position), Some(text.clone())).hint(hint)
}

fn syntax_hint(kind: &ParseErrorType) -> &'static str {
    match kind {
        ParseErrorType::VariableUndefined(_) => {
            "functions see only their parameters and `global::CONSTANT`; closures see the variables around them"
        }
        ParseErrorType::ModuleUndefined(_) => "`import \"path\" as name;` above the first use",
        ParseErrorType::WrongDocComment => "`///` stands above functions only; use `//` above a step",
        ParseErrorType::MissingToken(token, _) if token == ";" => "statements end with `;`",
        _ => "",
    }
}

/// First letter in lower case, one line, no full stop.
fn lower(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default().trim().trim_end_matches('.').replace('\'', "`");
    let mut letters = text.chars();
    let second_is_upper = text.chars().nth(1).is_some_and(char::is_uppercase);
    match letters.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(letters).collect(),
        _ => text,
    }
}

/// What stopped the script `id`.
pub(super) fn error(mistake: &EvalAltResult, id: &str, units: &Units, engine: &Engine) -> Diagnostic {
    let mut trace = Vec::new();
    let (inner, source) = unwind(mistake, id, &mut trace);
    let mut position = inner.position();
    let mut found = match inner {
        EvalAltResult::ErrorRuntime(token, _) => runtime(token),
        other => reword(other, units, &source, engine),
    };
    if let EvalAltResult::ErrorRuntime(token, _) = inner
        && let Some(fault) = token.read_lock::<Fault>()
        && let Some(finished) = &fault.finished
        && finished.position.is_some()
    {
        return (**finished).clone();
    }
    if let EvalAltResult::ErrorPropertyNotFound(..) | EvalAltResult::ErrorDotExpr(..) = inner {
        position = behind_dot(units, &source, position);
    }
    // Natives that were called by natives have no place of their own: the caller's serves.
    let (place, source) = match trace.iter().position(|(_, place, _)| !place.is_none()) {
        Some(first) if position.is_none() => {
            let (_, place, source) = trace.drain(..=first).next_back().unwrap_or_default();
            (place, source)
        }
        _ => (position, source),
    };
    if !place.is_none() {
        found = units.at(found, &source, place);
    }
    let callers = trace.into_iter().filter(|(_, place, _)| !place.is_none()).take(MOST_CALLERS);
    found.trace = callers.map(|(name, place, source)| (name, Units::position(&source, place))).collect();
    found
}

type Frame = (String, Position, String);

/// The innermost error and the file it lies in; the calls are put into `trace`, innermost first.
fn unwind<'a>(mistake: &'a EvalAltResult, id: &str, trace: &mut Vec<Frame>) -> (&'a EvalAltResult, String) {
    let (mut mistake, mut source) = (mistake, id.to_owned());
    loop {
        let (name, inner_source, inner, position) = match mistake {
            EvalAltResult::ErrorInFunctionCall(name, inner_source, inner, position) => {
                let name = if name.starts_with("anon$") { "a closure".into() } else { format!("`{name}`") } + " called";
                (name, inner_source.as_str(), inner, *position)
            }
            EvalAltResult::ErrorInModule(path, inner, position) => {
                ("imported".to_owned(), path.as_str(), inner, *position)
            }
            _ => break,
        };
        trace.push((name, position, source.clone()));
        if !inner_source.is_empty() {
            inner_source.clone_into(&mut source);
        }
        mistake = inner;
    }
    trace.reverse();
    (mistake, source)
}

fn runtime(token: &rhai::Dynamic) -> Diagnostic {
    if let Some(fault) = token.read_lock::<Fault>() {
        let error = &fault.error;
        let mut found = Diagnostic::usage(error.message.clone()).class(error.class);
        found.cause.clone_from(&error.cause);
        found.hint.clone_from(&error.hint);
        found.of_arguments = error.of_arguments;
        return found;
    }
    // `throw "text"` of the script.
    let text = if token.is_unit() { "the script gave up".into() } else { shown_text(&token.to_string()) };
    Diagnostic::usage(text).class(Class::Failed)
}

fn reword(mistake: &EvalAltResult, units: &Units, source: &str, engine: &Engine) -> Diagnostic {
    use EvalAltResult as E;
    match mistake {
        E::ErrorFunctionNotFound(signature, _) => unknown_function(signature, units, source, engine),
        E::ErrorVariableNotFound(name, _) => Diagnostic::usage(format!("there is no variable `{name}`")),
        E::ErrorModuleNotFound(name, _) => {
            let unit = units.get(source);
            let imports = unit.map(|unit| unit.imports.clone()).unwrap_or_default();
            let mut names: BTreeSet<String> = imports.into_keys().collect();
            names.extend(engine.collect_fn_metadata(None, |found| Some(found.namespace.to_string()), false));
            let hint =
                suggest::nearest(name, names.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
            Diagnostic::usage(format!("there is no module `{name}`"))
                .hint(hint.unwrap_or_else(|| "`import` it first".into()))
        }
        E::ErrorPropertyNotFound(name, _) => Diagnostic::usage(format!("there is no property `{}`", shown_text(name)))
            .hint("where it may be missing, write `get(map, \"name\", default)`"),
        E::ErrorIndexNotFound(key, _) => {
            Diagnostic::usage(format!("there is no item `{}`", shown_text(&key.to_string())))
        }
        E::ErrorMismatchDataType(wanted, actual, _) | E::ErrorMismatchOutputType(wanted, actual, _) => {
            mismatch(wanted, actual)
        }
        E::ErrorFor(_) => Diagnostic::usage("`for` needs a list, a range or the keys of a map").hint(
            "outputs that are not known in a plan cannot be looped over: loop over settings or other known lists",
        ),
        E::ErrorTooManyOperations(_) => stopped(Stopped::Operations(0)),
        E::ErrorTerminated(token, _) => {
            let why = token.read_lock::<Stopped>().map(|why| *why);
            stopped(why.unwrap_or(Stopped::Cancelled))
        }
        E::ErrorStackOverflow(_) => Diagnostic::usage("the script calls too deep")
            .hint("a function that calls itself needs an end; lists are better gone through with `for`"),
        E::ErrorDataTooLarge(what, _) => Diagnostic::usage(format!("a value grew too large: {}", what.to_lowercase()))
            .hint("see the limits in docs/playbooks.md"),
        E::ErrorDataRace(..) => {
            Diagnostic::usage("a value is used twice at the same time").hint("copy it into another variable first")
        }
        E::ErrorAssignmentToConstant(name, _) => Diagnostic::usage(format!("`{name}` is constant")),
        E::ErrorArithmetic(why, _) => Diagnostic::usage(lower(&shown_text(why))),
        other => {
            let text = shown_text(&other.to_string());
            let text = text.rsplit_once(" (line ").map_or(text.clone(), |(text, _)| text.to_owned());
            Diagnostic::usage(lower(text.trim_start_matches("Runtime error: ")))
        }
    }
}

/// Why a script was stopped from outside.
pub(super) fn stopped(why: Stopped) -> Diagnostic {
    match why {
        Stopped::Memory(most) => Diagnostic::usage(format!("the script takes more than {} MiB of memory", most >> 20))
            .hint("keep less at a time; see the limits in docs/playbooks.md"),
        Stopped::Busy(most) => Diagnostic::usage(format!("the step computes for more than {most} s"))
            .hint("look for a loop over long texts or large lists"),
        Stopped::Operations(most) => {
            let most = if most > 0 { format!(" ({most} operations)") } else { String::new() };
            Diagnostic::usage(format!("the script does not come to an end{most}"))
                .hint("look for a loop that never ends, or one over too many items")
        }
        Stopped::Printed(most) => Diagnostic::usage(format!("the script prints more than {most} bytes")),
        Stopped::Cancelled => Diagnostic::usage("stopped").class(Class::Interrupted),
        Stopped::LoadDeadline => {
            Diagnostic::usage("the declarations do not come to an end").hint("work that takes long belongs into a step")
        }
        Stopped::Deadline => Diagnostic::usage("the step took longer than its timeout")
            .class(Class::TimedOut)
            .hint("give it more time with `.timeout(\"…\")`, or look at what it waits for"),
    }
}

fn mismatch(wanted: &str, actual: &str) -> Diagnostic {
    let (wanted, actual) = (type_name(wanted), type_name(actual));
    if wanted == "unknown" || actual == "unknown" {
        return Diagnostic::usage("a plan cannot branch on what is not known before the run").hint(BRANCH_HINT);
    }
    if wanted == "secret" || actual == "secret" {
        return Diagnostic::usage("a script cannot branch on a secret");
    }
    Diagnostic::usage(format!("{wanted} is wanted here, not {actual}"))
}

/// What to do where a plan would have to know an output.
pub(super) const BRANCH_HINT: &str =
    "decide by a setting instead, or move the decision into the step that makes the value";

fn type_name(name: &str) -> String {
    match name.rsplit("::").next().unwrap_or(name).trim_matches(['`', '\'']) {
        "string" | "ImmutableString" | "&str" | "SmartString<LazyCompact>" => "text".into(),
        texts if texts.split(" | ").any(|one| one == "ImmutableString") => "text".into(),
        "bool" => "`true` or `false`".into(),
        "i64" => "a whole number".into(),
        "f64" => "a number".into(),
        "map" | "Map" => "a map".into(),
        "array" | "Array" => "a list".into(),
        "()" => "nothing (`()`)".into(),
        "Fn" | "FnPtr" => "a function".into(),
        "Unknown" => "unknown".into(),
        "SecretText" => "secret".into(),
        "SettingsValue" => "settings".into(),
        other => other.into(),
    }
}

fn unknown_function(signature: &str, units: &Units, source: &str, engine: &Engine) -> Diagnostic {
    let (name, arguments) = signature.split_once(" (").unwrap_or((signature, ""));
    let name = name.trim();
    let arguments = arguments.trim_end_matches(')');
    if arguments.split(", ").any(|argument| type_name(argument) == "secret") {
        return Diagnostic::usage(format!("`{name}` cannot look into a secret")).hint(
            "secrets can be passed to bindings, put into texts, maps and lists, and given to `base64` and `sha256`",
        );
    }
    if name.starts_with("anon$") {
        return Diagnostic::usage("a closure is called with too few or too many values")
            .hint("it is called with as many values as it has parameters");
    }
    let is_word = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let shown: Vec<String> = arguments.split(", ").filter(|text| !text.is_empty()).map(type_name).collect();
    if !is_word(name) {
        let property = name.strip_prefix("get$").or_else(|| name.strip_prefix("set$"));
        if let Some(property) = property {
            let of = shown.first().cloned().unwrap_or_else(|| "this value".into());
            return Diagnostic::usage(format!("there is no property `{property}` on {of}"));
        }
        return Diagnostic::usage(format!("`{name}` does not work on {}", shown.join(" and ")));
    }
    let mut overloads: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (known, parameters) in engine.collect_fn_metadata(
        None,
        |found| {
            let space = if found.namespace.is_empty() { String::new() } else { format!("{}::", found.namespace) };
            Some((format!("{space}{}", found.metadata.name), found.metadata.params_info.join(", ")))
        },
        true,
    ) {
        if known == name {
            overloads.insert(format!("`{known}({parameters})`"));
        }
        names.insert(known);
    }
    let (alias, plain) = name.rsplit_once("::").map_or((None, name), |(alias, plain)| (Some(alias), plain));
    let unit = units.get(source);
    let script = match (alias, &unit) {
        (Some(alias), Some(unit)) => units.imported(unit, alias),
        _ => unit.clone(),
    };
    for function in script.iter().flat_map(|unit| &unit.functions).filter(|function| !function.is_closure()) {
        let known = alias.map_or_else(|| function.name.clone(), |alias| format!("{alias}::{}", function.name));
        if function.name == plain {
            overloads.insert(format!("`{known}({})`", function.params.join(", ")));
        }
        names.insert(known);
    }
    if !overloads.is_empty() {
        let known: Vec<String> = overloads.into_iter().take(4).collect();
        let with = if shown.is_empty() { "no arguments".into() } else { shown.join(", ") };
        return Diagnostic::usage(format!("`{name}` cannot be called with {with}"))
            .hint(format!("it takes {}", known.join(" or ")));
    }
    let hint = suggest::nearest(name, names.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
    Diagnostic::usage(format!("there is no function `{name}`")).hint(hint.unwrap_or_default())
}

/// Errors about properties point at the dot.
fn behind_dot(units: &Units, source: &str, position: Position) -> Position {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return position };
    let text = units.text(source).unwrap_or_default();
    let Some(line_text) = text.lines().nth(line - 1) else { return position };
    let dots = line_text.chars().skip(column - 1).take_while(|c| matches!(c, '.' | '?')).count();
    let (Ok(line), Ok(column)) = (u16::try_from(line), u16::try_from(column + dots)) else { return position };
    Position::new(line, column)
}

/// The refusal to look into a tainted value with the function `name`.
pub(super) fn tainted(name: &str, taint: &taint::Taint) -> Fault {
    match taint {
        taint::Taint::Unknown(unknown) => {
            let fault =
                Fault::usage(format!("`{name}` cannot work on `{}`, which is not known before the run", unknown.0));
            fault.hint(BRANCH_HINT)
        }
        taint::Taint::Secret => Fault::usage(format!("`{name}` cannot look into a secret")).hint(
            "secrets can be passed to bindings, put into texts, maps and lists, and given to `base64` and `sha256`",
        ),
    }
}
