//! Pages about scripts: the functions of the language, the shared scripts, the settings of a playbook.

use super::{Page, cells_of};
use crate::{
    playbook::{FUNCTIONS, Limits, Playbook, Sources},
    value::shown,
};
use std::fmt::Write as _;

/// The page of the functions that playbooks have beside the script language's own.
pub fn functions() -> Page {
    let mut text = String::from(
        "# Functions\n\nWhat playbooks have beside the bindings and the standard library of \
         [Rhai](https://rhai.rs/book/language/).\n",
    );
    for (section, functions) in FUNCTIONS {
        let _ = write!(text, "\n## {section}\n\n| function | meaning |\n|---|---|\n");
        for function in *functions {
            text.push_str(&cells_of(&[format!("`{}`", function.usage), function.meaning.to_owned()]));
        }
    }
    let about = "what playbooks have beside the bindings and the script language".to_owned();
    Page { file: "functions.md".to_owned(), about, text }
}

/// The page of what the embedded scripts offer to `import`.
pub fn shared_scripts(sources: &Sources) -> Page {
    let mut text = String::from(
        "# Shared scripts\n\nThe program carries these; `import \"std/…\" as name;` uses them. A file of the same path \
         beside your playbook wins over the one in the program.\n",
    );
    let mut engine = rhai::Engine::new();
    let depth = Limits::default().expression_depth;
    engine.set_max_expr_depths(depth, depth);
    for (path, source) in sources.iter().filter(|(path, _)| path.starts_with("std/")) {
        let _ = write!(text, "\n## {path}\n\n");
        let ast = match engine.compile(source.as_ref()) {
            Ok(ast) => ast,
            Err(error) => {
                let _ = writeln!(text, "It cannot be read: {error}");
                continue;
            }
        };
        let _ = write!(text, "{}\n\n| function | meaning |\n|---|---|\n", comment(ast.doc().lines()));
        let mut functions: Vec<_> = ast.iter_functions().filter(|function| !function.name.contains('$')).collect();
        let place = |name: &str| source.find(&format!("fn {name}("));
        functions.sort_by_key(|function| place(function.name));
        for function in functions {
            let usage = format!("`{}({})`", function.name, function.params.join(", "));
            text.push_str(&cells_of(&[usage, comment(function.comments.iter().copied())]));
        }
    }
    let about = "what the shipped playbooks are put together from".to_owned();
    Page { file: "stdlib.md".to_owned(), about, text }
}

/// The page of a playbook's settings.
pub fn settings(name: &str, playbook: &Playbook) -> Page {
    let mut text = format!("# Settings of playbooks/{name}.rhai\n\n{}\n\n", playbook.title);
    text.push_str(
        "Set with `--set path=value`, in a file given by `--settings`, or by a fork's `extends`.\n\n\
         | setting | default | type | meaning |\n|---|---|---|---|\n",
    );
    for setting in &playbook.settings.entries {
        let default = format!("`{}`", shown(&setting.default));
        text.push_str(&cells_of(&[
            format!("`{}`", setting.path),
            default,
            setting.kind.clone(),
            setting.description.replace('<', "\\<").replace('*', "\\*"),
        ]));
    }
    let about = format!("the settings of `playbooks/{name}.rhai`");
    Page { file: format!("settings-{name}.md"), about, text }
}

/// A doc comment without its marks.
fn comment<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| line.trim_start_matches(['/', '!']).trim()).collect::<Vec<_>>().join("\n").trim().to_owned()
}
