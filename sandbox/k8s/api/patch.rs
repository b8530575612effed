//! The four kinds of patch.

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
    if target.kind.kind == "Secret" {
        move_string_data(&mut patch);
    }
    if target.subresource == "scale" {
        let mut wanted = scale(&*cluster.store.get(&target.key())?);
        apply_patch(call, target, &mut wanted, &patch)?;
        return rescale(cluster, call, target, &wanted);
    }
    if call.content_type() == "application/apply-patch+yaml" {
        return server_side_apply(cluster, call, target, patch);
    }
    let write = call.write(&target.subresource);
    let updated = cluster.store.update(&target.key(), &write, |old| {
        let mut new = old.clone();
        apply_patch(call, target, &mut new, &patch)?;
        Ok(new)
    })?;
    Ok(show(call, target, 200, &updated))
}

fn apply_patch(call: &Call, target: &Target, object: &mut Value, patch: &Value) -> ApiResult<()> {
    match call.content_type() {
        "application/json-patch+json" => {
            let refuse = |e| ApiError::bad_request(format!("error decoding patch: {e}"));
            let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(refuse)?;
            json_patch::patch(object, &patch).map_err(|e| {
                let why = "the server rejected our request due to an error in our request";
                ApiError::new(422, "Invalid", format!("{why}: {e}"))
            })?;
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
        return Err(ApiError::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required \
             for apply patch",
        ));
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

fn conflict(target: &Target, conflicts: &[Conflict]) -> ApiError {
    let by = |c: &Conflict| format!("conflict with \"{}\" using {}", c.manager, c.api_version);
    let lines: Vec<String> = conflicts.iter().map(|c| format!("{}: {}", by(c), c.field)).collect();
    let plural = if conflicts.len() > 1 { "s" } else { "" };
    let message = format!("Apply failed with {} conflict{plural}: {}", conflicts.len(), lines.join("\n"));
    let name = target.name.as_deref().unwrap_or("");
    let mut error = ApiError::new(409, "Conflict", message).about(&target.kind.qualified(), name);
    let cause = |c: &Conflict| json!({"reason": "FieldManagerConflict", "message": by(c), "field": c.field});
    error.details["causes"] = conflicts.iter().map(cause).collect();
    error
}

fn server_side_apply(cluster: &Cluster, call: &Call, target: &Target, mut applied: Value) -> ApiResult<Reply> {
    check_apply(call, target, &applied)?;
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
        apply(live, &applied, account, force).map_err(|c| conflict(target, &c))
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
