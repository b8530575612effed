//! What a declaration does in a plan: reads, compares, and says what a run would do. Nothing is written anywhere.

use super::{
    converge::Declared,
    planned::{Planned, Verdict, fields_of_create, outputs_of_create, outputs_of_update},
    remove::dependents,
};
use crate::{
    bind::{Change, Effect, Readiness},
    error::{Class, Result},
    state::{Resource, Status},
    value::{has_unknown, shown},
};
use serde_json::Value;

impl Declared<'_> {
    pub(super) async fn plan(&self) -> Result<Value> {
        let known_of = |record: &Resource| record.status != Status::Intended && !record.outputs.is_null();
        let record = self.engine.resource(&self.address).filter(known_of);
        let known = !has_unknown(&self.args);
        let observed = match &record {
            Some(record) => self.read(&record.outputs).await?,
            None if known => self.find().await?,
            None => self.find_by_name().await?,
        };
        let (recorded, found) = (record.is_some(), observed.is_some());
        tracing::debug!(step = self.step, resource = self.address, recorded, known, found, "looked at for the plan");
        let Some(observed) = observed else { return Ok(self.plan_create(record.as_ref())) };
        if record.is_none() && !self.is_ours(&observed)? {
            // An intent in the log means that a run died between making it and recording it, unless others tagged it.
            let theirs = self.kind.tags(&observed)?.is_some_and(|tags| !tags.is_empty());
            let intended = self.engine.resource(&self.address).is_some() && !theirs;
            if !self.adopt && !intended {
                return Err(self.not_ours());
            }
            let note = (!intended).then(|| "exists already; `adopt: true` takes it over".to_owned());
            let changes = visible(self.kind.diff(&self.args, &observed));
            if let Err(refused) = self.may_take_over(&observed) {
                let lost = if self.meta.stateful { "; the data in it is lost" } else { "" };
                let note = format!("{}: it is taken over, deleted and made again{lost}", refused.message);
                self.say(Verdict::Replace, changes, Some(note), vec![self.name.clone()]);
                return Ok(self.created_outputs());
            }
            self.say(Verdict::Adopt, changes, note, Vec::new());
            return Ok(self.recordable(&observed));
        }
        self.plan_change(record.as_ref(), observed).await
    }

    /// What has the name already, when other arguments are not known before the run.
    async fn find_by_name(&self) -> Result<Option<Value>> {
        let by = self.meta.find_by;
        if by.is_empty() || by.iter().any(|field| has_unknown(&self.args[*field])) {
            return Ok(None);
        }
        match self.find().await {
            // An argument of another type than text, of which nothing is known yet.
            Err(error) if error.class == Class::Failed => Ok(None),
            found => found,
        }
    }

    fn plan_create(&self, record: Option<&Resource>) -> Value {
        let note = record.map(|_| "was deleted by someone else".to_owned());
        self.say(Verdict::Create, fields_of_create(&self.args, self.meta.uncompared), note, Vec::new());
        self.created_outputs()
    }

    async fn plan_change(&self, record: Option<&Resource>, observed: Value) -> Result<Value> {
        if record.is_some_and(|record| matches!(record.status, Status::Created | Status::Deleting))
            && let Readiness::Broken(why) = self.kind.readiness(&observed)?
        {
            let (begun, mut refused) = (record.filter(|record| record.status == Status::Deleting), Vec::new());
            if let Some(record) = begun
                && self.engine.may_delete(record).await.is_err()
            {
                refused.push(self.name.clone());
            }
            let what = if begun.is_some() { "its deletion was begun" } else { "it failed while it was made" };
            self.say(Verdict::Replace, Vec::new(), Some(format!("{what}: {why}")), refused);
            return Ok(self.created_outputs());
        }
        let is_new = record.is_none_or(|record| matches!(record.status, Status::Created | Status::Deleting));
        if is_new && let Readiness::Pending(why) = self.kind.readiness(&observed)? {
            let begun = record.is_some_and(|record| record.status == Status::Deleting);
            let what = if begun { "its deletion was begun" } else { "still being made" };
            self.say(Verdict::Unknown, Vec::new(), Some(format!("{what}: {why}")), Vec::new());
            return Ok(self.outputs_so_far(&observed));
        }
        if let Some(under) = self.engine.goes_with(&self.address) {
            let lost = if self.meta.stateful { "; replacing it loses the data in it" } else { "" };
            let refused = match record {
                Some(record) if self.engine.may_delete(record).await.is_err() => vec![self.name.clone()],
                _ => Vec::new(),
            };
            let note = format!("it stands on `{under}`, which is replaced{lost}");
            self.say(Verdict::Replace, visible(self.kind.diff(&self.args, &observed)), Some(note), refused);
            return Ok(self.created_outputs());
        }
        let changes = self.kind.diff(&self.args, &observed);
        if changes.is_empty() {
            self.say(Verdict::Keep, changes, None, Vec::new());
            return Ok(self.recordable(&observed));
        }
        if changes.iter().any(|change| change.effect == Effect::Replace) {
            let (refused, note) = self.cost_of_replacing(record).await;
            self.say(Verdict::Replace, visible(changes), note, refused);
            return Ok(self.created_outputs());
        }
        self.say(Verdict::Update, visible(changes), None, Vec::new());
        let observed = self.recordable(&observed);
        let outputs = outputs_of_update(self.meta.kind, &self.name, &self.args, &observed, self.meta.changed_by_update);
        Ok(outputs)
    }

    /// What an object that is still being made says of itself; what it does not say yet is unknown.
    fn outputs_so_far(&self, observed: &Value) -> Value {
        let mut outputs = self.recordable(observed);
        let later = self.created_outputs();
        for (field, unknown) in later.as_object().into_iter().flatten() {
            let is_empty = match outputs.get(field) {
                None | Some(Value::Null) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(map)) => map.is_empty(),
                Some(_) => false,
            };
            if is_empty {
                outputs[field] = unknown.clone();
            }
        }
        outputs
    }

    /// What a run wants to be named before it carries out the replacement, and what a reader has to know about it.
    async fn cost_of_replacing(&self, record: Option<&Resource>) -> (Vec<String>, Option<String>) {
        let Some(record) = record else {
            return (self.meta.stateful.then(|| self.name.clone()).into_iter().collect(), None);
        };
        let state = self.engine.log.with(|state| state.resources.clone());
        let dependents = dependents(record, &state.values(), &self.engine.registry);
        let mut refused = Vec::new();
        for one in std::iter::once(&record).chain(&dependents) {
            if self.engine.may_delete(one).await.is_err() {
                refused.push(one.name.clone());
            }
        }
        self.engine.note_goes_with(dependents.iter().map(|dependent| dependent.address.as_str()), &self.address);
        let mut notes = Vec::new();
        if self.meta.stateful {
            notes.push("replacing it loses the data in it".to_owned());
        }
        if !dependents.is_empty() {
            let names: Vec<&str> = dependents.iter().map(|dependent| dependent.address.as_str()).collect();
            notes.push(format!("deleted first, because they stand on it: {}", names.join(", ")));
        }
        (refused, (!notes.is_empty()).then(|| notes.join("; ")))
    }

    fn created_outputs(&self) -> Value {
        let schema = self.engine.registry.get(self.meta.kind).map(|entry| (entry.output)()).unwrap_or_default();
        outputs_of_create(self.meta.kind, &self.name, &self.args, &schema)
    }

    fn say(&self, verdict: Verdict, changes: Vec<Change>, note: Option<String>, needs_allow_delete: Vec<String>) {
        self.engine.note_planned(Planned {
            address: self.address.clone(),
            step: self.step.clone(),
            verdict,
            changes,
            note,
            needs_allow_delete,
        });
    }
}

fn visible(changes: Vec<Change>) -> Vec<Change> {
    changes.into_iter().map(|change| Change { old: shown(&change.old), new: shown(&change.new), ..change }).collect()
}
