//! Taking everything away: steps in reverse, and in each step the last made first.

use super::{
    Engine,
    schedule::{Outcome, Task, run_all},
    steps::diagnostic,
};
use crate::{
    error::{Error, Result},
    report::Event,
    state::{Resource, State},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Instant,
};

/// What was deleted, and what went wrong, by step.
pub struct Destroyed {
    /// Steps whose resources are gone, and those whose are not.
    pub outcome: Outcome,
    /// The first error of each failed step.
    pub errors: BTreeMap<String, Error>,
}

/// The tasks that delete `addresses`: one a step, each after the steps that needed it. Pure.
pub fn tasks(state: &State, addresses: &BTreeSet<String>) -> Vec<Task> {
    let steps: BTreeSet<&str> = state
        .resources
        .values()
        .filter(|resource| addresses.contains(&resource.address))
        .map(|it| it.step.as_str())
        .collect();
    let mut needed_by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for step in &steps {
        // Steps without resources are passed through, so that order survives them.
        let mut queue: Vec<&str> = needs(state, step);
        let mut seen = BTreeSet::new();
        while let Some(need) = queue.pop() {
            if !seen.insert(need) {
                continue;
            }
            if steps.contains(need) {
                needed_by.entry(need).or_default().push((*step).to_owned());
            } else {
                queue.extend(needs(state, need));
            }
        }
    }
    let task = |step: &&str| Task {
        name: (*step).to_owned(),
        needs: needed_by.remove(*step).unwrap_or_default(),
        expected_s: 1.0,
    };
    steps.iter().map(task).collect()
}

fn needs<'a>(state: &'a State, step: &str) -> Vec<&'a str> {
    state.steps.get(step).map(|step| step.needs.iter().map(String::as_str).collect()).unwrap_or_default()
}

impl Engine {
    /// The resources that would be deleted but may not be, or of which it cannot be told, each with the reason.
    pub async fn refused_deletes(&self, addresses: &BTreeSet<String>) -> Vec<(String, Error)> {
        let resources: Vec<Resource> = self
            .log
            .with(|state| addresses.iter().filter_map(|address| state.resources.get(address).cloned()).collect());
        let mut refused = Vec::new();
        for resource in resources {
            if let Err(error) = self.may_delete(&resource).await {
                refused.push((resource.address, error));
            }
        }
        refused
    }

    /// Deletes `addresses`. Blocks; call it from outside the async runtime.
    pub fn destroy(&self, addresses: &BTreeSet<String>, jobs: usize, runtime: &tokio::runtime::Handle) -> Destroyed {
        let tasks = self.log.with(|state| tasks(state, addresses));
        let errors = Mutex::new(BTreeMap::new());
        let stopped = || self.run.cancel.is_cancelled();
        let outcome = run_all(&tasks, jobs, &stopped, &|task| {
            let began = Instant::now();
            self.reporter.hear(&Event::StepStarted { step: task.name.clone(), expected_s: None });
            match runtime.block_on(self.destroy_step(&task.name, addresses)) {
                Ok(changed) => {
                    let took_s = began.elapsed().as_secs_f64();
                    self.reporter.hear(&Event::StepDone { step: task.name.clone(), took_s, changed });
                    true
                }
                Err(error) => {
                    self.tell_failed(&task.name, &diagnostic(&error), began);
                    super::locked(&errors).insert(task.name.clone(), error);
                    false
                }
            }
        });
        Destroyed { outcome, errors: errors.into_inner().unwrap_or_default() }
    }

    async fn destroy_step(&self, step: &str, addresses: &BTreeSet<String>) -> Result<usize> {
        let mut mine: Vec<Resource> = self.log.with(|state| {
            let wanted = state.resources.values().filter(|it| it.step == step && addresses.contains(&it.address));
            wanted.cloned().collect()
        });
        mine.sort_by_key(|resource| std::cmp::Reverse(resource.order));
        for resource in &mine {
            self.delete(&resource.address).await?;
        }
        Ok(mine.len())
    }
}
