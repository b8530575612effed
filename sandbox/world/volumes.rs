//! EBS volumes behind persistent volumes.

use serde_json::{Value, json};

use super::Cluster;
use crate::aws::{Env, ec2};
use crate::core::store::StoreError;
use crate::k8s::Volume;

/// Makes the EBS volumes of persistent volumes that have none, and removes those of this cluster whose persistent
/// volume is gone. Volumes of a cluster that was deleted stay, as on AWS.
pub(super) fn bring(env: &Env, cluster: &Cluster, wanted: &[Volume]) {
    let id_of = |volume: &Volume| format!("{}/{}", cluster.kube_name(), volume.name);
    let prefix = format!("{}/", cluster.kube_name());
    let kept: Vec<String> = wanted.iter().map(id_of).collect();
    let brought: Result<(), StoreError> = env.store.tx(&cluster.region, |tx| {
        tx.delete_where("volume", |doc| {
            doc["_pv"].as_str().is_some_and(|pv| pv.starts_with(&prefix) && !kept.iter().any(|k| k == pv))
        });
        for volume in wanted {
            let pv = id_of(volume);
            if tx.any("volume", |doc| doc["_pv"] == *pv) {
                continue;
            }
            let zone = tx
                .scan("instance")
                .filter(|(_, i)| ec2::text(i, "_nodegroup").starts_with(&format!("{}/", cluster.name)))
                .map(|(_, i)| ec2::text(&i["placement"], "availabilityZone").to_owned())
                .min()
                .unwrap_or_else(|| format!("{}a", cluster.region));
            let size = i64::try_from(volume.size_gib).unwrap_or(i64::MAX);
            let kind = if volume.class == "gp2" { "gp2" } else { "gp3" };
            let mut doc =
                ec2::new_volume(&tx.new_id("vol"), &zone, size, kind, &env.clock.iso_now(), &tags(cluster, volume));
            doc["_pv"] = json!(pv);
            let id = ec2::text(&doc, "volumeId").to_owned();
            tx.put("volume", &id, doc);
        }
        Ok(())
    });
    // A journal that cannot be written shows at the next call, which fails with it.
    drop(brought);
}

/// The tags that the EBS driver gives.
fn tags(cluster: &Cluster, volume: &Volume) -> Value {
    json!([
        {"key": "Name", "value": format!("{}-dynamic-{}", cluster.name, volume.name)},
        {"key": "ebs.csi.aws.com/cluster", "value": "true"},
        {"key": "KubernetesCluster", "value": cluster.name},
        {"key": format!("kubernetes.io/cluster/{}", cluster.name), "value": "owned"},
        {"key": "kubernetes.io/created-for/pv/name", "value": volume.name},
        {"key": "kubernetes.io/created-for/pvc/name", "value": volume.claim},
        {"key": "kubernetes.io/created-for/pvc/namespace", "value": volume.namespace},
    ])
}
