//! The four kinds of patch.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    call::{Call, Target, check_kind},
    objects::{rescale, scale, show},
    reply::Reply,
};
use crate::k8s::{
    cluster::Cluster,
    merge::{
        apply::{Conflict, apply},
        managers::Account,
        strategic::strategic,
    },
    store::{ApiError, ApiResult, Part, move_string_data, now},
    typed,
};

/// Answers a PATCH.
pub fn patch(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Reply> {
    let known = match target.subresource.as_str() {
        "" => true,
        "status" => target.kind.has_status,
        "scale" => target.kind.has_scale,
        _ => false,
    };
    if !known {
        return Err(ApiError::no_endpoint());
    }
    let mut patch = call.parse()?;
    let applies = call.content_type() == "application/apply-patch+yaml";
    if target.kind.kind == "Secret" && !applies {
        move_string_data(&mut patch);
    }
    if target.subresource == "scale" {
        let mut wanted = scale(&*cluster.store.get(&target.key())?);
        apply_patch(call, target, &mut wanted, &patch)?;
        return rescale(cluster, call, target, &wanted);
    }
    if applies {
        return server_side_apply(cluster, call, target, patch);
    }
    let write = call.write(&target.subresource);
    let updated = cluster.store.update(&target.key(), &write, |old| {
        let mut new = old.clone();
        apply_patch(call, target, &mut new, &patch)?;
        typed::check(&target.kind, &mut new, call.is_strict())?;
        Ok(new)
    })?;
    Ok(show(call, target, 200, &updated))
}

fn apply_patch(call: &Call, target: &Target, object: &mut Value, patch: &Value) -> ApiResult<()> {
    match call.content_type() {
        "application/json-patch+json" => {
            let refuse = |e| ApiError::bad_request(format!("error decoding patch: {e}"));
            let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(refuse)?;
            let refused = "the server rejected our request due to an error in our request";
            json_patch::patch(object, &patch).map_err(|_| ApiError::new(422, "Invalid", refused))?;
        }
        "application/merge-patch+json" => json_patch::merge(object, patch),
        "application/strategic-merge-patch+json" if target.kind.builtin => {
            strategic(object, patch, &Some(target.kind.node.clone()));
        }
        "application/apply-patch+yaml" if target.subresource == "scale" => {
            json_patch::merge(object, patch);
        }
        _ => {
            return Err(ApiError::new(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types \
                 include: application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml",
            ));
        }
    }
    if object.is_object() { Ok(()) } else { Err(ApiError::bad_request("the patch leaves no object")) }
}

fn check_apply(call: &Call, target: &Target, applied: &Value) -> ApiResult<()> {
    if call.query("fieldManager").is_empty() {
        let problem = "Required value: is required for apply patch";
        return Err(ApiError::invalid_field("PatchOptions.meta.k8s.io", "", "fieldManager", problem));
    }
    if applied["metadata"]["managedFields"].as_array().is_some_and(|a| !a.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    check_kind(target, applied)?;
    let version = applied["apiVersion"].as_str();
    if version.is_some_and(|v| v != target.kind.api_version()) {
        let wanted = target.kind.api_version();
        let message = format!("apiVersion of the applied object must be `{wanted}`");
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

fn conflict(conflicts: &[Conflict]) -> ApiError {
    let message = if let [only] = conflicts {
        format!("Apply failed with 1 conflict: conflict with {}: {}", only.owner, only.field)
    } else {
        let mut by_owner: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for conflict in conflicts {
            by_owner.entry(&conflict.owner).or_default().push(format!("- {}", conflict.field));
        }
        let parts = by_owner.iter().map(|(owner, fields)| format!("conflicts with {owner}:\n{}", fields.join("\n")));
        let parts: Vec<String> = parts.collect();
        format!("Apply failed with {} conflicts: {}", conflicts.len(), parts.join("\n"))
    };
    let mut error = ApiError::new(409, "Conflict", message);
    let cause = |c: &Conflict| {
        let message = format!("conflict with {}", c.owner);
        json!({"reason": "FieldManagerConflict", "message": message, "field": c.field})
    };
    error.details = json!({"causes": conflicts.iter().map(cause).collect::<Vec<Value>>()});
    error
}

fn server_side_apply(cluster: &Cluster, call: &Call, target: &Target, mut applied: Value) -> ApiResult<Reply> {
    check_apply(call, target, &applied)?;
    typed::check_applied(&target.kind, &mut applied)?;
    if target.kind.kind == "Secret" {
        move_string_data(&mut applied);
    }
    let (kind, key) = (&target.kind, target.key());
    let status = target.subresource == "status";
    let mut write = call.write(&target.subresource);
    write.part = if status { Part::AppliedStatus } else { Part::Applied };
    if applied["apiVersion"].is_null() {
        applied["apiVersion"] = json!(kind.api_version());
    }
    let (force, now) = (call.flag("force"), now());
    let manager = write.manager.clone();
    let merged = |live: &Value| {
        let account = Account {
            node: &kind.node,
            manager: &manager,
            subresource: if status { "status" } else { "" },
            has_status: kind.has_status,
            now: &now,
        };
        apply(live, &applied, account, force).map_err(|c| conflict(&c))
    };
    cluster.store.with(|objects| {
        if objects.find(&key).is_none() {
            if status {
                objects.get(&key)?;
            }
            let mut base = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
                "metadata": {"name": key.name}});
            if kind.namespaced {
                base["metadata"]["namespace"] = json!(key.namespace);
            }
            let created = objects.create(&key, merged(&base)?, &write)?;
            return Ok(show(call, target, 201, &created));
        }
        let version = applied["metadata"]["resourceVersion"].clone();
        let updated = objects.update(&key, &write, |old| {
            let mut new = merged(old)?;
            if version.is_string() {
                new["metadata"]["resourceVersion"] = version;
            }
            Ok(new)
        })?;
        Ok(show(call, target, 200, &updated))
    })
}
