//! What may have been done although nobody said so: writes whose reply was lost, intents of runs that died.

use super::{
    Engine, asked_by,
    converge::Declared,
    locked,
    remove::delete_and_wait,
    retry::{Failures, Policy, backoff, is_ambiguous, retried},
};
use crate::{
    bind::{AnyResource, Change, Effect, Ownership, Readiness},
    cx::{Cx, TAG_RESOURCE, TAG_STACK},
    error::{Class, Error, Result},
    report::Event as Heard,
    state::{Event, Resource},
    wire::{TRY, WRITES},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Life time between two looks.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Looks for what can be made once more without harm.
pub(super) const FEW_LOOKS: u32 = 4;
/// Looks that fill the time within which a fresh object may not be visible to every reader.
const ALL_LOOKS: u32 = 21;

/// Whether an object carries both of our tags.
pub(super) fn carries_our_tags(cx: &Cx, kind: &dyn AnyResource, found: &Value) -> Result<bool> {
    let address = cx.address.to_string();
    Ok(kind
        .tags(found)?
        .is_some_and(|tags| tags.get(TAG_STACK) == Some(&cx.run.stack) && tags.get(TAG_RESOURCE) == Some(&address)))
}

/// Whether an object is what our intent to make one from `args` made. Others may have made one of that name since.
fn is_of_intent(cx: &Cx, kind: &dyn AnyResource, args: &Value, found: &Value) -> Result<bool> {
    Ok(match kind.meta().ownership {
        Ownership::Tags => carries_our_tags(cx, kind, found)?,
        Ownership::Intent => true,
        Ownership::Part => kind.diff(args, found).is_empty(),
    })
}

fn is_untagged(kind: &dyn AnyResource, found: &Value) -> Result<bool> {
    Ok(kind.meta().ownership == Ownership::Tags && kind.tags(found)?.is_some_and(|tags| tags.is_empty()))
}

impl Declared<'_> {
    /// Makes what an earlier run meant to make, unless it did.
    pub(super) async fn intended(&self, record: &Resource) -> Result<Value> {
        let same = record.args == self.args;
        // Another token would make a second one of what the first token made.
        let looks = if same { self.looks() } else { self.all_looks() };
        match self.found_after_doubt(looks, &record.args).await? {
            Some(found) => {
                self.note_created(&found).await?;
                Ok(found)
            }
            None if same => self.made(&record.token, true).await,
            None => self.created_after(true).await,
        }
    }

    fn all_looks(&self) -> u32 {
        if self.meta.only_recorded { 1 } else { ALL_LOOKS }
    }

    fn looks(&self) -> u32 {
        if self.meta.repeatable { FEW_LOOKS.min(self.all_looks()) } else { self.all_looks() }
    }

    /// Looks several times: what was just made may not be visible yet.
    async fn found_after_doubt(&self, looks: u32, intended: &Value) -> Result<Option<Value>> {
        let kind = self.kind.as_ref();
        let mut untagged = false;
        for look in 1..=looks {
            let found = self.find().await?;
            untagged = false;
            if let Some(found) = found {
                let made = |args: &Value| is_of_intent(&self.cx, kind, args, &found);
                if made(intended)? || made(&self.args)? {
                    return Ok(Some(found));
                }
                if self.adopt {
                    self.may_take_over(&found)?;
                    return Ok(Some(found));
                }
                untagged = is_untagged(kind, &found)?;
                // The tags of one without any may come into sight after it.
                if !untagged {
                    return Err(self.not_ours());
                }
                // Made by us and not yet tagged, or by others: its create tells which.
                if self.meta.tagged_later {
                    return Ok(None);
                }
            }
            if look < looks {
                self.cx.sleep(LOOK_AGAIN).await?;
            }
        }
        if untagged { Err(self.not_ours()) } else { Ok(None) }
    }

    /// Makes the object, whose intent is in the log. `doubt`: an earlier create of it may have been done.
    pub(super) async fn made(&self, token: &str, mut doubt: bool) -> Result<Value> {
        self.cx.say("creating");
        let mut failures = Failures::default();
        let mut tries = 0;
        let outputs = loop {
            tries += 1;
            let writes = Arc::new(AtomicU64::new(0));
            let create = TRY.scope(tries, self.kind.create(&self.cx, &self.args, token));
            let error = match WRITES.scope(writes.clone(), create).await {
                Ok(outputs) => break outputs,
                Err(error) => error,
            };
            self.decided("create failed", || format!("try {tries}, {:?}: {error}", error.class));
            doubt |= is_ambiguous(&error);
            if let Some(found) = self.made_in_spite_of(&error, doubt).await? {
                break found;
            }
            // What was made a moment ago (a role, a zone) may not be visible to this service yet.
            let failed = failures.count(&error);
            let passes = matches!(error.class, Class::Passing | Class::NotFound) && failed < Policy::CALL.tries;
            if !passes || self.cx.run.cancel.is_cancelled() {
                if !doubt && is_without_effect(&error, writes.load(Ordering::Relaxed)) {
                    self.engine.log.append(vec![Event::Forgotten { address: self.address.clone() }]).await?;
                }
                return Err(error.context(format!("cannot create `{}`", self.address)));
            }
            self.cx.say(&format!("trying again: {}", error.cause.as_deref().unwrap_or(&error.message)));
            self.cx.sleep(backoff(failed + 1, rand::random())).await?;
        };
        self.note_created(&outputs).await?;
        if doubt {
            self.delete_twins(&outputs).await?;
        }
        Ok(outputs)
    }

    /// What this create, or an earlier one, made although it ended with an error.
    async fn made_in_spite_of(&self, error: &Error, doubt: bool) -> Result<Option<Value>> {
        let looks = match error.class {
            _ if is_ambiguous(error) => self.looks(),
            // What is in the way may be ours.
            Class::Conflict if doubt => self.all_looks(),
            Class::Invalid if doubt && !self.meta.repeatable => self.all_looks(),
            _ => return Ok(None),
        };
        self.found_after_doubt(looks, &self.args).await
    }

    /// Deletes what the creates made whose reply was lost, now and once more when all steps have run.
    async fn delete_twins(&self, outputs: &Value) -> Result<()> {
        if self.meta.repeatable {
            return Ok(());
        }
        locked(&self.engine.doubtful).insert(self.address.clone());
        delete_twins(&self.cx, self.kind.as_ref(), outputs).await
    }

    /// Changes the object. After a lost reply it is read before: the change may be made.
    pub(super) async fn update_once(&self, doubt: &AtomicBool, observed: &Value, changes: &[Change]) -> Result<()> {
        if doubt.load(Ordering::Relaxed)
            && let Some(now) = self.kind.read(&self.cx, observed).await?
        {
            let left = self.kind.diff(&self.args, &now);
            let under_way = matches!(self.kind.readiness(&now)?, Readiness::Pending(_));
            if left.is_empty() || under_way || left.iter().any(|change| change.effect == Effect::Replace) {
                return Ok(());
            }
            return self.kind.update(&self.cx, &self.args, &now, &left).await;
        }
        let done = self.kind.update(&self.cx, &self.args, observed, changes).await;
        doubt.fetch_or(done.as_ref().is_err_and(is_ambiguous), Ordering::Relaxed);
        done
    }
}

/// Deletes what came into sight too late. Nothing of these tags was there when the intent was written.
async fn delete_twins(cx: &Cx, kind: &dyn AnyResource, outputs: &Value) -> Result<()> {
    for twin in retried(cx, Policy::FRESH, || kind.twins(cx, outputs)).await? {
        cx.say("deleting a second one, which a create made whose reply was lost");
        delete_and_wait(cx, kind, &twin).await?;
    }
    Ok(())
}

/// Whether a create that ended like this, at its first try, surely made nothing.
fn is_without_effect(error: &Error, writes: u64) -> bool {
    match error.class {
        Class::Conflict => true,
        Class::Invalid | Class::Denied => writes <= 1,
        _ => false,
    }
}

impl Engine {
    /// Looks once more for what creates made whose reply was lost: a cloud may have carried one out after all looks.
    pub(super) async fn delete_late_twins(&self) {
        let doubtful = std::mem::take(&mut *locked(&self.doubtful));
        for address in doubtful {
            let Some(resource) = self.resource(&address) else { continue };
            let Some(kind) = self.registry.kind(&resource.kind) else { continue };
            let cx = self.cx(&resource.step, &address);
            if let Err(error) = asked_by(&cx, delete_twins(&cx, kind.as_ref(), &resource.outputs)).await {
                let text =
                    format!("there may be a second `{address}`, which a create made whose reply was lost: {error}");
                self.reporter.hear(&Heard::Warning { text });
            }
        }
    }

    /// What the intent `resource` made before its run died or lost the reply. What others made under its name is left.
    pub(super) async fn made_by_intent(
        &self,
        cx: &Cx,
        kind: &dyn AnyResource,
        resource: &Resource,
    ) -> Result<Option<Value>> {
        let meta = kind.meta();
        let looks = if meta.only_recorded { 1 } else { ALL_LOOKS };
        let mut theirs = false;
        for look in 1..=looks {
            let found = retried(cx, Policy::CALL, || async {
                match kind.find_intended(cx, &resource.args).await {
                    Err(error) if error.is_not_found() => Ok(None),
                    other => other,
                }
            });
            let found = found.await?;
            theirs = found.is_some();
            if let Some(found) = found {
                if is_of_intent(cx, kind, &resource.args, &found)? {
                    return Ok(Some(found));
                }
                if !is_untagged(kind, &found)? {
                    break;
                }
                if meta.tagged_later {
                    let holds_data = meta.stateful && retried(cx, Policy::CALL, || kind.holds_data(cx, &found)).await?;
                    if !holds_data {
                        return Ok(Some(found));
                    }
                    break;
                }
            }
            if look < looks {
                cx.say("looking whether it was made");
                cx.sleep(LOOK_AGAIN).await?;
            }
        }
        if theirs {
            let text = format!("`{}` is left as it is: someone else made it, it is not ours", resource.address);
            self.reporter.hear(&Heard::Warning { text });
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::retry::CONSISTENCY_WINDOW, *};

    #[test]
    fn only_what_surely_made_nothing_is_forgotten() {
        let error = |class| Error::new(class, "x");
        assert!(is_without_effect(&error(Class::Conflict), 2));
        assert!(is_without_effect(&error(Class::Denied), 1));
        assert!(!is_without_effect(&error(Class::Denied), 2), "the second of two calls was denied");
        assert!(!is_without_effect(&error(Class::Passing), 1));
    }

    #[test]
    fn the_looks_fill_the_window() {
        assert_eq!(LOOK_AGAIN * (ALL_LOOKS - 1), CONSISTENCY_WINDOW);
    }
}
