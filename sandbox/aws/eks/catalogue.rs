//! The add-ons that EKS offers and their versions by Kubernetes version.

use serde_json::{Value, json};

use super::versions::OFFERS;

/// One add-on.
pub struct Addon {
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub sort: &'static str,
    /// Publisher and owner: `eks`, `aws` or `community`.
    pub owner: &'static str,
    /// Whether its pods ask AWS for something.
    pub needs_role: bool,
    /// Whether it runs as a deployment: without nodes it is degraded.
    pub needs_nodes: bool,
    /// Version for a Kubernetes version such as `1.33`; `{}` stands for its minor number.
    pub versions: &'static [&'static str],
}

const fn addon(
    name: &'static str,
    sort: &'static str,
    owner: &'static str,
    flags: (bool, bool),
    versions: &'static [&'static str],
) -> Addon {
    Addon { name, sort, owner, needs_role: flags.0, needs_nodes: flags.1, versions }
}

/// Every add-on. The first version is the default one, the others are older.
pub const ADDONS: &[Addon] = &[
    addon(
        "aws-ebs-csi-driver",
        "storage",
        "aws",
        (true, true),
        &["v1.51.0-eksbuild.1", "v1.48.0-eksbuild.2", "v1.45.0-eksbuild.2"],
    ),
    addon("aws-efs-csi-driver", "storage", "aws", (true, true), &["v2.1.13-eksbuild.1", "v2.1.11-eksbuild.1"]),
    addon(
        "aws-mountpoint-s3-csi-driver",
        "storage",
        "aws",
        (true, false),
        &["v2.1.0-eksbuild.1", "v1.15.0-eksbuild.1"],
    ),
    addon("cert-manager", "security", "community", (false, true), &["v1.19.1-eksbuild.1", "v1.18.2-eksbuild.2"]),
    addon("coredns", "networking", "eks", (false, true), &["v1.12.{}-eksbuild.1", "v1.11.4-eksbuild.24"]),
    addon(
        "eks-node-monitoring-agent",
        "observability",
        "eks",
        (false, false),
        &["v1.4.1-eksbuild.1", "v1.4.0-eksbuild.2"],
    ),
    addon("eks-pod-identity-agent", "security", "eks", (false, false), &["v1.3.9-eksbuild.3", "v1.3.8-eksbuild.2"]),
    addon("external-dns", "networking", "community", (true, true), &["v0.19.0-eksbuild.2", "v0.18.0-eksbuild.1"]),
    addon("kube-proxy", "networking", "eks", (false, false), &["v1.{}.3-eksbuild.2", "v1.{}.0-eksbuild.2"]),
    addon(
        "kube-state-metrics",
        "observability",
        "community",
        (false, true),
        &["v2.17.0-eksbuild.4", "v2.16.0-eksbuild.1"],
    ),
    addon("metrics-server", "observability", "community", (false, true), &["v0.8.0-eksbuild.2", "v0.7.2-eksbuild.4"]),
    addon(
        "prometheus-node-exporter",
        "observability",
        "community",
        (false, false),
        &["v1.10.2-eksbuild.2", "v1.9.1-eksbuild.4"],
    ),
    addon("snapshot-controller", "storage", "aws", (false, true), &["v8.3.0-eksbuild.1", "v8.2.0-eksbuild.1"]),
    addon(
        "vpc-cni",
        "networking",
        "eks",
        (true, false),
        &["v1.20.4-eksbuild.1", "v1.20.1-eksbuild.1", "v1.19.5-eksbuild.1"],
    ),
];

/// The add-on of a name.
pub fn find(name: &str) -> Option<&'static Addon> {
    ADDONS.iter().find(|addon| addon.name == name)
}

impl Addon {
    /// The versions for a Kubernetes version, the default first.
    pub fn versions_for(&self, kubernetes: &str) -> Vec<String> {
        let minor = kubernetes.split('.').nth(1).unwrap_or_default();
        self.versions.iter().map(|v| v.replace("{}", minor)).collect()
    }

    /// As `DescribeAddonVersions` shows it; for one Kubernetes version, or for all.
    pub fn show(&self, kubernetes: Option<&str>) -> Value {
        let mut order: Vec<String> = Vec::new();
        let mut fits: Vec<Vec<Value>> = Vec::new();
        for offer in OFFERS.iter().rev().filter(|o| kubernetes.is_none_or(|k| k == o.version)) {
            for (place, version) in self.versions_for(offer.version).into_iter().enumerate() {
                let at = order.iter().position(|v| *v == version).unwrap_or_else(|| {
                    order.push(version);
                    fits.push(Vec::new());
                    order.len() - 1
                });
                fits[at].push(json!({
                    "clusterVersion": offer.version, "platformVersions": ["*"], "defaultVersion": place == 0,
                }));
            }
        }
        let versions: Vec<Value> = order
            .into_iter()
            .zip(fits)
            .map(|(version, fits)| {
                json!({
                    "addonVersion": version, "architecture": ["amd64", "arm64"], "computeTypes": ["ec2"],
                    "compatibilities": fits, "requiresConfiguration": false, "requiresIamPermissions": self.needs_role,
                })
            })
            .collect();
        json!({
            "addonName": self.name, "type": self.sort, "addonVersions": versions,
            "publisher": self.owner, "owner": if self.owner == "community" { "community" } else { "aws" },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_kubernetes() {
        let proxy = find("kube-proxy").unwrap();
        assert_eq!(proxy.versions_for("1.31")[0], "v1.31.3-eksbuild.2");
        let shown = proxy.show(Some("1.31"));
        assert_eq!(shown["addonVersions"][0]["compatibilities"][0]["defaultVersion"], json!(true));
        let all = find("vpc-cni").unwrap().show(None);
        assert_eq!(all["addonVersions"][0]["compatibilities"].as_array().map(Vec::len), Some(OFFERS.len()));
        assert!(find("no-such-addon").is_none());
    }
}
