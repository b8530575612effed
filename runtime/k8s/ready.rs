//! When an object can be used, and what it still waits for. Pure.

use serde_json::Value;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can be used.
    Ready,
    /// Not yet; the words say what is missing.
    Pending(String),
    /// It never will; the words say why.
    Failed(String),
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Status, reason and message of a condition.
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<(&'a str, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions
        .iter()
        .find(|condition| condition["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(name)))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    let words = [text("reason"), text("message")]
        .iter()
        .filter(|text| !text.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(": ");
    Some((found["status"].as_str().unwrap_or("Unknown"), words))
}

/// Whether a condition of the object has the wanted status, for its present generation.
pub fn condition_is(object: &Value, name: &str, wanted: &str) -> State {
    let Some((status, words)) = condition(object, name) else {
        return State::Pending(format!("condition `{name}` is not set yet"));
    };
    let generation = number(&object["metadata"]["generation"]);
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stale = conditions.iter().any(|condition| {
        condition["type"] == name && condition["observedGeneration"].as_i64().is_some_and(|seen| seen < generation)
    });
    if stale {
        return State::Pending(format!("condition `{name}` is of an earlier generation"));
    }
    if status.eq_ignore_ascii_case(wanted) {
        return State::Ready;
    }
    let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
    State::Pending(format!("condition `{name}` is `{status}`{words}"))
}

/// What every kind is waited for: definitions until they are served, namespaces until they are active, and whatever is
/// being deleted until it is gone. With `fully`, workloads until they run.
pub fn state(object: &Value, fully: bool) -> State {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        let finalizers = object["metadata"]["finalizers"].as_array().or(object["spec"]["finalizers"].as_array());
        let held = finalizers.map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("`, `"));
        return State::Pending(match held.filter(|names| !names.is_empty()) {
            Some(names) => format!("being deleted, held by `{names}`"),
            None => "being deleted".to_owned(),
        });
    }
    match object["kind"].as_str().unwrap_or_default() {
        "CustomResourceDefinition" => {
            match (condition(object, "NamesAccepted"), condition_is(object, "Established", "True")) {
                (Some(("False", words)), _) => State::Failed(format!("its names are not accepted: {words}")),
                (_, state) => state,
            }
        }
        "Namespace" => match object["status"]["phase"].as_str() {
            Some("Active") => State::Ready,
            phase => State::Pending(format!("phase `{}`", phase.unwrap_or("none"))),
        },
        "Deployment" | "DaemonSet" | "StatefulSet" if fully => rollout(object),
        "Job" if fully => job(object),
        "Pod" if fully => condition_is(object, "Ready", "True"),
        _ if fully && condition(object, "Ready").is_some() => condition_is(object, "Ready", "True"),
        _ => State::Ready,
    }
}

/// Whether a workload runs as its present template says, as `kubectl rollout status` sees it.
pub fn rollout(object: &Value) -> State {
    let (spec, status) = (&object["spec"], &object["status"]);
    if number(&status["observedGeneration"]) < number(&object["metadata"]["generation"]) {
        return State::Pending("its controller has not seen the change yet".to_owned());
    }
    if let Some(("False", words)) = condition(object, "Progressing") {
        return State::Failed(words);
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    match object["kind"].as_str() {
        Some("DaemonSet") => {
            let wanted = number(&status["desiredNumberScheduled"]);
            let on_delete = spec["updateStrategy"]["type"] == "OnDelete";
            let updated = if on_delete { wanted } else { number(&status["updatedNumberScheduled"]) };
            progress(wanted, updated, number(&status["numberAvailable"]), 0)
        }
        Some("StatefulSet") => {
            let partition = number(&spec["updateStrategy"]["rollingUpdate"]["partition"]);
            let on_delete = spec["updateStrategy"]["type"] == "OnDelete";
            let updated = if on_delete { wanted } else { (number(&status["updatedReplicas"]) + partition).min(wanted) };
            progress(wanted, updated, number(&status["readyReplicas"]), 0)
        }
        _ => {
            let updated = number(&status["updatedReplicas"]);
            let old = number(&status["replicas"]) - updated;
            progress(wanted, updated, number(&status["availableReplicas"]), old)
        }
    }
}

fn progress(wanted: i64, updated: i64, available: i64, old: i64) -> State {
    if updated < wanted {
        return State::Pending(format!("{updated} of {wanted} pods are made anew"));
    }
    if old > 0 {
        return State::Pending(format!("{old} old pods are still there"));
    }
    if available < wanted {
        return State::Pending(format!("{available} of {wanted} pods are available"));
    }
    State::Ready
}

/// Whether a job is complete.
pub fn job(object: &Value) -> State {
    for (name, failed) in
        [("Complete", false), ("SuccessCriteriaMet", false), ("Failed", true), ("FailureTarget", true)]
    {
        if let Some(("True", words)) = condition(object, name) {
            return if failed { State::Failed(words) } else { State::Ready };
        }
    }
    let status = &object["status"];
    State::Pending(format!(
        "{} running, {} succeeded, {} failed",
        number(&status["active"]),
        number(&status["succeeded"]),
        number(&status["failed"])
    ))
}

/// The address that a load balancer got: (host name, IP address).
pub fn load_balancer(service: &Value) -> Option<(Option<String>, Option<String>)> {
    let first = service["status"]["loadBalancer"]["ingress"].as_array()?.first()?;
    let text = |field: &str| first[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (hostname, ip) = (text("hostname"), text("ip"));
    (hostname.is_some() || ip.is_some()).then_some((hostname, ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(observed: i64, updated: i64, available: i64, replicas: i64) -> Value {
        json!({ "kind": "Deployment", "metadata": { "generation": 2 }, "spec": { "replicas": 2 }, "status": {
            "observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available, "replicas": replicas } })
    }

    #[test]
    fn a_rollout_passes_through_its_stages() {
        let pending = |object: Value, word: &str| match rollout(&object) {
            State::Pending(words) => assert!(words.contains(word), "{words}"),
            other => panic!("{other:?}"),
        };
        pending(deployment(1, 2, 2, 2), "not seen");
        pending(deployment(2, 1, 1, 2), "1 of 2 pods are made");
        pending(deployment(2, 2, 2, 3), "1 old");
        pending(deployment(2, 2, 1, 2), "1 of 2 pods are available");
        assert_eq!(rollout(&deployment(2, 2, 2, 2)), State::Ready);
        let mut stuck = deployment(2, 1, 1, 2);
        stuck["status"]["conditions"] =
            json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }]);
        assert_eq!(rollout(&stuck), State::Failed("ProgressDeadlineExceeded".into()));
    }

    #[test]
    fn daemonsets_and_statefulsets_count_their_own_way() {
        let set = json!({ "kind": "DaemonSet", "metadata": { "generation": 1 }, "status": { "observedGeneration": 1,
            "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2 } });
        assert_eq!(rollout(&set), State::Pending("2 of 3 pods are available".into()));
        let set = json!({ "kind": "StatefulSet", "metadata": { "generation": 1 }, "spec": { "replicas": 2 },
            "status": { "observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2 } });
        assert_eq!(rollout(&set), State::Ready);
    }

    #[test]
    fn definitions_and_namespaces_are_waited_for() {
        let mut crd = json!({ "kind": "CustomResourceDefinition", "metadata": {}, "status": {} });
        assert!(matches!(state(&crd, false), State::Pending(_)));
        crd["status"]["conditions"] = json!([{ "type": "Established", "status": "True" }]);
        assert_eq!(state(&crd, false), State::Ready);
        crd["status"]["conditions"] =
            json!([{ "type": "NamesAccepted", "status": "False", "reason": "PluralConflict" }]);
        assert!(matches!(state(&crd, false), State::Failed(words) if words.contains("PluralConflict")));
        let namespace = json!({ "kind": "Namespace", "metadata": { "deletionTimestamp": "x" }, "spec": { "finalizers": ["kubernetes"] } });
        assert_eq!(state(&namespace, false), State::Pending("being deleted, held by `kubernetes`".into()));
        assert_eq!(state(&deployment(1, 0, 0, 0), false), State::Ready);
        assert!(matches!(state(&deployment(1, 0, 0, 0), true), State::Pending(_)));
    }

    #[test]
    fn conditions_of_an_earlier_generation_do_not_count() {
        let object = json!({ "metadata": { "generation": 2 }, "status": { "conditions": [
            { "type": "Ready", "status": "True", "observedGeneration": 1 }] } });
        assert!(matches!(condition_is(&object, "Ready", "True"), State::Pending(_)));
        let failed = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }] } });
        assert_eq!(job(&failed), State::Failed("BackoffLimitExceeded".into()));
    }
}
