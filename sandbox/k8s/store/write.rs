//! Creating and changing objects.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    ApiError, ApiResult, Key, Objects, Part, Write, Writer, defaults, now,
    remove::{has_finalizers, is_terminating},
    validate,
};
use crate::k8s::{
    kinds::Kind,
    merge::managers::{Account, track_update},
};

/// Metadata that only the server writes.
const SERVER_METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
];

/// `metadata` of an object that is an object itself.
fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().unwrap_or_else(|| unreachable!("set above"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

/// Five characters, as the API adds to a `generateName`.
pub fn suffix() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..5].to_owned()
}

fn put_or_remove(map: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => {
            map.insert(name.to_owned(), value.clone());
        }
        None => {
            map.shift_remove(name);
        }
    }
}

/// What counts for the generation: all but metadata, status and the version it is written in.
fn without_bookkeeping(object: &Value) -> Map<String, Value> {
    let all = object.as_object().into_iter().flatten();
    all.filter(|(k, _)| !matches!(k.as_str(), "metadata" | "status" | "apiVersion"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

impl Objects {
    /// Whether something may be created in the namespace.
    fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> ApiResult<()> {
        let Some(found) = self.find(&Key::new("/namespaces", "", namespace)) else {
            return Err(ApiError::not_found("namespaces", namespace));
        };
        if !is_terminating(found) {
            return Ok(());
        }
        let qualified = kind.qualified();
        let message = format!(
            "{qualified} \"{name}\" is forbidden: unable to create new content in namespace \
             {namespace} because it is being terminated"
        );
        let mut error = ApiError::new(403, "Forbidden", message).about(&qualified, name);
        error.details["causes"] = json!([{"reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace"}]);
        Err(error)
    }

    /// Creates an object in the namespace of `key`; the name is the object's own, or made from its
    /// `generateName`.
    ///
    /// # Errors
    /// As the API does.
    pub fn create(&mut self, key: &Key, mut object: Value, write: &Write) -> ApiResult<Arc<Value>> {
        let kind = self.kind(&key.resource).ok_or_else(ApiError::no_endpoint)?;
        metadata(&mut object);
        if text(&object, "name").is_empty() && !text(&object, "generateName").is_empty() {
            let name = format!("{}{}", text(&object, "generateName"), suffix());
            object["metadata"]["name"] = json!(name);
        }
        let name = text(&object, "name").to_owned();
        let qualified = kind.qualified();
        if name.is_empty() {
            let problem = "Required value: name or generateName is required";
            return Err(ApiError::invalid_field(&kind.kind, "", "metadata.name", problem));
        }
        if !text(&object, "resourceVersion").is_empty() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::bad_request(message));
        }
        if kind.namespaced {
            self.check_namespace(&kind, &key.namespace, &name)?;
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        let key = Key { name, ..key.clone() };
        self.prepare_new(&kind, &mut object, write);
        validate::object(&kind, &key.name, &object, None)?;
        if self.find(&key).is_some() {
            let message = format!("{qualified} \"{}\" already exists", key.name);
            let error = ApiError::new(409, "AlreadyExists", message);
            return Err(error.about(&qualified, &key.name));
        }
        if write.dry_run {
            return Ok(Arc::new(object));
        }
        let created = self.put(&key, Some(object));
        if key.resource == "/namespaces" {
            self.furnish_namespace(&key.name)?;
        }
        Ok(created)
    }

    fn prepare_new(&mut self, kind: &Kind, object: &mut Value, write: &Write) {
        if object["apiVersion"].is_null() {
            object["apiVersion"] = json!(kind.api_version());
        }
        if object["kind"].is_null() {
            object["kind"] = json!(kind.kind);
        }
        if kind.has_status
            && write.writer == Writer::Client
            && let Some(map) = object.as_object_mut()
        {
            map.shift_remove("status");
        }
        let has_spec = object["spec"].is_object();
        let meta = metadata(object);
        defaults::tidy_metadata(meta);
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            meta.shift_remove(field);
        }
        meta.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        meta.insert("creationTimestamp".to_owned(), json!(now()));
        if has_spec {
            meta.insert("generation".to_owned(), json!(1));
        }
        if write.part != Part::Applied {
            meta.shift_remove("managedFields");
        }
        defaults::fill(kind, object);
        if write.part != Part::Applied {
            track_update(None, object, account(kind, write, &now()));
        }
        defaults::allocate(kind, object, &mut self.addresses);
    }

    /// What every namespace has from the start.
    fn furnish_namespace(&mut self, namespace: &str) -> ApiResult<()> {
        let write = Write::simulation();
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default"}});
        self.create(&Key::new("/serviceaccounts", namespace, ""), account, &write)?;
        Ok(())
    }

    /// Changes the object at `key` to what `change` makes of it. A change that changes nothing
    /// keeps the resource version.
    ///
    /// # Errors
    /// As the API does, or as `change` does.
    pub fn update(
        &mut self,
        key: &Key,
        write: &Write,
        change: impl FnOnce(&Value) -> ApiResult<Value>,
    ) -> ApiResult<Arc<Value>> {
        let kind = self.kind(&key.resource).ok_or_else(ApiError::no_endpoint)?;
        let old = self.get(key)?;
        let mut new = change(&old)?;
        check_preconditions(&kind, &key.name, &old, &new)?;
        for field in ["apiVersion", "kind"] {
            if new[field].is_null() {
                new[field] = old[field].clone();
            }
        }
        let meta = metadata(&mut new);
        for field in SERVER_METADATA {
            put_or_remove(meta, field, old["metadata"].get(field));
        }
        defaults::tidy_metadata(meta);
        restrict_part(&kind, &old, &mut new, write);
        defaults::fill(&kind, &mut new);
        defaults::allocate(&kind, &mut new, &mut self.addresses);
        if !matches!(write.part, Part::Applied | Part::AppliedStatus) {
            let before = &old["metadata"]["managedFields"];
            if new["metadata"]["managedFields"].is_null() && !before.is_null() {
                new["metadata"]["managedFields"] = before.clone();
            }
            track_update(Some(&old), &mut new, account(&kind, write, &now()));
        }
        if new == *old {
            return Ok(old);
        }
        validate::object(&kind, &key.name, &new, Some(&old))?;
        let generation = old["metadata"]["generation"].as_i64();
        if let Some(generation) = generation
            && without_bookkeeping(&new) != without_bookkeeping(&old)
        {
            new["metadata"]["generation"] = json!(generation + 1);
        }
        if write.dry_run {
            return Ok(Arc::new(new));
        }
        let finished = is_terminating(&new) && !has_finalizers(key, &new);
        let put = self.put(key, Some(new));
        Ok(if finished { self.remove(key) } else { put })
    }
}

fn account<'a>(kind: &'a Kind, write: &'a Write, now: &'a str) -> Account<'a> {
    let status = write.part == Part::Status;
    Account {
        node: &kind.node,
        manager: &write.manager,
        subresource: if status { "status" } else { "" },
        has_status: kind.has_status && write.writer == Writer::Client,
        now,
    }
}

fn check_preconditions(kind: &Kind, name: &str, old: &Value, new: &Value) -> ApiResult<()> {
    let qualified = kind.qualified();
    let conflict = |why: String| {
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        Err(ApiError::new(409, "Conflict", message).about(&qualified, name))
    };
    let version = text(new, "resourceVersion");
    if !version.is_empty() && text(old, "resourceVersion") != version {
        return conflict(
            "the object has been modified; please apply your changes to the latest version and \
             try again"
                .to_owned(),
        );
    }
    let uid = text(new, "uid");
    if !uid.is_empty() && text(old, "uid") != uid {
        let found = text(old, "uid");
        return conflict(format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"));
    }
    if !new["metadata"]["name"].is_null() && text(new, "name") != name {
        let message = "the name of the object does not match the name on the URL";
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

/// Takes from `new` what the write may not touch.
fn restrict_part(kind: &Kind, old: &Value, new: &mut Value, write: &Write) {
    if matches!(write.part, Part::Status | Part::AppliedStatus) {
        let mut out = old.clone();
        let managed = new["metadata"]["managedFields"].take();
        if !managed.is_null() {
            out["metadata"]["managedFields"] = managed;
        }
        if new["apiVersion"].is_string() {
            out["apiVersion"] = new["apiVersion"].clone();
        }
        let status = new.get("status").filter(|s| !s.is_null());
        if let Some(map) = out.as_object_mut() {
            put_or_remove(map, "status", status);
        }
        *new = out;
    } else if kind.has_status
        && write.writer == Writer::Client
        && let Some(map) = new.as_object_mut()
    {
        put_or_remove(map, "status", old.get("status"));
    }
}
