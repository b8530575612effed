//! Every write of the shipped playbook meets a fault once: when it is made, changed, and taken down. What it ends with is what
//! an undisturbed life ends with.

use crate::support::{
    ALLOW_DATABASE, AWS, Ended,
    quick::{calls, forget_calls},
    world::{World, differences},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::OnceLock};

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
/// How often each (service, operation) was called.
type Counts = BTreeMap<(String, String), usize>;

/// What each part of an undisturbed life ends with, and how often it made each write.
fn undisturbed() -> &'static [(Vec<String>, Counts)] {
    static LIVED: OnceLock<Vec<(Vec<String>, Counts)>> = OnceLock::new();
    LIVED.get_or_init(lived)
}

fn lived() -> Vec<(Vec<String>, Counts)> {
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

/// What happens to every write once.
struct Weather {
    what: &'static str,
    /// The fault, by service.
    action: fn(&str) -> Value,
    /// Which of an operation's calls meet it: the first, or every other one, for each is made again after its fault.
    only_first: bool,
    environment: &'static [(&'static str, &'static str)],
    /// How often the same command may be needed, and what it says when it failed.
    runs: usize,
    says: &'static [&'static str],
}

const PASSING: Weather =
    Weather { what: "", action: |_| Value::Null, only_first: false, environment: &[], runs: 3, says: &[] };

const ALL: [Weather; 5] = [
    Weather { what: "the reply is lost", action: |_| json!({ "drop_after": true }), ..PASSING },
    Weather { what: "the request is lost", action: |_| json!({ "drop_before": true }), ..PASSING },
    Weather {
        what: "an error of the server",
        action: |_| json!({ "error": { "code": "InternalFailure", "status": 500 } }),
        ..PASSING
    },
    Weather {
        what: "the reply comes when nobody waits for it any more",
        action: |_| json!({ "reply_delay_ms": 4_000 }),
        only_first: true,
        environment: &[("GITPOD_PLAY_CALL_TIMEOUT_S", "1")],
        ..PASSING
    },
    Weather {
        what: "the credentials have expired",
        action: |service| match service {
            "kubernetes" => json!({ "error": { "code": "Unauthorized", "status": 401 } }),
            _ => json!({ "error": { "code": "ExpiredToken", "status": 403 } }),
        },
        runs: 200,
        says: &["ExpiredToken", "Unauthorized"],
        ..PASSING
    },
];

impl Weather {
    /// One rule for each call that meets the fault.
    fn rules(&self, writes: &Counts) -> Vec<Value> {
        let of_one = |((service, operation), count): (&(String, String), &usize)| {
            let action = (self.action)(service);
            let met = if self.only_first { 1 } else { *count };
            let rule =
                |nth| json!({ "service": service, "operation": operation, "nth": 2 * nth + 1, "action": action });
            (0..met).map(rule).collect::<Vec<_>>()
        };
        writes.iter().flat_map(of_one).collect()
    }

    /// Plays one part of a life until it is done; how often it had to be begun.
    fn play(&self, world: &World, args: &[&str]) -> usize {
        for run in 1..=self.runs {
            let ended = world.play(args, self.environment);
            if ended.code == 0 {
                return run;
            }
            let told = self.says.is_empty() || self.says.iter().any(|words| ended.stderr.contains(words));
            let goes_on = ended.stderr.contains(&format!("go on: gitpod-play {}", args[0]));
            assert!(ended.code == 1 && told && goes_on, "{}, `{}`: {}", self.what, args[0], ended.stderr);
        }
        panic!("{}: `{}` is not done after {} runs", self.what, args[0], self.runs);
    }
}

#[test]
fn every_write_meets_a_fault_once_and_the_end_is_the_same() {
    let _alone = crate::support::alone();
    let life = undisturbed();
    let least = life.iter().map(|(_, writes)| writes.len()).sum::<usize>() as u64;
    crate::crash::on_all_processors(&ALL, |weather| {
        let world = World::new();
        let (mut fired, mut runs, mut unmet) = (0, 0, Vec::new());
        for (args, (end, writes)) in LIFE.iter().zip(life) {
            world.admin("PUT", "faults", &Value::from(weather.rules(writes)).to_string());
            runs += weather.play(&world, args);
            let rules = world.admin("GET", "faults", "");
            let rules = rules.as_array().expect("a list");
            fired += rules.iter().filter_map(|rule| rule["fired"].as_u64()).sum::<u64>();
            unmet.extend(rules.iter().filter(|rule| rule["rule"]["nth"] == 1 && rule["fired"] == 0).cloned());
            world.admin("DELETE", "faults", "");
            assert_eq!(differences(end, &world.objects()), Vec::<String>::new(), "{}, `{}`", weather.what, args[0]);
        }
        println!("weather: {}: {fired} faults, {runs} runs", weather.what);
        // A bucket whose create is in doubt is compared afterwards instead of set, and has what it should by default: where
        // only first calls meet the fault, there is no other one to count.
        let needless = |rule: &&Value| weather.only_first && rule["rule"]["operation"] == "PutPublicAccessBlock";
        let needless = unmet.iter().filter(needless).count() as u64;
        assert!(fired + needless >= least, "{}: {fired} faults at {least} operations, none at {unmet:?}", weather.what);
    });
}

/// Of a thousand calls, those whose cloud's name cannot be resolved, and those whose cloud's certificate is not trusted.
const UNRESOLVED: u64 = 80;
const UNTRUSTED: u64 = 3;
const SEEDS: [u64; 3] = [1, 2, 3];
/// How often a run may be ended by a certificate.
const ENDED: u64 = 40;

/// Plays one part of a life while the network fails as this says.
fn play_unreached(world: &World, args: &[&str], trouble: &str) -> Ended {
    world.play(args, &[("GITPOD_PLAY_UNREACHABLE_AT", trouble)])
}

#[test]
fn names_that_cannot_be_resolved_at_any_call_change_nothing() {
    let _alone = crate::support::alone();
    let life = undisturbed();
    crate::crash::on_all_processors(&SEEDS, |seed| {
        let world = World::new();
        for (args, (end, _)) in LIFE.iter().zip(life) {
            let ended = play_unreached(&world, args, &format!("dns:{seed}:{UNRESOLVED}"));
            assert_eq!(ended.code, 0, "seed {seed}, `{}`: {}", args[0], ended.stderr);
            assert_eq!(differences(end, &world.objects()), Vec::<String>::new(), "seed {seed}, `{}`", args[0]);
        }
    });
}

#[test]
fn a_certificate_that_is_not_trusted_at_any_call_ends_the_run_and_the_same_command_goes_on() {
    let _alone = crate::support::alone();
    let life = undisturbed();
    crate::crash::on_all_processors(&SEEDS, |seed| {
        let world = World::new();
        let mut failed = 0;
        for (args, (end, _)) in LIFE.iter().zip(life) {
            for attempt in 0.. {
                // Each run meets other calls: a certificate is not trusted until someone does something about it.
                let trouble = format!("certificate:{}:{UNTRUSTED}", seed * 100 + attempt);
                let ended = play_unreached(&world, args, &trouble);
                if ended.code == 0 {
                    break;
                }
                failed += 1;
                let told = ended.stderr.contains("certificate of the endpoint is not trusted");
                assert!(told && attempt < ENDED, "{trouble}, `{}`: {}", args[0], ended.stderr);
            }
            assert_eq!(differences(end, &world.objects()), Vec::<String>::new(), "seed {seed}, `{}`", args[0]);
        }
        println!("weather: seed {seed}: {failed} runs ended by a certificate");
        assert!(failed > 0, "seed {seed}: no certificate was met");
    });
}
