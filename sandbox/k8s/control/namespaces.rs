//! Namespaces that end: what is in them goes first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, pace, terminating};
use crate::k8s::store::{ApiResult, Key, now};

/// Empties a terminating namespace, and lets it go when it is empty.
pub fn reconcile(context: &mut Context, key: &Key, namespace: &Arc<Value>) -> ApiResult<()> {
    if !terminating(namespace) || !context.elapsed(key, namespace, "end", pace::NAMESPACE_S) {
        return Ok(());
    }
    context.store().with(|objects| {
        for key in objects.in_namespace(&key.name) {
            if objects.find(&key).is_some() {
                objects.delete(&key, &Value::Null, false)?;
            }
        }
        Ok(())
    })?;
    let left = context.store().read().in_namespace(&key.name).len();
    if left == 0 {
        return context.change(key, |n| n["spec"] = json!({}));
    }
    let message = format!("Some content in the namespace has finalizers remaining: {left} objects");
    let known = &namespace["status"]["conditions"][0];
    let at = if known["message"] == message { known["lastTransitionTime"].clone() } else { json!(now()) };
    context.set_status(
        key,
        json!({"phase": "Terminating", "conditions": [{"type": "NamespaceFinalizersRemaining",
            "status": "True", "reason": "SomeFinalizersRemain", "message": message,
            "lastTransitionTime": at}]}),
    )
}
