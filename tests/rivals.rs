//! Bugs that rival tools have and we must not: a dry run that writes, a half-made resource that wedges everything, a
//! placeholder that is applied, a suggested command that fails, a pre-flight that promises too much, skipped steps that
//! lose their outputs.

use crate::support::{
    AWS, Ended, Place, bounded, ended,
    hand::Hand,
    until,
    world::{World, differences},
    writes,
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

const MAX: [&str; 2] = ["--pace", "max"];
const NET: &str = "target(\"aws\", #{ region: \"eu-west-1\" });\n";

fn play(world: &World, args: &[&str]) -> Ended {
    world.play(&[args, &MAX].concat(), &[])
}

fn play_ok(world: &World, args: &[&str]) -> Ended {
    let done = play(world, args);
    assert_eq!(done.code, 0, "{args:?}\n{}\n{}", done.stdout, done.stderr);
    done
}

fn killed(world: &World, args: &[&str], at: &str) {
    let ended = world.play(&[args, &MAX].concat(), &[("GITPOD_PLAY_CRASH_AT", at)]);
    assert_eq!(ended.code, -1, "not killed at {at}\n{}", ended.stderr);
}

/// The calls since the last [`forget_calls`].
fn calls(world: &World) -> Vec<Value> {
    world.admin("GET", "calls", "").as_array().expect("a list").clone()
}

fn forget_calls(world: &World) {
    world.admin("DELETE", "calls", "");
}

/// Every file of the state with its content, but those of the simulated clouds.
fn state_files(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut queue = vec![world.place.path().join(".gitpod-play")];
    while let Some(folder) = queue.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("sandbox") {
                queue.push(path);
            } else if path.is_file() {
                files.push((path.clone(), std::fs::read(&path).expect("a file")));
            }
        }
    }
    files.sort();
    files
}

/// Plans, which writes nothing: neither to the clouds, nor to the state, nor into the folder.
fn planned_without_a_write(world: &World, args: &[&str]) -> Ended {
    let before = (world.admin("GET", "state", ""), world.objects(), state_files(world));
    forget_calls(world);
    let plan = play_ok(world, &[&["plan"], args].concat());
    assert_eq!(writes(&calls(world)), Vec::<String>::new(), "plan {args:?}");
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
    for (service, operation) in [("eks", "CreateCluster"), ("eks", "CreateNodegroup"), ("rds", "CreateDBInstance")] {
        for verb in ["run", "destroy"] {
            let place = Place::new();
            place.write("faults.json", &failed(service, operation).to_string());
            let world = World::in_place(place, "max", &["--faults", "faults.json"]);
            let first = play(&world, &["run", AWS, "--yes"]);
            assert!(first.code == 1 && first.stderr.contains("no capacity"), "{operation}\n{}", first.stderr);
            let plan = planned_without_a_write(&world, &[AWS]);
            assert!(plan.stdout.contains("it failed while it was made"), "{operation}\n{}", plan.stdout);
            goes_on(&world, verb);
        }
    }
    for point in [
        "answered:1 eks CreateCluster*",
        "answered:1 ec2 CreateNatGateway*",
        "before:1 eks CreateNodegroup*",
        "unrecorded:1 rds CreateDBInstance*",
        "answered:1 s3 CreateBucket*",
        "before:1 s3 PutPublicAccessBlock*",
        "answered:1 iam CreateAccessKey*",
        "answered:1 route53 CreateHostedZone*",
    ] {
        for verb in ["run", "destroy"] {
            let world = World::new();
            killed(&world, &["run", AWS, "--yes"], point);
            planned_without_a_write(&world, &[AWS]);
            goes_on(&world, verb);
        }
    }
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
            "<secret>",
        ] {
            assert!(!text.contains(mark), "{mark:?} is in {what}");
        }
    }
    // A script that tries: what a step gives away in a plan is not there in a run.
    world.place.write("p.rhai", &format!("{NET}step(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"10.0.0.0/16\" }}));\nstep(\"k\", |v| kept::value(#{{ name: \"k\", value: `in ${{v.id}} of ${{v}}` }}));\nstep(\"f\", |k| file::write(#{{ name: \"f.txt\", content: k.value }}));\n"));
    assert!(play_ok(&world, &["plan", "p.rhai"]).stdout.contains("<vpc.v.id>"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let file = world.place.read(".gitpod-play/p/f.txt");
    assert!(file.contains("in vpc-") && !file.contains('<') && !file.contains('\u{e000}'), "{file}");
}

/// A command as it is printed, in a shell in which `gitpod-play` is on the path.
fn pasted(world: &World, line: &str) -> Ended {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_gitpod-play"));
    let path = std::env::join_paths(
        program
            .parent()
            .map(PathBuf::from)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let ours = world.place.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(world.place.path()).stdin(Stdio::null());
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", path.expect("a path"));
    ended(bounded(command, Duration::from_mins(4)))
}

/// The command that is suggested: whole behind `hint: ` or `go on: `, or this one with the option in backticks.
fn suggested(args: &[&str], said: &Ended) -> String {
    let all = format!("{}\n{}", said.stdout, said.stderr);
    if let Some(line) =
        all.lines().find_map(|line| line.strip_prefix("hint: gitpod-play ").map(|rest| format!("gitpod-play {rest}")))
    {
        return line;
    }
    let option = all.split('`').find(|part| part.starts_with("--"));
    if let Some(option) = option {
        return format!("gitpod-play {} {option}", args.join(" "));
    }
    let line = all.lines().find_map(|line| line.strip_prefix("go on: "));
    line.unwrap_or_else(|| panic!("nothing is suggested\n{all}")).to_owned()
}

/// `args` do not do what they say; what is suggested then does.
fn suggestion_works(world: &World, args: &[&str], code: i32) -> Ended {
    let said = play(world, args);
    assert_eq!(said.code, code, "{args:?}\n{}{}", said.stdout, said.stderr);
    let line = suggested(&[args, &MAX].concat(), &said);
    let done = pasted(world, &line);
    assert_eq!(done.code, 0, "{line}\n{}{}", done.stdout, done.stderr);
    done
}

/// Bug of others: a suggested clean-up command that fails.
#[test]
fn every_command_that_is_suggested_works_as_printed() {
    let world = World::new();
    let vpc = |options: &str| {
        format!(
            "{NET}step(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"10.0.0.0/16\"{options} }})){};\n",
            if options.is_empty() { "" } else { ".protect()" }
        )
    };
    world.place.write("my book.rhai", &vpc(""));
    let book = ["my book.rhai", "--stack", "b"];

    // A run that failed.
    world.admin("POST", "faults", &json!([{ "service": "ec2", "operation": "CreateVpc", "count": 1, "action": { "error": { "code": "UnauthorizedOperation", "status": 403 } } }]).to_string());
    suggestion_works(&world, &[&["run"], &book[..], &["--yes"]].concat(), 1);

    // Protected: replaced, no longer declared, destroyed. Names that a shell would take apart.
    let zone = |step: &str| {
        format!(
            "{NET}step(\"z\", || {{ let z = aws::route53::zone(#{{ name: \"a.example.com\" }}); aws::route53::record(#{{ zone: z.id, name: \"*.a.example.com\", type: \"A\", ttl: 60, values: [\"192.0.2.1\"] }}) }}){step};\n"
        )
    };
    world.place.write("p.rhai", &zone(".protect()"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let refused = play(&world, &["destroy", "p.rhai", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("hint: gitpod-play destroy p.rhai"), "{}", refused.stderr);
    world.place.write("p.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let kept = play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert!(kept.stderr.contains("'*.a.example.com"), "{}", kept.stderr);
    suggestion_works(&world, &["destroy", "p.rhai", "--yes"], 1);

    world.place.write("q.rhai", &vpc(", tags: #{}"));
    play_ok(&world, &["run", "q.rhai", "--yes"]);
    world.place.write("q.rhai", &vpc(", tags: #{}").replace("10.0.", "10.1."));
    let plan = play_ok(&world, &["plan", "q.rhai"]);
    assert!(suggested(&["plan", "q.rhai"], &plan).contains("--allow-delete v"), "{}", plan.stdout);
    suggestion_works(&world, &["run", "q.rhai", "--yes"], 1);
    world.place.write("q.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let warned = suggestion_works(&world, &["run", "q.rhai", "--yes"], 0);
    assert!(warned.stderr.contains("1 deleted"), "{}", warned.stderr);

    // No longer declared, and nobody to ask.
    world.place.write("my book.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let done = suggestion_works(&world, &["run", "'my book.rhai'", "--stack", "b"].map(|it| it.trim_matches('\'')), 0);
    assert!(done.stderr.contains("deleted") || done.stderr.contains("nothing changed"), "{}", done.stderr);

    // Questions that nobody answers, names that are nearly right, several stacks.
    play(&world, &["run", "q.rhai", "--yes"]);
    suggestion_works(&world, &["state", "show"].map(|it| it), 2);
    let forgot = suggestion_of(&world, &["state", "rm", "kept::value/k", "--stack", "q"]);
    assert_eq!(forgot.code, 0, "{}{}", forgot.stdout, forgot.stderr);
    let docs = suggestion_of(&world, &["docs", "aws::ec2::vcp"]);
    assert_eq!(docs.code, 0, "{}{}", docs.stdout, docs.stderr);
}

/// The same for commands that know no pace.
fn suggestion_of(world: &World, args: &[&str]) -> Ended {
    let said = world.play(args, &[]);
    assert_ne!(said.code, 0, "{args:?}\n{}", said.stdout);
    pasted(world, &suggested(args, &said))
}

#[test]
fn what_is_suggested_about_others_things_about_signals_and_about_the_simulated_clouds_works() {
    let world = World::new();
    let hand = Hand::of(&world);
    hand.does(hand.iam.create_user().user_name("theirs").send());
    let script = |options: &str| {
        format!("{NET}step(\"u\", || aws::iam::user(#{{ name: \"theirs\", policies: []{options} }}));\n")
    };
    world.place.write("p.rhai", &script(""));
    let refused = play(&world, &["run", "p.rhai", "--yes"]);
    let added = refused.stderr.split('`').find(|part| part.starts_with("adopt")).expect("what to add");
    world.place.write("p.rhai", &script(&format!(", {added}")));
    play_ok(&world, &["run", "p.rhai", "--yes"]);

    // Interrupted.
    world.place.write("slow.rhai", "step(\"a\", || kept::value(#{ name: \"k\", value: 1 }));\nstep(\"b\", |a| process::run(#{ program: \"sleep\", args: [\"2\"] }));\nstep(\"c\", |b| kept::value(#{ name: \"c\", value: 1 }));\n");
    let mut command = world.place.command(&["run", "slow.rhai", "--yes", "--allow-run", "sleep"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    until("the stack is taken", Duration::from_secs(20), || world.place.path().join(".gitpod-play/slow/log").exists());
    std::thread::sleep(Duration::from_millis(700));
    // In use meanwhile.
    let in_use = play(&world, &["run", "slow.rhai", "--yes", "--allow-run", "sleep"]);
    assert!(in_use.code == 1 && in_use.stderr.contains("hint: wait until it is done"), "{}", in_use.stderr);
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().expect("kill").success());
    let stopped = ended(child.wait_with_output().expect("it ends"));
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    let done = pasted(&world, &suggested(&[], &stopped));
    assert_eq!(done.code, 0, "{}", done.stderr);

    // Last, because it ends the clouds.
    let reset = suggestion_of(&world, &["sandbox", "reset", "--yes"]);
    assert_eq!(reset.code, 0, "{}{}", reset.stdout, reset.stderr);
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
step("k", |v| kept::value(#{ name: "k", value: `${v.id} ${cfg.size}` }));
step("last", |k| #{ seen: k.value });
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
    assert_eq!(writes(&calls(&world)), Vec::<String>::new());

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
    assert!(after.contains("size 1"), "{after}");
}

/// `state show --json` of the stack `p`.
fn play_state(world: &World) -> String {
    world.play(&["state", "show", "--json", "--stack", "p"], &[]).stdout
}
