//! What differs between a wanted manifest and an object as it was read. Pure.
//!
//! Nothing differs when the digest of the manifest is the one that was applied last and every wanted field is still ours:
//! then nobody changed anything, whatever the server made of the values. Otherwise field is compared with field.

use super::{
    compare::{self, Nulls},
    manifest,
    object::Observed,
    owned::{self, FIELD_MANAGER},
};
use crate::{
    bind::{Change, Effect},
    value::{SECRET_CLOSE, SECRET_OPEN, has_unknown, revealed},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Fields whose change the API refuses, where making the object anew loses nothing.
const REPLACED: &[(&str, &[&str])] = &[
    ("Job", &["spec.template", "spec.selector", "spec.completionMode"]),
    ("Deployment", &["spec.selector"]),
    ("DaemonSet", &["spec.selector"]),
    ("RoleBinding", &["roleRef"]),
    ("ClusterRoleBinding", &["roleRef"]),
    ("Secret", &["type"]),
    ("StorageClass", &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"]),
];

fn effect(kind: &str, path: &str) -> Effect {
    let refused = REPLACED.iter().filter(|(name, _)| *name == kind).flat_map(|(_, fields)| *fields);
    let below =
        |field: &&&str| path.strip_prefix(**field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    if refused.into_iter().any(|field| below(&field)) { Effect::Replace } else { Effect::Update }
}

/// What differs between the wanted manifest and the object.
pub fn changes(wanted: &Value, observed: &Observed) -> Vec<Change> {
    let plain = manifest::prepared(&revealed(wanted));
    let digest = manifest::digest(&plain);
    let secret = manifest::is_secret(&plain);
    let mut found = if secret { data_changes(wanted, observed) } else { Vec::new() };
    let same = observed.applied.as_deref() == Some(digest.as_str());
    let covered = observed.owned.as_ref().is_some_and(|set| owned::covers(set, &plain));
    if same && covered {
        return found;
    }
    // Marked texts are compared, so that what is shown of them stays hidden.
    let mut shown = manifest::prepared(&without_data(wanted, secret));
    if let Some(map) = shown.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata
            .retain(|field, _| matches!(field.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences"));
    }
    let change = |path: String, old: Value, new: Value| {
        let effect = effect(&observed.object_kind, &path);
        Change { field: path, old, new, effect }
    };
    let differences = compare::differences(&shown, &observed.live, Nulls::Ignored);
    found.extend(differences.into_iter().map(|found| change(found.path, found.old, found.new)));
    let Some(set) = &observed.owned else {
        if found.is_empty() {
            found.push(change("managed by".into(), json!(observed.managers.join(", ")), json!(FIELD_MANAGER)));
        }
        return found;
    };
    for path in owned::no_longer_wanted(set, &plain) {
        if !(secret && path.starts_with("data")) {
            let old = owned::value_at(&observed.live, &path);
            found.push(change(path, old, Value::Null));
        }
    }
    found
}

fn without_data(wanted: &Value, secret: bool) -> Value {
    let mut out = wanted.clone();
    if let Some(map) = out.as_object_mut().filter(|_| secret) {
        map.remove("data");
        map.remove("stringData");
    }
    out
}

/// A Secret's data by digest; never shown.
fn data_changes(wanted: &Value, observed: &Observed) -> Vec<Change> {
    let field = |key: &str| format!("data.{key}");
    let mut found = Vec::new();
    let have: BTreeMap<String, String> = observed
        .data
        .iter()
        .map(|(key, digest)| {
            (key.clone(), revealed(&json!(digest)).as_str().unwrap_or_default().replace(compare::FOLDED, ""))
        })
        .collect();
    let old = |key: &str| observed.data.get(key).map_or(Value::Null, |digest| json!(digest));
    let unknowns = |part: &str, key: &str| wanted[part].get(key).filter(|value| has_unknown(value)).cloned();
    let wanted_digests = manifest::data_digests(wanted);
    for (key, digest) in &wanted_digests {
        if have.get(key) != Some(digest) {
            let new = unknowns("stringData", key).or_else(|| unknowns("data", key));
            let hidden = live_mark(digest);
            found.push(Change { field: field(key), old: old(key), new: new.unwrap_or(hidden), effect: Effect::Update });
        }
    }
    for key in have.keys().filter(|key| !wanted_digests.contains_key(*key)) {
        // Only keys of ours: others may add their own (a token, a certificate).
        let ours = observed.owned.as_ref().is_some_and(|set| set["f:data"].get(format!("f:{key}")).is_some());
        if ours {
            found.push(Change { field: field(key), old: old(key), new: Value::Null, effect: Effect::Update });
        }
    }
    found
}

fn live_mark(digest: &str) -> Value {
    json!(format!("{SECRET_OPEN}{}{digest}{SECRET_CLOSE}", compare::FOLDED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::{cluster::ClusterRef, live};

    fn wanted() -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x" },
            "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "a", "image": "i:1" }] } } } })
    }

    fn set() -> Value {
        json!({ "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"a\"}": { ".": {}, "f:name": {}, "f:image": {} } } } } } })
    }

    fn seen(object: &Value, applied: &Value, set: Option<Value>) -> Observed {
        Observed {
            cluster: ClusterRef::default(),
            api_version: object["apiVersion"].as_str().unwrap().into(),
            object_kind: object["kind"].as_str().unwrap().into(),
            namespace: Some("default".into()),
            object_name: "x".into(),
            uid: "1".into(),
            plural: "things".into(),
            tags: BTreeMap::new(),
            applied: Some(manifest::digest(&manifest::prepared(applied))),
            wait: false,
            state: "ready".into(),
            failed: false,
            data: if manifest::is_secret(object) { live::marked_digests(object) } else { BTreeMap::new() },
            status: Value::Null,
            live: live::kept(object),
            owned: set,
            managers: vec!["kubectl".into()],
        }
    }

    fn fields(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.field.as_str()).collect()
    }

    #[test]
    fn what_was_applied_and_is_still_ours_is_as_wanted() {
        let mut live = wanted();
        // The server's spelling and defaults do not matter then.
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mutated:by-a-webhook");
        assert_eq!(changes(&wanted(), &seen(&live, &wanted(), Some(set()))), vec![]);
    }

    #[test]
    fn an_edit_is_shown_field_by_field() {
        let mut edited = wanted();
        edited["spec"]["template"]["spec"]["containers"][0]["image"] = json!("i:2");
        edited["spec"].as_object_mut().unwrap().remove("replicas");
        let found = changes(&edited, &seen(&wanted(), &wanted(), Some(set())));
        assert_eq!(fields(&found), ["spec.template.spec.containers[a].image", "spec.replicas"]);
        assert_eq!((&found[0].old, &found[0].new), (&json!("i:1"), &json!("i:2")));
        assert_eq!((&found[1].old, &found[1].new), (&json!(2), &Value::Null));
    }

    #[test]
    fn drift_is_found_by_who_owns_the_field() {
        let (mut live, mut set) = (wanted(), set());
        live["spec"]["replicas"] = json!(5);
        set["f:spec"].as_object_mut().unwrap().remove("f:replicas");
        assert_eq!(fields(&changes(&wanted(), &seen(&live, &wanted(), Some(set.clone())))), ["spec.replicas"]);
        // Taken over with the same value: nothing to do.
        assert_eq!(changes(&wanted(), &seen(&wanted(), &wanted(), Some(set))), vec![]);
    }

    #[test]
    fn an_adopted_object_is_applied_even_when_it_is_the_same() {
        let found = changes(&wanted(), &seen(&wanted(), &json!({}), None));
        assert_eq!(fields(&found), ["managed by"]);
    }

    #[test]
    fn secret_data_is_compared_by_digest_and_never_shown() {
        let secret = |value: &str| {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x" },
            "stringData": { "password": value } })
        };
        let live = manifest::prepared(&secret("hunter2"));
        let set = json!({ "f:data": { "f:password": {}, "f:old": {} } });
        let same = seen(&live, &secret("hunter2"), Some(set.clone()));
        assert_eq!(changes(&secret(&format!("{SECRET_OPEN}hunter2{SECRET_CLOSE}")), &same), vec![]);
        let found = changes(&secret("hunter3"), &same);
        assert_eq!(fields(&found), ["data.password"]);
        assert!(!format!("{found:?}").contains("hunter"));
        assert_eq!(crate::value::shown(&found[0].new), json!("<secret>"));
    }

    #[test]
    fn immutable_parts_of_replaceable_kinds_are_replaced() {
        assert_eq!(effect("Job", "spec.template.spec.containers[a].image"), Effect::Replace);
        assert_eq!(effect("Job", "spec.templates"), Effect::Update);
        assert_eq!(effect("Deployment", "spec.template"), Effect::Update);
        assert_eq!(effect("ClusterRoleBinding", "roleRef.name"), Effect::Replace);
    }
}
