//! Kubernetes: declared objects, actions, look-ups and waits over the API of a cluster.
//!
//! [`cluster`] connects, [`call`] sends (every request asks the wire), [`kind`] says where a kind is served. What decides is
//! pure: [`manifest`], [`documents`], [`patching`], [`compare`], [`owned`], [`live`], [`diff`], [`ready`].

pub mod actions;
pub mod apply;
mod auth;
pub mod call;
pub mod cluster;
pub mod compare;
pub mod diff;
pub mod documents;
pub mod kind;
pub mod live;
pub mod lookups;
pub mod manifest;
mod names;
pub mod nodes;
pub mod object;
pub mod owned;
pub mod patching;
pub mod place;
mod reach;
pub mod ready;
pub mod reasons;
pub mod snapshot;
#[cfg(all(test, feature = "sandbox"))]
mod tests;
mod volumes;
pub mod waits;

use crate::bind::Registry;
pub use cluster::check_kubeconfig;

/// Registers the bindings of Kubernetes.
pub fn register(registry: &mut Registry) {
    registry.resource::<object::Object>();
    registry.composite::<apply::Apply>();
    registry.composite::<apply::Manifest>();
    registry.composite::<apply::SecretObject>();
    registry.action::<actions::Delete>();
    registry.action::<actions::Patch>();
    registry.action::<actions::Restart>();
    registry.lookup::<lookups::Get>();
    registry.lookup::<lookups::Find>();
    registry.lookup::<lookups::List>();
    registry.lookup::<nodes::Nodes>();
    registry.lookup::<lookups::ServerVersion>();
    registry.wait::<waits::Rollout>();
    registry.wait::<waits::Rollouts>();
    registry.wait::<waits::Condition>();
    registry.wait::<waits::Job>();
    registry.wait::<waits::Nodes>();
    registry.wait::<waits::Gone>();
    registry.wait::<waits::LoadBalancer>();
}
