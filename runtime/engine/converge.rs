//! What a declaration does in a run: find, read, compare, create or change, wait, record.

use super::{
    Engine, asked_by,
    doubt::{FEW_LOOKS, LOOK_AGAIN, carries_our_tags},
    planned::Verdict,
    remove::recordable,
    retry::{Policy, retried},
    settle::{read, settled},
};
use crate::{
    bind::{AnyResource, Change, Effect, Ownership, Readiness, ResourceMeta},
    cx::Cx,
    error::{Class, Error, Result},
    state::{Event, Resource, Status},
    value::{has_unknown, shown},
};
use serde_json::Value;
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Rounds of reading and updating after which a field counts as not settable.
const UPDATE_ROUNDS: u32 = 6;

/// One declaration on its way.
pub(super) struct Declared<'a> {
    pub engine: &'a Engine,
    pub kind: Arc<dyn AnyResource>,
    pub meta: ResourceMeta,
    pub cx: Cx,
    pub address: String,
    pub name: String,
    pub step: String,
    pub args: Value,
    pub adopt: bool,
}

impl Engine {
    /// Converges one resource; its outputs.
    pub(super) async fn declare(&self, step: &str, kind: Arc<dyn AnyResource>, args: Value) -> Result<Value> {
        let declared = self.declaration(step, kind, args)?;
        let cx = declared.cx.clone();
        if cx.planning() { asked_by(&cx, declared.plan()).await } else { asked_by(&cx, declared.run()).await }
    }

    fn declaration(&self, step: &str, kind: Arc<dyn AnyResource>, mut args: Value) -> Result<Declared<'_>> {
        let meta = kind.meta();
        let adopt = args.as_object_mut().and_then(|map| map.shift_remove("adopt"));
        let adopt = match adopt {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(Error::usage("`adopt` takes `true` or `false`")),
        };
        kind.check(&args)?.map_err(|mistake| {
            let place = if mistake.path.is_empty() { String::new() } else { format!(" at `{}`", mistake.path) };
            Error::usage(format!("bad arguments of `{}`{place}: {}", meta.kind, mistake.message))
        })?;
        let name = kind.name(&args).ok_or_else(|| Error::usage(format!("`{}` has no name", meta.kind)))?;
        let address = format!("{}/{}", meta.kind, crate::value::shown_text(&name));
        self.note_declared(step, &address)?;
        let cx = self.cx(step, &address);
        Ok(Declared { engine: self, kind, meta, cx, address, name, step: step.to_owned(), args, adopt })
    }
}

impl Declared<'_> {
    async fn run(&self) -> Result<Value> {
        if has_unknown(&self.args) {
            return Err(Error::failed(format!("`{}` depends on something that is not known", self.address)));
        }
        let record = self.engine.resource(&self.address);
        self.decided("declared", || {
            record.as_ref().map_or("no record".to_owned(), |it| format!("recorded as {}", it.status))
        });
        let (observed, fresh, verdict) = match record {
            Some(record) => self.by_record(&record).await?,
            None => self.without_record().await?,
        };
        let observed = if fresh { self.settled(observed, true).await? } else { observed };
        let (observed, verdict) = self.brought_in_line(observed, verdict).await?;
        let observed = self.settled(observed, verdict != Verdict::Keep).await?;
        self.note_ready(&observed).await?;
        self.decided("converged", || format!("{verdict:?}"));
        if verdict != Verdict::Keep {
            self.engine.note_changed(&self.step, &self.address, verdict);
        }
        Ok(self.recordable(&observed))
    }

    /// (observed, whether it was just made, what was done)
    async fn by_record(&self, record: &Resource) -> Result<(Value, bool, Verdict)> {
        match record.status {
            // A deletion that was begun before anything was recorded tells no more than the intent.
            Status::Deleting if record.outputs.is_null() => {
                let found = self.engine.made_by_intent(&self.cx, self.kind.as_ref(), record).await?;
                self.after_deletion(record, found).await
            }
            Status::Intended => Ok((self.intended(record).await?, true, Verdict::Create)),
            Status::Deleting => self.after_deletion(record, self.read(&record.outputs).await?).await,
            Status::Created | Status::Ready | Status::Updating => {
                if let Some(found) = self.read_recorded(record).await? {
                    self.unless_broken(record, found).await
                } else {
                    // Deleted by hand: what the log says is no longer so.
                    self.engine.record(vec![Event::Forgotten { address: self.address.clone() }]).await?;
                    self.without_record().await
                }
            }
        }
    }

    /// An object that failed while it was made is of no use to anyone: it is deleted and made again.
    async fn unless_broken(&self, record: &Resource, found: Value) -> Result<(Value, bool, Verdict)> {
        match self.kind.readiness(&found)? {
            Readiness::Broken(why) if record.status == Status::Created => {
                self.cx.say(&format!("making it again: {why}"));
                self.engine.record(vec![Event::Deleting { address: self.address.clone() }]).await?;
                self.delete_and_wait(&found).await?;
                self.engine.record(vec![Event::Deleted { address: self.address.clone() }]).await?;
                Ok((self.created().await?, true, Verdict::Replace))
            }
            Readiness::Pending(_) => Ok((found, true, Verdict::Keep)),
            _ => Ok((found, false, Verdict::Keep)),
        }
    }

    async fn without_record(&self) -> Result<(Value, bool, Verdict)> {
        let Some(found) = self.find().await? else {
            return Ok((self.created().await?, true, Verdict::Create));
        };
        let ours = self.is_ours(&found)?;
        self.decided("found without a record", || format!("ours: {ours}, adopt: {}", self.adopt));
        if !ours && !self.adopt {
            return Err(self.not_ours());
        }
        if !ours {
            self.may_take_over(&found)?;
        }
        self.engine
            .record(vec![Event::Adopted {
                address: self.address.clone(),
                kind: self.meta.kind.to_owned(),
                name: self.name.clone(),
                step: self.step.clone(),
                args: self.args.clone(),
                outputs: self.recordable(&found),
                protect: self.protect(),
                stateful: self.meta.stateful,
            }])
            .await?;
        Ok((found, true, if ours { Verdict::Keep } else { Verdict::Adopt }))
    }

    /// Whether an object found without a record is ours all the same.
    pub(super) fn is_ours(&self, found: &Value) -> Result<bool> {
        Ok(match self.meta.ownership {
            Ownership::Tags => carries_our_tags(&self.cx, self.kind.as_ref(), found)?,
            Ownership::Intent => false,
            // A part of what is ours, exactly as wanted, is taken for ours; one that differs is someone's work.
            Ownership::Part => self.kind.diff(&self.args, found).is_empty(),
        })
    }

    pub(super) fn not_ours(&self) -> Error {
        Error::new(Class::Conflict, format!("`{}` exists already and is not ours", self.address))
            .because("it carries neither the tags of this stack nor a record in its log")
            .hint("rename it in the playbook, or take it over by adding `adopt: true` to its arguments")
    }

    pub(super) async fn find(&self) -> Result<Option<Value>> {
        retried(&self.cx, Policy::CALL, || async {
            match self.kind.find(&self.cx, &self.args).await {
                Err(error) if error.is_not_found() => Ok(None),
                other => other,
            }
        })
        .await
        .map_err(|error| error.named(|| format!("cannot look for `{}`", self.address)))
    }

    pub(super) async fn read(&self, last: &Value) -> Result<Option<Value>> {
        let found = read(&self.cx, self.kind.as_ref(), last, Policy::CALL).await;
        found.map_err(|error| error.named(|| format!("cannot look at `{}`", self.address)))
    }

    /// What was made moments before a run died may not be visible to the next one at once.
    async fn read_recorded(&self, record: &Resource) -> Result<Option<Value>> {
        if record.status == Status::Created {
            return self.read_fresh(&record.outputs).await;
        }
        self.read(&record.outputs).await
    }

    /// Reads what was just made or changed: several times, because it may not be visible yet.
    async fn read_fresh(&self, last: &Value) -> Result<Option<Value>> {
        for _ in 1..FEW_LOOKS {
            if let Some(found) = self.read(last).await? {
                return Ok(Some(found));
            }
            self.cx.sleep(LOOK_AGAIN).await?;
        }
        self.read(last).await
    }

    /// Writes the intent, then makes the object.
    pub(super) async fn created(&self) -> Result<Value> {
        self.created_after(false).await
    }

    /// `doubt`: an earlier create of it may have been done.
    pub(super) async fn created_after(&self, doubt: bool) -> Result<Value> {
        self.engine.stop_if_cancelled()?;
        let token = new_token();
        self.engine
            .log
            .append(vec![Event::Intent {
                address: self.address.clone(),
                kind: self.meta.kind.to_owned(),
                name: self.name.clone(),
                step: self.step.clone(),
                args: self.args.clone(),
                token: token.clone(),
                protect: self.protect(),
                stateful: self.meta.stateful,
            }])
            .await?;
        self.made(&token, doubt).await
    }

    pub(super) async fn note_created(&self, outputs: &Value) -> Result<()> {
        self.engine
            .record(vec![Event::Created { address: self.address.clone(), outputs: self.recordable(outputs) }])
            .await
    }

    /// Records what is so now, when the log does not say it yet.
    async fn note_ready(&self, observed: &Value) -> Result<()> {
        let Some(record) = self.engine.resource(&self.address) else { return Ok(()) };
        let address = || self.address.clone();
        let outputs = self.recordable(observed);
        let mut events = Vec::new();
        if record.status == Status::Updating {
            events.push(Event::Updated { address: address(), args: self.args.clone(), outputs });
        } else if record.status != Status::Ready || record.outputs != outputs {
            events.push(Event::Ready { address: address(), outputs });
        }
        let (step, protect) = (self.step.clone(), self.protect());
        if record.args != self.args || record.step != step || record.protect != protect {
            events.push(Event::Declared { address: address(), step, args: self.args.clone(), protect });
        }
        if events.is_empty() {
            return Ok(());
        }
        self.engine.record(events).await
    }

    /// What is kept of an object.
    pub(super) fn recordable(&self, observed: &Value) -> Value {
        recordable(&self.meta, observed)
    }

    /// Tells the log.
    pub(super) fn decided(&self, what: &str, why: impl FnOnce() -> String) {
        tracing::debug!(step = self.step, resource = self.address, why = why(), "{what}");
    }

    fn protect(&self) -> bool {
        self.engine.permissions.protected_steps.contains(&self.step)
    }

    /// Waits until the object can be used. `fresh`: it was just made or changed, so that it may still be invisible.
    pub(super) async fn settled(&self, observed: Value, fresh: bool) -> Result<Value> {
        settled(&self.cx, self.kind.as_ref(), observed, fresh).await
    }

    /// Updates until nothing differs.
    async fn brought_in_line(&self, mut observed: Value, mut verdict: Verdict) -> Result<(Value, Verdict)> {
        for _ in 0..UPDATE_ROUNDS {
            let changes = self.kind.diff(&self.args, &observed);
            if changes.is_empty() {
                return Ok((observed, verdict));
            }
            self.decided("differs", || told(&changes));
            if changes.iter().any(|change| change.effect == Effect::Replace) {
                let replaced = self.replaced(&observed, &changes).await?;
                observed = self.settled(replaced, true).await?;
                verdict = Verdict::Replace;
                continue;
            }
            observed = self.updated(&observed, &changes).await?;
            if verdict == Verdict::Keep {
                verdict = Verdict::Update;
            }
        }
        let left = self.kind.diff(&self.args, &observed);
        match left.first() {
            None => Ok((observed, verdict)),
            Some(change) => Err(Error::failed(format!("`{}` does not take `{}`", self.address, change.field))
                .because(format!("it stays {} where {} is wanted", shown(&change.old), shown(&change.new)))),
        }
    }

    async fn updated(&self, observed: &Value, changes: &[Change]) -> Result<Value> {
        self.engine.stop_if_cancelled()?;
        let fields: Vec<String> = changes.iter().map(|change| change.field.clone()).collect();
        self.cx.say(&format!("changing {}", fields.join(", ")));
        self.engine.log.append(vec![Event::Updating { address: self.address.clone(), changes: fields }]).await?;
        let doubt = AtomicBool::new(false);
        retried(&self.cx, Policy::FRESH, || self.update_once(&doubt, observed, changes))
            .await
            .map_err(|error| error.context(format!("cannot change `{}`", self.address)))?;
        self.engine.run.wire.before_record(&self.step);
        let again = self
            .read_fresh(observed)
            .await?
            .ok_or_else(|| Error::failed(format!("`{}` was deleted while it was changed", self.address)))?;
        let again = self.settled(again, true).await?;
        if self.kind.diff(&self.args, &again).is_empty() {
            return Ok(again);
        }
        // Some readers lag behind: a second look before it is changed once more.
        self.cx.sleep(Duration::from_secs(2)).await?;
        Ok(self.read(&again).await?.unwrap_or(again))
    }
}

/// Field by field: what is there, what is wanted, and what it takes.
fn told(changes: &[Change]) -> String {
    let one = |it: &Change| format!("{}: {} → {} ({:?})", it.field, shown(&it.old), shown(&it.new), it.effect);
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A token that no other create has ever had. It is written down before it is used, and never made again for the same create.
pub(super) fn new_token() -> String {
    format!("gp-{}", hex::encode(rand::random::<[u8; 16]>()))
}
