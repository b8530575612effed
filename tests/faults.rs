//! Faults without a kill: errors, lost replies, delays, failed creates, signals, full disks. Each run ends as an undisturbed
//! one would, or says what is wrong and goes on later.

use crate::support::{
    ALLOW_DATABASE, AWS, Ended, Place, bounded, ended, until,
    world::{World, differences},
};
use serde_json::{Value, json};
use std::{
    process::{Child, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

const RUN: [&str; 5] = ["run", AWS, "--pace", "max", "--yes"];
const DESTROY: [&str; 7] = ["destroy", AWS, "--pace", "max", "--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]];
/// Seeds of every test run; `GITPOD_PLAY_FAULT_SEEDS=4,5,6` tries others.
const SEEDS: [u64; 3] = [1, 2, 3];

/// What an undisturbed run leaves in the clouds, and an undisturbed destroy.
fn undisturbed() -> &'static (Vec<String>, Vec<String>) {
    static ENDS: OnceLock<(Vec<String>, Vec<String>)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let world = World::new();
        assert_done(&world.play(&RUN, &[]));
        let made = world.objects();
        assert_done(&world.play(&DESTROY, &[]));
        (made, world.objects())
    })
}

fn assert_done(ended: &Ended) {
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
}

/// The clouds hold what an undisturbed run leaves there.
fn assert_made(world: &World, words: &str) {
    assert_eq!(differences(&undisturbed().0, &world.objects()), Vec::<String>::new(), "{words}");
}

/// Destroys, and the clouds hold what an undisturbed destroy leaves there.
fn assert_destroyed(world: &World, words: &str) {
    assert_done(&world.play(&DESTROY, &[]));
    assert_eq!(differences(&undisturbed().1, &world.objects()), Vec::<String>::new(), "{words}");
}

/// Clouds with the faults in a file, as a user has them.
fn faulty(rules: &Value) -> World {
    let place = Place::new();
    place.write("faults.json", &rules.to_string());
    World::in_place(place, "max", &["--faults", "faults.json"])
}

/// How often each rule fired.
fn fired(world: &World) -> Vec<u64> {
    let rules = world.admin("GET", "faults", "");
    rules.as_array().expect("a list").iter().filter_map(|rule| rule["fired"].as_u64()).collect()
}

fn weather(seed: u64) -> Value {
    let rule = |number: u64, probability: f64, action: Value| json!({ "probability": probability, "seed": seed * 100 + number, "action": action });
    let of = |service: &str, mut rule: Value| {
        rule["service"] = json!(service);
        rule
    };
    let created = |mut rule: Value| {
        rule["operation"] = json!("Create*");
        rule
    };
    json!([
        of("ec2", rule(1, 0.05, json!({ "error": { "code": "RequestLimitExceeded", "status": 503 } }))),
        of("kubernetes", rule(2, 0.04, json!({ "error": { "code": "TooManyRequests", "status": 429 } }))),
        of("iam", rule(3, 0.05, json!({ "error": { "code": "Throttling" } }))),
        created(rule(4, 0.2, json!({ "not_found_for": 2 }))),
        rule(5, 0.03, json!({ "error": { "code": "InternalFailure", "status": 500 } })),
        rule(6, 0.04, json!({ "drop_after": true })),
        rule(7, 0.03, json!({ "drop_before": true })),
        rule(8, 0.05, json!({ "delay_ms": 60 })),
    ])
}

#[test]
fn bad_weather_changes_nothing() {
    let _alone = crate::support::alone();
    let asked = std::env::var("GITPOD_PLAY_FAULT_SEEDS").unwrap_or_default();
    let asked: Vec<u64> = asked.split(',').filter_map(|seed| seed.parse().ok()).collect();
    for seed in if asked.is_empty() { SEEDS.to_vec() } else { asked } {
        let world = faulty(&weather(seed));
        let words = format!("seed {seed}: repeat it with GITPOD_PLAY_FAULT_SEEDS={seed}");
        let run = world.play(&RUN, &[]);
        assert_eq!(run.code, 0, "{words}\n{}", run.stderr);
        let fired = fired(&world);
        assert!(fired.iter().sum::<u64>() > 30, "{words}: {fired:?}");
        assert_made(&world, &words);
        let destroy = world.play(&DESTROY, &[]);
        assert_eq!(destroy.code, 0, "{words}\n{}", destroy.stderr);
        assert_destroyed(&world, &words);
        println!("faults: seed {seed}, {} faults in run and destroy", self::fired(&world).iter().sum::<u64>());
    }
}

#[test]
fn what_takes_several_calls_is_not_given_up_while_it_gets_further() {
    let _alone = crate::support::alone();
    // Together more often than any one call is tried.
    let fails = |operation: &str| json!({ "service": "iam", "operation": operation, "count": 9, "action": { "error": { "code": "Throttling" } } });
    let world = faulty(&json!([fails("TagUser"), fails("CreateAccessKey")]));
    assert_done(&world.play(&[&RUN[..], &["--step", "storage"]].concat(), &[]));
    assert_eq!(fired(&world), [9, 9]);
    let always =
        json!({ "service": "iam", "operation": "CreateAccessKey", "action": { "error": { "code": "Throttling" } } });
    let world = faulty(&json!([always]));
    let run = world.play(&[&RUN[..], &["--step", "storage"]].concat(), &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(fired(&world), [12], "a call that never succeeds is given up\n{}", run.stderr);
}

/// Creates that are sent again; `reads` go by until what they make is seen, so that those with a token in their API are
/// sent again with it before the object is found. What has none is tagged when it is made, or has a name, and is found.
const SENT_SIX_TIMES: [(&str, &str, u32); 10] = [
    ("ec2", "CreateVpc", 0),
    ("ec2", "AllocateAddress", 0),
    ("ec2", "CreateNatGateway", 24),
    ("ec2", "CreateLaunchTemplate", 24),
    ("eks", "CreateCluster", 24),
    ("eks", "CreateNodegroup", 24),
    ("rds", "CreateDBInstance", 24),
    ("route53", "CreateHostedZone", 24),
    ("s3", "CreateBucket", 0),
    ("iam", "CreateAccessKey", 0),
];

#[test]
fn the_same_create_sent_six_times_makes_one_object() {
    let _alone = crate::support::alone();
    let lost_requests = made_through(&|_| json!({ "drop_before": true }));
    for ((service, operation, _), lost) in SENT_SIX_TIMES.iter().zip(lost_requests) {
        assert_eq!(lost, 5, "{service} {operation} is sent a sixth time");
    }
    let lost_replies =
        made_through(&|reads| json!({ "drop_after": true, "not_found_for": (reads > 0).then_some(reads) }));
    for ((service, operation, _), lost) in SENT_SIX_TIMES.iter().zip(lost_replies) {
        assert!(lost > 0, "no reply of {service} {operation} was lost");
        println!("faults: {service} {operation}, {lost} replies lost");
    }
}

/// Runs and destroys while this happens to the first five of each create; how often it happened.
fn made_through(action: &dyn Fn(u32) -> Value) -> Vec<u64> {
    let rule = |(service, operation, reads): &(&str, &str, u32)| json!({ "service": service, "operation": operation, "count": 5, "action": action(*reads) });
    let world = faulty(&SENT_SIX_TIMES.iter().map(rule).collect());
    let mut runs = 0;
    loop {
        runs += 1;
        let run = world.play(&RUN, &[]);
        if run.code == 0 {
            break;
        }
        assert!(runs < 4, "{}", run.stderr);
    }
    assert_made(&world, "after lost requests or replies");
    let happened = fired(&world);
    assert_destroyed(&world, "after lost requests or replies");
    happened
}

#[test]
fn what_failed_while_it_was_made_is_made_again_or_taken_down() {
    let _alone = crate::support::alone();
    let rules = json!([
        { "service": "eks", "operation": "CreateCluster", "count": 1, "action": { "create_fails": "no room in the zone" } },
        { "service": "rds", "operation": "CreateDBInstance", "count": 1, "action": { "create_fails": "incompatible network" } },
    ]);
    let world = faulty(&rules);
    let first = world.play(&RUN, &[]);
    assert_eq!(first.code, 1, "{}", first.stderr);
    // They are made side by side, and each goes on when the other fails.
    for said in
        ["`aws::eks::cluster/gitpod` failed", "no room in the zone", "`aws::rds::instance/gitpod-instance` failed"]
    {
        assert!(first.stderr.contains(said), "`{said}` is not in\n{}", first.stderr);
    }
    assert_done(&world.play(&RUN, &[]));
    assert_made(&world, "made again");

    let broken = faulty(&rules);
    assert_eq!(broken.play(&RUN, &[]).code, 1);
    assert_done(&broken.play(&DESTROY, &[]));
    // Of a database that never worked there is nothing to keep.
    let left: Vec<String> = undisturbed().1.iter().filter(|line| !line.starts_with("rds.")).cloned().collect();
    assert_eq!(differences(&left, &broken.objects()), Vec::<String>::new(), "what failed does not wedge destroy");
}

#[test]
fn credentials_that_expire_in_mid_run_are_named_and_the_run_goes_on_later() {
    let _alone = crate::support::alone();
    // What is offered is looked up before the run; the credentials expire in the middle of it.
    let expired = json!({ "error": { "code": "ExpiredToken", "status": 403 } });
    let world = faulty(&json!([{ "service": "rds", "operation": "CreateDB*", "action": expired }]));
    let run = world.play(&RUN, &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("ExpiredToken") && run.stderr.contains("go on: gitpod-play run"), "{}", run.stderr);
    world.admin("DELETE", "faults", "");
    assert_done(&go_on(&world, &run));
    assert_made(&world, "after new credentials");
}

/// Runs the command that a stopped run printed.
fn go_on(world: &World, stopped: &Ended) -> Ended {
    let command = stopped.stderr.lines().find_map(|line| line.strip_prefix("go on: gitpod-play "));
    let command = command.unwrap_or_else(|| panic!("no command to go on with\n{}", stopped.stderr));
    world.play(&command.split(' ').collect::<Vec<_>>(), &[])
}

#[test]
fn a_cloud_that_cannot_be_reached_is_an_error_in_bounded_time() {
    let _alone = crate::support::alone();
    let world = World::new();
    let port = world.place.read(".gitpod-play/sandbox/k8s/port");
    // The certificate there is vouched for by an authority of its own.
    let untrusted = format!("aws=https://127.0.0.1:{}", port.trim());
    for (endpoint, said) in [
        ("aws=http://127.0.0.1:1", "refused"),
        ("aws=http://no-such-host.invalid", "no-such-host.invalid"),
        (untrusted.as_str(), "certificate"),
    ] {
        let place = Place::new();
        let began = Instant::now();
        let mut command = place.command(&[&RUN[..], &["--endpoint", endpoint]].concat());
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "of-no-value");
        let run = ended(bounded(command, Duration::from_mins(2)));
        assert_eq!(run.code, 1, "{endpoint}\n{}", run.stderr);
        assert!(run.stderr.contains(said), "{endpoint}: `{said}` is not in\n{}", run.stderr);
        println!("faults: {endpoint} is an error after {:.1} s", began.elapsed().as_secs_f64());
    }
}

/// A run that is under way, with its cluster being made.
fn under_way(world: &World, environment: &[(&str, &str)]) -> Child {
    let mut command = world.place.command(&["run", AWS, "--pace", "60", "--yes", "--record", "calls.jsonl"]);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    until("the cluster is being made", Duration::from_secs(200), || {
        let calls = std::fs::read_to_string(world.place.path().join("calls.jsonl")).unwrap_or_default();
        calls.contains("\"CreateCluster\"")
    });
    child
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -s {name}");
}

#[test]
fn a_stopped_run_says_what_is_left_and_goes_on_from_there() {
    let _alone = crate::support::alone();
    for signals in [&["INT"][..], &["TERM"], &["HUP"], &["INT", "INT"]] {
        let world = World::at_pace("60", &[]);
        let child = under_way(&world, &[]);
        for name in signals {
            signal(&child, name);
            std::thread::sleep(Duration::from_millis(300));
        }
        let stopped = ended(child.wait_with_output().expect("it ends"));
        assert_eq!(stopped.code, 130, "{signals:?}\n{}", stopped.stderr);
        world.admin("PUT", "pace", "max");
        if signals.len() == 1 {
            assert!(stopped.stderr.contains("not started"), "{signals:?}\n{}", stopped.stderr);
            assert_done(&go_on(&world, &stopped));
        } else {
            assert_done(&world.play(&RUN, &[]));
        }
        assert_made(&world, &format!("after {signals:?}"));
    }
}

#[test]
fn a_run_that_slept_past_its_lease_is_fenced() {
    let _alone = crate::support::alone();
    let world = World::at_pace("60", &[]);
    let sleeper = under_way(&world, &[("GITPOD_PLAY_LEASE_S", "3")]);
    signal(&sleeper, "STOP");
    world.admin("PUT", "pace", "max");
    let mut waited = 0;
    let second = loop {
        let second = world.play(&RUN, &[]);
        if second.code == 0 || waited > 60 {
            break second;
        }
        assert!(second.stderr.contains("in use"), "{}", second.stderr);
        waited += 1;
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_done(&second);
    let woke_at = jiff::Timestamp::now();
    signal(&sleeper, "CONT");
    let woken = ended(sleeper.wait_with_output().expect("it ends"));
    assert_eq!(woken.code, 1, "{}", woken.stderr);
    // A call that was under way when it fell asleep is recorded with its answer, that is now.
    let sent_at = |call: &Value| call["at"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
    let after: Vec<Value> =
        world.place.calls("calls.jsonl").into_iter().filter(|call| sent_at(call) >= woke_at).collect();
    assert_eq!(crate::support::writes(&after), Vec::<String>::new(), "it wrote after it woke");
    assert_made(&world, "after the sleeper woke");
}

#[test]
fn a_full_disk_in_mid_run_loses_nothing() {
    let _alone = crate::support::alone();
    let world = World::new();
    let folder = world.place.path().join(".gitpod-play/aws");
    std::fs::create_dir_all(&folder).expect("a folder");
    let disk = Disk::mounted(&folder, "size=160k");
    let run = if disk.is_some() {
        world.play(&RUN, &[])
    } else {
        // Without the right to mount, the limit of a file's size stands for the disk; the kernel kills what goes beyond.
        let program = world.place.command(&[]).get_program().to_string_lossy().into_owned();
        let mut command = world.place.command(&[]);
        let limited = format!("ulimit -f 8; exec {program} {}", RUN.join(" "));
        let environment: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        command = std::process::Command::new("bash");
        command.args(["-c", &limited]).current_dir(world.place.path()).stdin(Stdio::null());
        command.envs(environment.into_iter().filter_map(|(name, value)| Some((name, value?))));
        ended(bounded(command, Duration::from_mins(4)))
    };
    assert_ne!(run.code, 0, "the disk was never full\n{}", run.stderr);
    if let Some(disk) = &disk {
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains("No space left"), "{}", run.stderr);
        disk.remount("size=64m");
    }
    assert_done(&world.play(&RUN, &[]));
    assert_made(&world, "after the disk was full");
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_the_run_before_anything_is_made() {
    let _alone = crate::support::alone();
    let world = World::new();
    let folder = world.place.path().join(".gitpod-play/aws");
    std::fs::create_dir_all(&folder).expect("a folder");
    let disk = Disk::mounted(&folder, "size=1m,ro");
    if disk.is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).expect("permissions");
    }
    let run = world.play(&RUN, &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("Read-only file system") || run.stderr.contains("Permission denied"), "{}", run.stderr);
    let calls = world.admin("GET", "calls", "");
    let writes = calls.as_array().expect("a list").iter().filter(|call| call["write"] == true).count();
    assert_eq!(writes, 0, "nothing is made that cannot be recorded");
}

/// A small file system in memory.
struct Disk(std::path::PathBuf);

impl Disk {
    /// Mounted at `folder`, or nothing where this user may not mount.
    fn mounted(folder: &std::path::Path, options: &str) -> Option<Self> {
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut command = std::process::Command::new("mount");
        let done = command.args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "the disk grows");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
