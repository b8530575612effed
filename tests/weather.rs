//! Every write of the shipped playbook meets a fault once: when it is made, changed, and taken down. What it ends with is what
//! an undisturbed life ends with.

use crate::support::{
    ALLOW_DATABASE, AWS,
    quick::{calls, forget_calls},
    world::{World, differences},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A whole life: made, changed in nearly everything, taken down.
const LIFE: [&[&str]; 3] = [
    &["run", AWS, "--pace", "max", "--yes"],
    &[
        "run",
        AWS,
        "--pace",
        "max",
        "--yes",
        "--set",
        "tags.team=change",
        "--set",
        "workspaces.max=20",
        "--set",
        "services.instance_type=m6i.2xlarge",
        "--set",
        "storage.user=gitpod-s3-other",
        "--set",
        "storage.policy=gitpod_s3_other_policy",
    ],
    &["destroy", AWS, "--pace", "max", "--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]],
];
/// How often the same command may be needed.
const RUNS: usize = 3;

/// How often each (service, operation) was called.
type Counts = BTreeMap<(String, String), usize>;

/// What each part of an undisturbed life ends with, and how often it made each write.
fn undisturbed() -> Vec<(Vec<String>, Counts)> {
    let world = World::new();
    let part = |args: &&[&str]| {
        forget_calls(&world);
        let ended = world.play(args, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let mut writes = Counts::new();
        let text = |call: &Value, field: &str| call[field].as_str().unwrap_or_default().to_owned();
        for call in calls(&world).iter().filter(|call| call["write"] == true) {
            *writes.entry((text(call, "service"), text(call, "operation"))).or_default() += 1;
        }
        (world.objects(), writes)
    };
    LIFE.iter().map(part).collect()
}

#[test]
fn every_write_meets_a_fault_once_and_the_end_is_the_same() {
    let _alone = crate::support::alone();
    let life = undisturbed();
    let faults = [
        ("the reply is lost", json!({ "drop_after": true })),
        ("the request is lost", json!({ "drop_before": true })),
        ("an error of the server", json!({ "error": { "code": "InternalFailure", "status": 500 } })),
    ];
    let met = std::sync::Mutex::new(Vec::new());
    crate::crash::on_all_processors(&faults, |(what, action)| {
        let world = World::new();
        let mut fired = 0;
        for (args, (end, writes)) in LIFE.iter().zip(&life) {
            // Each call is made again after its fault: every other one of its operation.
            let every_other = |((service, operation), count): (&(String, String), &usize)| {
                let rule =
                    |nth| json!({ "service": service, "operation": operation, "nth": 2 * nth + 1, "action": action });
                (0..*count).map(rule).collect::<Vec<_>>()
            };
            let rules: Vec<Value> = writes.iter().flat_map(every_other).collect();
            world.admin("PUT", "faults", &Value::from(rules).to_string());
            let mut runs = 1;
            let mut ended = world.play(args, &[]);
            while ended.code == 1 && runs < RUNS {
                runs += 1;
                ended = world.play(args, &[]);
            }
            assert_eq!(ended.code, 0, "{what}, `{}`: {}", args[0], ended.stderr);
            let rules = world.admin("GET", "faults", "");
            fired += rules.as_array().expect("a list").iter().filter_map(|rule| rule["fired"].as_u64()).sum::<u64>();
            world.admin("DELETE", "faults", "");
            assert_eq!(differences(end, &world.objects()), Vec::<String>::new(), "{what}, after `{}`", args[0]);
        }
        met.lock().expect("no panic").push((*what, fired));
    });
    let least = life.iter().map(|(_, writes)| writes.len()).sum::<usize>() as u64;
    for (what, fired) in met.into_inner().expect("no panic") {
        println!("weather: {what}: {fired} faults");
        assert!(fired >= least, "{what}: {fired} faults at {least} operations");
    }
}
