//! `k8s::wait_job`.

use super::{absent, explained, failed};
use crate::{
    bind::{Polled, Wait},
    cx::Cx,
    error::Result,
    k8s::{
        cluster::{Cluster, ClusterRef},
        lookups::place,
        place::Place,
        ready::{self, State},
    },
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Waits until a job is complete.
///
/// Use it after what starts the job. It fails at once when the job does. It changes nothing.
///
/// # Errors
/// The job failed or the deadline passed: with events, states of containers and last lines of logs.
///
/// ```rhai
/// k8s::wait_job(#{ cluster: cluster, namespace: "gitpod", name: "gitpod-installer", timeout_s: 1200 });
/// ```
///
/// Stands on GET of the job; for reasons on GET of events, pods and logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Seconds until it must be complete. Default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

impl JobArgs {
    async fn place(&self, cx: &Cx) -> Result<(Arc<Cluster>, Place)> {
        place(cx, &self.cluster, "batch/v1", "Job", Some(&self.namespace), &self.name).await
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobDone {
    /// Pods that succeeded.
    pub succeeded: i64,
}

/// The wait; see [`JobArgs`].
pub struct Job;

#[async_trait]
impl Wait for Job {
    const NAME: &'static str = "k8s::wait_job";
    type Args = JobArgs;
    type Output = JobDone;
    const POLL_S: u64 = 3;

    async fn poll(cx: &Cx, args: &Self::Args) -> Result<Polled<Self::Output>> {
        let (cluster, place) = args.place(cx).await?;
        let Some(object) = cluster.send_maybe(cx, &place.get()).await? else {
            return Ok(Polled::Pending(absent(&place)));
        };
        match ready::job(&object) {
            State::Ready => {
                Ok(Polled::Ready(JobDone { succeeded: object["status"]["succeeded"].as_i64().unwrap_or(0) }))
            }
            State::Pending(words) => Ok(Polled::Pending(words)),
            State::Failed(words) => {
                let what = format!("job {} failed", place.called());
                Err(failed(cx, &cluster, &place, &object, what, words).await)
            }
        }
    }

    async fn explain(cx: &Cx, args: &Self::Args) -> Option<String> {
        let (cluster, place) = args.place(cx).await.ok()?;
        explained(cx, &cluster, &place, ready::job).await
    }
}
