//! Services of type LoadBalancer, which the cloud is asked for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, events::Level, pace, terminating};
use crate::k8s::{
    cluster::load_balancer,
    store::{ApiResult, Key},
};

/// The finalizer that keeps a Service until its load balancer is removed.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

fn finalizers(service: &Value) -> Vec<Value> {
    service["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
}

fn set_finalizer(context: &Context, key: &Key, wanted: bool) -> ApiResult<()> {
    context.change(key, |service| {
        let mut all = finalizers(service);
        all.retain(|f| f != FINALIZER);
        if wanted {
            all.push(json!(FINALIZER));
        }
        if let Some(metadata) = service["metadata"].as_object_mut() {
            metadata.shift_remove("finalizers");
            if !all.is_empty() {
                metadata.insert("finalizers".to_owned(), Value::Array(all));
            }
        }
    })
}

/// Asks the cloud for a Service's load balancer, or gives it back.
pub fn reconcile(context: &mut Context, key: &Key, service: &Arc<Value>) -> ApiResult<()> {
    let held = finalizers(service).iter().any(|f| f == FINALIZER);
    let wanted = service["spec"]["type"] == "LoadBalancer" && !terminating(service);
    let shown = load_balancer(&context.cluster.name, service);
    if !wanted {
        if held {
            context.cluster.cloud().load_balancer_gone(&shown);
            if !terminating(service) {
                context.set_status(key, json!({"loadBalancer": {}}))?;
            }
            context.event(service, Level::Normal, "DeletedLoadBalancer", "Deleted load balancer");
            set_finalizer(context, key, false)?;
        }
        return Ok(());
    }
    if !held {
        context.event(service, Level::Normal, "EnsuringLoadBalancer", "Ensuring load balancer");
        return set_finalizer(context, key, true);
    }
    if !context.elapsed(key, service, "balancer", pace::LOAD_BALANCER_S) {
        return Ok(());
    }
    if let Some(host) = context.cluster.cloud().load_balancer_wanted(&shown)
        && shown.host.as_deref() != Some(host.as_str())
    {
        let status = json!({"loadBalancer": {"ingress": [{"hostname": host}]}});
        context.set_status(key, status)?;
        context.event(service, Level::Normal, "EnsuredLoadBalancer", "Ensured load balancer");
    }
    Ok(())
}
