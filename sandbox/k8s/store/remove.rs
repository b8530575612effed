//! Deleting objects: finalizers, dependents, preconditions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    ApiError, ApiResult, Key, Objects, Write, now,
    objects::{CRDS, owners},
};
use crate::k8s::kinds;

/// Whether something still has to be done before the object may go.
pub fn has_finalizers(key: &Key, object: &Value) -> bool {
    let some = |list: &Value| list.as_array().is_some_and(|a| !a.is_empty());
    let in_spec = key.resource == "/namespaces" && some(&object["spec"]["finalizers"]);
    in_spec || some(&object["metadata"]["finalizers"])
}

/// Whether the object was deleted and waits for its finalizers.
pub fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn drop_owner(object: &Value, uid: &str) -> Value {
    let mut out = object.clone();
    if let Some(owners) = out["metadata"]["ownerReferences"].as_array_mut() {
        owners.retain(|o| o["uid"] != uid);
    }
    out
}

impl Objects {
    /// Deletes the object at `key`; says whether it is still there, waiting for finalizers.
    ///
    /// # Errors
    /// 404 when there is none, 409 when it is not the one that the preconditions want.
    pub fn delete(&mut self, key: &Key, options: &Value, dry_run: bool) -> ApiResult<(Arc<Value>, bool)> {
        let old = self.get(key)?;
        for field in ["uid", "resourceVersion"] {
            let (wanted, found) = (&options["preconditions"][field], &old["metadata"][field]);
            if wanted.is_string() && wanted != found {
                let (group, plural) = key.parts();
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{}\": the {field} in the precondition \
                     ({wanted}) does not match the {field} in record ({found})",
                    kinds::qualified(group, plural),
                    key.name
                );
                return Err(ApiError::new(409, "Conflict", message));
            }
        }
        if dry_run {
            return Ok((old, false));
        }
        let policy = options["propagationPolicy"].as_str();
        let orphan = policy == Some("Orphan") || options["orphanDependents"] == true;
        if let (true, Some(uid)) = (orphan, old["metadata"]["uid"].as_str()) {
            for dependent in self.dependents_of(uid) {
                if let Some(object) = self.find(&dependent) {
                    let object = drop_owner(object, uid);
                    self.put(&dependent, Some(object));
                }
            }
        }
        if !has_finalizers(key, &old) {
            return Ok((self.remove(key), false));
        }
        if is_terminating(&old) {
            return Ok((old, true));
        }
        let mut object = (*old).clone();
        object["metadata"]["deletionTimestamp"] = json!(now());
        if key.resource == "/namespaces" {
            object["status"]["phase"] = json!("Terminating");
        } else {
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        }
        Ok((self.put(key, Some(object)), true))
    }

    /// Removes the object at `key`, and what it owns.
    pub(super) fn remove(&mut self, key: &Key) -> Arc<Value> {
        let removed = self.put(key, None);
        if key.resource == CRDS {
            let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
            let (group, plural) = (text(&removed["spec"]["group"]), text(&removed["spec"]["names"]["plural"]));
            let resource = format!("{group}/{plural}");
            for object in self.list(&resource, "", "", "") {
                let meta = &object["metadata"];
                let key = Key::new(&resource, &text(&meta["namespace"]), &text(&meta["name"]));
                self.put(&key, None);
            }
        }
        if let Some(uid) = removed["metadata"]["uid"].as_str() {
            for dependent in self.dependents_of(uid) {
                self.collect(&dependent, uid);
            }
        }
        removed
    }

    /// Collects `key`, one of whose owners, `uid`, is gone: it goes too unless another owner lives.
    fn collect(&mut self, key: &Key, uid: &str) {
        let Some(object) = self.find(key).cloned() else { return };
        let mut others = owners(&object).filter(|o| *o != uid);
        let outcome = if others.any(|o| self.key_of_uid(o).is_some()) {
            self.update(key, &Write::simulation(), |o| Ok(drop_owner(o, uid))).map(|_| ())
        } else {
            self.delete(key, &Value::Null, false).map(|_| ())
        };
        // A dependent that went meanwhile, or whose kind did, needs no collecting.
        drop(outcome);
    }
}
