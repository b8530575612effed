//! How near a run comes to the longest path through its steps.

use crate::{
    measured::{Figure, Measured},
    support::{AWS, Place},
};
use serde_json::Value;
use std::collections::BTreeMap;

const PACE: f64 = 600.0;
const RUNS: usize = 5;
/// How long the clouds take for what a step waits for, in seconds of life: the guide's durations (control plane 17 min, node
/// group 4 min, database 12 min, NAT gateway 2 min), and what else the simulated clouds let pass (`sandbox/core/clock.rs`,
/// `sandbox/k8s/control/pace.rs`). Steps that are not named wait for nothing.
const WAITS_S: [(&str, f64); 13] = [
    // VPC and subnets 2 each, NAT gateway 120.
    ("network", 124.0),
    ("cluster", 1020.0),
    ("services_nodes", 240.0),
    ("workspaces_nodes", 240.0),
    // A node is ready 60 after its machine, and 20 more until that is up; then its network plugin.
    ("verify_nodes", 60.0 + 20.0 + 8.0),
    // Pods: placed, pulled, started; one after another where a rollout keeps some ready.
    ("coredns", 11.0),
    ("cert_manager", 6.0),
    ("ebs_csi_driver", 120.0),
    ("issuer", 2.0),
    ("certificate", 40.0),
    ("install", 50.0),
    ("database", 720.0),
    // The load balancer 4 + 120, the records 60.
    ("dns_records", 60.0),
];

/// The makespan of the shipped playbook over the longest path.
pub fn figures() -> Vec<Figure> {
    let needs = needs();
    let path_s = longest(&needs);
    let runs: Vec<Measured> = (0..RUNS)
        .map(|_| Measured::of(Place::new().command(&["run", AWS, "--pace", &PACE.to_string(), "--yes"])))
        .collect();
    vec![
        Figure::over("longest path", "min of life", std::iter::once(path_s / 60.0)),
        Figure::over("makespan", "s", runs.iter().map(Measured::s)),
        Figure::over("makespan over longest path", "×", runs.iter().map(|run| run.s() * PACE / path_s)).at_most(1.10),
    ]
}

/// What each step needs, as `steps --json` says.
fn needs() -> BTreeMap<String, Vec<String>> {
    let listed = Measured::of(Place::new().command(&["steps", AWS, "--json"])).stdout;
    let steps: Vec<Value> = serde_json::from_str(&listed).expect("a JSON list");
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    steps
        .iter()
        .map(|step| {
            let needs = [texts(&step["needs"]), texts(&step["after"])].concat();
            (step["name"].as_str().expect("a name").to_owned(), needs)
        })
        .collect()
}

/// Seconds of the longest path through the waits.
fn longest(needs: &BTreeMap<String, Vec<String>>) -> f64 {
    fn ends(step: &str, needs: &BTreeMap<String, Vec<String>>, known: &mut BTreeMap<String, f64>) -> f64 {
        if let Some(end) = known.get(step) {
            return *end;
        }
        let wait = WAITS_S.iter().find(|(name, _)| *name == step).map_or(0.0, |(_, wait)| *wait);
        let begins = needs[step].iter().map(|need| ends(need, needs, known)).fold(0.0, f64::max);
        known.insert(step.to_owned(), begins + wait);
        begins + wait
    }
    for (step, _) in WAITS_S {
        assert!(needs.contains_key(step), "there is no step `{step}`");
    }
    let mut known = BTreeMap::new();
    needs.keys().map(|step| ends(step, needs, &mut known)).fold(0.0, f64::max)
}
