//! What can be found wrong in a playbook without running a step.

mod fields;
mod flow;
mod names;
mod unused;

use super::{Diagnostic, book::Book, load::Loaded, units::Unit, units::Units};
use crate::bind::Registry;
use rhai::{ASTNode, Engine, Stmt};
use serde_json::Value;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

/// What the checks look at.
struct Checked<'a> {
    units: &'a Units,
    engine: &'a Engine,
    registry: &'a Registry,
    book: &'a Book,
    /// Schemas of the bindings that were met.
    schemas: RefCell<BTreeMap<String, Rc<Value>>>,
}

impl Checked<'_> {
    /// The schema of the arguments of the binding called `name`.
    fn schema(&self, name: &str) -> Option<Rc<Value>> {
        if let Some(known) = self.schemas.borrow().get(name) {
            return Some(known.clone());
        }
        let schema = Rc::new((self.registry.get(name)?.args)());
        self.schemas.borrow_mut().insert(name.to_owned(), schema.clone());
        Some(schema)
    }
}

/// Mistakes that would stop a step in the middle of a run.
pub(super) fn stopping(loaded: &Loaded, registry: &Registry) -> Vec<Diagnostic> {
    let checked = Checked {
        units: &loaded.units,
        engine: &loaded.engine,
        registry,
        book: &loaded.book,
        schemas: RefCell::default(),
    };
    let mut found = Vec::new();
    let names = names::Known::new(&checked);
    for unit in checked.units.all() {
        names.check(&unit, &mut found);
        fields::check(&checked, &unit, &mut found);
    }
    flow::check(&checked, &mut found);
    sorted(found)
}

/// All mistakes, those included that do no harm in a run.
pub(super) fn all(loaded: &Loaded, registry: &Registry) -> Vec<Diagnostic> {
    let mut found = stopping(loaded, registry);
    for unit in loaded.units.all() {
        unused::check(&loaded.units, &unit, &mut found);
    }
    sorted(found)
}

fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| a.position.cmp(&b.position));
    found.dedup_by(|a, b| a.position == b.position && a.message == b.message);
    found
}

/// Calls `look` with every node of a file: its top level, its functions and its closures.
fn nodes(unit: &Unit, look: &mut impl FnMut(&[ASTNode])) {
    unit.ast.walk(&mut |path: &[ASTNode]| {
        look(path);
        true
    });
}

/// The bodies of a file: its top level, then each function and closure, with its parameters.
fn bodies(unit: &Arc<Unit>) -> Vec<(Vec<String>, &[Stmt])> {
    let functions = unit.functions.iter().map(|function| (function.params.clone(), function.body.as_slice()));
    std::iter::once((Vec::new(), unit.ast.statements())).chain(functions).collect()
}
