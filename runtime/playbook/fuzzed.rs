//! Texts as settings over a declaration of every sort of setting; see [`crate::fuzzed`].

use super::{
    Diagnostic, Host, Limits, Load, Playbook, Position, SettingsLayer, Sources,
    convert::to_json,
    settings::{Node, Rule, Tree},
    settings_value::SettingsValue,
};
use crate::{
    error::{Error, Result},
    value::{SECRET_SHOWN, has_secret, shown},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// A setting of every sort.
const DECLARATION: &str = r#"let cfg = settings(#{
    name: "gitpod",
    on: true,
    share: 0.5,
    size: 3,
    zones: ["a", "b"],
    anything: (),
    free: [],
    cluster: #{ version: int_range(20, 33, 99), mode: choice("job", ["job", "binary"]), range: cidr("10.0.0.0/16") },
    keys: #{ own: secret(""), set: secret("open-sesame") },
    tags: open_map(#{ team: "infra" }),
});
step("a", || cfg.name);
"#;

/// Lays `bytes` over the declaration. A line `%yaml` or `%toml` begins a file, each line `%set a.b=c` is an option; what stands
/// before the first of them is YAML.
///
/// # Panics
/// Reading panicked, or what holds afterwards is of another sort than declared.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (mut tree, mut again, mut problems) = (declared().clone(), declared().clone(), Vec::new());
    for (name, part) in parts(&text) {
        let layer = match name {
            "set" => SettingsLayer::from_set(&part),
            _ => SettingsLayer::from_text(&format!("fuzzed.{name}"), &part),
        };
        match layer {
            Ok(layer) => {
                tree.apply(&layer, &mut problems);
                again.apply(&layer, &mut Vec::new());
                again.apply(&layer, &mut Vec::new());
                problems.extend(tree.unknown_keys(&layer));
            }
            Err(wrong) => problems.push(wrong),
        }
        for found in problems.drain(..) {
            placed(&found, &part);
        }
    }
    assert_eq!(tree.settings().entries, again.settings().entries, "a layer laid twice changes nothing");
    kept(&tree.root);
    let seen = to_json(&SettingsValue::new(&tree.root, "").read_all());
    assert!(seen.is_ok(), "scripts see data: {seen:?}");
}

/// The texts of an input, each with what it is.
fn parts(text: &str) -> Vec<(&'static str, String)> {
    let mut parts = vec![("yaml", String::new())];
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            "%yaml" => parts.push(("yaml", String::new())),
            "%toml" => parts.push(("toml", String::new())),
            set if set.starts_with("%set ") => parts.push(("set", set["%set ".len()..].to_owned())),
            _ => parts.iter_mut().rev().find(|(name, _)| *name != "set").into_iter().for_each(|part| part.1 += line),
        }
    }
    parts
}

/// A diagnostic can be shown, and its place is one of the text.
fn placed(found: &Diagnostic, text: &str) {
    let shown = found.render(false);
    found.render(true);
    if let Some(at) = &found.position {
        // YAML has more line breaks than others.
        let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
        assert!(at.line <= lines, "line {} of {lines}: {shown}", at.line);
    }
}

/// Every value is what its rule takes, and secrets are marked.
fn kept(nodes: &BTreeMap<String, Node>) {
    for (key, node) in nodes {
        let leaf = match node {
            Node::Section(inner) => {
                kept(inner);
                continue;
            }
            Node::Leaf(leaf) => leaf,
        };
        assert_eq!(leaf.rule.accept(&leaf.value).as_ref(), Ok(&leaf.value), "`{key}` is {}", leaf.rule);
        if leaf.rule == Rule::Secret && leaf.value != Value::String(String::new()) {
            assert!(has_secret(&leaf.value), "`{key}` is a secret");
            assert_eq!(shown(&leaf.value), Value::String(SECRET_SHOWN.to_owned()), "`{key}` is hidden");
        }
    }
}

fn declared() -> &'static Tree {
    static DECLARED: OnceLock<Tree> = OnceLock::new();
    DECLARED.get_or_init(|| {
        let playbook = Playbook::load(Load {
            path: "playbooks/declaration.rhai",
            layers: Vec::new(),
            planning: true,
            registry: Arc::default(),
            host: Arc::new(Nobody),
            limits: Limits::default(),
            allow_read: Vec::new(),
            sources: Arc::new(Sources::default().with("playbooks/declaration", DECLARATION)),
        });
        let loaded =
            playbook.unwrap_or_else(|found| panic!("{}", found.iter().map(ToString::to_string).collect::<String>()));
        loaded.loaded.book.settings.clone()
    })
}

struct Nobody;

impl Host for Nobody {
    fn call(&self, _: &str, binding: &str, _: Value, _: &Position) -> Result<Value> {
        Err(Error::usage(format!("`{binding}` is called by a declaration")))
    }

    fn say(&self, _: &str, _: &str) {}
}
