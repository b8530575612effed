//! Follows settings and outputs through the scripts: settings that do not exist are found through variables and
//! parameters, and `switch` on what a plan cannot know is refused.
//!
//! Values are followed roughly: what is put into a map makes the whole map an output. Whatever is not understood is left
//! alone.

mod kind;

use super::{
    super::{Diagnostic, settings::Node, suggest, units::Unit},
    Checked,
};
use kind::{Kind, closure_name, closure_with_captures, root};
use rhai::{Expr, FnCallExpr, FnPtr, Position, Stmt};
use std::{collections::BTreeMap, sync::Arc};

/// Functions that take the body of a step, and how many parameters of that are no outputs.
const STEPS: &[(&str, usize)] = &[("step", 0), ("replace", 0), ("insert_before", 0), ("insert_after", 0), ("wrap", 1)];
/// Calls are followed to this depth, and this many in all.
const DEEPEST: usize = 24;
const MOST_CALLS: usize = 50_000;

/// Checks all files.
pub(super) fn check(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let mut flow = Flow { checked, found, seen: BTreeMap::new(), calls: 0 };
    for unit in checked.units.all() {
        let mut body = Body { unit: unit.clone(), scope: Vec::new(), result: None, depth: 0 };
        flow.block(&mut body, unit.ast.statements().iter(), false);
    }
}

struct Flow<'a, 'f> {
    checked: &'a Checked<'a>,
    found: &'f mut Vec<Diagnostic>,
    /// What came of each call so far; `None` while it is followed.
    seen: BTreeMap<(Arc<str>, usize, Vec<Kind>), Option<Kind>>,
    calls: usize,
}

/// A body while it is followed.
struct Body {
    unit: Arc<Unit>,
    scope: Vec<(String, Kind)>,
    /// What `return` gave so far.
    result: Option<Kind>,
    depth: usize,
}

impl Body {
    fn get(&self, name: &str) -> Option<&Kind> {
        self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, kind)| kind)
    }

    fn add_to(&mut self, name: &str, kind: Kind) {
        if let Some((_, known)) = self.scope.iter_mut().rev().find(|(known, _)| known == name) {
            *known = known.clone().and(kind);
        }
    }
}

impl Flow<'_, '_> {
    /// Follows statements; their value is that of the last one.
    fn block<'s>(&mut self, body: &mut Body, statements: impl Iterator<Item = &'s Stmt>, own_scope: bool) -> Kind {
        let outer = body.scope.len();
        let mut last = Kind::Known;
        for statement in statements {
            last = self.statement(body, statement);
        }
        if own_scope {
            body.scope.truncate(outer);
        }
        last
    }

    fn statement(&mut self, body: &mut Body, statement: &Stmt) -> Kind {
        match statement {
            Stmt::Var(parts, ..) => {
                let kind = self.expression(body, &parts.1);
                body.scope.push((parts.0.name.to_string(), kind));
                Kind::Known
            }
            Stmt::If(flow, _) => {
                self.expression(body, &flow.expr);
                let one = self.block(body, flow.body.iter(), true);
                let other = self.block(body, flow.branch.iter(), true);
                if one == other { one } else { one.and(other) }
            }
            Stmt::Switch(parts, at) => self.switch(body, parts, *at),
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.expression(body, &flow.expr);
                self.block(body, flow.body.iter(), true);
                Kind::Other
            }
            Stmt::For(parts, _) => {
                let list = self.expression(body, &parts.2.expr);
                let outer = body.scope.len();
                body.scope.push((parts.0.name.to_string(), list.item()));
                if let Some(counter) = &parts.1 {
                    body.scope.push((counter.name.to_string(), Kind::Known));
                }
                self.block(body, parts.2.body.iter(), true);
                body.scope.truncate(outer);
                Kind::Known
            }
            Stmt::Assignment(parts) => {
                let kind = self.expression(body, &parts.1.rhs);
                self.expression(body, &parts.1.lhs);
                if let Some(name) = root(&parts.1.lhs) {
                    body.add_to(&name, kind);
                }
                Kind::Known
            }
            Stmt::FnCall(call, at) => self.call(body, call, *at),
            Stmt::Block(block) => self.block(body, block.iter(), true),
            Stmt::TryCatch(flow, _) => {
                self.block(body, flow.body.iter(), true);
                let outer = body.scope.len();
                if let Expr::Variable(name, ..) = &flow.expr {
                    body.scope.push((name.1.to_string(), Kind::Other));
                }
                self.block(body, flow.branch.iter(), true);
                body.scope.truncate(outer);
                Kind::Other
            }
            Stmt::Expr(expression) => self.expression(body, expression),
            Stmt::Return(value, ..) => {
                let kind = value.as_ref().map_or(Kind::Known, |value| self.expression(body, value));
                body.result = Some(match body.result.take() {
                    Some(former) => former.and(kind),
                    None => kind,
                });
                Kind::Known
            }
            Stmt::BreakLoop(Some(value), ..) => self.expression(body, value),
            _ => Kind::Known,
        }
    }

    fn switch(&mut self, body: &mut Body, parts: &(Expr, rhai::SwitchCasesCollection), at: Position) -> Kind {
        let value = self.expression(body, &parts.0);
        if let Kind::Output(name) = value {
            let wrong = Diagnostic::usage(format!("`switch` on an output (`{name}`) that a plan does not know"));
            let wrong =
                wrong.hint("write `if … == … { } else if …`, which says so when it meets one, or switch on a setting");
            self.report(&body.unit, wrong, at);
        }
        let mut result: Option<Kind> = None;
        for case in &parts.1.expressions {
            self.expression(body, &case.lhs);
            let kind = self.expression(body, &case.rhs);
            result = Some(match result {
                Some(former) => former.and(kind),
                None => kind,
            });
        }
        result.unwrap_or(Kind::Known)
    }

    fn expression(&mut self, body: &mut Body, expression: &Expr) -> Kind {
        match expression {
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => self.all(body, parts.iter()),
            Expr::Map(items, _) => self.all(body, items.0.iter().map(|(_, value)| value)),
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => self.all(body, parts.iter()),
            Expr::Variable(variable, ..) if variable.2.path.is_empty() => {
                body.get(&variable.1).cloned().unwrap_or(Kind::Other)
            }
            Expr::Variable(..) | Expr::ThisPtr(_) => Kind::Other,
            Expr::DynamicConstant(value, _) => match value.read_lock::<FnPtr>() {
                Some(closure) => {
                    self.closure(body, closure.fn_name(), &[]);
                    Kind::Other
                }
                None => Kind::Known,
            },
            Expr::Stmt(block) => match closure_with_captures(block.iter()) {
                Some(name) => {
                    self.closure(body, &name, &[]);
                    Kind::Other
                }
                None => self.block(body, block.iter(), true),
            },
            Expr::FnCall(call, at) | Expr::MethodCall(call, at) => self.call(body, call, *at),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
                let object = self.expression(body, &parts.lhs);
                let index = matches!(expression, Expr::Index(..));
                self.chain(body, &object, &parts.rhs, index)
            }
            _ => Kind::Known,
        }
    }

    fn all<'s>(&mut self, body: &mut Body, parts: impl Iterator<Item = &'s Expr>) -> Kind {
        parts.fold(Kind::Known, |all, part| {
            let kind = self.expression(body, part);
            all.and(kind)
        })
    }

    /// What stands behind a `.` or in `[ ]`. Chains lean to the right: `a.(b.(c))`.
    fn chain(&mut self, body: &mut Body, object: &Kind, right: &Expr, index: bool) -> Kind {
        let (first, rest) = match right {
            Expr::Dot(parts, ..) => (&parts.lhs, Some((&parts.rhs, false))),
            Expr::Index(parts, ..) => (&parts.lhs, Some((&parts.rhs, true))),
            other => (other, None),
        };
        let kind = match first {
            Expr::Property(property, at) => self.part(body, object, &property.2, *at),
            Expr::StringConstant(name, at) if index => self.part(body, object, name, *at),
            Expr::MethodCall(call, _) => self.method(body, object, call),
            other => {
                let key = self.expression(body, other);
                object.item().and(key)
            }
        };
        match rest {
            Some((rest, index)) => self.chain(body, &kind, rest, index),
            None => kind,
        }
    }

    fn part(&mut self, body: &Body, object: &Kind, name: &str, at: Position) -> Kind {
        let Kind::Settings(path) = object else { return object.clone() };
        let settings = &self.checked.book.settings;
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match settings.get(&full) {
            Some(Node::Section(_)) => Kind::Settings(full),
            Some(Node::Leaf(_)) => Kind::Known,
            None => {
                let here = match settings.get(path) {
                    Some(Node::Section(children)) => children,
                    _ => &settings.root,
                };
                let hint = suggest::hint(name, here.keys().map(String::as_str));
                let wrong = Diagnostic::usage(format!("there is no setting `{full}`")).hint(hint);
                self.report(&body.unit, wrong, at);
                Kind::Other
            }
        }
    }

    fn method(&mut self, body: &mut Body, object: &Kind, call: &FnCallExpr) -> Kind {
        let mut kind = object.item();
        for argument in &call.args {
            let of_list = match closure_name(argument) {
                Some(name) => self.closure(body, &name, std::slice::from_ref(&object.item())),
                None => self.expression(body, argument),
            };
            kind = kind.and(of_list);
        }
        kind
    }

    fn call(&mut self, body: &mut Body, call: &FnCallExpr, at: Position) -> Kind {
        let name = call.name.as_str();
        let _ = at;
        if call.is_qualified() {
            let path: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
            let full = format!("{}::{name}", path.join("::"));
            let given = self.arguments(body, call);
            if self.checked.registry.get(&full).is_some() {
                return Kind::Output(full);
            }
            let target = path.first().filter(|_| path.len() == 1);
            let target = target.and_then(|alias| self.checked.units.imported(&body.unit, alias));
            let found = target.and_then(|unit| self.checked.units.function(&unit.id, name, Some(given.len())));
            return found.map_or(Kind::Other, |(unit, number)| self.follow(&unit, number, given, body.depth));
        }
        if name == "settings" {
            self.arguments(body, call);
            return Kind::Settings(String::new());
        }
        if let Some((_, others)) = STEPS.iter().find(|(step, _)| *step == name) {
            self.step(body, call, *others);
            return Kind::Other;
        }
        if name == "get"
            && let [object, Expr::StringConstant(..), default] = &call.args[..]
        {
            let object = self.expression(body, object);
            let default = self.expression(body, default);
            return object.item().and(default);
        }
        let given = self.arguments(body, call);
        match self.checked.units.function(&body.unit.id, name, Some(given.len())) {
            Some((unit, number)) => self.follow(&unit, number, given, body.depth),
            None if name == "curry" || name == "Fn" || name == "parallel" => Kind::Other,
            None => given.into_iter().fold(Kind::Known, Kind::and),
        }
    }

    fn arguments(&mut self, body: &mut Body, call: &FnCallExpr) -> Vec<Kind> {
        call.args.iter().map(|argument| self.expression(body, argument)).collect()
    }

    /// The declaration of a step: the parameters of its body are outputs.
    fn step(&mut self, body: &mut Body, call: &FnCallExpr, others: usize) {
        let Some((last, first)) = call.args.split_last() else { return };
        for argument in first {
            self.expression(body, argument);
        }
        let named = match last {
            Expr::Variable(variable, ..) if body.get(&variable.1).is_none() => Some(variable.1.to_string()),
            other => closure_name(other),
        };
        let Some(name) = named else {
            self.expression(body, last);
            return;
        };
        let Some((unit, number)) = self.checked.units.function(&body.unit.id, &name, None) else { return };
        let params = &unit.functions[number].params;
        // Captured variables come first and are found by their names.
        let captured = params.iter().take_while(|_| name.starts_with("anon$")).filter(|name| body.get(name).is_some());
        let captured = captured.count().min(params.len().saturating_sub(others));
        let own = params
            .iter()
            .skip(captured)
            .enumerate()
            .map(|(number, name)| if number < others { Kind::Other } else { Kind::Output(name.clone()) });
        let own: Vec<Kind> = own.collect();
        let given: Vec<Kind> =
            params[..captured].iter().filter_map(|name| body.get(name).cloned()).chain(own).collect();
        self.follow(&unit, number, given, body.depth);
    }

    /// A closure that is called with `given` for its first own parameters, and with anything for the others.
    fn closure(&mut self, body: &Body, name: &str, given: &[Kind]) -> Kind {
        let Some((unit, number)) = self.checked.units.function(&body.unit.id, name, None) else { return Kind::Other };
        let mut given = given.iter();
        let kinds = unit.functions[number]
            .params
            .iter()
            .map(|param| body.get(param).cloned().unwrap_or_else(|| given.next().cloned().unwrap_or(Kind::Other)));
        let kinds = kinds.collect();
        self.follow(&unit, number, kinds, body.depth)
    }

    /// Follows a function with these arguments, once.
    fn follow(&mut self, unit: &Arc<Unit>, number: usize, given: Vec<Kind>, depth: usize) -> Kind {
        let key = (unit.id.clone(), number, given);
        let given = &key.2;
        let unfollowed = || given.iter().cloned().fold(Kind::Other, Kind::and);
        match self.seen.get(&key) {
            Some(Some(known)) => return known.clone(),
            Some(None) => return unfollowed(),
            None => {}
        }
        self.calls += 1;
        if depth >= DEEPEST || self.calls > MOST_CALLS {
            return unfollowed();
        }
        let function = &unit.functions[number];
        let scope = function.params.iter().cloned().zip(given.iter().cloned()).collect();
        self.seen.insert(key.clone(), None);
        let mut body = Body { unit: unit.clone(), scope, result: None, depth: depth + 1 };
        let last = self.block(&mut body, function.body.iter(), true);
        let kind = match body.result {
            Some(result) => result.and(last),
            None => last,
        };
        self.seen.insert(key, Some(kind.clone()));
        kind
    }

    fn report(&mut self, unit: &Unit, wrong: Diagnostic, at: Position) {
        self.found.push(self.checked.units.at(wrong, &unit.id, at));
    }
}
