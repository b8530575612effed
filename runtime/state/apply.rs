//! How each event changes the state.

use super::{
    event::{Event, Outcome},
    model::{ActionState, Changes, HeldLease, Resource, RunSummary, State, StepState, StepStatus},
    status::{Illegal, Status, next},
};
use jiff::Timestamp;
use serde_json::Value;

/// Durations of a step that are kept.
const DURATIONS_KEPT: usize = 8;
/// Runs that are kept in the history.
const RUNS_KEPT: usize = 500;

impl State {
    /// Takes one event in. An illegal one changes nothing.
    pub(super) fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        if let Some(lease) = &mut self.lease {
            lease.renewed = at;
        }
        if let Some(run) = self.runs.last_mut().filter(|run| run.outcome.is_none()) {
            // Whoever takes over knows that the run before it is over.
            match event {
                Event::Lease { .. } => run.outcome = Some(Outcome::Killed),
                _ => run.ended = at,
            }
        }
        if let Some(address) = event.address() {
            return self.apply_to_resource(address, event, at);
        }
        self.apply_to_stack(event, at);
        Ok(())
    }

    fn apply_to_resource(&mut self, address: &str, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let before = self.status(address);
        let Some(status) = next(before, event)? else {
            self.resources.remove(address);
            self.count(|changes| match event {
                Event::Forgotten { .. } => changes.forgotten += 1,
                _ => changes.deleted += 1,
            });
            return Ok(());
        };
        if let Event::Intent { kind, name, step, .. } | Event::Adopted { kind, name, step, .. } = event {
            self.place(address, kind, name, step, status, at);
        }
        let Some(resource) = self.resources.get_mut(address) else { return Ok(()) };
        resource.status = status;
        resource.changed = at;
        match event {
            Event::Intent { args, token, protect, stateful, .. } => {
                resource.args = args.clone();
                resource.token.clone_from(token);
                (resource.protect, resource.stateful) = (*protect, *stateful);
            }
            Event::Created { outputs, .. } | Event::Ready { outputs, .. } => {
                resource.outputs = outputs.clone();
                if before == Some(Status::Intended) {
                    self.count(|changes| changes.created += 1);
                }
            }
            Event::Updated { args, outputs, .. } => {
                resource.args = args.clone();
                resource.outputs = outputs.clone();
                self.count(|changes| changes.updated += 1);
            }
            Event::Declared { step, args, protect, .. } => {
                resource.step.clone_from(step);
                resource.args = args.clone();
                resource.protect = *protect;
            }
            Event::Adopted { args, outputs, protect, stateful, .. } => {
                resource.args = args.clone();
                resource.outputs = outputs.clone();
                (resource.protect, resource.stateful) = (*protect, *stateful);
                self.count(|changes| changes.adopted += 1);
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&mut self, address: &str, kind: &str, name: &str, step: &str, status: Status, at: Timestamp) {
        if let Some(resource) = self.resources.get_mut(address) {
            step.clone_into(&mut resource.step);
            return;
        }
        let resource = Resource {
            address: address.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            step: step.to_owned(),
            args: Value::Null,
            outputs: Value::Null,
            status,
            token: String::new(),
            order: self.next_order,
            protect: false,
            stateful: false,
            changed: at,
        };
        self.next_order += 1;
        self.resources.insert(address.to_owned(), resource);
    }

    fn apply_to_stack(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunStarted { .. } => self.start_run(event, at),
            Event::RunEnded { run_id, outcome, changes } => {
                if let Some(run) = self.runs.iter_mut().rev().find(|run| run.run_id == *run_id) {
                    (run.ended, run.outcome) = (at, Some(*outcome));
                    // What was told in pieces is known as a whole now.
                    run.changes = changes.unwrap_or(run.changes);
                }
            }
            Event::Lease { epoch, holder, nonce, ttl_s, .. } => {
                self.lease = Some(HeldLease {
                    epoch: *epoch,
                    holder: holder.clone(),
                    nonce: nonce.clone(),
                    ttl_s: *ttl_s,
                    since: at,
                    renewed: at,
                    released: false,
                });
            }
            Event::Released => {
                if let Some(lease) = &mut self.lease {
                    lease.released = true;
                }
            }
            Event::Recipients { recipients } => self.recipients.clone_from(recipients),
            Event::StepForgotten { step } => {
                self.steps.remove(step);
                self.actions.remove(step);
            }
            Event::ActionDone { step, binding, key, outputs } => {
                let done = ActionState { binding: binding.clone(), key: key.clone(), outputs: outputs.clone(), at };
                self.actions.entry(step.clone()).or_default().insert(Self::action_key(binding, key), done);
            }
            _ => self.apply_to_step(event, at),
        }
    }

    fn apply_to_step(&mut self, event: &Event, at: Timestamp) {
        let (Event::StepStarted { step, .. } | Event::StepDone { step, .. } | Event::StepFailed { step, .. }) = event
        else {
            return;
        };
        let state = self.steps.entry(step.clone()).or_insert_with(|| StepState {
            outputs: None,
            inputs: Value::Null,
            input_digest: None,
            code: None,
            code_started: String::new(),
            settings_read: Value::Null,
            files_read: Value::Null,
            needs: Vec::new(),
            status: StepStatus::Running,
            durations_ms: Vec::new(),
            changed: at,
        });
        state.changed = at;
        match event {
            Event::StepStarted { needs, code, inputs, .. } => {
                state.needs.clone_from(needs);
                state.code_started.clone_from(code);
                state.inputs = inputs.clone();
                state.status = StepStatus::Running;
            }
            Event::StepDone { outputs, input_digest, settings_read, files_read, duration_ms, .. } => {
                state.outputs = Some(outputs.clone());
                state.input_digest = Some(input_digest.clone());
                state.code = Some(state.code_started.clone());
                state.settings_read = settings_read.clone();
                state.files_read = files_read.clone();
                state.status = StepStatus::Done;
                state.durations_ms.push(*duration_ms);
                let surplus = state.durations_ms.len().saturating_sub(DURATIONS_KEPT);
                state.durations_ms.drain(..surplus);
                self.current_run(|run| run.steps_done += 1);
            }
            Event::StepFailed { message, .. } => {
                state.status = StepStatus::Failed(message.clone());
                self.current_run(|run| run.steps_failed += 1);
            }
            _ => {}
        }
    }

    fn start_run(&mut self, event: &Event, at: Timestamp) {
        let Event::RunStarted { run_id, verb, playbook, targets, settings_digest, version, host, user } = event else {
            return;
        };
        self.targets = targets.clone();
        self.runs.push(RunSummary {
            run_id: run_id.clone(),
            verb: verb.clone(),
            playbook: playbook.clone(),
            settings_digest: settings_digest.clone(),
            version: version.clone(),
            host: host.clone(),
            user: user.clone(),
            started: at,
            ended: at,
            outcome: None,
            changes: Changes::default(),
            steps_done: 0,
            steps_failed: 0,
        });
        let surplus = self.runs.len().saturating_sub(RUNS_KEPT);
        self.runs.drain(..surplus);
    }

    fn current_run(&mut self, change: impl FnOnce(&mut RunSummary)) {
        if let Some(run) = self.runs.last_mut().filter(|run| run.outcome.is_none()) {
            change(run);
        }
    }

    fn count(&mut self, change: impl FnOnce(&mut Changes)) {
        self.current_run(|run| change(&mut run.changes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn intent(address: &str) -> Event {
        Event::Intent {
            address: address.into(),
            kind: "k".into(),
            name: "a".into(),
            step: "s".into(),
            args: json!({ "size": 1 }),
            token: "t".into(),
            protect: false,
            stateful: false,
        }
    }

    #[test]
    fn a_step_that_runs_again_keeps_its_outputs_until_it_ends_well() {
        let mut state = State::default();
        let at = Timestamp::UNIX_EPOCH;
        let started =
            |code: &str| Event::StepStarted { step: "s".into(), needs: vec![], code: code.into(), inputs: Value::Null };
        let done = Event::StepDone {
            step: "s".into(),
            outputs: json!(1),
            input_digest: "i".into(),
            settings_read: Value::Null,
            files_read: Value::Null,
            duration_ms: 5,
        };
        for event in [&started("c1"), &done, &started("c2")] {
            state.apply(event, at).unwrap();
        }
        state.apply(&Event::StepFailed { step: "s".into(), message: "no".into() }, at).unwrap();
        let step = &state.steps["s"];
        assert_eq!((step.outputs.as_ref(), step.code.as_deref()), (Some(&json!(1)), Some("c1")));
        assert_eq!(step.status, StepStatus::Failed("no".into()));
        assert_eq!(state.expected_ms("s"), Some(5));
    }

    #[test]
    fn order_is_that_of_the_first_intent_and_starts_anew_after_deletion() {
        let mut state = State::default();
        let at = Timestamp::UNIX_EPOCH;
        for event in [intent("k/a"), intent("k/b"), intent("k/a")] {
            state.apply(&event, at).unwrap();
        }
        let order: Vec<&str> = state.in_order().iter().map(|one| one.address.as_str()).collect();
        assert_eq!(order, ["k/a", "k/b"]);
        state.apply(&Event::Deleted { address: "k/a".into() }, at).unwrap();
        state.apply(&intent("k/a"), at).unwrap();
        let order: Vec<&str> = state.in_order().iter().map(|one| one.address.as_str()).collect();
        assert_eq!(order, ["k/b", "k/a"]);
    }

    #[test]
    fn an_illegal_event_changes_no_resource() {
        let mut state = State::default();
        let at = Timestamp::UNIX_EPOCH;
        state.apply(&intent("k/a"), at).unwrap();
        let before = state.clone();
        assert!(state.apply(&Event::Updating { address: "k/a".into(), changes: vec![] }, at).is_err());
        assert_eq!(state, before);
    }
}
