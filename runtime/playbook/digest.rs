//! Digests of a step's code, for `watch`: what a step runs, in a form that comments, blank lines and the process do not
//! change.
//!
//! The digest covers the text of the body and of every function that it reaches, in any file, with the constants they
//! read; closures stand in the text of what they are written in. Values that a closure captured count as well, except
//! settings, whose reads are recorded when the step runs.

use super::{
    book::Declared,
    call::Bound,
    convert::to_json,
    settings_value::SettingsValue,
    units::{Unit, Units},
};
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

    fn rest(&mut self) {
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
                        let mut printer = Printer { unit: &unit_again, text: String::new(), depth: 0 };
                        printer.expression(value);
                        self.text.push_str(&printer.text);
                        self.names(&unit_again, &[Stmt::Expr(Box::new(value.clone()))]);
                    }
                }
            }
        }
    }

    fn function(&mut self, unit: &Arc<Unit>, number: usize, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let function = &unit.functions[number];
        let mut printer = Printer { unit, text: String::new(), depth: 0 };
        printer.function(number);
        self.text.push_str(&printer.text);
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

/// Writes a syntax tree without positions and hashes.
struct Printer<'a> {
    unit: &'a Unit,
    text: String,
    depth: usize,
}

impl Printer<'_> {
    fn function(&mut self, number: usize) {
        let function = &self.unit.functions[number];
        let _ = write!(self.text, "|{}|", function.params.join(","));
        self.depth += 1;
        if self.depth <= DEEPEST {
            self.block(function.body.iter());
        }
        self.depth -= 1;
    }

    fn block<'s>(&mut self, statements: impl Iterator<Item = &'s Stmt>) {
        self.text.push('{');
        for statement in statements {
            self.statement(statement);
            self.text.push(';');
        }
        self.text.push('}');
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Noop(_) | Stmt::Share(_) => {}
            Stmt::If(flow, _) => {
                self.text.push_str("if ");
                self.expression(&flow.expr);
                self.block(flow.body.iter());
                self.block(flow.branch.iter());
            }
            // Its cases are kept as hashes only, so the source speaks for them.
            Stmt::Switch(_, position) => {
                let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
                self.text.push_str(&condensed_braces(&self.unit.text, line, column));
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                let _ = write!(
                    self.text,
                    "{} ",
                    if let Stmt::Do(_, flags, _) = statement { format!("do{flags:?}") } else { "while".into() }
                );
                self.expression(&flow.expr);
                self.block(flow.body.iter());
            }
            Stmt::For(parts, _) => {
                let counter = parts.1.as_ref().map(|counter| counter.name.to_string()).unwrap_or_default();
                let _ = write!(self.text, "for {},{counter} in ", parts.0.name);
                self.expression(&parts.2.expr);
                self.block(parts.2.body.iter());
            }
            Stmt::Var(parts, flags, _) => {
                let _ = write!(self.text, "let{flags:?} {}=", parts.0.name);
                self.expression(&parts.1);
            }
            Stmt::Assignment(parts) => {
                self.expression(&parts.1.lhs);
                let operator = parts.0.get_op_assignment_info().map(|(_, _, _, operator, ..)| operator).unwrap_or("=");
                self.text.push_str(operator);
                self.expression(&parts.1.rhs);
            }
            Stmt::FnCall(call, _) => self.call(call),
            Stmt::Block(block) => self.block(block.iter()),
            Stmt::TryCatch(flow, _) => {
                self.text.push_str("try");
                self.block(flow.body.iter());
                self.expression(&flow.expr);
                self.block(flow.branch.iter());
            }
            Stmt::Expr(expression) => self.expression(expression),
            Stmt::BreakLoop(value, flags, _) => {
                let _ = write!(self.text, "break{flags:?} ");
                value.iter().for_each(|value| self.expression(value));
            }
            Stmt::Return(value, flags, _) => {
                let _ = write!(self.text, "return{flags:?} ");
                value.iter().for_each(|value| self.expression(value));
            }
            Stmt::Import(parts, _) => {
                self.text.push_str("import ");
                self.expression(&parts.0);
                let _ = write!(self.text, " as {}", parts.1.name);
            }
            Stmt::Export(parts, _) => drop(write!(self.text, "export {} as {}", parts.0.name, parts.1.name)),
            _ => self.text.push_str("other"),
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::DynamicConstant(value, _) => match value.read_lock::<FnPtr>() {
                Some(function) => match self.unit.number(function.fn_name()) {
                    Some(number) if function.is_anonymous() => self.function(number),
                    _ => self.text.push_str(function.fn_name()),
                },
                None => drop(write!(self.text, "{value:?}")),
            },
            Expr::BoolConstant(value, _) => drop(write!(self.text, "{value}")),
            Expr::IntegerConstant(value, _) => drop(write!(self.text, "{value}")),
            Expr::FloatConstant(value, _) => drop(write!(self.text, "{value:?}")),
            Expr::CharConstant(value, _) => drop(write!(self.text, "{value:?}")),
            Expr::StringConstant(value, _) => drop(write!(self.text, "{:?}", value.as_str())),
            Expr::InterpolatedString(parts, _) => self.list("`", parts.iter()),
            Expr::Array(items, _) => self.list("[", items.iter()),
            Expr::Map(items, _) => {
                self.text.push_str("#{");
                for (key, value) in &items.0 {
                    let _ = write!(self.text, "{:?}:", key.name.as_str());
                    self.expression(value);
                    self.text.push(',');
                }
                self.text.push('}');
            }
            Expr::Unit(_) => self.text.push_str("()"),
            Expr::Variable(variable, ..) => {
                for part in &variable.2.path {
                    let _ = write!(self.text, "{}::", part.name);
                }
                self.text.push_str(&variable.1);
            }
            Expr::ThisPtr(_) => self.text.push_str("this"),
            Expr::Property(property, _) => self.text.push_str(&property.2),
            Expr::MethodCall(call, _) | Expr::FnCall(call, _) => self.call(call),
            Expr::Stmt(block) => self.block(block.iter()),
            Expr::Dot(parts, flags, _) | Expr::Index(parts, flags, _) => {
                let kind = if let Expr::Dot(..) = expression { "." } else { "[]" };
                let _ = write!(self.text, "({kind}{flags:?} ");
                self.expression(&parts.lhs);
                self.text.push(' ');
                self.expression(&parts.rhs);
                self.text.push(')');
            }
            Expr::And(parts, _) => self.list("&&", parts.iter()),
            Expr::Or(parts, _) => self.list("||", parts.iter()),
            Expr::Coalesce(parts, _) => self.list("??", parts.iter()),
            _ => self.text.push_str("other"),
        }
    }

    fn list<'s>(&mut self, kind: &str, items: impl Iterator<Item = &'s Expr>) {
        let _ = write!(self.text, "({kind}");
        for item in items {
            self.text.push(' ');
            self.expression(item);
        }
        self.text.push(')');
    }

    fn call(&mut self, call: &FnCallExpr) {
        for part in &call.namespace.path {
            let _ = write!(self.text, "{}::", part.name);
        }
        // The name of a closure is a hash of this process.
        if !call.name.starts_with("anon$") {
            self.text.push_str(&call.name);
        }
        self.list("", call.args.iter());
    }
}

/// The source from a place to the `}` that closes the first `{` after it, without comments and with single spaces.
fn condensed_braces(text: &str, line: usize, column: usize) -> String {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let skipped = |rest: &str| rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>();
    let Some(rest) = text.get(start..).and_then(|rest| rest.get(skipped(rest)..)) else { return String::new() };
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut characters = rest.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|next| *next != '\n').is_some() {},
            '/' if characters.peek() == Some(&'*') => {
                let mut before = ' ';
                for next in characters.by_ref().skip(1) {
                    if before == '*' && next == '/' {
                        break;
                    }
                    before = next;
                }
            }
            '"' | '`' | '\'' => {
                out.push(character);
                while let Some(next) = characters.next() {
                    out.push(next);
                    if next == '\\' {
                        out.extend(characters.next());
                    } else if next == character {
                        break;
                    }
                }
            }
            c if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => {
                out.push(c);
                match c {
                    '{' => depth += 1,
                    '}' if depth <= 1 => return out,
                    '}' => depth -= 1,
                    _ => {}
                }
            }
        }
    }
    out
}
