//! What the API server refuses about the kinds that playbooks write.

use serde_json::Value;

use super::{ApiError, ApiResult};
use crate::k8s::{kinds::Kind, selector};

const REQUIRED: &str = "Required value";

/// Whether the object may be written; `old` is what stands there, none on creation.
///
/// # Errors
/// 422 with the field and the problem.
pub fn object(kind: &Kind, name: &str, object: &Value, old: Option<&Value>) -> ApiResult<()> {
    let refuse = |field: &str, problem: &str| {
        Err(ApiError::invalid(&format!("{}{}", kind.kind, dotted(&kind.group)), name, field, problem))
    };
    if old.is_none() && kind.group != "rbac.authorization.k8s.io" && !is_subdomain(name) {
        let problem = format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
             character"
        );
        return refuse("metadata.name", &problem);
    }
    if !kind.builtin {
        return Ok(());
    }
    if let Some(old) = old
        && let Some(field) = changed_immutable(&kind.kind, object, old)
    {
        return refuse(field, "Invalid value: field is immutable");
    }
    let spec = &object["spec"];
    match kind.kind.as_str() {
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" => {
            if !spec["selector"].is_object() {
                return refuse("spec.selector", REQUIRED);
            }
            let labels = &spec["template"]["metadata"]["labels"];
            if !selector::in_object(&spec["selector"], labels) {
                let problem = "Invalid value: `selector` does not match template `labels`";
                return refuse("spec.template.metadata.labels", problem);
            }
            pod_spec(&spec["template"]["spec"]).or_else(|(f, p)| refuse(&template(&f), p))
        }
        "Job" => {
            let policy = spec["template"]["spec"]["restartPolicy"].as_str();
            if !matches!(policy, Some("Never" | "OnFailure")) {
                let problem = "Required value: valid values: \"OnFailure\", \"Never\"";
                return refuse("spec.template.spec.restartPolicy", problem);
            }
            pod_spec(&spec["template"]["spec"]).or_else(|(f, p)| refuse(&template(&f), p))
        }
        "Pod" => pod_spec(spec).or_else(|(f, p)| refuse(&format!("spec.{f}"), p)),
        "Service" => {
            let headless = spec["clusterIP"] == "None" || spec["type"] == "ExternalName";
            if !headless && spec["ports"].as_array().is_none_or(Vec::is_empty) {
                return refuse("spec.ports", REQUIRED);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn dotted(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(".{group}") }
}

fn template(field: &str) -> String {
    format!("spec.template.spec.{field}")
}

fn is_subdomain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.starts_with(inner)
        && name.ends_with(inner)
        && name.chars().all(|c| inner(c) || c == '-' || c == '.')
}

fn pod_spec(spec: &Value) -> Result<(), (String, &'static str)> {
    let containers = spec["containers"].as_array().filter(|c| !c.is_empty());
    let Some(containers) = containers else { return Err(("containers".to_owned(), REQUIRED)) };
    for (at, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                return Err((format!("containers[{at}].{field}"), REQUIRED));
            }
        }
    }
    Ok(())
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

fn changed_immutable(kind: &str, new: &Value, old: &Value) -> Option<&'static str> {
    let fields: &[&'static str] = match kind {
        "Deployment" | "DaemonSet" | "ReplicaSet" => &["spec.selector"],
        "StatefulSet" => &["spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"],
        "Job" => &["spec.selector", "spec.template", "spec.completions"],
        "RoleBinding" | "ClusterRoleBinding" => &["roleRef"],
        "StorageClass" => &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"],
        "Secret" => &["type"],
        "PersistentVolumeClaim" => &["spec.storageClassName", "spec.accessModes"],
        _ => &[],
    };
    fields.iter().copied().find(|field| {
        let at = |o: &Value| field.split('.').fold(o.clone(), |v, step| v[step].clone());
        !keeps(&at(old), &at(new))
    })
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
