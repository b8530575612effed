//! What a cluster has from the start, as EKS makes it.

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    store::{ApiResult, Key, Write},
};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Fills a cluster that was never used; leaves any other as it is.
///
/// # Errors
/// When the store refuses, which means that its journal cannot be written.
pub fn furnish(cluster: &Cluster) -> ApiResult<()> {
    if !cluster.store.read().is_empty() {
        return Ok(());
    }
    let version = cluster.version();
    let minor = Cluster::full_version(&version);
    let minor: u32 = minor.split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or(0);
    cluster.store.with(|objects| {
        let write = Write { manager: "eks".to_owned(), ..Write::simulation() };
        let mut put = |resource: &str, namespace: &str, object: Value| {
            objects.create(&Key::new(resource, namespace, ""), object, &write).map(|_| ())
        };
        for name in NAMESPACES {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            put("/namespaces", "", object)?;
        }
        put("/services", "default", api_service())?;
        for name in ["aws-node", "kube-proxy", "coredns"] {
            let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
            put("/serviceaccounts", "kube-system", object)?;
        }
        put("apps/daemonsets", "kube-system", aws_node())?;
        put("apps/daemonsets", "kube-system", kube_proxy(&version))?;
        put("/configmaps", "kube-system", corefile())?;
        put("apps/deployments", "kube-system", coredns())?;
        put("/services", "kube-system", kube_dns())?;
        for (name, value) in [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)] {
            let object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                "metadata": {"name": name}, "value": value});
            put("scheduling.k8s.io/priorityclasses", "", object)?;
        }
        put("rbac.authorization.k8s.io/clusterroles", "", cluster_admin())?;
        put("storage.k8s.io/storageclasses", "", gp2(minor))
    })
}

fn api_service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": "10.100.0.1", "clusterIPs": ["10.100.0.1"],
            "ports": [{"name": "https", "port": 443, "targetPort": 443, "protocol": "TCP"}]}})
}

fn agent(name: &str, image: &str, volumes: &Value) -> Value {
    let labels = json!({"k8s-app": name});
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"hostNetwork": true, "serviceAccountName": name,
                    "priorityClassName": "system-node-critical",
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": name, "image": image}],
                    "volumes": volumes}}}})
}

fn aws_node() -> Value {
    let image = "602401143452.dkr.ecr.amazonaws.com/amazon-k8s-cni:v1.19.2";
    let volumes = json!([{"name": "cni-net-dir", "hostPath": {"path": "/etc/cni/net.d"}}]);
    agent("aws-node", image, &volumes)
}

fn kube_proxy(version: &str) -> Value {
    let version = Cluster::full_version(version);
    let image = format!("602401143452.dkr.ecr.amazonaws.com/eks/kube-proxy:v{version}-eksbuild.1");
    agent("kube-proxy", &image, &json!([]))
}

fn corefile() -> Value {
    let corefile = ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local \
                    in-addr.arpa ip6.arpa\n    forward . /etc/resolv.conf\n    cache 30\n}\n";
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"},
        "data": {"Corefile": corefile}})
}

fn coredns() -> Value {
    let labels = json!({"k8s-app": "kube-dns", "eks.amazonaws.com/component": "coredns"});
    let near = json!({"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}});
    let image = "602401143452.dkr.ecr.amazonaws.com/eks/coredns:v1.11.4-eksbuild.2";
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels},
                "spec": {"serviceAccountName": "coredns",
                    "priorityClassName": "system-cluster-critical",
                    "affinity": {"podAntiAffinity":
                        {"preferredDuringSchedulingIgnoredDuringExecution": [near]}},
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                    "containers": [{"name": "coredns", "image": image}],
                    "volumes": [{"name": "config-volume", "configMap": {"name": "coredns"}}]}}}})
}

fn kube_dns() -> Value {
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "targetPort": 53, "protocol": protocol});
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kube-dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": "10.100.0.10", "clusterIPs": ["10.100.0.10"],
            "selector": {"k8s-app": "kube-dns"},
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")]}})
}

fn cluster_admin() -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "cluster-admin"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]}]})
}

/// The class of EBS volumes; the default one until EKS 1.30 stopped marking it so.
fn gp2(minor: u32) -> Value {
    let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "gp2"}, "provisioner": "kubernetes.io/aws-ebs",
        "parameters": {"type": "gp2", "fsType": "ext4"}, "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer"});
    if minor < 30 {
        class["metadata"]["annotations"] = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    }
    class
}
