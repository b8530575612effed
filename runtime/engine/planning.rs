//! What a declaration does in a plan: reads, compares, and says what a run would do. Nothing is written anywhere.

use super::{
    converge::Declared,
    planned::{Planned, Verdict, fields_of_create, outputs_of_create, outputs_of_update},
    remove::dependents,
};
use crate::{
    bind::{Change, Effect, Readiness},
    error::Result,
    state::{Resource, Status},
    value::{has_unknown, shown},
};
use serde_json::Value;

impl Declared<'_> {
    pub(super) async fn plan(&self) -> Result<Value> {
        let record = self.engine.resource(&self.address).filter(|record| record.status != Status::Intended);
        let known = !has_unknown(&self.args);
        let observed = match &record {
            Some(record) => self.read(&record.outputs).await?,
            None if known => self.find().await?,
            None => None,
        };
        let (recorded, found) = (record.is_some(), observed.is_some());
        tracing::debug!(step = self.step, resource = self.address, recorded, known, found, "looked at for the plan");
        let Some(observed) = observed else { return Ok(self.plan_create(record.as_ref())) };
        if record.is_none() && !self.is_ours(&observed)? {
            // An intent in the log means that a run died between making it and recording it.
            let intended = self.engine.resource(&self.address).is_some();
            if !self.adopt && !intended {
                return Err(self.not_ours());
            }
            let note = (!intended).then(|| "exists already; `adopt: true` takes it over".to_owned());
            let changes = visible(self.kind.diff(&self.args, &observed));
            self.say(Verdict::Adopt, changes, note, false);
            return Ok(self.recordable(&observed));
        }
        self.plan_change(record.as_ref(), observed).await
    }

    fn plan_create(&self, record: Option<&Resource>) -> Value {
        let note = record.map(|_| "was deleted by someone else".to_owned());
        self.say(Verdict::Create, fields_of_create(&self.args, self.meta.uncompared), note, false);
        self.created_outputs()
    }

    async fn plan_change(&self, record: Option<&Resource>, observed: Value) -> Result<Value> {
        if record.is_some_and(|record| matches!(record.status, Status::Created | Status::Deleting))
            && let Readiness::Broken(why) = self.kind.readiness(&observed)?
        {
            self.say(Verdict::Replace, Vec::new(), Some(format!("it failed while it was made: {why}")), false);
            return Ok(self.created_outputs());
        }
        let changes = self.kind.diff(&self.args, &observed);
        if changes.is_empty() {
            self.say(Verdict::Keep, changes, None, false);
            return Ok(self.recordable(&observed));
        }
        if changes.iter().any(|change| change.effect == Effect::Replace) {
            let (refused, note) = self.cost_of_replacing(record).await;
            self.say(Verdict::Replace, visible(changes), note, refused);
            return Ok(self.created_outputs());
        }
        self.say(Verdict::Update, visible(changes), None, false);
        let observed = self.recordable(&observed);
        let outputs = outputs_of_update(self.meta.kind, &self.name, &self.args, &observed, self.meta.changed_by_update);
        Ok(outputs)
    }

    /// Whether a run refuses the replacement, and what a reader has to know about it.
    async fn cost_of_replacing(&self, record: Option<&Resource>) -> (bool, Option<String>) {
        let Some(record) = record else { return (self.meta.stateful, None) };
        let state = self.engine.log.with(|state| state.resources.clone());
        let dependents = dependents(record, state.values());
        let mut refused = self.engine.may_delete(record).await.is_err();
        for dependent in &dependents {
            refused |= self.engine.may_delete(dependent).await.is_err();
        }
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

    fn say(&self, verdict: Verdict, changes: Vec<Change>, note: Option<String>, needs_allow_delete: bool) {
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
