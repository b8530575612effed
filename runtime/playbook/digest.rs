//! Digests of a step's code, for `watch`: what a step runs, in a form that comments, blank lines and the process do not
//! change.
//!
//! The digest covers the text of the body and of every function that it reaches, in any file, with the constants they
//! read; closures stand in the text of what they are written in. Values that a closure captured count as well, except
//! settings, whose reads are recorded when the step runs.

mod printer;

use super::{
    book::Declared,
    call::Bound,
    convert::to_json,
    settings_value::SettingsValue,
    units::{Unit, Units},
};
use printer::Printer;
use rhai::{ASTNode, Dynamic, Expr, FnCallExpr, FnPtr, Stmt};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

/// Values and closures inside each other are followed to this depth.
const DEEPEST: usize = 64;

/// The digest of a step, in hexadecimal.
pub(super) fn of_step(units: &Units, step: &Declared) -> String {
    let mut reached = Reached { units, seen: BTreeSet::new(), todo: Vec::new(), text: String::new() };
    for bound in std::iter::once(&step.body).chain(&step.wraps) {
        reached.bound(bound);
    }
    reached.rest();
    hex::encode(&Sha256::digest(&reached.text)[..16])
}

struct Reached<'a> {
    units: &'a Units,
    seen: BTreeSet<(Arc<str>, String)>,
    /// Functions and constants that were named and not yet looked at.
    todo: Vec<(Arc<Unit>, Named)>,
    text: String,
}

enum Named {
    Function(usize),
    Constant(String),
}

impl Reached<'_> {
    fn bound(&mut self, bound: &Bound) {
        self.text.push_str("\nbody ");
        self.pointer(&bound.unit, &bound.function, 0);
    }

    /// A function with the values it captured.
    fn pointer(&mut self, unit: &str, function: &FnPtr, depth: usize) {
        if let Some((unit, number)) = self.units.function(unit, function.fn_name(), None) {
            self.function(&unit, number, depth);
            for value in function.iter_curry() {
                self.text.push_str(" captured ");
                self.value(&unit.id, value, depth + 1);
            }
        }
    }

    fn value(&mut self, unit: &str, value: &Dynamic, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        if let Some(settings) = value.read_lock::<SettingsValue>() {
            let _ = write!(self.text, "settings({})", settings.path());
        } else if let Some(function) = value.read_lock::<FnPtr>() {
            self.pointer(unit, &function, depth);
        } else if let Some(list) = value.read_lock::<rhai::Array>() {
            self.text.push('[');
            for item in list.iter() {
                self.value(unit, item, depth + 1);
                self.text.push(',');
            }
            self.text.push(']');
        } else if let Some(map) = value.read_lock::<rhai::Map>() {
            self.text.push('{');
            for (key, item) in map.iter() {
                let _ = write!(self.text, "{key:?}:");
                self.value(unit, item, depth + 1);
                self.text.push(',');
            }
            self.text.push('}');
        } else {
            match to_json(value) {
                Ok(json) => drop(write!(self.text, "{json}")),
                Err(why) => self.text.push_str(&why.what),
            }
        }
    }

    /// Everything that was named. It is put into the order of its names: the cases of a `switch` come in another one in each
    /// process.
    fn rest(&mut self) {
        let begin = std::mem::take(&mut self.text);
        let mut pieces = BTreeSet::new();
        while let Some((unit, named)) = self.todo.pop() {
            match named {
                Named::Function(number) => {
                    let _ = write!(self.text, "\nfn {} ", unit.functions[number].name);
                    self.function(&unit, number, 0);
                }
                Named::Constant(name) => {
                    let _ = write!(self.text, "\nconst {name} ");
                    let unit_again = unit.clone();
                    let constant = unit.ast.statements().iter().find_map(|statement| match statement {
                        Stmt::Var(declared, ..) if declared.0.name == name.as_str() => Some(&declared.1),
                        _ => None,
                    });
                    if let Some(value) = constant {
                        let mut printer = Printer::new(&unit_again);
                        printer.expression(value);
                        self.text.push_str(printer.text());
                        self.names(&unit_again, &[Stmt::Expr(Box::new(value.clone()))]);
                    }
                }
            }
            pieces.insert((unit.id.clone(), std::mem::take(&mut self.text)));
        }
        self.text = begin;
        self.text.extend(pieces.into_iter().map(|(_, text)| text));
    }

    fn function(&mut self, unit: &Arc<Unit>, number: usize, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let function = &unit.functions[number];
        let mut printer = Printer::new(unit);
        printer.function(number);
        self.text.push_str(printer.text());
        self.names(unit, &function.body);
    }

    /// Notes what the statements name, closures included.
    fn names(&mut self, unit: &Arc<Unit>, statements: &[Stmt]) {
        let mut named: Vec<(Option<String>, String, Option<usize>)> = Vec::new();
        let mut closures: Vec<String> = Vec::new();
        for statement in statements {
            statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                        called(call, 0, &mut named);
                    }
                    Some(ASTNode::Expr(Expr::MethodCall(call, _))) => called(call, 1, &mut named),
                    Some(ASTNode::Expr(Expr::Variable(variable, ..))) => {
                        let space = variable.2.path.first().map(|first| first.name.to_string());
                        named.push((space, variable.1.to_string(), None));
                    }
                    Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                        closures.extend(value.read_lock::<FnPtr>().map(|function| function.fn_name().to_owned()));
                    }
                    _ => {}
                }
                true
            });
        }
        for (space, name, arity) in named {
            let target = match space.as_deref() {
                None | Some("global") => Some(unit.clone()),
                Some(alias) => self.units.imported(unit, alias),
            };
            let Some(target) = target else { continue };
            // A method call may pass its object as the first argument, or as `this`.
            let found = self.units.function(&target.id, &name, arity);
            let found = found.or_else(|| self.units.function(&target.id, &name, arity?.checked_sub(1)));
            let (key, named) = match found {
                Some((_, number)) => {
                    (format!("{name}/{}", target.functions[number].params.len()), Named::Function(number))
                }
                None if arity.is_none() && space.is_some() => (name.clone(), Named::Constant(name)),
                None => continue,
            };
            if self.seen.insert((target.id.clone(), key)) {
                self.todo.push((target, named));
            }
        }
        for closure in closures {
            // Its text stands in its surroundings already; what it names does not.
            if let Some((owner, number)) = self.units.function(&unit.id, &closure, None)
                && self.seen.insert((owner.id.clone(), closure))
            {
                let body = owner.functions[number].body.clone();
                self.names(&owner, &body);
            }
        }
    }
}

fn called(call: &FnCallExpr, object: usize, named: &mut Vec<(Option<String>, String, Option<usize>)>) {
    let space = call.namespace.path.first().map(|first| first.name.to_string());
    named.push((space, call.name.to_string(), Some(call.args.len() + object)));
    // `Fn("name")` names a function by its text, and so do plain names handed over.
    if call.name == "Fn"
        && let Some(Expr::StringConstant(name, _)) = call.args.first()
    {
        named.push((None, name.to_string(), None));
    }
}
