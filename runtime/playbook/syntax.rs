//! The syntax tree of one file, with the statements of each function and closure put together.
//!
//! The script engine shows the bodies of functions only in a walk over everything, without saying whose they are. The
//! innermost function around a statement is the one it belongs to.

use rhai::{AST, ASTNode, Expr, Position, Stmt};

/// A function or closure of a file.
#[derive(Debug, Clone)]
pub(super) struct Function {
    /// Its name; `anon$…` for closures.
    pub name: String,
    /// Its parameters; those that a closure captured come first.
    pub params: Vec<String>,
    /// Where its body begins.
    pub start: Position,
    end: Position,
    /// Its body.
    pub body: Vec<Stmt>,
    /// Its `///` comments, without the slashes.
    pub doc: String,
}

impl Function {
    /// Whether it is a closure.
    pub fn is_closure(&self) -> bool {
        self.name.starts_with("anon$")
    }

    fn holds(&self, position: Position) -> bool {
        if self.end.is_none() { position == self.start } else { self.start <= position && position <= self.end }
    }

    /// Whether its body lies inside that of `other`.
    fn inside(&self, other: &Self) -> bool {
        self.end.is_none() || (other.holds(self.start) && other.holds(self.end))
    }
}

/// All functions and closures of a file.
pub(super) fn functions(ast: &AST) -> Vec<Function> {
    let mut functions: Vec<Function> = ast
        .iter_fn_def()
        .map(|function| Function {
            name: function.name.to_string(),
            params: function.params.iter().map(ToString::to_string).collect(),
            start: function.body.start_position(),
            end: function.body.end_position(),
            body: Vec::new(),
            doc: comment(function.comments.iter().map(|line| line.as_str())),
        })
        .collect();
    let mut left = ast.statements().len();
    ast.walk(&mut |path: &[ASTNode]| {
        let [ASTNode::Stmt(statement)] = path else { return true };
        if left > 0 {
            left -= 1;
            return true;
        }
        // Positions of statements that only the engine makes (capturing) are those of the next real one.
        let position = statement_position(statement);
        let owner = (0..functions.len())
            .filter(|&at| functions[at].holds(position))
            .reduce(|best, at| if functions[at].inside(&functions[best]) { at } else { best });
        if let Some(owner) = owner {
            functions[owner].body.push((*statement).clone());
        }
        true
    });
    functions
}

fn statement_position(statement: &Stmt) -> Position {
    match statement {
        Stmt::Expr(expression) => expression_start(expression),
        Stmt::Share(names) => names.first().map_or(Position::NONE, |(name, _)| name.pos),
        other => other.position(),
    }
}

/// Where the text of an expression begins; operators say where they stand themselves.
pub(super) fn expression_start(expression: &Expr) -> Position {
    expression.start_position()
}

/// The text of `///`, `//!` and `/** */` lines.
pub(super) fn comment<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = Vec::new();
    for line in lines.flat_map(str::lines) {
        let line = line.trim_start().trim_start_matches("/**").trim_start_matches("//!").trim_start_matches("///");
        text.push(line.trim_end().trim_end_matches("*/").trim().to_owned());
    }
    text.join("\n").trim().to_owned()
}

/// The comment lines directly above `line` (from 1), without slashes.
pub(super) fn comment_above(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
    let above = lines.iter().rev().map_while(|line| {
        let comment = line.trim_start().strip_prefix("//")?;
        (!comment.starts_with('!')).then(|| comment.trim_start_matches('/').trim().to_owned())
    });
    let mut above: Vec<String> = above.collect();
    above.reverse();
    above.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Function> {
        let mut engine = rhai::Engine::new();
        engine.set_optimization_level(rhai::OptimizationLevel::None);
        functions(&engine.compile(text).unwrap())
    }

    #[test]
    fn statements_belong_to_the_innermost_function() {
        let text = "
            /// Doc.
            fn outer(a) { let b = a; [1].map(|x| { let c = x; c + b }) }
            let f = |y| y.foo(1);
            let g = |z| { let w = || 7; z + w.call() };
            let h = || #{ a: 1 };
            fn none() {}
        ";
        let functions = of(text);
        let count = |params: &[&str]| {
            let found = functions.iter().find(|function| function.params == params).unwrap();
            (found.body.iter().filter(|statement| !matches!(statement, Stmt::Share(_))).count(), found.doc.clone())
        };
        assert_eq!(count(&["a"]), (2, "Doc.".into()));
        assert_eq!(count(&["b", "x"]), (2, String::new()));
        assert_eq!(count(&["y"]).0, 1);
        assert_eq!(count(&["z"]).0, 2);
        assert_eq!(
            functions.iter().filter(|function| function.params.is_empty()).map(|f| f.body.len()).sum::<usize>(),
            2
        );
        assert_eq!(functions.iter().map(|function| function.body.is_empty() as usize).sum::<usize>(), 1);
    }

    #[test]
    fn comments_lose_their_slashes() {
        assert_eq!(comment(["/// a", "///  b"].into_iter()), "a\nb");
        assert_eq!(comment_above("//! no\n// one\n// two\nstep()\n", 4), "one\ntwo");
        assert_eq!(comment_above("// far\n\nstep()\n", 3), "");
    }
}
