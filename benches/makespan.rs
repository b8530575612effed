//! How near a run comes to the longest path through its steps.

use crate::{
    measured::{Figure, Measured},
    support::{AWS, Place},
};
use serde_json::Value;
use std::collections::BTreeMap;

const PACE: f64 = 600.0;
const RUNS: usize = 5;
/// How long the clouds alone take for what a step waits for, in seconds of life: the guide's durations (control plane 17 min,
/// node group 4 min, database 12 min, NAT gateway 2 min), and what else the simulated clouds let pass
/// (`sandbox/core/clock.rs`, `sandbox/k8s/control/pace.rs`). Steps that are not named wait for nothing.
const WAITS_S: [(&str, f64); 13] = [
    // VPC and subnets 2 each.
    ("network", 4.0),
    ("nat_gateways", 120.0),
    ("cluster", 1020.0),
    ("services_nodes", 240.0),
    ("workspaces_nodes", 240.0),
    // Pods: placed 0.2, pulled 3, started 2.
    ("coredns", 5.2),
    ("cert_manager", 5.2),
    ("ready", 5.2),
    ("ebs_csi_driver", 120.0),
    ("issuer", 2.0),
    ("certificate", 40.0),
    // The installer 45, in a pod.
    ("install", 50.2),
    ("database", 720.0),
];

/// The makespan of the shipped playbook over the longest path through its steps, as long as each took in the same run; and over
/// the longest path of the clouds' own waits, as if calls took no time.
pub fn figures() -> Vec<Figure> {
    let needs = needs();
    let waits = WAITS_S.iter().map(|(step, wait)| ((*step).to_owned(), wait / PACE)).collect();
    let waits_s = longest(&needs, &waits);
    let (mut makespans, mut paths) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let run = Measured::of(Place::new().command(&["run", AWS, "--pace", &PACE.to_string(), "--yes", "--json"]));
        makespans.push(run.s());
        paths.push(longest(&needs, &taken(&run.stdout)));
    }
    let over_paths: Vec<f64> = makespans.iter().zip(&paths).map(|(makespan, path)| makespan / path).collect();
    vec![
        Figure::over("makespan", "s", makespans.iter().copied()),
        Figure::over("longest path through the steps", "s", paths.into_iter()),
        Figure::over("makespan over it", "×", over_paths.into_iter()).at_most(1.10),
        Figure::over("longest path of the clouds' waits alone", "s", std::iter::once(waits_s)),
        Figure::over("makespan over it", "×", makespans.iter().map(|makespan| makespan / waits_s)),
    ]
}

/// How long each step took, by the events of a run.
fn taken(events: &str) -> BTreeMap<String, f64> {
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let done = events.filter(|event| event["event"] == "step_done");
    done.map(|event| (event["step"].as_str().expect("a step").to_owned(), event["took_s"].as_f64().expect("seconds")))
        .collect()
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

/// Seconds of the longest path, when steps take this long.
fn longest(needs: &BTreeMap<String, Vec<String>>, seconds: &BTreeMap<String, f64>) -> f64 {
    fn ends(
        step: &str,
        needs: &BTreeMap<String, Vec<String>>,
        seconds: &BTreeMap<String, f64>,
        known: &mut BTreeMap<String, f64>,
    ) -> f64 {
        if let Some(end) = known.get(step) {
            return *end;
        }
        let begins = needs[step].iter().map(|need| ends(need, needs, seconds, known)).fold(0.0, f64::max);
        let end = begins + seconds.get(step).copied().unwrap_or_default();
        known.insert(step.to_owned(), end);
        end
    }
    assert!(seconds.keys().all(|step| needs.contains_key(step)), "all of {seconds:?} are steps");
    let mut known = BTreeMap::new();
    needs.keys().map(|step| ends(step, needs, seconds, &mut known)).fold(0.0, f64::max)
}
