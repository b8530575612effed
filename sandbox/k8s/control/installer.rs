//! Gitpod's installer, as a Job runs it: a stand-in that checks what the installer checks and
//! makes the deployments that tell that Gitpod is installed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, meta};
use crate::k8s::store::{ApiResult, Key, Write};

/// The deployments of a Gitpod installation, each with the label of the nodes that it runs on.
const DEPLOYMENTS: [(&str, &str); 10] = [
    ("blobserve", "gitpod.io/workload_ide"),
    ("content-service", "gitpod.io/workload_meta"),
    ("dashboard", "gitpod.io/workload_meta"),
    ("ide-proxy", "gitpod.io/workload_ide"),
    ("image-builder-mk3", "gitpod.io/workload_services"),
    ("proxy", "gitpod.io/workload_meta"),
    ("server", "gitpod.io/workload_meta"),
    ("ws-manager", "gitpod.io/workload_services"),
    ("ws-manager-bridge", "gitpod.io/workload_meta"),
    ("ws-proxy", "gitpod.io/workload_services"),
];

/// The labels each of which must stand on some node.
const NODE_LABELS: [&str; 5] = [
    "gitpod.io/workload_meta",
    "gitpod.io/workload_ide",
    "gitpod.io/workload_services",
    "gitpod.io/workload_workspace_regular",
    "gitpod.io/workload_workspace_headless",
];

fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or("")
}

/// Whether the pod runs Gitpod's installer.
pub fn is_installer(pod: &Value) -> bool {
    let image = image(pod);
    image.contains("gitpod") && image.contains("installer")
}

/// Registry path and version of the installer's siblings.
fn sibling(image: &str, name: &str) -> String {
    let slash = image.rfind('/').unwrap_or(0);
    let (path, last) = image.split_at(slash);
    let version = last.rsplit_once(':').map_or("latest", |(_, version)| version);
    format!("{path}/{name}:{version}")
}

/// The namespace that the installer's arguments name, or its own.
fn namespace(pod: &Value) -> String {
    let container = &pod["spec"]["containers"][0];
    let words = ["command", "args"].iter().flat_map(|f| container[*f].as_array().into_iter().flatten());
    // A script is one argument.
    let words: Vec<&str> = words.filter_map(Value::as_str).flat_map(str::split_whitespace).collect();
    let named = words.iter().enumerate().find_map(|(at, word)| {
        word.strip_prefix("--namespace=").or_else(|| {
            let follows = matches!(*word, "--namespace" | "-n");
            follows.then(|| words.get(at + 1).copied()).flatten()
        })
    });
    let named = named.map(|n| n.trim_matches(['"', '\'', ';'])).filter(|n| !n.is_empty());
    named.unwrap_or(meta(pod, "namespace")).to_owned()
}

/// The names of the secrets that a config refers to as `{kind: secret, name: …}`.
fn secrets_named(config: &Value, out: &mut Vec<String>) {
    match config {
        Value::Object(map) => {
            if let (Some("secret"), Some(name)) = (config["kind"].as_str(), config["name"].as_str()) {
                out.push(name.to_owned());
            }
            map.values().for_each(|v| secrets_named(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| secrets_named(v, out)),
        _ => {}
    }
}

fn configs(context: &Context, pod: &Value) -> Vec<Value> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let names = volumes.filter_map(|v| v["configMap"]["name"].as_str());
    let objects = context.store().read();
    let maps = names.filter_map(|n| objects.find(&Key::new("/configmaps", meta(pod, "namespace"), n)));
    maps.flat_map(|map| map["data"].as_object().into_iter().flatten().map(|(_, v)| v.clone()))
        .filter_map(|text| serde_norway::from_str(text.as_str()?).ok())
        .collect()
}

/// What the installer finds wrong before it writes anything.
fn check(context: &Context, pod: &Value, namespace: &str) -> Result<(), String> {
    let mut wanted = Vec::new();
    for config in configs(context, pod) {
        secrets_named(&config, &mut wanted);
    }
    let objects = context.store().read();
    if objects.find(&Key::new("/namespaces", "", namespace)).is_none() {
        return Err(format!("cannot install: namespace \"{namespace}\" not found"));
    }
    for name in wanted {
        if objects.find(&Key::new("/secrets", namespace, &name)).is_none() {
            return Err(format!("cannot install: secret \"{name}\" not found in {namespace}"));
        }
    }
    let nodes = objects.list("/nodes", "", "", "");
    let missing: Vec<&str> = NODE_LABELS
        .into_iter()
        .filter(|label| nodes.iter().all(|n| n["metadata"]["labels"][*label] != "true"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("cannot install: affinity labels not found in cluster: {}", missing.join(", ")))
    }
}

fn deployment(image: &str, name: &str, label: &str) -> Value {
    let labels = json!({"app": "gitpod", "component": name});
    let requirement = json!({"key": label, "operator": "Exists"});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}});
    let container = json!({"name": name, "image": sibling(image, name)});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"affinity": affinity, "containers": [container]}}}})
}

fn proxy_service() -> Value {
    let port = |name: &str, number: u16| json!({"name": name, "port": number, "targetPort": number, "protocol": "TCP"});
    let labels = json!({"app": "gitpod", "component": "proxy"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "proxy", "labels": labels},
        "spec": {"type": "LoadBalancer", "selector": labels,
            "ports": [port("http", 80), port("https", 443), port("ssh", 22)]}})
}

/// The one part that keeps something on a volume of its own.
fn openvsx_proxy(image: &str) -> Value {
    let name = "openvsx-proxy";
    let labels = json!({"app": "gitpod", "component": name});
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "labels": labels},
        "spec": {"serviceName": name, "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": name, "image": sibling(image, name)}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "redis-data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "8Gi"}}}}]}})
}

fn put(context: &Context, key: &Key, object: Value) -> ApiResult<()> {
    let write = Write { manager: "gitpod-installer".to_owned(), ..Write::simulation() };
    if context.store().read().find(key).is_none() {
        return context.store().create(key, object, &write).map(|_| ());
    }
    let update = |old: &Value| {
        let mut new = old.clone();
        json_patch::merge(&mut new["spec"], &object["spec"]);
        Ok(new)
    };
    context.store().update(key, &write, update).map(|_| ())
}

/// Installs Gitpod as the pod is told to; the answer is what the installer writes at its end.
///
/// # Errors
/// What is wrong with the cluster or the config.
pub fn install(context: &Context, pod: &Arc<Value>) -> Result<String, String> {
    let namespace = namespace(pod);
    check(context, pod, &namespace)?;
    let refused = |e: crate::k8s::store::ApiError| format!("cannot install: {}", e.message);
    for (name, label) in DEPLOYMENTS {
        let key = Key::new("apps/deployments", &namespace, name);
        put(context, &key, deployment(image(pod), name, label)).map_err(refused)?;
    }
    let key = Key::new("apps/statefulsets", &namespace, "openvsx-proxy");
    put(context, &key, openvsx_proxy(image(pod))).map_err(refused)?;
    let key = Key::new("/services", &namespace, "proxy");
    put(context, &key, proxy_service()).map_err(refused)?;
    Ok(format!("cluster checks passed\napplied {} deployments to {namespace}\ndone", DEPLOYMENTS.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_installer, namespace, secrets_named, sibling};

    #[test]
    fn the_installer_is_known_by_its_image() {
        let image = "eu.gcr.io/gitpod-core-dev/build/installer:2022.11.2";
        let pod = |args: &[&str]| {
            json!({"metadata": {"namespace": "here"},
            "spec": {"containers": [{"image": image, "args": args}]}})
        };
        assert!(is_installer(&pod(&[])));
        assert_eq!(namespace(&pod(&[])), "here");
        assert_eq!(namespace(&pod(&["-c", "installer render --namespace \"there\" -c x"])), "there");
        assert_eq!(sibling(image, "proxy"), "eu.gcr.io/gitpod-core-dev/build/proxy:2022.11.2");
    }

    #[test]
    fn a_config_names_its_secrets() {
        let config = json!({"database": {"external": {"certificate": {"kind": "secret", "name": "database"}}},
            "certificate": {"kind": "secret", "name": "https-certificates"}});
        let mut found = Vec::new();
        secrets_named(&config, &mut found);
        assert_eq!(found, ["database", "https-certificates"]);
    }
}
