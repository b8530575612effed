//! What stands between a pod on its node and its containers' start.

use serde_json::{Value, json};

use super::{Context, meta};
use crate::k8s::store::{Key, now};

/// A part of an image's name that no registry has.
const ABSENT_IMAGE: &str = "does-not-exist";
/// A part of an image's name whose containers exit as soon as they start.
const CRASHING_IMAGE: &str = "crash-loop";

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Reason of the waiting state.
    pub state: &'static str,
    /// Reason of the event.
    pub event: &'static str,
    /// What is missing.
    pub message: String,
}

fn each<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object[field].as_array().into_iter().flatten()
}

/// The first image that cannot be pulled.
pub fn absent_image(pod: &Value) -> Option<&str> {
    let images = each(&pod["spec"], "initContainers").chain(each(&pod["spec"], "containers"));
    images.filter_map(|c| c["image"].as_str()).find(|i| i.contains(ABSENT_IMAGE))
}

/// Whether the pod's containers exit as soon as they start.
pub fn is_crashing(pod: &Value) -> bool {
    each(&pod["spec"], "containers").any(|c| c["image"].as_str().is_some_and(|i| i.contains(CRASHING_IMAGE)))
}

/// How the container of a Job ends, as far as its command tells: its exit code.
pub fn exit_code(pod: &Value) -> i64 {
    let container = &pod["spec"]["containers"][0];
    let words: Vec<&str> =
        ["command", "args"].iter().flat_map(|f| each(container, f)).filter_map(Value::as_str).collect();
    if words == ["false"] || is_crashing(pod) {
        return 1;
    }
    let last = words.last().and_then(|script| script.trim().rsplit_once("exit "));
    last.and_then(|(_, code)| code.trim().parse().ok()).unwrap_or(0)
}

impl Context {
    fn absent(&self, resource: &str, namespace: &str, name: &str) -> bool {
        self.store().read().find(&Key::new(resource, namespace, name)).is_none()
    }

    /// Why the pod's volumes cannot be mounted.
    pub(super) fn volume_obstacle(&self, pod: &Value) -> Option<Obstacle> {
        let namespace = meta(pod, "namespace");
        for volume in each(&pod["spec"], "volumes") {
            let name = volume["name"].as_str().unwrap_or("");
            let projected: Vec<&Value> = each(&volume["projected"], "sources").collect();
            let secrets = [(&volume["secret"], "secretName")].into_iter();
            let secrets = secrets.chain(projected.iter().map(|p| (&p["secret"], "name")));
            let missing = secrets
                .map(|(source, field)| ("/secrets", "secret", source, field))
                .chain(
                    std::iter::once(&volume["configMap"])
                        .chain(projected.iter().map(|p| &p["configMap"]))
                        .map(|source| ("/configmaps", "configmap", source, "name")),
                )
                .find_map(|(resource, word, source, field)| {
                    let wanted = source[field].as_str()?;
                    let gone = source["optional"] != true && self.absent(resource, namespace, wanted);
                    gone.then(|| format!("{word} \"{wanted}\" not found"))
                });
            if let Some(missing) = missing {
                return Some(Obstacle {
                    state: "ContainerCreating",
                    event: "FailedMount",
                    message: format!("MountVolume.SetUp failed for volume \"{name}\" : {missing}"),
                });
            }
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str()
                && let Some(message) = self.claim_obstacle(namespace, claim)
            {
                return Some(Obstacle { state: "ContainerCreating", event: "FailedMount", message });
            }
        }
        None
    }

    fn claim_obstacle(&self, namespace: &str, claim: &str) -> Option<String> {
        let key = Key::new("/persistentvolumeclaims", namespace, claim);
        match self.store().read().find(&key) {
            None => Some(format!("persistentvolumeclaim \"{claim}\" not found")),
            Some(found) if found["status"]["phase"] != "Bound" => {
                Some(format!("persistentvolumeclaim \"{claim}\" is not bound"))
            }
            Some(_) => None,
        }
    }

    /// Why the environment of the pod's containers cannot be made.
    pub(super) fn environment_obstacle(&self, pod: &Value) -> Option<Obstacle> {
        let namespace = meta(pod, "namespace");
        let missing = |source: &Value, resource: &str, word: &str| {
            let name = source["name"].as_str()?;
            if source["optional"] == true {
                return None;
            }
            let objects = self.store().read();
            let Some(found) = objects.find(&Key::new(resource, namespace, name)) else {
                return Some(format!("{word} \"{name}\" not found"));
            };
            let key = source["key"].as_str()?;
            let absent = found["data"][key].is_null() && found["binaryData"][key].is_null();
            absent.then(|| format!("couldn't find key {key} in {word} {namespace}/{name}"))
        };
        let containers = each(&pod["spec"], "initContainers").chain(each(&pod["spec"], "containers"));
        for container in containers {
            let single = each(container, "env").map(|e| &e["valueFrom"]);
            let single = single.map(|v| (&v["secretKeyRef"], &v["configMapKeyRef"]));
            let whole = each(container, "envFrom").map(|v| (&v["secretRef"], &v["configMapRef"]));
            for (secret, map) in single.chain(whole) {
                let found = missing(secret, "/secrets", "secret");
                if let Some(message) = found.or_else(|| missing(map, "/configmaps", "configmap")) {
                    let state = "CreateContainerConfigError";
                    return Some(Obstacle { state, event: "Failed", message });
                }
            }
        }
        None
    }
}

/// The `containerStatuses` of a pod whose containers are all in `state`.
pub fn statuses(pod: &Value, state: &Value, ready: bool, restarts: i64) -> Value {
    let one = |c: &Value| {
        json!({"name": c["name"], "image": c["image"], "imageID": "", "ready": ready,
            "started": state["running"].is_object(), "restartCount": restarts, "state": state})
    };
    each(&pod["spec"], "containers").map(one).collect()
}

/// The same after the containers ended: each status says how.
pub fn statuses_after(pod: &Value, state: &Value, last: &Value, restarts: i64) -> Value {
    let mut all = statuses(pod, state, false, restarts);
    for status in all.as_array_mut().into_iter().flatten() {
        status["lastState"] = last.clone();
    }
    all
}

/// A waiting state.
pub fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

/// A running state that starts now.
pub fn running() -> Value {
    json!({"running": {"startedAt": now()}})
}

/// A terminated state that ends now.
pub fn terminated(pod: &Value, code: i64, message: &str) -> Value {
    let was = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    let started = was.as_str().map_or_else(now, String::from);
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message,
        "startedAt": started, "finishedAt": now()}})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::exit_code;

    #[test]
    fn a_command_tells_how_it_ends() {
        let pod = |command: &[&str]| json!({"spec": {"containers": [{"command": command}]}});
        assert_eq!(exit_code(&pod(&["sh", "-c", "echo no; exit 3"])), 3);
        assert_eq!(exit_code(&pod(&["false"])), 1);
        assert_eq!(exit_code(&pod(&["echo", "hello"])), 0);
    }
}
