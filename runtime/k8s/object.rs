//! `k8s::object`: one object of Kubernetes, kept as its manifest says by server-side apply.

use super::{
    call::{APPLY, Call, SET_BY_HAND, UNREACHED},
    cluster::{self, ClusterRef, cluster},
    diff,
    kind::{self, Kind},
    live,
    manifest::{self, ANNOTATION_APPLIED, Identity},
    names,
    owned::{self, FIELD_MANAGER},
    place::Place,
    ready::{self, State},
    volumes,
};
use crate::{
    bind::{Change, Effect, Ownership, Readiness, Resource},
    cx::{Cx, TAG_RESOURCE, TAG_STACK},
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// An object of Kubernetes, kept as its manifest says.
///
/// Use it for anything that a manifest can describe; `k8s::apply` and `k8s::manifest` make many of these from YAML. It is
/// applied on the server under the field manager `gitpod-play`: fields that the manifest leaves out belong to others and
/// are never touched, fields that it no longer has are removed. It never takes over an object that it did not make (unless
/// `adopt: true`), nor a field that another program has set otherwise (unless `force: true`); what people changed, with
/// `kubectl` for example, is put back. It does not wait for
/// workloads to run unless `wait: true`; definitions are waited for until they are served, namespaces until active.
///
/// # Errors
/// - a field is set by another program: say `force: true`, or leave it out;
/// - a field cannot be changed (immutable) or is not known to the cluster: the message names it;
/// - the cluster does not serve the kind: apply its definition first.
///
/// ```rhai
/// k8s::object(#{ cluster: cluster, manifest: #{
///     apiVersion: "v1", kind: "ConfigMap",
///     metadata: #{ name: "settings", namespace: "gitpod" },
///     data: #{ region: "eu-west-1" },
/// } });
/// ```
///
/// Stands on GET, PATCH (`application/apply-patch+yaml`) and DELETE of the object.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectArgs {
    /// The cluster: what `aws::eks::cluster` returns.
    pub cluster: ClusterRef,
    /// The object, with `apiVersion`, `kind` and `metadata.name`. A `status` in it is ignored; a Secret's `stringData` is
    /// applied as `data`.
    pub manifest: Map<String, Value>,
    /// Namespace for a manifest that names none, where the kind has one; `default` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Takes fields over that other programs have set otherwise. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Waits until workloads run, jobs are complete, and all else with a condition `Ready` has it. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// An object as the cluster has it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// The cluster it is in.
    pub cluster: ClusterRef,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub object_kind: String,
    /// Its namespace; absent for kinds without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub object_name: String,
    /// What tells it from another of the same name.
    pub uid: String,
    /// Plural of the kind, by which the API serves it.
    pub plural: String,
    /// Our marks on it: stack and resource.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Digest of the manifest that was applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// Whether readiness includes that workloads run.
    #[serde(default)]
    pub wait: bool,
    /// `ready`, or what it waits for.
    #[serde(default)]
    pub state: String,
    /// Whether it never will be ready.
    #[serde(default)]
    pub failed: bool,
    /// Digests of a Secret's data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Phase, counts, load balancer and conditions (by type), where the object has them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
    /// The object, for comparison: without secrets, large parts as digests.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub live: Value,
    /// Our set of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<Value>,
    /// The others that manage it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
}

/// `state` of an object that can be used.
const READY: &str = "ready";

fn observed(reference: &ClusterRef, place: &Place, object: &Value, wait: bool) -> Observed {
    let metadata = &object["metadata"];
    let mark = |field: &str, key: &str| metadata[field][key].as_str().map(|text| (key.to_owned(), text.to_owned()));
    let (state, failed) = match ready::state(object, wait) {
        State::Ready => (READY.to_owned(), false),
        State::Pending(words) => (words, false),
        State::Failed(words) => (words, true),
    };
    Observed {
        cluster: reference.clone(),
        api_version: place.kind.api_version.clone(),
        object_kind: place.kind.kind.clone(),
        namespace: place.namespace.clone(),
        object_name: place.name.clone(),
        uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
        plural: place.kind.plural.clone(),
        tags: [mark("labels", TAG_STACK), mark("annotations", TAG_RESOURCE)].into_iter().flatten().collect(),
        applied: metadata["annotations"][ANNOTATION_APPLIED].as_str().map(str::to_owned),
        wait,
        state,
        failed,
        data: if manifest::is_secret(object) { live::marked_digests(object) } else { BTreeMap::new() },
        status: live::status(object),
        live: live::kept(object),
        owned: owned::ours(object),
        managers: owned::other_managers(object),
    }
}

/// The resource; see [`ObjectArgs`].
pub struct Object;

impl Object {
    async fn place(cx: &Cx, args: &ObjectArgs) -> Result<(std::sync::Arc<cluster::Cluster>, Place)> {
        let cluster = cluster(cx, &args.cluster).await?;
        let identity = Identity::of(&Value::Object(args.manifest.clone()))?;
        let place = Place::of(cx, &cluster, &identity, args.namespace.as_deref()).await?;
        Ok((cluster, place))
    }

    /// Applies. A definition that was established a moment ago is not served everywhere yet: then a few looks more.
    async fn apply(cx: &Cx, args: &ObjectArgs) -> Result<Observed> {
        for _ in 1..LOOKS_FOR_A_KIND {
            match Self::apply_once(cx, args).await {
                Err(error) if is_unserved(&error) => {
                    cx.say("waiting: the cluster does not serve this kind yet");
                    cx.sleep(LOOK_AGAIN).await?;
                }
                other => return other,
            }
        }
        // For good: whoever calls need not try this again.
        Self::apply_once(cx, args)
            .await
            .map_err(|error| if is_unserved(&error) { Error { class: Class::Invalid, ..error } } else { error })
    }

    async fn apply_once(cx: &Cx, args: &ObjectArgs) -> Result<Observed> {
        let (cluster, place) = Self::place(cx, args).await?;
        let plain = manifest::prepared(&Value::Object(args.manifest.clone()));
        let body = manifest::marked_as_ours(&plain, place.namespace.as_deref(), &cx.run.stack, &cx.address);
        let call = |force: bool| {
            Call::patch(&place.kind.plural, place.path(), APPLY, &body, &place.called())
                .with("fieldManager", FIELD_MANAGER)
                .with("fieldValidation", "Strict")
                .with("force", if force { "true" } else { "false" })
        };
        let object = match cluster.send(cx, &call(args.force == Some(true))).await {
            // What people changed is drift, and put back; what a program sets is left to it until the playbook decides.
            Err(error) if error.code.as_deref() == Some(SET_BY_HAND) => {
                cx.say(&format!("putting back what was changed by hand: {}", error.cause.unwrap_or_default()));
                cluster.send(cx, &call(true)).await?
            }
            other => other?,
        };
        // Whatever is read after this is to be new.
        cluster.snapshots.looked_at(object["metadata"]["uid"].as_str().unwrap_or_default());
        Ok(observed(&args.cluster, &place, &object, args.wait == Some(true)))
    }
}

/// Looks for a kind that is not served, and the life time between them.
const LOOKS_FOR_A_KIND: u32 = 6;
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The API's answer for a path that leads nowhere is not that for an object or a namespace that is absent.
fn is_unserved(error: &Error) -> bool {
    let words = error.cause.as_deref().unwrap_or_default();
    error.is_not_found()
        && (error.code.as_deref() == Some(kind::UNSERVED) || words.contains("could not find the requested resource"))
}

/// Whether an error may mean that the whole cluster is gone: it cannot be reached, or whoever answers knows no token of it.
fn may_be_gone(error: &Error) -> bool {
    error.code.as_deref() == Some(UNREACHED) || error.class == Class::Denied
}

#[async_trait]
impl Resource for Object {
    const KIND: &'static str = "k8s::object";
    type Args = ObjectArgs;
    type Observed = Observed;
    const UNCOMPARED: &'static [&'static str] = &["cluster", "namespace", "force", "wait"];
    const UNRECORDED: &'static [&'static str] = &["live", "owned", "managers", "status", "data"];
    const CHANGED_BY_UPDATE: &'static [&'static str] = &["applied", "state"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 900;

    fn name(args: &Value) -> Option<String> {
        let identity = Identity::of(&args["manifest"]).ok()?;
        Some(identity.called(args["namespace"].as_str()))
    }

    fn validate(args: &Self::Args) -> Result<()> {
        let manifest = Value::Object(args.manifest.clone());
        Identity::of(&manifest)?;
        names::check(&manifest)?;
        if let Some(namespace) = &args.namespace {
            names::check_namespace(namespace)?;
        }
        for part in ["labels", "annotations"] {
            let odd = manifest["metadata"][part]
                .as_object()
                .into_iter()
                .flatten()
                .find(|(_, value)| !value.is_string() && !value.is_null());
            if let Some((key, value)) = odd {
                return Err(Error::usage(format!("`metadata.{part}.{key}` is `{value}`, which is no text"))
                    .hint("put it in quotes"));
            }
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &Self::Args) -> Result<Option<Self::Observed>> {
        let (cluster, place) = match Self::place(cx, args).await {
            // Not even the kind is there.
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let object = cluster.send_maybe(cx, &place.get()).await?;
        if let Some(object) = &object {
            cluster.snapshots.looked_at(object["metadata"]["uid"].as_str().unwrap_or_default());
        }
        Ok(object.map(|object| observed(&args.cluster, &place, &object, args.wait == Some(true))))
    }

    async fn read(cx: &Cx, last: &Self::Observed) -> Result<Option<Self::Observed>> {
        let Some(cluster) = cluster::recorded(cx, &last.cluster).await? else { return Ok(None) };
        let place = last.place();
        if let Some(object) = cluster.first_look(cx, &place, &last.uid).await {
            return Ok(Some(observed(&last.cluster, &place, &object, last.wait)));
        }
        match cluster.send_maybe(cx, &place.get()).await {
            Err(error) if may_be_gone(&error) && cluster::is_gone(cx, &last.cluster).await => Ok(None),
            other => Ok(other?.map(|object| observed(&last.cluster, &place, &object, last.wait))),
        }
    }

    fn tags(observed: &Self::Observed) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    async fn remains(cx: &Cx, last: &Self::Observed) -> Result<Option<String>> {
        if last.object_kind != "Namespace" {
            return Ok(None);
        }
        let Some(cluster) = cluster::recorded(cx, &last.cluster).await? else { return Ok(None) };
        match volumes::of_namespace(cx, &cluster, &last.object_name).await {
            Err(error) if may_be_gone(&error) => Ok(None),
            other => other,
        }
    }

    fn readiness(observed: &Self::Observed) -> Readiness {
        match (observed.state.as_str(), observed.failed) {
            (words, true) => Readiness::Broken(words.to_owned()),
            (READY, false) => Readiness::Ready,
            (words, false) => Readiness::Pending(words.to_owned()),
        }
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        match serde_json::from_value::<Observed>(observed.clone()) {
            Ok(observed) => diff::changes(&wanted["manifest"], &observed),
            // A record of another version: applying again is harmless.
            Err(_) => vec![Change {
                field: "manifest".into(),
                old: Value::Null,
                new: json!("as wanted"),
                effect: Effect::Update,
            }],
        }
    }

    async fn create(cx: &Cx, args: &Self::Args, _token: &str) -> Result<Self::Observed> {
        Self::apply(cx, args).await
    }

    async fn update(cx: &Cx, args: &Self::Args, _observed: &Self::Observed, _changes: &[Change]) -> Result<()> {
        Self::apply(cx, args).await.map(drop)
    }

    async fn delete(cx: &Cx, observed: &Self::Observed) -> Result<()> {
        let Some(cluster) = cluster::recorded(cx, &observed.cluster).await? else { return Ok(()) };
        let place = observed.place();
        let call = Call::delete(&place.kind.plural, place.path(), Some(&observed.uid), &place.called());
        match cluster.send_text(cx, &call).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.class == Class::Conflict => {
                Err(error.hint("someone has made it anew since: look at it, then delete it or `state rm` its record"))
            }
            Err(error) if may_be_gone(&error) && cluster::is_gone(cx, &observed.cluster).await => Ok(()),
            other => other.map(drop),
        }
    }
}

impl Observed {
    fn place(&self) -> Place {
        let kind = Kind {
            api_version: self.api_version.clone(),
            kind: self.object_kind.clone(),
            plural: self.plural.clone(),
            namespaced: self.namespace.is_some(),
        };
        Place { kind, namespace: self.namespace.clone(), name: self.object_name.clone() }
    }
}
