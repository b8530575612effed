//! Fields of maps that are written out in the call of a binding.

use super::{
    super::{Diagnostic, schema, units::Unit},
    Checked, nodes,
};
use rhai::{ASTNode, Expr, Position, Stmt};
use serde_json::Value;

/// Compares the maps with the schemas of the bindings.
pub(super) fn check(checked: &Checked<'_>, unit: &Unit, found: &mut Vec<Diagnostic>) {
    nodes(unit, &mut |path| {
        let (call, at) = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => (call, *at),
            _ => return,
        };
        if !call.is_qualified() {
            return;
        }
        let path: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let name = format!("{}::{}", path.join("::"), call.name);
        let Some(schema) = checked.schema(&name) else { return };
        let mut mistakes = Vec::new();
        if let Some(argument) = call.args.first() {
            walk(&schema, &schema, argument, &mut Vec::new(), at, &mut mistakes);
        } else if let Some(fields) = schema::fields(&schema, &schema) {
            mistakes.extend(fields.mistakes(&[], &std::iter::empty()).into_iter().map(|mistake| (mistake, at)));
        }
        for (mistake, place) in mistakes {
            let wrong = Diagnostic::usage(format!("`{name}`: {}", mistake.message)).hint(mistake.hint);
            found.push(checked.units.at(wrong, &unit.id, place));
        }
    });
}

type Found = Vec<(schema::Mistake, Position)>;

fn walk(root: &Value, schema: &Value, value: &Expr, path: &mut Vec<String>, at: Position, found: &mut Found) {
    if path.len() > 32 {
        return;
    }
    let mut step = |name: String, value: &Expr, at: Position, found: &mut Found| {
        if let Some(schema) = schema::inner(root, schema, &name) {
            path.push(name);
            walk(root, schema, value, path, at, found);
            path.pop();
        }
    };
    match value {
        Expr::Map(items, _) => {
            for (key, value) in &items.0 {
                step(key.name.to_string(), value, key.pos, found);
            }
            if let Some(fields) = schema::fields(root, schema) {
                let place = |mistake: &schema::Mistake| {
                    let odd = mistake.path.get(path.len())?;
                    items.0.iter().find(|(key, _)| key.name.as_str() == odd).map(|(key, _)| key.pos)
                };
                let mistakes = fields.mistakes(path, &items.0.iter().map(|(key, _)| key.name.as_str()));
                found.extend(mistakes.into_iter().map(|mistake| {
                    let place = place(&mistake).unwrap_or(at);
                    (mistake, place)
                }));
            }
        }
        Expr::Array(items, _) => {
            for (number, value) in items.iter().enumerate() {
                step(format!("[{number}]"), value, at, found);
            }
        }
        _ => {}
    }
}
