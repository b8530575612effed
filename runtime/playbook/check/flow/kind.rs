//! What the checks know about a value, and shapes of expressions they look for.

use rhai::{Expr, FnPtr, Stmt};

/// What is known about a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The section of the settings at this path.
    Settings(String),
    /// Known in a plan.
    Known,
    /// Comes from the output of this step, or of this binding.
    Output(String),
    /// Anything.
    Other,
}

impl Kind {
    /// What is made of both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Kind::Output(name), _) | (_, Kind::Output(name)) => Kind::Output(name),
            (Kind::Other, _) | (_, Kind::Other) => Kind::Other,
            _ => Kind::Known,
        }
    }

    /// An item of it, when it is a list.
    pub fn item(&self) -> Self {
        match self {
            Kind::Settings(_) => Kind::Known,
            other => other.clone(),
        }
    }
}

/// The variable at the left end of what is assigned to.
pub(super) fn root(target: &Expr) -> Option<String> {
    match target {
        Expr::Variable(variable, ..) => Some(variable.1.to_string()),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => root(&parts.lhs),
        _ => None,
    }
}

/// The name of the closure that an expression is.
pub(super) fn closure_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::DynamicConstant(value, _) => value.read_lock::<FnPtr>().map(|closure| closure.fn_name().to_owned()),
        Expr::Stmt(block) => closure_with_captures(block.iter()),
        Expr::FnCall(call, _) if call.name == "curry" => call.args.first().and_then(closure_name),
        _ => None,
    }
}

/// A closure that captures variables is a block: the variables are shared, then given to it.
pub(super) fn closure_with_captures<'s>(mut statements: impl Iterator<Item = &'s Stmt>) -> Option<String> {
    let Some(Stmt::Share(_)) = statements.next() else { return None };
    match statements.next()? {
        Stmt::Expr(expression) => closure_name(expression),
        Stmt::FnCall(call, _) if call.name == "curry" => call.args.first().and_then(closure_name),
        _ => None,
    }
}
