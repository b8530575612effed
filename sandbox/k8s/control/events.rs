//! Events: what controllers tell people about an object.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Context, hex, meta};
use crate::k8s::store::{Key, Write, now};

/// An event's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Normal,
    /// Something is in the way.
    Warning,
}

impl Context {
    /// Tells something about `object`, once.
    pub(super) fn event(&self, object: &Value, level: Level, reason: &str, message: &str) {
        let namespace = match meta(object, "namespace") {
            "" => "default",
            namespace => namespace,
        };
        let digest = Sha256::digest(format!("{}/{reason}/{message}", meta(object, "uid")));
        let name = format!("{}.{}", meta(object, "name"), hex(&digest[..8]));
        let key = Key::new("/events", namespace, &name);
        if self.store().read().find(&key).is_some() {
            return;
        }
        let level = if level == Level::Warning { "Warning" } else { "Normal" };
        let about = json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
            "namespace": object["metadata"]["namespace"], "name": object["metadata"]["name"],
            "uid": object["metadata"]["uid"]});
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
            "involvedObject": about, "type": level, "reason": reason, "message": message,
            "count": 1, "firstTimestamp": now(), "lastTimestamp": now(),
            "source": {"component": "sandbox"}});
        // In a namespace that ends there is nobody left to tell.
        let _ = self.store().create(&key, event, &Write::simulation());
    }
}
