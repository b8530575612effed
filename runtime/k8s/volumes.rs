//! Volumes that go with the namespace of their claims: a driver deletes them, on nodes that must not go before.

use super::{call::Call, cluster::Cluster};
use crate::{cx::Cx, error::Result};
use serde_json::Value;

/// The volumes that were made for claims in `namespace` and are to be deleted with them, in words; `None` when there is none.
pub async fn of_namespace(cx: &Cx, cluster: &Cluster, namespace: &str) -> Result<Option<String>> {
    let call = Call::get("persistentvolumes", "/api/v1/persistentvolumes", "the persistent volumes");
    let list = cluster.send(cx, &call).await?;
    Ok(described(list["items"].as_array().map(Vec::as_slice).unwrap_or_default(), namespace))
}

fn described(volumes: &[Value], namespace: &str) -> Option<String> {
    let goes = |volume: &&Value| {
        let spec = &volume["spec"];
        spec["claimRef"]["namespace"] == namespace && spec["persistentVolumeReclaimPolicy"] == "Delete"
    };
    let name = |volume: &Value| {
        let name = volume["metadata"]["name"].as_str().unwrap_or("?");
        format!("`{name}` ({})", volume["status"]["phase"].as_str().unwrap_or("no phase"))
    };
    let names: Vec<String> = volumes.iter().filter(goes).map(name).collect();
    (!names.is_empty()).then(|| format!("persistent volume {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_that_are_kept_and_those_of_other_namespaces_are_not_waited_for() {
        let volume = |name: &str, namespace: &str, policy: &str| {
            json!({ "metadata": { "name": name }, "status": { "phase": "Released" },
                    "spec": { "claimRef": { "namespace": namespace }, "persistentVolumeReclaimPolicy": policy } })
        };
        let mine = volume("pvc-1", "gitpod", "Delete");
        assert_eq!(described(&[volume("a", "gitpod", "Retain"), volume("b", "other", "Delete")], "gitpod"), None);
        assert_eq!(described(&[mine], "gitpod").unwrap(), "persistent volume `pvc-1` (Released)");
    }
}
