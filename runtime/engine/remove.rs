//! Taking a resource away, alone or to make it again.

use super::{
    Engine, asked_by,
    converge::Declared,
    planned::Verdict,
    retry::{Policy, retried},
    settle::{poll_interval, read},
};
use crate::{
    bind::{AnyResource, Change, Readiness},
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

/// The resources among `all` that were made with an identity of `of` in their arguments, and theirs, last made first.
pub fn dependents<'a>(of: &Resource, all: &(impl Iterator<Item = &'a Resource> + Clone)) -> Vec<&'a Resource> {
    let mut found: Vec<&Resource> = Vec::new();
    let mut queue = vec![identities(of)];
    while let Some(ids) = queue.pop() {
        for other in all.clone() {
            let known = other.address == of.address || found.iter().any(|known| known.address == other.address);
            if !known && ids.iter().any(|id| holds(&other.args, id)) {
                found.push(other);
                queue.push(identities(other));
            }
        }
    }
    found.sort_by_key(|resource| std::cmp::Reverse(resource.order));
    found
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
        let observed = if resource.status == Status::Intended {
            // It may have been made before the process died.
            let find = || async {
                match kind.find(cx, &resource.args).await {
                    Err(error) if error.is_not_found() => Ok(None),
                    other => other,
                }
            };
            let found = retried(cx, Policy::CALL, find).await?;
            let tagged = found.as_ref().map(|found| kind.tags(found)).transpose()?.flatten();
            // It was not there when the intent was written: without any tag it is ours, made and not yet tagged.
            let theirs =
                tagged.is_some_and(|tags| !tags.is_empty() && tags.get(crate::cx::TAG_STACK) != Some(&cx.run.stack));
            found.filter(|_| !theirs)
        } else {
            read(cx, kind.as_ref(), &resource.outputs, Policy::CALL).await?
        };
        let Some(observed) = observed else {
            if resource.status == Status::Deleting && !resource.outputs.is_null() {
                self.wait_for_remains(cx, kind.as_ref(), &resource.outputs).await?;
            }
            return self.record(vec![gone]).await;
        };
        if resource.status != Status::Deleting {
            self.log.append(vec![Event::Deleting { address: resource.address.clone() }]).await?;
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
            let dependents = dependents(&record, &state.values());
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
async fn delete_and_wait(cx: &Cx, kind: &dyn AnyResource, observed: &Value) -> Result<()> {
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
