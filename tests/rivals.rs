//! Bugs that rival tools have and we must not: a dry run that writes, a half-made resource that wedges everything, a
//! placeholder that is applied, a suggested command that fails, a pre-flight that promises too much, skipped steps that
//! lose their outputs.

use crate::{
    crash::on_all_processors,
    suggestions::{pasted, suggested},
    support::{
        AWS, Ended, Place,
        hand::Hand,
        quick::{MAX, forget_calls, play, play_ok, state_files, written},
        until,
        world::{World, differences},
    },
};
use serde_json::{Value, json};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

const NET: &str = "target(\"aws\", #{ region: \"eu-west-1\" });\n";

fn killed(world: &World, args: &[&str], at: &str) {
    let ended = world.play(&[args, &MAX].concat(), &[("GITPOD_PLAY_CRASH_AT", at)]);
    assert_eq!(ended.code, -1, "not killed at {at}\n{}", ended.stderr);
}

/// Plans, which writes nothing: neither to the clouds, nor to the state, nor into the folder.
fn planned_without_a_write(world: &World, args: &[&str]) -> Ended {
    let before = (world.admin("GET", "state", ""), world.objects(), state_files(world));
    forget_calls(world);
    let plan = play_ok(world, &[&["plan"], args].concat());
    assert_eq!(written(world), Vec::<String>::new(), "plan {args:?}");
    // Time alone settles what is under way, so that documents are compared when nothing is.
    assert_eq!(differences(&before.1, &world.objects()), Vec::<String>::new(), "plan {args:?}");
    assert_eq!(before.2, state_files(world), "plan {args:?} touched the state");
    assert_eq!(before.0["/iam.user"], world.admin("GET", "state", "")["/iam.user"]);
    plan
}

/// Bug of others: a dry run that writes.
#[test]
fn a_plan_never_writes() {
    let _alone = crate::support::alone();
    let world = World::new();
    let empty = planned_without_a_write(&world, &[AWS]);
    assert!(empty.stdout.contains("to create") && !world.place.path().join(".gitpod-play/aws").exists());

    killed(&world, &["run", AWS, "--yes"], "answered:1 eks CreateCluster*");
    let half = planned_without_a_write(&world, &[AWS]);
    assert!(half.stdout.contains("to create"), "{}", half.stdout);
    killed(&world, &["run", AWS, "--yes"], "unrecorded:1 rds CreateDBInstance*");
    planned_without_a_write(&world, &[AWS]);

    play_ok(&world, &["run", AWS, "--yes"]);
    let hand = Hand::of(&world);
    hand.does(
        hand.iam
            .detach_role_policy()
            .role_name("gitpod-nodes")
            .policy_arn("arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy")
            .send(),
    );
    hand.does(hand.eks.delete_addon().cluster_name("gitpod").addon_name("aws-ebs-csi-driver").send());
    hand.deletes(("v1", "Secret", "secrets"), "gitpod", "database");
    hand.deletes(("apps/v1", "Deployment", "deployments"), "kube-system", "coredns");
    let drifted = planned_without_a_write(&world, &[AWS]);
    assert!(
        drifted.stdout.contains("+ aws::eks::addon/") && drifted.stdout.contains("Secret/database"),
        "{}",
        drifted.stdout
    );
    planned_without_a_write(
        &world,
        &[AWS, "--set", "database.username=admin", "--set", "workspaces.max=20", "--allow-delete", "gitpod-instance"],
    );

    hand.does(hand.iam.create_user().user_name("theirs").send());
    world.place.write("adopt.rhai", &format!("{NET}step(\"u\", || aws::iam::user(#{{ name: \"theirs\", policies: [], tags: #{{ a: \"b\" }}, adopt: true }}));\n"));
    let adopted = planned_without_a_write(&world, &["adopt.rhai"]);
    assert!(adopted.stdout.contains("(taken over)"), "{}", adopted.stdout);
}

/// Bug of others: a half-made resource that wedges plan, run and destroy.
#[test]
fn what_is_half_made_wedges_neither_plan_nor_run_nor_destroy() {
    let _alone = crate::support::alone();
    let failed = |service: &str, operation: &str| json!([{ "service": service, "operation": operation, "count": 1, "action": { "create_fails": "no capacity" } }]);
    let verbs = ["run", "destroy"];
    let creates = [("eks", "CreateCluster"), ("eks", "CreateNodegroup"), ("rds", "CreateDBInstance")];
    let broken: Vec<_> = creates.iter().flat_map(|create| verbs.map(|verb| (create, verb))).collect();
    on_all_processors(&broken, |((service, operation), verb)| {
        let place = Place::new();
        place.write("faults.json", &failed(service, operation).to_string());
        let world = World::in_place(place, "max", &["--faults", "faults.json"]);
        let first = play(&world, &["run", AWS, "--yes"]);
        // RDS keeps its reasons to itself.
        let said = *service == "rds" || first.stderr.contains("no capacity");
        assert!(first.code == 1 && said, "{operation}\n{}", first.stderr);
        let plan = planned_without_a_write(&world, &[AWS]);
        assert!(plan.stdout.contains("it failed while it was made"), "{operation}\n{}", plan.stdout);
        goes_on(&world, verb);
    });
    let points = [
        "answered:1 eks CreateCluster*",
        "answered:1 ec2 CreateNatGateway*",
        "before:1 eks CreateNodegroup*",
        "unrecorded:1 rds CreateDBInstance*",
        "answered:1 s3 CreateBucket*",
        "answered:1 iam CreateAccessKey*",
    ];
    let died: Vec<_> = points.iter().flat_map(|point| verbs.map(|verb| (point, verb))).collect();
    on_all_processors(&died, |(point, verb)| {
        let world = World::new();
        killed(&world, &["run", AWS, "--yes"], point);
        planned_without_a_write(&world, &[AWS]);
        goes_on(&world, verb);
    });
}

fn goes_on(world: &World, verb: &str) {
    if verb == "run" {
        play_ok(world, &["run", AWS, "--yes"]);
        let settled = play_ok(world, &["plan", AWS, "--detailed-exitcode"]);
        assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);
    } else {
        play_ok(world, &["destroy", AWS, "--yes", "--allow-delete", "gitpod-instance"]);
        assert_eq!(world.recorded(), Vec::<String>::new());
    }
}

/// Bug of others: a placeholder that is applied.
#[test]
fn what_a_plan_does_not_know_never_reaches_a_cloud() {
    let _alone = crate::support::alone();
    let world = World::new();
    let plan = play_ok(&world, &["plan", AWS]);
    assert!(plan.stdout.contains("<vpc.gitpod.id>"), "{}", plan.stdout);
    let run = play_ok(&world, &["run", AWS, "--yes"]);
    let clouds = format!("{}{}", world.admin("GET", "state", ""), world.admin("GET", "kubernetes", ""));
    let recorded: String = world.recorded().concat();
    let config = world.place.read(".gitpod-play/aws/gitpod.config.yaml");
    for (what, text) in
        [("the clouds", &clouds), ("the log", &recorded), ("the config", &config), ("the output", &run.stderr)]
    {
        for mark in [
            "\u{e000}",
            "\u{e001}",
            "\u{e002}",
            "\u{e003}",
            "<vpc.",
            "<cluster.",
            "<instance.",
            "<role.",
            "<subnet.",
            "<unknown",
        ] {
            assert!(!text.contains(mark), "{mark:?} is in {what}");
        }
    }
    // A script that tries: what a step gives away in a plan is not there in a run.
    world.place.write("p.rhai", &format!("{NET}step(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"10.0.0.0/16\" }}));\nstep(\"k\", |v| kept::value(#{{ name: \"k\", value: `in ${{v.id}} of ${{v}}` }}));\nstep(\"f\", |k| file::write(#{{ name: \"f.txt\", content: k.value }}));\n"));
    assert!(play_ok(&world, &["plan", "p.rhai", "--verbose"]).stdout.contains("<vpc.v.id>"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let file = world.place.read(".gitpod-play/p/f.txt");
    assert!(file.contains("in vpc-") && !file.contains('<') && !file.contains('\u{e000}'), "{file}");
}

/// Bug of others: a pre-flight that checks reads and reports writes.
#[test]
fn preparations_tell_only_what_they_looked_at() {
    let _alone = crate::support::alone();
    let world = World::new();
    // May read everything, and write nothing.
    let writes_of =
        ["Create*", "Put*", "Attach*", "Allocate*", "Run*", "Change*", "Modify*", "Authorize*", "Tag*", "Associate*"];
    let rules: Vec<Value> = writes_of.iter().map(|operation| json!({ "operation": operation, "action": { "error": { "code": "AccessDenied", "status": 403 } } })).collect();
    world.admin("PUT", "faults", &json!(rules).to_string());

    let check = world.play(&["check", AWS], &[]);
    assert_eq!(check.code, 0, "{}", check.stderr);
    let plan = planned_without_a_write(&world, &[AWS]);
    let run = play(&world, &["run", AWS, "--yes"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let said = format!("{}{}{}{}{}", check.stdout, check.stderr, plan.stdout, plan.stderr, run.stderr);
    for promise in [
        "permitted",
        "permission",
        "may write",
        "allowed to",
        "can create",
        "preflight",
        "pre-flight",
        "ok to",
        "ready to",
    ] {
        assert!(!said.to_lowercase().contains(promise), "`{promise}` is promised\n{said}");
    }
    assert!(run.stderr.contains("✓ account"), "the reads of the preparations pass\n{}", run.stderr);
    for words in [
        "error: cannot create `aws::",
        "--> built-in/std/aws/",
        "AccessDenied",
        "state: 0 resources in stack `aws`, nothing changed",
        "go on: gitpod-play run",
    ] {
        assert!(run.stderr.contains(words), "`{words}` is not in\n{}", run.stderr);
    }
    assert_eq!(world.recorded(), Vec::<String>::new(), "what was refused is not recorded");
    world.admin("DELETE", "faults", "");
    let done = pasted(&world, &suggested(&[], &run));
    assert_eq!(done.code, 0, "{}", done.stderr);
    let settled = play_ok(&world, &["plan", AWS, "--detailed-exitcode"]);
    assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);
}

/// Bug of others: skipped steps that lose their outputs.
#[test]
fn steps_that_are_skipped_keep_what_they_made_and_gave() {
    let world = World::new();
    let script = r#"target("aws", #{ region: "eu-west-1" });
let cfg = settings(#{ on: true, size: 1 });
step("v", || aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
step("off", |v| kept::value(#{ name: "made", value: random::password(#{ name: "p", bytes: 18 }).value })).when(cfg.on);
step("k", |v| file::write(#{ name: "k.txt", content: `${v.id} ${cfg.size}` }));
step("last", |k| #{ seen: k.sha256 });
"#;
    world.place.write("p.rhai", script);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let shown = || play_state(&world);
    let before = shown();

    // Not chosen by `--step`: `v` alone is looked at, `k` and `last` stay as they are.
    play_ok(&world, &["run", "p.rhai", "--yes", "--step", "v"]);
    assert_eq!(shown(), before);
    // A step after it goes on with what is recorded, and nothing is made again.
    forget_calls(&world);
    play_ok(&world, &["run", "p.rhai", "--yes", "--step", "last"]);
    assert_eq!(shown(), before);
    let plan = play_ok(&world, &["plan", "p.rhai", "--detailed-exitcode"]);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);

    // Switched off: what it made stays until somebody agrees to its deletion, and is the same when it is on again.
    let off = play_ok(&world, &["run", "p.rhai", "--set", "on=false"]);
    assert!(off.stderr.contains("switched off") && off.stderr.contains("no longer declared, kept"), "{}", off.stderr);
    assert_eq!(shown(), before, "switched off, and nobody agreed to a delete");
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(shown(), before, "on again: the password is the one that was made first");
    assert_eq!(written(&world), Vec::<String>::new());

    // Kept by `watch`: an edit of one step leaves the others with what they gave.
    let mut command = world.place.command(&["watch", "p.rhai", "--yes", "--pace", "max", "--json"]);
    let log = std::fs::File::create(world.place.path().join("watch.log")).expect("a file");
    let mut child = command.stdout(log).stderr(Stdio::null()).spawn().expect("watch starts");
    std::thread::sleep(Duration::from_millis(1500));
    world.place.write("p.rhai", &script.replace("${cfg.size}", "size ${cfg.size}"));
    until("the edit has run", Duration::from_secs(30), || world.place.read("watch.log").contains("\"run_ended\""));
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = child.wait();
    let log = world.place.read("watch.log");
    assert!(!log.contains("\"step_started\",\"step\":\"v\"") && !log.contains("\"step\":\"off\""), "{log}");
    let after = shown();
    let id = |text: &str| text.split("vpc-").nth(1).map(|rest| rest.chars().take(17).collect::<String>());
    assert_eq!(id(&after), id(&before));
    assert!(world.place.read(".gitpod-play/p/k.txt").ends_with(" size 1"), "{log}");
}

/// `state show --json` of the stack `p`.
fn play_state(world: &World) -> String {
    world.play(&["state", "show", "--json", "--stack", "p"], &[]).stdout
}
