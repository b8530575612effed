//! Stand-ins for manifests that playbooks fetch from the internet.
//!
//! The simulation has no internet. For the manifests that the shipped playbooks apply it has small
//! ones of its own, with the objects that a playbook looks at or patches under their real names.

/// File names, as they end a URL, and the stand-in for each.
const STAND_INS: [(&str, &str); 5] = [
    ("calico-vxlan.yaml", include_str!("manifests/calico-vxlan.yaml")),
    ("cert-manager.yaml", include_str!("manifests/cert-manager.yaml")),
    ("external-dns.yaml", include_str!("manifests/external-dns.yaml")),
    ("aws-load-balancer-controller.yaml", LOAD_BALANCER_CONTROLLER),
    // Releases of the load balancer controller carry their version in the file's name.
    ("_full.yaml", LOAD_BALANCER_CONTROLLER),
];

const LOAD_BALANCER_CONTROLLER: &str = include_str!("manifests/aws-load-balancer-controller.yaml");

/// The stand-in for the manifest at `url`, by the URL's file name; none for an unknown one.
pub fn manifest_for(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let matches = |name: &str| match name {
        "_full.yaml" => file.ends_with(name) && folder.contains("aws-load-balancer-controller"),
        name => file == name,
    };
    STAND_INS.iter().find(|(name, _)| matches(name)).map(|(_, text)| *text)
}
