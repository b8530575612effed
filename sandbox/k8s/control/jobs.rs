//! Jobs: pods that run to their end, tried again a few times.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context,
    events::Level,
    key_of, meta, pace,
    pods::{PodPlan, is_active},
    terminating, with_condition,
};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key, now, suffix},
};

fn count(value: &Value, default: usize) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
}

fn is_finished(job: &Value) -> bool {
    condition_is_true(job, "Complete") || condition_is_true(job, "Failed")
}

/// Starts pods, counts them, and ends the Job.
pub fn reconcile(context: &mut Context, key: &Key, job: &Arc<Value>) -> ApiResult<()> {
    if terminating(job) {
        return Ok(());
    }
    if is_finished(job) {
        return expire(context, key, job);
    }
    let spec = &job["spec"];
    if spec["suspend"] == true {
        let conditions = with_condition(job, "Suspended", true, "JobSuspended", "Job suspended");
        return context.set_status(key, json!({"conditions": conditions}));
    }
    let pods = context.owned(job, "/pods");
    let in_phase = |phase: &str| pods.iter().filter(|p| p["status"]["phase"] == phase).count();
    let (succeeded, failed) = (in_phase("Succeeded"), in_phase("Failed"));
    let active: Vec<&Arc<Value>> = pods.iter().filter(|p| is_active(p)).collect();
    let ready = active.iter().filter(|p| condition_is_true(p, "Ready")).count();
    let started = job["status"]["startTime"].as_str().map_or_else(now, String::from);
    let mut status = json!({"startTime": started, "ready": ready});
    for (name, number) in [("active", active.len()), ("succeeded", succeeded), ("failed", failed)] {
        if number > 0 {
            status[name] = json!(number);
        }
    }
    let completions = count(&spec["completions"], 1);
    let backoff_limit = count(&spec["backoffLimit"], 6);
    if succeeded >= completions {
        return complete(context, key, job, status);
    }
    if failed > backoff_limit {
        let message = "Job has reached the specified backoff limit";
        return fail(context, key, job, status, "BackoffLimitExceeded", message);
    }
    let deadline_s = spec["activeDeadlineSeconds"].as_f64();
    if let Some(deadline_s) = deadline_s
        && context.elapsed_at_least(key, job, "deadline", deadline_s, pace::LEAST_DEADLINE_S)
    {
        let message = "Job was active longer than specified deadline";
        return fail(context, key, job, status, "DeadlineExceeded", message);
    }
    let wanted = count(&spec["parallelism"], 1).min(completions - succeeded);
    if active.len() < wanted && may_retry(context, key, &pods, failed) {
        for _ in active.len()..wanted {
            context.create_pod(PodPlan {
                owner: job,
                template: &spec["template"],
                name: format!("{}-{}", key.name, suffix()),
                labels: Vec::new(),
                node: None,
                claims: Vec::new(),
            })?;
        }
    }
    context.set_status(key, status)
}

/// Whether the pause after the last failure is over.
fn may_retry(context: &mut Context, key: &Key, pods: &[Arc<Value>], failed: usize) -> bool {
    let failures = pods.iter().filter(|p| p["status"]["phase"] == "Failed");
    let Some(last) = failures.max_by_key(|p| meta(p, "resourceVersion").parse::<u64>().unwrap_or(0)) else {
        return true;
    };
    let doublings = i32::try_from(failed.saturating_sub(1).min(5)).unwrap_or(0);
    context.elapsed(key, last, "backoff", pace::JOB_BACKOFF_S * 2f64.powi(doublings))
}

fn complete(context: &Context, key: &Key, job: &Value, mut status: Value) -> ApiResult<()> {
    let reason = "CompletionsReached";
    let message = "Reached expected number of succeeded pods";
    let conditions = with_condition(job, "SuccessCriteriaMet", true, reason, message);
    let with = json!({"status": {"conditions": conditions}});
    status["conditions"] = with_condition(&with, "Complete", true, reason, message);
    status["completionTime"] = json!(now());
    context.event(job, Level::Normal, "Completed", "Job completed");
    context.set_status(key, status)
}

fn fail(context: &Context, key: &Key, job: &Value, mut status: Value, reason: &str, message: &str) -> ApiResult<()> {
    for pod in context.owned(job, "/pods").iter().filter(|p| is_active(p)) {
        context.store().delete(&key_of("/pods", pod), &Value::Null, false)?;
    }
    let conditions = with_condition(job, "FailureTarget", true, reason, message);
    let with = json!({"status": {"conditions": conditions}});
    status["conditions"] = with_condition(&with, "Failed", true, reason, message);
    if let Some(status) = status.as_object_mut() {
        status.shift_remove("active");
    }
    context.event(job, Level::Warning, reason, message);
    context.set_status(key, status)
}

/// Removes a finished Job when its time is over.
fn expire(context: &mut Context, key: &Key, job: &Value) -> ApiResult<()> {
    let Some(after_s) = job["spec"]["ttlSecondsAfterFinished"].as_f64() else { return Ok(()) };
    if context.elapsed_at_least(key, job, "expire", after_s, pace::LEAST_KEEP_S) {
        context.store().delete(key, &Value::Null, false)?;
    }
    Ok(())
}
