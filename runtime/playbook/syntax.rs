//! The syntax tree of one file, with the statements of each function and closure put together.
//!
//! The script engine shows the bodies of functions only in a walk over everything, without saying whose they are. The
//! innermost function around a statement is the one it belongs to.

use rhai::{AST, ASTNode, Expr, Position, Stmt};
use std::collections::BTreeMap;

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
            doc: comment(function.comments.iter().map(std::ops::Deref::deref)),
        })
        .collect();
    let owners = Owners::new(&functions);
    let mut left = ast.statements().len();
    ast.walk(&mut |path: &[ASTNode]| {
        let [ASTNode::Stmt(statement)] = path else { return true };
        if left > 0 {
            left -= 1;
        } else if let Some(owner) = owners.of(&functions, statement_position(statement)) {
            functions[owner].body.push((*statement).clone());
        }
        true
    });
    functions
}

/// Finds the innermost function around a place.
struct Owners {
    /// Closures that are one expression, by where it begins.
    expressions: BTreeMap<Position, usize>,
    /// Functions with braces in the order of their beginnings, each with the place in this list of the one around it.
    blocks: Vec<(usize, Option<usize>)>,
}

impl Owners {
    fn new(functions: &[Function]) -> Self {
        let (blocks, expressions): (Vec<usize>, Vec<usize>) =
            (0..functions.len()).partition(|&number| !functions[number].end.is_none());
        let mut sorted = blocks;
        sorted.sort_by_key(|&number| functions[number].start);
        let mut open: Vec<usize> = Vec::new();
        let mut blocks = Vec::with_capacity(sorted.len());
        for number in sorted {
            let start = functions[number].start;
            while open.last().is_some_and(|&at: &usize| {
                let (outer, _): (usize, Option<usize>) = blocks[at];
                functions[outer].end < start
            }) {
                open.pop();
            }
            blocks.push((number, open.last().copied()));
            open.push(blocks.len() - 1);
        }
        Self { expressions: expressions.into_iter().map(|number| (functions[number].start, number)).collect(), blocks }
    }

    fn of(&self, functions: &[Function], place: Position) -> Option<usize> {
        if let Some(&number) = self.expressions.get(&place) {
            return Some(number);
        }
        let mut at = self.blocks.partition_point(|(number, _)| functions[*number].start <= place).checked_sub(1);
        while let Some((number, outer)) = at.map(|at| self.blocks[at]) {
            if place <= functions[number].end {
                return Some(number);
            }
            at = outer;
        }
        None
    }
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

/// The text of a line that is a plain `//` comment.
pub(super) fn plain_comment(line: &str) -> Option<&str> {
    let comment = line.trim_start().strip_prefix("//")?;
    (!comment.starts_with('!')).then(|| comment.trim_start_matches('/').trim())
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
        assert_eq!(functions.iter().map(|function| usize::from(function.body.is_empty())).sum::<usize>(), 1);
    }

    #[test]
    fn comments_lose_their_slashes() {
        assert_eq!(comment(["/// a", "///  b"].into_iter()), "a\nb");
        assert_eq!(plain_comment("  // one\n"), Some("one"));
        assert_eq!((plain_comment("//! no"), plain_comment("step() // no")), (None, None));
    }
}
