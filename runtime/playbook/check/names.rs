//! Functions and modules that do not exist, and calls with too few or too many arguments.

use super::{
    super::{Diagnostic, bindings, suggest, units::Unit},
    Checked, nodes,
};
use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the language itself knows, beside registered functions: any number of arguments.
const BUILT_IN: &[&str] = &["print", "debug", "type_of", "is_def_var", "is_def_fn", "is_shared", "curry", "call", "Fn"];

/// Registered functions with the numbers of their parameters.
pub(super) struct Known<'a> {
    checked: &'a Checked<'a>,
    plain: BTreeMap<String, BTreeSet<usize>>,
    /// Roots of the bindings' names: `aws`, `k8s`.
    roots: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    /// Collects them.
    pub fn new(checked: &'a Checked<'a>) -> Self {
        let mut plain: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let found = checked.engine.collect_fn_metadata(
            None,
            |found| found.namespace.is_empty().then(|| (found.metadata.name.to_string(), found.metadata.num_params)),
            true,
        );
        for (name, arity) in found {
            plain.entry(name).or_default().insert(arity);
        }
        let roots = checked.registry.iter().filter_map(|entry| entry.name.split("::").next()).collect();
        Self { checked, plain, roots }
    }

    /// Looks at all calls of a file.
    pub fn check(&self, unit: &Arc<Unit>, found: &mut Vec<Diagnostic>) {
        let imports = &unit.imports;
        for (alias, (_, position)) in imports {
            if self.roots.contains(alias.as_str()) {
                let wrong = Diagnostic::usage(format!("the import `{alias}` hides the bindings of that name"));
                found.push(self.checked.units.at(wrong.hint("import it under another name"), &unit.id, *position));
            }
        }
        let (variables, keys) = names_in(unit);
        nodes(unit, &mut |path| {
            let (call, position, object) = match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => (call, *at, 0),
                Some(ASTNode::Expr(Expr::MethodCall(call, at))) => (call, *at, 1),
                _ => return,
            };
            if call.is_operator_call() || call.name.contains('$') {
                return;
            }
            let given = call.args.len() + object;
            let wrong = if call.is_qualified() {
                self.qualified(unit, call, given)
            } else if variables.contains(call.name.as_str()) || (object == 1 && keys.contains(call.name.as_str())) {
                // A closure in a variable or in a map.
                None
            } else {
                self.plain(unit, call, given, object == 1)
            };
            found.extend(wrong.map(|wrong| self.checked.units.at(wrong, &unit.id, behind_path(call, position))));
        });
    }

    fn plain(&self, unit: &Unit, call: &FnCallExpr, given: usize, method: bool) -> Option<Diagnostic> {
        let name = call.name.as_str();
        if BUILT_IN.contains(&name) {
            return None;
        }
        let mut arities = self.plain.get(name).cloned().unwrap_or_default();
        let mut forms = Vec::new();
        for function in unit.named(name) {
            arities.insert(function.params.len());
            // As a method, the object may come as `this`.
            if method {
                arities.insert(function.params.len() + 1);
            }
            forms.push(format!("`{name}({})`", function.params.join(", ")));
        }
        if arities.is_empty() {
            let own =
                unit.functions.iter().filter(|function| !function.is_closure()).map(|function| function.name.as_str());
            let all = self.plain.keys().map(String::as_str).filter(|name| !name.contains('$')).chain(own);
            let hint = suggest::nearest(name, all).map(|near| format!("did you mean `{near}`?"));
            return Some(Diagnostic::usage(format!("there is no function `{name}`")).hint(hint.unwrap_or_default()));
        }
        (!arities.contains(&given)).then(|| arity(name, &arities, given, usize::from(method), &forms))
    }

    fn qualified(&self, unit: &Unit, call: &FnCallExpr, given: usize) -> Option<Diagnostic> {
        let path: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let full = format!("{}::{}", path.join("::"), call.name);
        let first = *path.first()?;
        let imports = &unit.imports;
        if imports.contains_key(first) {
            // Modules of modules are too rare to be followed.
            if path.len() > 1 {
                return None;
            }
            let target = self.checked.units.imported(unit, first)?;
            let functions = || target.functions.iter().filter(|function| !function.is_closure());
            let same: Vec<_> = target.named(&call.name).collect();
            if same.is_empty() {
                let hint = suggest::nearest(&call.name, functions().map(|function| function.name.as_str()));
                let hint = hint.map(|near| format!("did you mean `{first}::{near}`?")).unwrap_or_default();
                return Some(Diagnostic::usage(format!("`{}` has no function `{}`", target.id, call.name)).hint(hint));
            }
            let arities: BTreeSet<usize> = same.iter().map(|function| function.params.len()).collect();
            let forms: Vec<String> =
                same.iter().map(|function| format!("`{full}({})`", function.params.join(", "))).collect();
            return (!arities.contains(&given)).then(|| arity(&full, &arities, given, 0, &forms));
        }
        if self.checked.registry.get(&full).is_some() {
            let forms = [format!("`{full}(#{{ … }})`")];
            return (given > 1).then(|| arity(&full, &BTreeSet::from([0, 1]), given, 0, &forms));
        }
        if self.roots.contains(first) {
            return Some(bindings::unknown(self.checked.registry, &full));
        }
        let near = suggest::nearest(first, imports.keys().map(String::as_str).chain(self.roots.iter().copied()));
        let hint = near.map_or_else(|| "`import` it first".to_owned(), |near| format!("did you mean `{near}`?"));
        Some(Diagnostic::usage(format!("there is no module `{first}`")).hint(hint))
    }
}

fn arity(name: &str, wanted: &BTreeSet<usize>, given: usize, object: usize, forms: &[String]) -> Diagnostic {
    let wanted: Vec<String> = wanted.iter().filter_map(|n| n.checked_sub(object)).map(|n| n.to_string()).collect();
    let given = given - object;
    let message = format!("`{name}` takes {} arguments, not {given}", wanted.join(" or "));
    let hint = if forms.is_empty() { String::new() } else { format!("it is {}", forms.join(" or ")) };
    Diagnostic::usage(message.replace("takes 1 arguments", "takes 1 argument")).hint(hint)
}

/// Qualified calls say where their path begins; the function's name is what is wrong.
fn behind_path(call: &FnCallExpr, position: Position) -> Position {
    if position.is_none() { call.namespace.position() } else { position }
}

/// Names of variables, parameters and loop variables of a file; and keys of maps.
fn names_in(unit: &Unit) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut variables: BTreeSet<String> = unit.functions.iter().flat_map(|function| function.params.clone()).collect();
    let mut keys = BTreeSet::new();
    nodes(unit, &mut |path| match path.last() {
        Some(ASTNode::Stmt(Stmt::Var(parts, ..))) => drop(variables.insert(parts.0.name.to_string())),
        Some(ASTNode::Stmt(Stmt::For(parts, _))) => drop(variables.insert(parts.0.name.to_string())),
        Some(ASTNode::Expr(Expr::Map(items, _))) => keys.extend(items.0.iter().map(|(key, _)| key.name.to_string())),
        Some(ASTNode::Expr(Expr::Property(property, _))) => drop(keys.insert(property.2.to_string())),
        _ => {}
    });
    (variables, keys)
}
