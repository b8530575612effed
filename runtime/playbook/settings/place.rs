//! Where the defaults of settings stand in a script, and the comments beside them.

use rhai::{AST, ASTNode, Expr, Position, Stmt};
use std::collections::BTreeMap;

/// Line, column and comment of each default, by dotted path.
pub(in crate::playbook) type Places = BTreeMap<String, (usize, usize, String)>;

/// Finds the maps that a script hands to `settings`.
pub(in crate::playbook) fn places(ast: &AST, text: &str) -> Places {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Places::new();
    ast.walk(&mut |path: &[ASTNode]| {
        let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) = path.last() else {
            return true;
        };
        if call.name == "settings" && !call.is_qualified() {
            for argument in &call.args {
                keys(argument, "", &lines, &mut found);
            }
        }
        true
    });
    found
}

fn keys(map: &Expr, parent: &str, lines: &[&str], found: &mut Places) {
    let Expr::Map(map, _) = map else { return };
    for (key, value) in &map.0 {
        let path = if parent.is_empty() { key.name.to_string() } else { format!("{parent}.{}", key.name) };
        let (line, column) = spot(key.pos);
        found.insert(path.clone(), (line, column, comment(lines, line)));
        keys(value, &path, lines, found);
    }
}

fn spot(position: Position) -> (usize, usize) {
    (position.line().unwrap_or(0), position.position().unwrap_or(0))
}

/// The comment behind the code on `line`, or else the comment lines directly above it.
fn comment(lines: &[&str], line: usize) -> String {
    let Some(index) = line.checked_sub(1).filter(|index| *index < lines.len()) else { return String::new() };
    if let Some(behind) = trailing(lines[index]) {
        return behind.to_owned();
    }
    let mut above: Vec<&str> = Vec::new();
    for line in lines[..index].iter().rev() {
        match line.trim_start().strip_prefix("//") {
            Some(text) => above.push(text.trim_start_matches('/').trim()),
            None => break,
        }
    }
    above.reverse();
    above.join(" ")
}

/// What follows `//` outside of texts.
fn trailing(line: &str) -> Option<&str> {
    let mut quote = None;
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), character) if open == character => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '/') if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                return Some(line[at..].trim_start_matches('/').trim()).filter(|_| !line[..at].trim().is_empty());
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_belong_to_the_key_beside_or_below_them() {
        let text = "let cfg = settings(#{\n    a: #{ b: \"http://x\" }, // beside\n    // above\n    // in two lines\n    \
                    c: 1,\n    d: 2,\n});";
        let mut engine = rhai::Engine::new();
        engine.set_optimization_level(rhai::OptimizationLevel::None);
        let found = places(&engine.compile(text).unwrap(), text);
        assert_eq!(found["a.b"], (2, 11, "beside".into()));
        assert_eq!(found["c"], (5, 5, "above in two lines".into()));
        assert_eq!(found["d"].2, "");
    }
}
