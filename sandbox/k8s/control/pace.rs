//! How long things take, in simulated seconds.

/// From a pod's creation to its place on a node.
pub const SCHEDULE_S: f64 = 0.2;
/// Pulling the images of a pod.
pub const PULL_S: f64 = 3.0;
/// From a container's start to its readiness.
pub const START_S: f64 = 2.0;
/// How long the containers of an ordinary Job run.
pub const JOB_S: f64 = 5.0;
/// How long Gitpod's installer runs.
pub const INSTALLER_S: f64 = 45.0;
/// How long Gitpod's installer waits for what its volumes name before it gives up.
pub const INSTALLER_PATIENCE_S: f64 = 60.0;
/// The pause before a Job tries again after its first failure; it doubles with each.
pub const JOB_BACKOFF_S: f64 = 10.0;
/// From a container's crash to the next.
pub const CRASH_S: f64 = 20.0;
/// From a namespace's deletion to its end.
pub const NAMESPACE_S: f64 = 1.0;
/// From a CustomResourceDefinition's creation to the serving of its kinds.
pub const ESTABLISH_S: f64 = 0.5;
/// From a LoadBalancer Service's creation to the request for a load balancer.
pub const LOAD_BALANCER_S: f64 = 4.0;
/// From a claim's need of a volume to the volume.
pub const VOLUME_S: f64 = 3.0;
/// From an issuer's creation to its registration.
pub const ISSUER_S: f64 = 2.0;
/// From a certificate's creation to its issue over DNS-01.
pub const CERTIFICATE_S: f64 = 40.0;
/// From a certificate's creation to its issue by an issuer that signs itself.
pub const OWN_CERTIFICATE_S: f64 = 1.0;
/// From a network plugin's start on a node to the node's readiness.
pub const NODE_S: f64 = 3.0;
/// Real seconds that a deadline of a client lasts at least: a busy machine needs some for work that takes none in the simulation.
pub const LEAST_DEADLINE_S: f64 = 10.0;
/// Real seconds that a finished Job stays at least, for its client to see it.
pub const LEAST_KEEP_S: f64 = 30.0;
