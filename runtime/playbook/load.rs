//! Reading a playbook: its files, its declarations, and what must hold before any step may run.

use super::{
    Diagnostic, Load, Playbook, Step,
    book::{Book, SharedBook},
    check,
    current::{Current, Deep},
    declare, explain,
    language::{self, Parts},
    syntax,
    units::Units,
};
use crate::{
    error::Class,
    graph::{Fault, Graph},
};
use rhai::{Engine, Scope};
use std::sync::{Arc, Mutex};

/// What [`Playbook`] keeps of the scripts.
pub(super) struct Loaded {
    pub engine: Engine,
    pub units: Arc<Units>,
    pub book: Book,
    pub main: Arc<str>,
}

/// Reads the playbook. All mistakes that can be found at once are given at once.
pub(super) fn playbook(load: &Load<'_>) -> Result<Playbook, Vec<Diagnostic>> {
    let gave_up = || vec![Diagnostic::usage(format!("`{}` cannot be read: the script engine gave up", load.path))];
    let current = Current::loading(&load.limits);
    // On one thread with a deep stack from beginning to end: what a script makes may be nested too deep to be taken apart
    // on another.
    current.run(|| declared(load)).unwrap_or_else(|| Err(gave_up()))
}

fn declared(load: &Load<'_>) -> Result<Playbook, Vec<Diagnostic>> {
    let (units, main) = Units::open(load.path, load.sources.clone(), load.limits.clone()).map_err(|why| vec![why])?;
    let units = Arc::new(units);
    let book: SharedBook = Arc::new(Mutex::new(Book::new(load.layers.clone())));
    let engine = language::engine(&Parts {
        units: &units,
        book: &book,
        registry: &load.registry,
        host: &load.host,
        limits: &load.limits,
        allow_read: &load.allow_read,
    });
    let ran = units.compile(&engine, &main).and_then(|unit| {
        let ran = engine.run_ast_with_scope(&mut Scope::new(), &unit.ast);
        ran.map_err(|why| explain::error(&why, &main, &units, &engine))
    });
    let mut book = book.lock().map(|mut book| std::mem::take(&mut *book)).unwrap_or_default();
    let mut problems = std::mem::take(&mut book.problems);
    if let Err(mut first) = ran {
        // What a playbook refuses before any step may run is a mistake in it, or in its settings.
        if first.class == Class::Failed {
            first.class = Class::Usage;
        }
        // A wrong setting is the likely reason for whatever the script stumbled over.
        problems.push(first);
        return Err(problems);
    }
    let loaded = Loaded { engine, units, book, main };
    let steps = finish(&loaded, &mut problems);
    problems.extend(check::stopping(&loaded, &load.registry));
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    let unit = loaded.units.get(&loaded.main);
    let doc = unit.map(|unit| syntax::comment(unit.ast.doc().lines())).unwrap_or_default();
    Ok(Playbook {
        title: doc.lines().next().unwrap_or_default().to_owned(),
        doc,
        steps,
        settings: loaded.book.settings.settings(),
        targets: loaded.book.targets.clone(),
        planning: load.planning,
        limits: load.limits.clone(),
        allow_read: load.allow_read.clone(),
        registry: load.registry.clone(),
        loaded: Deep::new(loaded),
    })
}

/// Checks what only the whole playbook shows.
fn finish(loaded: &Loaded, problems: &mut Vec<Diagnostic>) -> Vec<Step> {
    let Loaded { units, book, main, .. } = loaded;
    for layer in book.overrides.iter().rev().chain(&book.layers) {
        problems.extend(book.settings.unknown_keys(layer));
    }
    if book.steps.is_empty() {
        let nothing = Diagnostic::usage(format!("`{main}` declares no steps"));
        problems.push(nothing.hint("a playbook declares steps: `step(\"name\", || …);`"));
    }
    let missing = declare::missing_needs(book, units);
    let complete = missing.is_empty();
    problems.extend(missing);
    let steps: Vec<Step> = book.steps.iter().map(|step| book.public(step)).collect();
    if complete {
        let edges = steps.iter().map(|step| {
            (step.name.as_str(), step.needs.iter().chain(&step.after).map(String::as_str).collect::<Vec<_>>())
        });
        if let Err(fault) = Graph::new(edges) {
            let at = match &fault {
                Fault::Cycle(round) => round.first().and_then(|first| book.step(first)),
                Fault::Twice(step) | Fault::Missing { step, .. } => book.step(step),
            };
            let mut found = Diagnostic::usage(fault.to_string());
            if let Some(step) = at {
                found = units.at(found, &step.body.unit, step.body.position);
            }
            problems.push(found.hint("take one of these needs away, or move what both share into a step of its own"));
        }
    }
    steps
}
