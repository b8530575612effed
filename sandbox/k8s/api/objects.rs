//! Reading, creating, replacing and deleting objects.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::{
    call::{Call, Target},
    logs,
    reply::{self, Reply},
};
use crate::k8s::{
    cluster::Cluster,
    store::{ApiError, ApiResult, Key, move_string_data},
    table, typed,
};

/// Answers a request about objects, unless it watches or patches.
pub fn answer(cluster: &Arc<Cluster>, call: &Call, target: &Target) -> ApiResult<Reply> {
    let key = target.key();
    match (&call.method, &target.name, target.subresource.as_str()) {
        (&Method::GET, None, _) => Ok(list(cluster, call, target)?),
        (&Method::GET, Some(_), "scale") => Ok(reply::json(200, &scale(&*cluster.store.get(&key)?))),
        (&Method::GET, Some(_), "log") if target.kind.kind == "Pod" => logs::logs(&*cluster.store.get(&key)?, call),
        (&Method::GET, Some(_), "" | "status") => Ok(show(call, target, 200, &*cluster.store.get(&key)?)),
        (&Method::POST, None, _) => {
            let mut object = call.parse_object(target)?;
            typed::check(&target.kind, &mut object, call.is_strict())?;
            if target.kind.kind == "Secret" {
                move_string_data(&mut object);
            }
            let created = cluster.store.create(&key, object, &call.write(""))?;
            Ok(show(call, target, 201, &created))
        }
        (&Method::POST, Some(_), "token") => {
            cluster.store.get(&key)?;
            let mut request = call.parse_object_of_any_kind()?;
            let token = uuid::Uuid::new_v4().simple().to_string();
            request["status"] = json!({"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"});
            Ok(reply::json(201, &request))
        }
        (&Method::POST, Some(_), "eviction") => {
            cluster.store.delete(&key, &Value::Null, call.query("dryRun") == "All")?;
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
            Ok(reply::json(201, &status))
        }
        (&Method::PUT, Some(name), sub) => replace(cluster, call, target, name, sub),
        (&Method::DELETE, Some(name), "") => delete(cluster, call, target, name),
        (&Method::DELETE, None, _) => delete_all(cluster, call, target),
        _ => Err(not_allowed()),
    }
}

/// The refusal of a method that the endpoint does not have.
pub fn not_allowed() -> ApiError {
    let message = "the server does not allow this method on the requested resource";
    ApiError::new(405, "MethodNotAllowed", message)
}

/// An object as an answer, as a table if the client asks for one.
pub fn show(call: &Call, target: &Target, code: u16, object: &Value) -> Reply {
    if table::wanted(&call.headers) {
        let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        return reply::json(code, &table::table(&target.kind, &[object], &metadata));
    }
    reply::json(code, &target.show(object))
}

impl Call {
    fn parse_object_of_any_kind(&self) -> ApiResult<Value> {
        let object = self.parse()?;
        let refuse = || ApiError::bad_request("body must be an object");
        object.is_object().then_some(object).ok_or_else(refuse)
    }
}

fn list(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Reply> {
    let (items, version) = {
        let objects = cluster.store.read();
        let (labels, fields) = (call.query("labelSelector"), call.query("fieldSelector"));
        let found = objects.list(&target.resource, &target.namespace, labels, fields);
        (found, objects.version())
    };
    let limit = call.query("limit").parse().ok().filter(|l| *l > 0).unwrap_or(usize::MAX);
    let skip = match call.query("continue") {
        "" => 0,
        token => {
            let refuse = |_| ApiError::bad_request("continue key is not valid");
            token.parse::<usize>().map_err(refuse)?
        }
    };
    let total = items.len();
    let page: Vec<Value> = items.iter().skip(skip).take(limit).map(|o| target.show(o)).collect();
    let end = skip + page.len();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if end < total {
        metadata["continue"] = json!(end.to_string());
        metadata["remainingItemCount"] = json!(total - end);
    }
    if table::wanted(&call.headers) {
        let rows: Vec<&Value> = page.iter().collect();
        return Ok(reply::json(200, &table::table(&target.kind, &rows, &metadata)));
    }
    let list = json!({"kind": format!("{}List", target.kind.kind),
        "apiVersion": target.kind.api_version(), "metadata": metadata, "items": page});
    Ok(reply::json(200, &list))
}

/// The `Scale` of an object.
pub fn scale(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    let meta = &object["metadata"];
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector.join(",")}})
}

/// Sets the replicas of an object to those of a `Scale`.
pub fn rescale(cluster: &Cluster, call: &Call, target: &Target, wanted: &Value) -> ApiResult<Reply> {
    let replicas = wanted["spec"]["replicas"].clone();
    let updated = cluster.store.update(&target.key(), &call.write(""), |o| {
        let mut o = o.clone();
        o["spec"]["replicas"] = replicas;
        Ok(o)
    })?;
    Ok(reply::json(200, &scale(&updated)))
}

fn replace(cluster: &Cluster, call: &Call, target: &Target, name: &str, subresource: &str) -> ApiResult<Reply> {
    let key = target.key();
    match subresource {
        "" | "approval" => {}
        "scale" => return rescale(cluster, call, target, &call.parse()?),
        "status" if target.kind.has_status => {}
        "finalize" => {
            let spec = call.parse()?["spec"].take();
            let updated = cluster.store.update(&key, &call.write(""), |o| {
                let mut o = o.clone();
                o["spec"] = spec;
                Ok(o)
            })?;
            return Ok(show(call, target, 200, &updated));
        }
        _ => return Err(ApiError::no_endpoint()),
    }
    let mut object = call.parse_object(target)?;
    typed::check(&target.kind, &mut object, call.is_strict())?;
    if target.kind.kind == "Secret" {
        move_string_data(&mut object);
    }
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or("");
    if !target.kind.builtin && version.is_empty() {
        cluster.store.get(&key)?;
        let problem = "Invalid value: 0: must be specified for an update";
        let field = "metadata.resourceVersion";
        return Err(ApiError::invalid_field(&target.kind.qualified(), name, field, problem));
    }
    let updated = cluster.store.update(&key, &call.write(subresource), |_| Ok(object))?;
    Ok(show(call, target, 200, &updated))
}

/// The options of a deletion, from body and query.
fn delete_options(call: &Call, target: &Target) -> ApiResult<(Value, bool)> {
    let mut options = if call.body.is_empty() { json!({}) } else { call.parse_object_of_any_kind()? };
    if !call.query("propagationPolicy").is_empty() {
        options["propagationPolicy"] = json!(call.query("propagationPolicy"));
    }
    let unsaid = options["propagationPolicy"].is_null() && options["orphanDependents"].is_null();
    if unsaid && target.resource == "batch/jobs" {
        // Jobs keep the default of their first version: their pods stay.
        options["propagationPolicy"] = json!("Orphan");
    }
    let dry_run = call.query("dryRun") == "All" || options["dryRun"] == json!(["All"]);
    Ok((options, dry_run))
}

fn delete(cluster: &Cluster, call: &Call, target: &Target, name: &str) -> ApiResult<Reply> {
    let (options, dry_run) = delete_options(call, target)?;
    let (object, alive) = cluster.store.delete(&target.key(), &options, dry_run)?;
    if alive {
        return Ok(show(call, target, 200, &object));
    }
    let details = json!({"name": name, "group": target.kind.group, "kind": target.kind.plural,
        "uid": object["metadata"]["uid"]});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details});
    Ok(reply::json(200, &status))
}

fn delete_all(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Reply> {
    let (options, dry_run) = delete_options(call, target)?;
    let (labels, fields) = (call.query("labelSelector"), call.query("fieldSelector"));
    let found = cluster.store.with(|objects| {
        let found = objects.list(&target.resource, &target.namespace, labels, fields);
        for object in &found {
            let text = |k: &str| object["metadata"][k].as_str().unwrap_or("");
            let key = Key::new(&target.resource, text("namespace"), text("name"));
            if objects.find(&key).is_some() {
                objects.delete(&key, &options, dry_run)?;
            }
        }
        Ok(found)
    })?;
    let items: Vec<Value> = found.iter().map(|o| target.show(o)).collect();
    let list = json!({"kind": format!("{}List", target.kind.kind),
        "apiVersion": target.kind.api_version(), "metadata": {}, "items": items});
    Ok(reply::json(200, &list))
}
