//! The machines of node groups as nodes of Kubernetes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{launch, versions};
use crate::aws::{Env, fleet};
use crate::core::store::Tx;
use crate::k8s::NodeSpec;

/// The nodes that a cluster has: one for each machine of its node groups that lives.
pub fn kube_nodes(tx: &Tx<'_>, env: &Env, region: &str, cluster: &str) -> Vec<NodeSpec> {
    let prefix = format!("{cluster}/");
    let of_cluster = |i: &Value| i["_nodegroup"].as_str().is_some_and(|id| id.starts_with(&prefix)) && fleet::lives(i);
    let machines = tx.select("instance", of_cluster);
    machines.iter().filter_map(|machine| node(tx, env, region, machine)).collect()
}

fn node(tx: &Tx<'_>, env: &Env, region: &str, machine: &Value) -> Option<NodeSpec> {
    let group = tx.get("eks.nodegroup", machine["_nodegroup"].as_str()?)?;
    if group["status"] == json!("CREATE_FAILED") || fails(group) {
        return None;
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let zone = text(&machine["placement"]["availabilityZone"]);
    let instance_type = text(&machine["instanceType"]);
    let custom = group["amiType"] == json!("CUSTOM");
    let version = text(&group["version"]);
    let mut labels: BTreeMap<String, String> = group["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect();
    labels.insert("eks.amazonaws.com/nodegroup".to_owned(), text(&group["nodegroupName"]));
    labels.insert("eks.amazonaws.com/capacityType".to_owned(), text(&group["capacityType"]));
    labels.insert("eks.amazonaws.com/nodegroup-image".to_owned(), text(&machine["imageId"]));
    let taints = group["taints"].as_array().into_iter().flatten().filter_map(taint).collect();
    let ready_at = machine["_node_ready_at"].as_i64().unwrap_or_else(|| env.clock.now());
    Some(NodeSpec {
        labels,
        taints,
        instance_type: instance_type.clone(),
        version: versions::offer(&version).map_or(version, |offer| offer.patch.to_owned()),
        image: if custom { "Ubuntu 22.04.5 LTS" } else { "Amazon Linux 2023.9.20251014" }.to_owned(),
        kernel: if custom { "6.8.0-1024-aws" } else { "6.12.46-66.121.amzn2023.x86_64" }.to_owned(),
        region: region.to_owned(),
        internal_ip: text(&machine["privateIpAddress"]),
        provider_id: format!("aws:///{zone}/{}", text(&machine["instanceId"])),
        zone,
        max_pods: launch::max_pods(&instance_type, custom, machine["_user_data"].as_str()),
        ready_at: jiff::Timestamp::from_millisecond(ready_at).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        ..NodeSpec::new(&text(&machine["privateDnsName"]))
    })
}

/// Whether the group is on its way to `CREATE_FAILED`: its machines never join.
fn fails(group: &Value) -> bool {
    group["_next"]["status"] == json!("CREATE_FAILED")
}

fn taint(taint: &Value) -> Option<(String, String, String)> {
    let effect = match taint["effect"].as_str()? {
        "NO_SCHEDULE" => "NoSchedule",
        "NO_EXECUTE" => "NoExecute",
        _ => "PreferNoSchedule",
    };
    Some((taint["key"].as_str()?.to_owned(), taint["value"].as_str().unwrap_or_default().to_owned(), effect.to_owned()))
}
