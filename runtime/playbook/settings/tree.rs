//! The defaults as a tree, over which layers are laid.

use super::{
    super::{Diagnostic, Position, suggest},
    Places, Rule, Setting, Settings, SettingsLayer,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// A section with fixed keys, or a setting.
#[derive(Debug, Clone)]
pub(in crate::playbook) enum Node {
    Section(BTreeMap<String, Node>),
    Leaf(Box<Leaf>),
}

/// A setting.
#[derive(Debug, Clone)]
pub(in crate::playbook) struct Leaf {
    pub value: Value,
    pub default: Value,
    pub rule: Rule,
    pub origin: String,
}

/// The settings of a playbook.
#[derive(Debug, Clone, Default)]
pub(in crate::playbook) struct Tree {
    pub root: BTreeMap<String, Node>,
    places: BTreeMap<String, (Position, String)>,
}

impl Node {
    /// A setting with a default.
    pub fn leaf(default: Value, rule: Rule) -> Self {
        Node::Leaf(Box::new(Leaf { value: default.clone(), default, rule, origin: "default".into() }))
    }
}

impl Tree {
    /// Adds the defaults of one `settings` call in `file`. The error is the path of a setting that is both a section and
    /// a value, or of another type than before.
    pub fn declare(
        &mut self,
        defaults: BTreeMap<String, Node>,
        places: &Places,
        file: &Arc<str>,
    ) -> Result<(), String> {
        merge(&mut self.root, defaults, "")?;
        for (path, (line, column, comment)) in places {
            self.places.insert(path.clone(), (Position::new(file.clone(), *line, *column), comment.clone()));
        }
        Ok(())
    }

    /// Lays a layer over the tree. Keys that are not there (yet) are left alone; see [`Tree::unknown_keys`].
    pub fn apply(&mut self, layer: &SettingsLayer, problems: &mut Vec<Diagnostic>) {
        apply(&mut self.root, &layer.values, "", layer, problems);
    }

    /// The keys of a layer that no `settings` call declares.
    pub fn unknown_keys(&self, layer: &SettingsLayer) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        unknown(&self.root, &layer.values, "", layer, &mut problems, self);
        problems
    }

    /// The node at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let mut parts = path.split('.');
        let mut node = self.root.get(parts.next()?)?;
        for part in parts {
            let Node::Section(children) = node else { return None };
            node = children.get(part)?;
        }
        Some(node)
    }

    /// All paths of settings.
    pub fn paths(&self) -> Vec<String> {
        self.settings().entries.into_iter().map(|entry| entry.path).collect()
    }

    /// For people, in the order of the playbook.
    pub fn settings(&self) -> Settings {
        let mut entries = Vec::new();
        list(&self.root, "", self, &mut entries);
        entries.sort_by(|a, b| a.at.cmp(&b.at));
        Settings { entries }
    }
}

fn joined(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

fn merge(into: &mut BTreeMap<String, Node>, from: BTreeMap<String, Node>, parent: &str) -> Result<(), String> {
    for (key, node) in from {
        let path = joined(parent, &key);
        match (into.get_mut(&key), node) {
            (None, node) => drop(into.insert(key, node)),
            (Some(Node::Section(old)), Node::Section(new)) => merge(old, new, &path)?,
            (Some(Node::Leaf(old)), Node::Leaf(new)) => {
                old.default = old.rule.accept(&new.default).map_err(|_| path)?;
                old.value = old.default.clone();
            }
            (Some(_), _) => return Err(path),
        }
    }
    Ok(())
}

fn apply(
    children: &mut BTreeMap<String, Node>,
    values: &Value,
    parent: &str,
    layer: &SettingsLayer,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(values) = values.as_object() else { return };
    for (key, value) in values {
        let path = joined(parent, key);
        match children.get_mut(key) {
            None => {}
            Some(Node::Section(inner)) if value.is_object() => apply(inner, value, &path, layer, problems),
            Some(Node::Section(inner)) => {
                let keys = inner.keys().map(|key| format!("`{path}.{key}`")).collect::<Vec<_>>().join(", ");
                let wrong = Diagnostic::usage(format!("setting `{path}` is a section, not a value"));
                problems.push(placed(wrong.hint(format!("set one of {keys}")), &path, layer));
            }
            Some(Node::Leaf(leaf)) => match set(leaf, value, layer) {
                Ok(()) => {}
                Err(why) => {
                    let wrong = Diagnostic::usage(format!("setting `{path}` does not fit: {why}"));
                    problems.push(placed(wrong, &path, layer));
                }
            },
        }
    }
}

fn set(leaf: &mut Leaf, value: &Value, layer: &SettingsLayer) -> Result<(), String> {
    let value = match value.as_str() {
        Some(word) if layer.untyped => leaf.rule.read(word)?,
        // `--set labels.a=b`: a part of a map that may have any keys.
        None if layer.untyped && leaf.rule == Rule::OpenMap => {
            let mut whole = leaf.value.clone();
            overlay(&mut whole, value);
            whole
        }
        _ => leaf.rule.accept(value)?,
    };
    leaf.value = value;
    leaf.origin.clone_from(&layer.origin);
    Ok(())
}

fn overlay(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                overlay(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn unknown(
    children: &BTreeMap<String, Node>,
    values: &Value,
    parent: &str,
    layer: &SettingsLayer,
    problems: &mut Vec<Diagnostic>,
    tree: &Tree,
) {
    let Some(values) = values.as_object() else { return };
    for (key, value) in values {
        let path = joined(parent, key);
        match children.get(key) {
            Some(Node::Section(inner)) => unknown(inner, value, &path, layer, problems, tree),
            Some(Node::Leaf(_)) => {}
            None => {
                let wrong = Diagnostic::usage(format!("there is no setting `{path}`"));
                problems.push(placed(wrong.hint(nearest(&path, key, parent, children, tree)), &path, layer));
            }
        }
    }
}

fn nearest(path: &str, key: &str, parent: &str, here: &BTreeMap<String, Node>, tree: &Tree) -> String {
    if let Some(found) = suggest::nearest(key, here.keys().map(String::as_str)) {
        return format!("did you mean `{}`?", joined(parent, found));
    }
    let paths = tree.paths();
    // The right name in the wrong section.
    let elsewhere = paths.iter().find(|known| known.rsplit('.').next() == Some(key));
    match elsewhere.map(String::as_str).or_else(|| suggest::nearest(path, paths.iter().map(String::as_str))) {
        Some(found) => format!("did you mean `{found}`?"),
        None => "`gitpod-play settings PLAYBOOK` lists all settings".into(),
    }
}

fn placed(wrong: Diagnostic, path: &str, layer: &SettingsLayer) -> Diagnostic {
    match layer.place(path) {
        Some(place) => wrong.at(place, layer.source.clone()),
        None => wrong.because(format!("given by `{}`", layer.origin)),
    }
}

fn list(children: &BTreeMap<String, Node>, parent: &str, tree: &Tree, entries: &mut Vec<Setting>) {
    for (key, node) in children {
        let path = joined(parent, key);
        match node {
            Node::Section(inner) => list(inner, &path, tree, entries),
            Node::Leaf(leaf) => {
                let place = tree.places.get(&path);
                entries.push(Setting {
                    value: leaf.value.clone(),
                    default: leaf.default.clone(),
                    origin: leaf.origin.clone(),
                    kind: leaf.rule.to_string(),
                    description: place.map(|(_, comment)| comment.clone()).unwrap_or_default(),
                    at: place.map(|(position, _)| position.clone()),
                    path,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree() -> Tree {
        let whole = Rule::Whole { min: 1, max: 100 };
        let workspaces = BTreeMap::from([("max".to_owned(), Node::leaf(json!(10), whole))]);
        let name = BTreeMap::from([
            ("name".to_owned(), Node::leaf(json!("gitpod"), Rule::Text)),
            ("tags".to_owned(), Node::leaf(json!({}), Rule::OpenMap)),
        ]);
        let root =
            BTreeMap::from([("workspaces".into(), Node::Section(workspaces)), ("cluster".into(), Node::Section(name))]);
        let mut tree = Tree::default();
        tree.declare(root, &Places::new(), &"p.rhai".into()).unwrap();
        tree
    }

    #[test]
    fn later_layers_win_and_say_so() {
        let (mut tree, mut problems) = (tree(), vec![]);
        tree.apply(&SettingsLayer::from_text("a.yaml", "workspaces:\n  max: 5\n").unwrap(), &mut problems);
        tree.apply(&SettingsLayer::from_set("workspaces.max=7").unwrap(), &mut problems);
        tree.apply(&SettingsLayer::from_set("cluster.tags.team=infra").unwrap(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let settings = tree.settings();
        let max = settings.get("workspaces.max").unwrap();
        assert_eq!((max.value.clone(), max.origin.as_str()), (json!(7), "--set workspaces.max"));
        assert_eq!(settings.get("cluster.tags").unwrap().value, json!({ "team": "infra" }));
    }

    #[test]
    fn mistakes_name_the_line_and_the_nearest_key() {
        let (mut tree, mut problems) = (tree(), vec![]);
        let layer = SettingsLayer::from_text("a.yaml", "workspaces:\n  mx: 5\ncluster:\n  name: 5\nmax: 3\n").unwrap();
        tree.apply(&layer, &mut problems);
        problems.extend(tree.unknown_keys(&layer));
        let texts: Vec<String> = problems.iter().map(|problem| problem.render(false)).collect();
        assert!(texts[0].contains("`cluster.name` does not fit: text is wanted, not `5` (put it in quotes)"));
        assert!(texts[0].contains("--> a.yaml:4:3"));
        assert!(texts[1].contains("no setting `workspaces.mx`") && texts[1].contains("did you mean `workspaces.max`?"));
        assert!(texts[2].contains("did you mean `workspaces.max`?"));
        let set = SettingsLayer::from_set("workspaces=3").unwrap();
        problems.clear();
        tree.apply(&set, &mut problems);
        assert!(problems[0].message.contains("is a section"));
    }
}
