//! Simulated AWS and Kubernetes on the loopback address, speaking the clouds' own protocols.

pub mod k8s;
