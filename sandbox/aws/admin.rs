//! `/_sandbox/…` on the AWS listener: what tests and people in other processes may set and see.
//!
//! - `faults`: `GET` lists the rules, `POST` adds (a rule or an array), `PUT` replaces, `DELETE` clears;
//! - `calls`: `GET` the recorded calls, `DELETE` forgets them;
//! - `state`: `GET` every document; `kubernetes`: `GET` every object of every cluster;
//! - `pace`: `GET`, and `PUT` with `max` or a number.

use serde_json::{Value, json};

use super::Env;
use super::http::{Reply, Request};
use crate::core::clock::Pace;
use crate::core::fault::FaultRule;

/// Answers an administrative request.
pub fn answer(env: &Env, request: &Request) -> Reply {
    let path = request.raw_path.trim_start_matches("/_sandbox/");
    let outcome = match (request.method.as_str(), path) {
        ("GET", "faults") => Ok(faults(env)),
        ("POST", "faults") => rules(&request.body).map(|rules| {
            env.faults.add(rules);
            faults(env)
        }),
        ("PUT", "faults") => rules(&request.body).map(|rules| {
            env.faults.set(rules);
            faults(env)
        }),
        ("DELETE", "faults") => {
            env.faults.set(Vec::new());
            Ok(faults(env))
        }
        ("GET", "calls") => Ok(json!(env.calls.list())),
        ("DELETE", "calls") => {
            env.calls.clear();
            Ok(json!([]))
        }
        ("GET", "state") => Ok(env.store.dump()),
        ("GET", "kubernetes") => {
            let clusters = env.kube.clusters();
            Ok(clusters.into_iter().map(|name| (name.clone(), json!(env.kube.objects(&name)))).collect())
        }
        ("GET", "pace") => Ok(pace(env)),
        ("PUT" | "POST", "pace") => {
            let text = String::from_utf8_lossy(&request.body);
            text.trim().trim_matches('"').parse().map(|pace_wanted| {
                env.clock.set_pace(pace_wanted);
                pace(env)
            })
        }
        (method, path) => {
            Err(format!("no `{method} /_sandbox/{path}`: there are faults, calls, state, kubernetes and pace"))
        }
    };
    match outcome {
        Ok(body) => Reply::new(200, "application/json", body.to_string()),
        Err(message) => Reply::new(400, "application/json", json!({"error": message}).to_string()),
    }
}

fn faults(env: &Env) -> Value {
    env.faults.list().into_iter().map(|(rule, fired)| json!({"rule": rule, "fired": fired})).collect()
}

fn rules(body: &[u8]) -> Result<Vec<FaultRule>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let list = if value.is_array() { value } else { json!([value]) };
    serde_json::from_value(list).map_err(|e| e.to_string())
}

fn pace(env: &Env) -> Value {
    match env.clock.pace() {
        Pace::Max => json!("max"),
        Pace::Times(times) => json!(times),
    }
}
