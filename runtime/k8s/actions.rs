//! `k8s::delete`, `k8s::patch`, `k8s::restart`: things done to objects that the playbook does not declare.

use super::{
    call::{Call, MERGE, OPERATIONS, STRATEGIC},
    cluster::{Cluster, ClusterRef},
    kind,
    lookups::{for_scripts, place},
    patching,
    place::Place,
};
use crate::{
    bind::{Action, Todo},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Field manager of changes to objects that are not declared; not that of declared ones, whose fields it must not join.
const PATCH_MANAGER: &str = "gitpod-play-patch";
/// Seconds of life between two looks at an object that goes.
const GONE_POLL_S: u64 = 2;
/// Seconds of life after which an object that does not go is an error.
const GONE_TIMEOUT_S: u64 = 600;
/// Annotation on a pod template that says what it was restarted for.
const ANNOTATION_RESTARTED: &str = "gitpod-play/restarted-for";

/// Deletes an object of Kubernetes and waits until it is gone.
///
/// Use it for what the cluster came with and the playbook does without (the daemonset `aws-node` under Calico). What an
/// object owns goes after it. Nothing is done when it is absent. Objects that the playbook declares are deleted by leaving
/// them out or by `destroy`.
///
/// # Errors
/// A finalizer that nobody removes holds it; the cluster refuses.
///
/// ```rhai
/// k8s::delete(#{ cluster: cluster, api_version: "apps/v1", kind: "DaemonSet", namespace: "kube-system", name: "aws-node" });
/// ```
///
/// Stands on GET and DELETE of the object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Service`, `DaemonSet` …
    pub kind: String,
    /// Its namespace; `default` when left out. Not for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl DeleteArgs {
    async fn place(&self, cx: &Cx) -> Result<(std::sync::Arc<Cluster>, Place)> {
        place(cx, &self.cluster, &self.api_version, &self.kind, self.namespace.as_deref(), &self.name).await
    }
}

/// Nothing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// The action; see [`DeleteArgs`].
pub struct Delete;

#[async_trait]
impl Action for Delete {
    const NAME: &'static str = "k8s::delete";
    type Args = DeleteArgs;
    type Output = Nothing;

    async fn pending(cx: &Cx, args: &Self::Args) -> Result<Todo<Self::Output>> {
        let (cluster, place) = match args.place(cx).await {
            Err(error) if error.is_not_found() => return Ok(Todo::Done(Nothing {})),
            other => other?,
        };
        Ok(match cluster.send_maybe(cx, &place.get()).await? {
            Some(_) => Todo::Needed(format!("delete {}", place.called())),
            None => Todo::Done(Nothing {}),
        })
    }

    async fn perform(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let (cluster, place) = args.place(cx).await?;
        let call = Call::delete(&place.kind.plural, place.path(), None, &place.called());
        match cluster.send_text(cx, &call).await {
            Err(error) if error.is_not_found() => return Ok(Nothing {}),
            other => other.map(drop)?,
        }
        let mut waited_s = 0;
        while let Some(object) = cluster.send_maybe(cx, &place.get()).await? {
            let words = match super::ready::state(&object, false) {
                super::ready::State::Pending(words) => words,
                _ => "still there".to_owned(),
            };
            if waited_s >= GONE_TIMEOUT_S {
                return Err(Error::new(Class::TimedOut, format!("{} does not go away", place.called())).because(words));
            }
            cx.say(&format!("{} is {words}", place.called()));
            cx.sleep(Duration::from_secs(GONE_POLL_S)).await?;
            waited_s += GONE_POLL_S;
        }
        Ok(Nothing {})
    }
}

/// How a patch is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchType {
    /// Maps are merged, lists by their keys; kinds of Kubernetes itself only.
    Strategic,
    /// Maps are merged, lists replaced.
    Merge,
    /// A list of operations (RFC 6902).
    Json,
}

/// Changes fields of an object of Kubernetes that the playbook does not declare.
///
/// Use it for objects that come with the cluster or from a chart (a variable of the daemonset `calico-node`). Nothing is
/// sent when the object is so already. For declared objects use `patches` of `k8s::manifest`: a field that both set would
/// go to and fro.
///
/// # Errors
/// The object is not there; the patch does not fit.
///
/// ```rhai
/// k8s::patch(#{ cluster: cluster, api_version: "apps/v1", kind: "DaemonSet", namespace: "kube-system", name: "calico-node",
///     patch: #{ spec: #{ template: #{ spec: #{ containers: [
///         #{ name: "calico-node", env: [#{ name: "FELIX_AWSSRCDSTCHECK", value: "Disable" }] } ] } } } } });
/// ```
///
/// Stands on GET and PATCH of the object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `v1`, `apps/v1` …
    pub api_version: String,
    /// `Service`, `DaemonSet` …
    pub kind: String,
    /// Its namespace; `default` when left out. Not for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The fields as they shall be, `()` for those that shall go; for `json` the operations.
    pub patch: Value,
    /// How: `strategic` (default for kinds of Kubernetes itself), `merge` (default for all others) or `json` (default for a
    /// list).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<PatchType>,
}

impl PatchArgs {
    fn media(&self) -> &'static str {
        let patch_type = self.patch_type.unwrap_or(match &self.patch {
            Value::Array(_) => PatchType::Json,
            _ if kind::is_native(&self.api_version) => PatchType::Strategic,
            _ => PatchType::Merge,
        });
        match patch_type {
            PatchType::Strategic => STRATEGIC,
            PatchType::Merge => MERGE,
            PatchType::Json => OPERATIONS,
        }
    }
}

/// The action; see [`PatchArgs`].
pub struct Patch;

#[async_trait]
impl Action for Patch {
    const NAME: &'static str = "k8s::patch";
    type Args = PatchArgs;
    type Output = Value;

    async fn pending(cx: &Cx, args: &Self::Args) -> Result<Todo<Self::Output>> {
        let (cluster, place) =
            place(cx, &args.cluster, &args.api_version, &args.kind, args.namespace.as_deref(), &args.name).await?;
        let needed = Todo::Needed(format!("patch {}", place.called()));
        match cluster.send_maybe(cx, &place.get()).await? {
            Some(live) if patching::is_made(&live, &args.patch) => Ok(Todo::Done(for_scripts(live))),
            // In a plan it may be still to come; a run says so when it patches.
            _ => Ok(needed),
        }
    }

    async fn perform(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let (cluster, place) =
            place(cx, &args.cluster, &args.api_version, &args.kind, args.namespace.as_deref(), &args.name).await?;
        send_patch(cx, &cluster, &place, args.media(), &args.patch).await.map(for_scripts)
    }
}

async fn send_patch(cx: &Cx, cluster: &Cluster, place: &Place, media: &'static str, patch: &Value) -> Result<Value> {
    let call = Call::patch(&place.kind.plural, place.path(), media, patch, &place.called())
        .with("fieldManager", PATCH_MANAGER);
    cluster.send(cx, &call).await
}

/// The workloads that can be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Workload {
    /// A deployment.
    #[serde(rename = "deployment", alias = "Deployment")]
    Deployment,
    /// A daemonset.
    #[serde(rename = "daemonset", alias = "DaemonSet")]
    DaemonSet,
    /// A statefulset.
    #[serde(rename = "statefulset", alias = "StatefulSet")]
    StatefulSet,
}

impl Workload {
    /// The kind's name in the API.
    pub fn kind(self) -> &'static str {
        match self {
            Workload::Deployment => "Deployment",
            Workload::DaemonSet => "DaemonSet",
            Workload::StatefulSet => "StatefulSet",
        }
    }
}

/// Restarts the pods of a workload, once for each reason.
///
/// Use it after a change that pods see only when they start. It is done once for each text in `once`, which stays on the
/// pod template. It does not wait until the new pods run: `k8s::wait_rollout` does.
///
/// # Errors
/// The workload is not there.
///
/// ```rhai
/// k8s::restart(#{ cluster: cluster, kind: "deployment", namespace: "kube-system", name: "coredns", once: "calico" });
/// ```
///
/// Stands on GET and PATCH of the workload.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// `deployment`, `daemonset` or `statefulset`.
    pub kind: Workload,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why: any text; another text restarts again.
    pub once: String,
}

/// The action; see [`RestartArgs`].
pub struct Restart;

impl Restart {
    async fn place(cx: &Cx, args: &RestartArgs) -> Result<(std::sync::Arc<Cluster>, Place)> {
        place(cx, &args.cluster, "apps/v1", args.kind.kind(), Some(&args.namespace), &args.name).await
    }
}

#[async_trait]
impl Action for Restart {
    const NAME: &'static str = "k8s::restart";
    type Args = RestartArgs;
    type Output = Nothing;

    async fn pending(cx: &Cx, args: &Self::Args) -> Result<Todo<Self::Output>> {
        let (cluster, place) = Self::place(cx, args).await?;
        let live = cluster.send_maybe(cx, &place.get()).await?.unwrap_or(Value::Null);
        let done = live["spec"]["template"]["metadata"]["annotations"][ANNOTATION_RESTARTED] == args.once.as_str();
        Ok(if done {
            Todo::Done(Nothing {})
        } else {
            Todo::Needed(format!("restart {} for `{}`", place.called(), args.once))
        })
    }

    async fn perform(cx: &Cx, args: &Self::Args) -> Result<Self::Output> {
        let (cluster, place) = Self::place(cx, args).await?;
        let patch =
            json!({ "spec": { "template": { "metadata": { "annotations": { ANNOTATION_RESTARTED: args.once } } } } });
        send_patch(cx, &cluster, &place, STRATEGIC, &patch).await?;
        Ok(Nothing {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_patch_follows_kind_and_form() {
        let args = |api_version: &str, patch: Value| PatchArgs {
            cluster: ClusterRef::default(),
            api_version: api_version.into(),
            kind: "X".into(),
            namespace: None,
            name: "x".into(),
            patch,
            patch_type: None,
        };
        assert_eq!(args("apps/v1", json!({})).media(), STRATEGIC);
        assert_eq!(args("cert-manager.io/v1", json!({})).media(), MERGE);
        assert_eq!(args("apps/v1", json!([])).media(), OPERATIONS);
    }
}
