//! Variables that nobody reads.

use super::{
    super::{
        Diagnostic,
        units::{Unit, Units},
    },
    bodies, nodes,
};
use rhai::{ASTFlags, ASTNode, Expr, Position, Stmt};
use std::{collections::BTreeSet, sync::Arc};

/// Looks at the top level, the functions and the closures of a file, each for itself.
pub(super) fn check(units: &Units, unit: &Arc<Unit>, found: &mut Vec<Diagnostic>) {
    // Constants are read from anywhere in the file: `global::NAME`.
    let mut anywhere = BTreeSet::new();
    nodes(unit, &mut |path| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, ..))) = path.last() {
            anywhere.insert(variable.1.to_string());
        }
    });
    for (_, body) in bodies(unit) {
        let (mut declared, mut used): (Vec<(String, bool, Position)>, BTreeSet<String>) = Default::default();
        for statement in body {
            statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Stmt(Stmt::Var(parts, flags, at))) if !flags.intersects(ASTFlags::EXPORTED) => {
                        let place = if parts.0.pos.is_none() { *at } else { parts.0.pos };
                        let constant = flags.intersects(ASTFlags::CONSTANT);
                        declared.push((parts.0.name.to_string(), constant, place));
                    }
                    Some(ASTNode::Expr(Expr::Variable(variable, ..))) => drop(used.insert(variable.1.to_string())),
                    Some(ASTNode::Stmt(Stmt::Share(names))) => {
                        used.extend(names.iter().map(|(name, _)| name.name.to_string()));
                    }
                    Some(ASTNode::Stmt(Stmt::Export(names, _))) => drop(used.insert(names.0.name.to_string())),
                    _ => {}
                }
                true
            });
        }
        for (name, constant, place) in declared {
            let read = used.contains(&name) || (constant && anywhere.contains(&name));
            if !read && !name.starts_with('_') {
                let wrong = Diagnostic::usage(format!("unused variable `{name}`"));
                let wrong = wrong.hint(format!("take it away, or call it `_{name}`"));
                found.push(units.at(wrong, &unit.id, place));
            }
        }
    }
}
