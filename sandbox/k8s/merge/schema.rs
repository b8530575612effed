//! What merging needs to know of a kind: which lists have keys, which are sets, what is atomic.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

/// One place in a kind's schema. A place that says nothing is an atomic list or a free value.
#[derive(Default, Debug)]
pub struct Node {
    /// Schemas of named fields.
    pub properties: HashMap<String, Arc<Node>>,
    /// Schema of a map's values.
    pub values: Option<Arc<Node>>,
    /// Schema of a list's items.
    pub items: Option<Arc<Node>>,
    /// Fields that tell a list's items apart; empty unless the list is a map by keys.
    pub keys: Vec<String>,
    /// Whether the list is a set.
    pub set: bool,
    /// Whether the map is owned as a whole.
    pub atomic: bool,
    /// Name of the schema that stands here.
    reference: Option<String>,
}

/// A place in a schema, or none where nothing is known.
pub type Place = Option<Arc<Node>>;

fn named() -> &'static HashMap<String, Arc<Node>> {
    static NAMED: OnceLock<HashMap<String, Arc<Node>>> = OnceLock::new();
    NAMED.get_or_init(|| {
        let all: Value = serde_json::from_str(include_str!("../data/schema.json"))
            .expect("the embedded schema is JSON, as a test shows");
        all.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), parse(v))).collect()
    })
}

fn parse(value: &Value) -> Arc<Node> {
    let children = value["p"].as_object().into_iter().flatten();
    let keys = value["k"].as_array().into_iter().flatten();
    Arc::new(Node {
        properties: children.map(|(k, v)| (k.clone(), parse(v))).collect(),
        values: value["v"].is_object().then(|| parse(&value["v"])),
        items: value["i"].is_object().then(|| parse(&value["i"])),
        keys: keys.filter_map(|k| k.as_str().map(String::from)).collect(),
        set: value["s"].is_number(),
        atomic: value["a"].is_number(),
        reference: value["r"].as_str().map(String::from),
    })
}

/// The schema of a custom resource, from the structural schema of its definition.
pub fn from_crd(schema: &Value) -> Node {
    let arc = |v: &Value| v.is_object().then(|| Arc::new(from_crd(v)));
    let mut node = Node {
        properties: schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), Arc::new(from_crd(v))))
            .collect(),
        values: arc(&schema["additionalProperties"]),
        items: arc(&schema["items"]),
        atomic: schema["x-kubernetes-map-type"] == "atomic",
        ..Node::default()
    };
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            node.keys = keys.filter_map(|k| k.as_str().map(String::from)).collect();
        }
        Some("set") => node.set = true,
        _ => {}
    }
    node
}

/// The schema of a built-in kind.
pub fn builtin(group: &str, version: &str, kind: &str) -> Arc<Node> {
    let segment = match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    named()
        .get(&format!("io.k8s.api.{segment}.{version}.{kind}"))
        .cloned()
        .unwrap_or_else(|| with_metadata(Node::default()))
}

/// Adds the schema of `metadata`, which definitions of custom resources leave out.
pub fn with_metadata(mut node: Node) -> Arc<Node> {
    if let Some(meta) = named().get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") {
        node.properties.insert("metadata".to_owned(), meta.clone());
    }
    Arc::new(node)
}

fn resolve(node: &Arc<Node>) -> Place {
    match &node.reference {
        Some(name) => named().get(name).cloned(),
        None => Some(node.clone()),
    }
}

/// The schema of field `name` below `place`.
pub fn child(place: &Place, name: &str) -> Place {
    let node = resolve(place.as_ref()?)?;
    let found = node.properties.get(name).or(node.values.as_ref())?;
    resolve(found)
}

/// The schema of the items of the list at `place`.
pub fn item(place: &Place) -> Place {
    resolve(place.as_ref()?.items.as_ref()?)
}

#[cfg(test)]
mod tests {
    use super::{builtin, child, item};

    #[test]
    fn containers_are_told_apart_by_name_and_ports_by_two_fields() {
        let mut place = Some(builtin("apps", "v1", "Deployment"));
        for field in ["spec", "template", "spec", "containers"] {
            place = child(&place, field);
        }
        assert_eq!(place.as_ref().unwrap().keys, ["name"]);
        let ports = child(&item(&place), "ports");
        assert_eq!(ports.unwrap().keys, ["containerPort", "protocol"]);
    }

    #[test]
    fn the_annotations_of_an_unknown_kind_are_known() {
        let place = Some(builtin("nowhere.example", "v1", "Thing"));
        assert!(child(&place, "metadata").is_some());
        assert!(child(&place, "spec").is_none());
    }
}
