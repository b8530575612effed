//! Taking a resource away, alone or to make it again.

use super::{
    Engine, asked_by,
    converge::Declared,
    planned::Verdict,
    retry::{Policy, retried},
    settle::{poll_interval, read},
};
use crate::{
    bind::{AnyResource, Change, Readiness, Registry, ResourceMeta},
    cx::Cx,
    error::{Class, Error, Result, pasteable},
    report::Event as Heard,
    state::{Event, Resource, Status},
    value::shown,
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long is waited for what others have to take away.
const REMAINS: Duration = Duration::from_mins(5);
/// Outputs that name an object to others. Only these tie two resources together.
const IDENTITIES: [&str; 3] = ["id", "arn", "endpoint"];

/// The resources among `all` that were made with an identity of `of` in their arguments, or with its name where their kind
/// says so, and theirs, last made first.
pub fn dependents<'a>(
    of: &'a Resource,
    all: &(impl Iterator<Item = &'a Resource> + Clone),
    registry: &Registry,
) -> Vec<&'a Resource> {
    let mut found: Vec<&Resource> = Vec::new();
    let mut queue = vec![of];
    while let Some(one) = queue.pop() {
        let ids = identities(one);
        for other in all.clone() {
            let known = other.address == of.address || found.iter().any(|known| known.address == other.address);
            if !known && (ids.iter().any(|id| holds(&other.args, id)) || names(other, one, registry)) {
                found.push(other);
                queue.push(other);
            }
        }
    }
    found.sort_by_key(|resource| std::cmp::Reverse(resource.order));
    found
}

/// Whether `other` was made with the name of `one` in a field that means its kind.
fn names(other: &Resource, one: &Resource, registry: &Registry) -> bool {
    registry.kind(&other.kind).is_some_and(|kind| {
        kind.meta().stands_on.iter().any(|(field, kind)| *kind == one.kind && other.args[*field] == one.name)
    })
}

pub(super) fn identities(of: &Resource) -> Vec<String> {
    let texts = IDENTITIES.iter().filter_map(|field| of.outputs.get(*field)?.as_str());
    texts.filter(|text| text.len() > 3).map(str::to_owned).collect()
}

pub(super) fn holds(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| holds(item, id)),
        Value::Object(map) => map.values().any(|item| holds(item, id)),
        _ => false,
    }
}

/// What is kept of an object: what only a comparison needs goes neither into the log nor to scripts.
pub(super) fn recordable(meta: &ResourceMeta, observed: &Value) -> Value {
    let mut kept = observed.clone();
    if let Some(map) = kept.as_object_mut().filter(|_| !meta.unrecorded.is_empty()) {
        map.retain(|field, _| !meta.unrecorded.contains(&field.as_str()));
    }
    kept
}

impl Engine {
    /// Whether `resource` may be deleted; the error says what to add to the command.
    pub async fn may_delete(&self, resource: &Resource) -> Result<()> {
        let allowed = &self.permissions.allow_delete;
        if allowed.contains(&resource.name) || allowed.contains(&resource.address) {
            return Ok(());
        }
        let refuse = |why: &str| {
            Err(Error::new(Class::Refused, format!("`{}` is not deleted: {why}", resource.address))
                .hint(format!("to delete it all the same, add `--allow-delete {}`", pasteable(&resource.name))))
        };
        if resource.protect || self.permissions.protected_steps.contains(&resource.step) {
            return refuse("its step is protected");
        }
        if resource.stateful
            && let Some(kind) = self.registry.kind(&resource.kind)
            && !resource.outputs.is_null()
        {
            let cx = self.cx(&resource.step, &resource.address);
            let holds = asked_by(&cx, retried(&cx, Policy::CALL, || kind.holds_data(&cx, &resource.outputs))).await;
            match holds {
                Ok(true) => return refuse(kind.loss(&resource.outputs)?),
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes what the log knows at `address` and waits until it is gone. Success when there is nothing.
    pub async fn delete(&self, address: &str) -> Result<()> {
        let Some(resource) = self.resource(address) else { return Ok(()) };
        let kind = self.registry.kind(&resource.kind).ok_or_else(|| {
            Error::failed(format!("this build knows no `{}`, the kind of `{address}`", resource.kind))
        })?;
        let cx = self.cx(&resource.step, address);
        asked_by(&cx, self.delete_known(&cx, kind, &resource)).await
    }

    async fn delete_known(&self, cx: &Cx, kind: Arc<dyn AnyResource>, resource: &Resource) -> Result<()> {
        self.stop_if_cancelled()?;
        tracing::debug!(step = resource.step, resource = resource.address, status = %resource.status, "to be deleted");
        let gone = Event::Deleted { address: resource.address.clone() };
        // Of what was deleted before it was recorded nothing but the intent is known.
        let intended = resource.status == Status::Intended || resource.outputs.is_null();
        let observed = if intended {
            self.made_by_intent(cx, kind.as_ref(), resource).await?
        } else {
            read(cx, kind.as_ref(), &resource.outputs, Policy::CALL).await?
        };
        let Some(observed) = observed else {
            if resource.status == Status::Deleting && !resource.outputs.is_null() {
                self.wait_for_remains(cx, kind.as_ref(), &resource.outputs).await?;
            }
            return self.record(vec![gone]).await;
        };
        let mut events = Vec::new();
        if resource.status == Status::Intended {
            let outputs = recordable(&kind.meta(), &observed);
            events.push(Event::Created { address: resource.address.clone(), outputs });
        }
        if resource.status != Status::Deleting {
            events.push(Event::Deleting { address: resource.address.clone() });
        }
        if !events.is_empty() {
            self.log.append(events).await?;
        }
        delete_and_wait(cx, kind.as_ref(), &observed).await?;
        self.wait_for_remains(cx, kind.as_ref(), &observed).await?;
        self.record(vec![gone]).await?;
        self.note_changed(&resource.step, &resource.address, Verdict::Delete);
        Ok(())
    }

    /// Waits until others have taken away what they have to, but not for ever: it is no reason to keep everything else.
    async fn wait_for_remains(&self, cx: &Cx, kind: &dyn AnyResource, last: &Value) -> Result<()> {
        let began = Instant::now();
        let patience = cx.run.pace.scaled(REMAINS).max(Duration::from_secs(10));
        while let Some(what) = retried(cx, Policy::CALL, || kind.remains(cx, last)).await? {
            if began.elapsed() > patience {
                let text = format!("`{}` is gone, but not what it leaves behind: {what}", cx.address);
                self.reporter.hear(&Heard::Warning { text });
                break;
            }
            cx.say(&format!("waiting until it is gone: {what}"));
            cx.sleep(poll_interval(kind.meta().poll_s, began.elapsed(), cx)).await?;
        }
        Ok(())
    }
}

impl Declared<'_> {
    /// What is someone else's is taken over as it is; to delete it and make it again has to be allowed by name.
    pub(super) fn may_take_over(&self, found: &Value) -> Result<()> {
        let allowed = &self.engine.permissions.allow_delete;
        let changes = self.kind.diff(&self.args, found);
        let replaced = changes.iter().find(|change| change.effect == crate::bind::Effect::Replace);
        match replaced.filter(|_| !allowed.contains(&self.name) && !allowed.contains(&self.address)) {
            None => Ok(()),
            Some(change) => Err(Error::new(
                Class::Refused,
                format!("`{}` is someone else's, and its `{}` cannot be changed", self.address, change.field),
            )
            .because(format!("it is {}, the playbook wants {}", shown(&change.old), shown(&change.new)))
            .hint(format!(
                "write it into the playbook as it is; or, to delete theirs and make another one, add `--allow-delete {}`",
                pasteable(&self.name)
            ))),
        }
    }

    /// A deletion was begun in a former run. What is there and works was not deleted: it is kept, as a plan says. What is on its
    /// way out is waited for; what is broken has to be deleted again, and that is asked about like any other deletion.
    pub(super) async fn after_deletion(
        &self,
        record: &Resource,
        found: Option<Value>,
    ) -> Result<(Value, bool, Verdict)> {
        let found = match found {
            Some(found) if matches!(self.kind.readiness(&found)?, Readiness::Pending(_)) => self.left(found).await?,
            other => other,
        };
        let Some(found) = found else {
            self.engine.record(vec![Event::Deleted { address: self.address.clone() }]).await?;
            return Ok((self.created().await?, true, Verdict::Replace));
        };
        if self.kind.readiness(&found)? == Readiness::Ready {
            self.engine
                .record(vec![Event::Ready { address: self.address.clone(), outputs: self.recordable(&found) }])
                .await?;
            return Ok((found, false, Verdict::Keep));
        }
        self.engine.may_delete(record).await?;
        self.delete_and_wait(&found).await?;
        self.engine.record(vec![Event::Deleted { address: self.address.clone() }]).await?;
        Ok((self.created().await?, true, Verdict::Replace))
    }

    /// Waits until something that is on its way out, or in, is gone or stays; what stays.
    async fn left(&self, mut found: Value) -> Result<Option<Value>> {
        let began = Instant::now();
        let life = Duration::from_secs(self.meta.timeout_s);
        let deadline = self.cx.run.pace.scaled(life).max(Duration::from_secs(20));
        while let Readiness::Pending(why) = self.kind.readiness(&found)? {
            if began.elapsed() > deadline {
                return Err(Error::new(Class::TimedOut, format!("`{}` is neither gone nor ready", self.address))
                    .because(why)
                    .hint("run the same command again: it goes on waiting where it stopped"));
            }
            self.cx.say(&format!("its deletion was begun: {why}"));
            self.cx.sleep(poll_interval(self.meta.poll_s, began.elapsed(), &self.cx)).await?;
            match self.read(&found).await? {
                Some(next) => found = next,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    pub(super) async fn delete_and_wait(&self, observed: &Value) -> Result<()> {
        delete_and_wait(&self.cx, self.kind.as_ref(), observed).await
    }

    /// Deletes what depends on it, then it, then makes it again. Dependents are made again by their own declarations.
    pub(super) async fn replaced(&self, observed: &Value, changes: &[Change]) -> Result<Value> {
        let record = self.engine.resource(&self.address);
        let fields: Vec<String> =
            changes.iter().map(|change| format!("{} → {}", change.field, shown(&change.new))).collect();
        self.cx.say(&format!("replacing because of {}", fields.join(", ")));
        if let Some(record) = record {
            self.engine.may_delete(&record).await?;
            let state = self.engine.log.with(|state| state.resources.clone());
            let dependents = dependents(&record, &state.values(), &self.engine.registry);
            for dependent in &dependents {
                self.engine.may_delete(dependent).await?;
            }
            for dependent in dependents {
                // A recursive future has to be boxed.
                Box::pin(self.engine.delete(&dependent.address)).await?;
            }
        } else if self.meta.stateful {
            return Err(Error::new(Class::Refused, format!("`{}` is not replaced: it holds data", self.address)));
        }
        self.engine.log.append(vec![Event::Deleting { address: self.address.clone() }]).await?;
        self.delete_and_wait(observed).await?;
        self.engine.wait_for_remains(&self.cx, self.kind.as_ref(), observed).await?;
        self.engine.record(vec![Event::Deleted { address: self.address.clone() }]).await?;
        self.created().await
    }
}

/// Deletes and waits until nothing is left.
pub(super) async fn delete_and_wait(cx: &Cx, kind: &dyn AnyResource, observed: &Value) -> Result<()> {
    let meta = kind.meta();
    let began = Instant::now();
    let deadline = cx.run.pace.scaled(Duration::from_secs(meta.timeout_s)).max(Duration::from_secs(20));
    let mut observed = observed.clone();
    cx.say("deleting");
    let delete = async |observed: &Value| match retried(cx, Policy::DELETE, || kind.delete(cx, observed)).await {
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.context(format!("cannot delete `{}`", cx.address))),
        Ok(()) => Ok(()),
    };
    delete(&observed).await?;
    if meta.only_recorded {
        return Ok(());
    }
    loop {
        let Some(left) = read(cx, kind, &observed, Policy::CALL).await? else { return Ok(()) };
        let why = match kind.readiness(&left)? {
            Readiness::Pending(why) => why,
            // Still there as if nothing had been said (a delete that was lost, or failed on the way): said again.
            Readiness::Ready | Readiness::Broken(_) => {
                delete(&left).await?;
                "it is still there".to_owned()
            }
        };
        if began.elapsed() > deadline {
            return Err(Error::new(
                Class::TimedOut,
                format!("`{}` was not gone after {} s", cx.address, meta.timeout_s),
            )
            .because(why)
            .hint("run the same command again: it goes on waiting where it stopped"));
        }
        cx.say(&format!("waiting until it is gone: {why}"));
        cx.sleep(poll_interval(meta.poll_s, began.elapsed(), cx)).await?;
        observed = left;
    }
}
