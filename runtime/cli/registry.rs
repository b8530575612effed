//! The bindings of this build.

use crate::bind::Registry;
use std::sync::Arc;

/// All of them.
pub fn all() -> Arc<Registry> {
    let mut registry = Registry::default();
    crate::random::register(&mut registry);
    crate::file::register(&mut registry);
    crate::kept::register(&mut registry);
    crate::process::register(&mut registry);
    #[cfg(feature = "aws")]
    crate::aws::register(&mut registry);
    #[cfg(feature = "k8s")]
    crate::k8s::register(&mut registry);
    Arc::new(registry)
}
