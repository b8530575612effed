//! What the API server fills into the specification of a pod, or of a pod template.

use serde_json::{Value, json};

use super::defaults::default;

fn each<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter(|v| v.is_object())
}

/// Fills in what is missing.
pub fn fill(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "securityContext", json!({}));
    if let Some(account) = spec.get("serviceAccountName").filter(|a| a.is_string()).cloned() {
        default(spec, "serviceAccount", account);
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            fill_container(container, host_network);
        }
    }
    for volume in each(spec, "volumes") {
        fill_volume(volume);
    }
}

fn fill_container(container: &mut Value, host_network: bool) {
    let image = container["image"].as_str().unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("");
    let latest = !image.contains('@') && name.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest");
    default(container, "imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" }));
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    for port in each(container, "ports") {
        default(port, "protocol", json!("TCP"));
        if host_network {
            let number = port["containerPort"].clone();
            default(port, "hostPort", number);
        }
    }
    for variable in each(container, "env") {
        if let Some(field) = variable.get_mut("valueFrom").and_then(|v| v.get_mut("fieldRef")) {
            default(field, "apiVersion", json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) else { continue };
        let numbers = [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
        for (field, number) in numbers {
            default(probe, field, json!(number));
        }
        if let Some(get) = probe.get_mut("httpGet") {
            default(get, "path", json!("/"));
            default(get, "scheme", json!("HTTP"));
        }
    }
}

fn fill_volume(volume: &mut Value) {
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source) {
            default(source, "defaultMode", json!(420));
        }
    }
    if let Some(host) = volume.get_mut("hostPath") {
        default(host, "type", json!(""));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fill;

    #[test]
    fn what_is_set_stays_and_the_rest_is_filled_in() {
        let mut spec = json!({"containers": [
            {"name": "a", "image": "repo:5000/x", "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "repo:5000/x:1", "imagePullPolicy": "Never"}],
            "volumes": [{"name": "s", "secret": {"secretName": "s"}}]});
        fill(&mut spec);
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(spec["containers"][0]["ports"][0]["protocol"], "TCP");
        assert_eq!(spec["containers"][1]["imagePullPolicy"], "Never");
        assert_eq!(spec["volumes"][0]["secret"]["defaultMode"], 420);
        let once = spec.clone();
        fill(&mut spec);
        assert_eq!(spec, once);
    }
}
