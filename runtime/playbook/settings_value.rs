//! The value that `settings` gives to scripts. Reading from it is noted, so that `watch` knows which step depends on what.

use super::{
    convert::{from_json, to_json},
    current::Current,
    fault::Fault,
    settings::Node,
    suggest,
};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};
use std::{collections::BTreeMap, sync::Arc};

type Res<T> = Result<T, Box<EvalAltResult>>;

/// A section of the settings.
#[derive(Debug, Clone)]
pub(super) struct SettingsValue {
    children: Arc<BTreeMap<String, Child>>,
    path: String,
}

#[derive(Debug, Clone)]
enum Child {
    Section(SettingsValue),
    /// The value as scripts see it; its path.
    Leaf(Dynamic, String),
}

impl SettingsValue {
    /// The settings in `nodes`, which stand at `path`.
    pub fn new(nodes: &BTreeMap<String, Node>, path: &str) -> Self {
        let child = |(key, node): (&String, &Node)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let child = match node {
                Node::Section(inner) => Child::Section(Self::new(inner, &path)),
                Node::Leaf(leaf) => Child::Leaf(from_json(&leaf.value), path),
            };
            (key.clone(), child)
        };
        Self { children: Arc::new(nodes.iter().map(child).collect()), path: path.to_owned() }
    }

    /// Dotted path of the section; empty for all settings.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Everything in it as plain maps. All of it counts as read.
    pub fn read_all(&self) -> Dynamic {
        let item = |(key, child): (&String, &Child)| (key.as_str().into(), child.read());
        Dynamic::from_map(self.children.iter().map(item).collect::<Map>())
    }

    fn get(&self, key: &str) -> Option<Dynamic> {
        Some(match self.children.get(key)? {
            Child::Section(section) => Dynamic::from(section.clone()),
            leaf @ Child::Leaf(..) => leaf.read(),
        })
    }

    fn missing(&self, context: &NativeCallContext, key: &str) -> Box<EvalAltResult> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let hint = suggest::hint(key, self.children.keys().map(String::as_str));
        Fault::usage(format!("there is no setting `{path}`")).hint(hint).raise(context.call_position())
    }
}

impl Child {
    fn read(&self) -> Dynamic {
        match self {
            Child::Section(section) => section.read_all(),
            Child::Leaf(value, path) => {
                Current::read(path, || to_json(value).unwrap_or_default());
                value.clone()
            }
        }
    }
}

/// Registers the type and what scripts may do with it.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<SettingsValue>("settings");
    engine.register_indexer_get(|context: NativeCallContext, settings: &mut SettingsValue, key: ImmutableString| {
        settings.get(&key).ok_or_else(|| settings.missing(&context, &key))
    });
    let refuse =
        |context: NativeCallContext, held: &mut SettingsValue, key: ImmutableString, new: Dynamic| -> Res<()> {
            // After a method call on `cfg.tags` or `cfg.zones` the engine writes the value back, touched or not.
            let same = |old: &Dynamic| match (old.is::<SettingsValue>(), new.is::<SettingsValue>()) {
                (true, true) => old.to_string() == new.to_string(),
                (false, false) => to_json(old).is_ok_and(|old| to_json(&new).is_ok_and(|new| new == old)),
                _ => false,
            };
            if held.get(&key).is_some_and(|old| same(&old)) {
                return Ok(());
            }
            let fault = Fault::usage(format!("setting `{key}` cannot be changed by a script"));
            Err(fault.hint("give another default, or keep the value in a variable").raise(context.call_position()))
        };
    engine.register_indexer_set(refuse);
    engine.register_fn("keys", |settings: &mut SettingsValue| -> Array {
        settings.children.keys().map(|key| key.as_str().into()).collect()
    });
    engine.register_fn("values", |settings: &mut SettingsValue| -> Array {
        settings.children.values().map(Child::read).collect()
    });
    engine.register_fn("contains", |settings: &mut SettingsValue, key: ImmutableString| {
        settings.children.contains_key(key.as_str())
    });
    engine.register_fn("get", |settings: SettingsValue, key: ImmutableString, default: Dynamic| {
        settings.get(&key).unwrap_or(default)
    });
    engine.register_fn("to_map", |settings: &mut SettingsValue| settings.read_all());
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |settings: &mut SettingsValue| settings.read_all().to_string());
    }
    engine.register_fn("+", |settings: SettingsValue, other: Map| -> Dynamic {
        let mut all = settings.read_all().cast::<Map>();
        all.extend(other);
        all.into()
    });
    engine.register_fn("==", |a: SettingsValue, b: SettingsValue| a.read_all().to_string() == b.read_all().to_string());
    engine.register_fn("!=", |a: SettingsValue, b: SettingsValue| a.read_all().to_string() != b.read_all().to_string());
}
