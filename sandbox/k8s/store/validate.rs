//! What the API server refuses about the kinds that playbooks write.

use serde_json::Value;

use super::{ApiError, ApiResult};
use crate::k8s::{kinds::Kind, selector};

const REQUIRED: &str = "Required value";

/// Fields with their problems.
type Problems = Vec<(String, String)>;

fn add(problems: &mut Problems, field: &str, problem: impl Into<String>) {
    problems.push((field.to_owned(), problem.into()));
}

/// Whether the object may be written; `old` is what stands there, none on creation.
///
/// # Errors
/// 422 with the fields and their problems.
pub fn object(kind: &Kind, name: &str, object: &Value, old: Option<&Value>) -> ApiResult<()> {
    let mut problems = Problems::new();
    if old.is_none() && kind.group != "rbac.authorization.k8s.io" {
        name_problem(kind, name, &mut problems);
    }
    if kind.builtin {
        if let Some(old) = old {
            changed_immutable(&kind.kind, object, old, &mut problems);
        }
        spec_problems(&kind.kind, &object["spec"], &mut problems);
        if kind.kind == "Secret" {
            secret_problems(object, &mut problems);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let dot = if kind.group.is_empty() { "" } else { "." };
    Err(ApiError::invalid(&format!("{}{dot}{}", kind.kind, kind.group), name, &problems))
}

fn name_problem(kind: &Kind, name: &str, problems: &mut Problems) {
    let label = kind.builtin && matches!(kind.kind.as_str(), "Namespace" | "Service");
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| good(c) || c == '-' || (c == '.' && !label);
    let length = if label { 63 } else { 253 };
    if name.len() <= length && name.starts_with(good) && name.ends_with(good) && name.chars().all(inner) {
        return;
    }
    let (word, characters) = if label { ("label", "or '-'") } else { ("subdomain", ", '-' or '.'") };
    let space = if label { " " } else { "" };
    let problem = format!(
        "Invalid value: \"{name}\": a lowercase RFC 1123 {word} must consist of lower case alphanumeric \
         characters{space}{characters}, and must start and end with an alphanumeric character"
    );
    add(problems, "metadata.name", problem);
}

fn spec_problems(kind: &str, spec: &Value, problems: &mut Problems) {
    match kind {
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" => {
            if !spec["selector"].is_object() {
                add(problems, "spec.selector", REQUIRED);
            }
            let labels = &spec["template"]["metadata"]["labels"];
            if !spec["selector"].is_object() || !selector::in_object(&spec["selector"], labels) {
                let problem = format!("Invalid value: {labels}: `selector` does not match template `labels`");
                add(problems, "spec.template.metadata.labels", problem);
            }
            if spec["replicas"].as_i64().is_some_and(|n| n < 0) {
                let problem = format!("Invalid value: {}: must be greater than or equal to 0", spec["replicas"]);
                add(problems, "spec.replicas", problem);
            }
            pod_problems(&spec["template"]["spec"], "spec.template.spec", problems);
        }
        "Job" => {
            pod_problems(&spec["template"]["spec"], "spec.template.spec", problems);
            let policy = spec["template"]["spec"]["restartPolicy"].as_str();
            if !matches!(policy, Some("Never" | "OnFailure")) {
                let problem = "Required value: valid values: \"OnFailure\", \"Never\"";
                add(problems, "spec.template.spec.restartPolicy", problem);
            }
        }
        "Pod" => pod_problems(spec, "spec", problems),
        "Service" => service_problems(spec, problems),
        _ => {}
    }
}

fn service_problems(spec: &Value, problems: &mut Problems) {
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let headless = spec["clusterIP"] == "None" || spec["type"] == "ExternalName";
    if !headless && ports.is_empty() {
        add(problems, "spec.ports", REQUIRED);
    }
    if ports.len() > 1 {
        for (at, _) in ports.iter().enumerate().filter(|(_, p)| p["name"].as_str().is_none_or(str::is_empty)) {
            add(problems, &format!("spec.ports[{at}].name"), REQUIRED);
        }
    }
    for (at, port) in ports.iter().enumerate() {
        if !port["port"].as_i64().is_some_and(|p| (1..=65535).contains(&p)) {
            let problem = format!("Invalid value: {}: must be between 1 and 65535, inclusive", port["port"]);
            add(problems, &format!("spec.ports[{at}].port"), problem);
        }
    }
    if spec["type"].as_str().is_none_or(|t| !TYPES.contains(&t)) {
        let types = TYPES.map(|t| format!("{t:?}")).join(", ");
        add(problems, "spec.type", format!("Unsupported value: {}: supported values: {types}", spec["type"]));
    }
}

fn secret_problems(secret: &Value, problems: &mut Problems) {
    let wanted: &[&str] = match secret["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        _ => &[],
    };
    for key in wanted.iter().filter(|key| secret["data"][**key].is_null()) {
        add(problems, &format!("data[{key}]"), REQUIRED);
    }
}

fn pod_problems(spec: &Value, path: &str, problems: &mut Problems) {
    let containers = spec["containers"].as_array().filter(|c| !c.is_empty());
    let Some(containers) = containers else {
        return add(problems, &format!("{path}.containers"), REQUIRED);
    };
    for (at, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                add(problems, &format!("{path}.containers[{at}].{field}"), REQUIRED);
            }
        }
    }
}

/// Whether `old` says nothing that `new` says otherwise; what is added (a default, a label that a
/// controller sets) is no change.
fn keeps(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Null, _) => true,
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(k, v)| keeps(v, new.get(k).unwrap_or(&Value::Null))) && old.len() == new.len()
        }
        (old, new) => old == new,
    }
}

fn changed_immutable(kind: &str, new: &Value, old: &Value, problems: &mut Problems) {
    let fields: &[&str] = match kind {
        "Deployment" | "DaemonSet" | "ReplicaSet" => &["spec.selector"],
        "StatefulSet" => &["spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"],
        "Job" => &["spec.completions", "spec.selector", "spec.template"],
        "RoleBinding" | "ClusterRoleBinding" => &["roleRef"],
        "StorageClass" => &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"],
        "Secret" => &["type"],
        "Service" if new["spec"]["type"] != "ExternalName" => &["spec.clusterIP"],
        "PersistentVolumeClaim" => &["spec.storageClassName", "spec.accessModes"],
        _ => &[],
    };
    for field in fields {
        let at = |o: &Value| field.split('.').fold(o.clone(), |v, step| v[step].clone());
        let found = at(new);
        if keeps(&at(old), &found) {
            continue;
        }
        match *field {
            "roleRef" => add(problems, field, format!("Invalid value: {found}: cannot change roleRef")),
            "spec.clusterIP" => {
                let problem = format!("Invalid value: [{found}]: may not change once set");
                add(problems, "spec.clusterIPs[0]", problem);
            }
            _ => add(problems, field, format!("Invalid value: {found}: field is immutable")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::object;
    use crate::k8s::kinds::builtins;

    fn deployment(change: impl FnOnce(&mut Value)) -> Value {
        let mut d = json!({"spec": {"selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
        change(&mut d);
        d
    }

    #[test]
    fn a_deployment_is_checked_as_the_server_does() {
        let kind = builtins().iter().find(|k| k.kind == "Deployment").unwrap();
        let check = |o: &Value, old: Option<&Value>| object(kind, "web", o, old).map_err(|e| e.message);
        let good = deployment(|_| {});
        assert_eq!(check(&good, None), Ok(()));
        let no_image = deployment(|d| d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(""));
        let message = check(&no_image, None).unwrap_err();
        assert_eq!(
            message,
            "Deployment.apps \"web\" is invalid: \
            spec.template.spec.containers[0].image: Required value"
        );
        let moved = deployment(|d| {
            d["spec"]["selector"]["matchLabels"] = json!({"a": "c"});
            d["spec"]["template"]["metadata"]["labels"] = json!({"a": "c"});
        });
        assert!(check(&moved, Some(&good)).unwrap_err().contains("field is immutable"));
        let astray = deployment(|d| d["spec"]["template"]["metadata"]["labels"] = json!({"a": "x"}));
        assert!(check(&astray, None).unwrap_err().contains("does not match"));
        assert!(object(kind, "Web_1", &good, None).is_err());
    }
}
