//! The form of a syntax tree that positions, comments and the process do not change.

use super::super::units::Unit;
use rhai::{Expr, FnCallExpr, FnPtr, Stmt};
use std::fmt::Write as _;

/// Closures inside each other are followed to this depth.
const DEEPEST: usize = 64;

/// Writes a syntax tree without positions and hashes.
pub(super) struct Printer<'a> {
    unit: &'a Unit,
    text: String,
    depth: usize,
}

impl<'a> Printer<'a> {
    /// Writes what stands in `unit`.
    pub fn new(unit: &'a Unit) -> Self {
        Self { unit, text: String::new(), depth: 0 }
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes a function or closure of the unit.
    pub fn function(&mut self, number: usize) {
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
                let operator = parts.0.get_op_assignment_info().map_or("=", |(_, _, _, operator, ..)| operator);
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
                if let Some(value) = value {
                    self.expression(value);
                }
            }
            Stmt::Return(value, flags, _) => {
                let _ = write!(self.text, "return{flags:?} ");
                if let Some(value) = value {
                    self.expression(value);
                }
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

    /// Writes an expression.
    pub fn expression(&mut self, expression: &Expr) {
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
