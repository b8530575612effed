//! Commands side by side and what they say: clouds that two of them use, names that fit nothing, events, notes.

use crate::support::{AWS, Ended, Place, ended, holding, until, world::World};
use serde_json::{Value, json};
use std::{
    process::{Child, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_mins(1);

fn network(name: &str, cidr: &str) -> String {
    format!(
        "target(\"aws\", #{{ region: \"eu-west-1\" }});\n\
         step(\"wait\", || {});\n\
         step(\"network\", |wait| aws::ec2::vpc(#{{ name: \"{name}\", cidr: \"{cidr}\" }}));\n",
        holding(name)
    )
}

fn started(place: &Place, args: &[&str]) -> Child {
    let mut command = place.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Two playbooks in one folder, whose first step runs; the first one serves the clouds.
fn two_networks(place: &Place) -> [Child; 2] {
    place.write("a.rhai", &network("a", "10.0.0.0/16"));
    place.write("b.rhai", &network("b", "10.1.0.0/16"));
    let first = started(place, &["run", "a.rhai", "--yes", "--allow-run", "sh", "--pace", "max"]);
    place.is_held("a");
    let second = started(place, &["run", "b.rhai", "--yes", "--allow-run", "sh"]);
    place.is_held("b");
    [first, second]
}

fn ended_well(child: Child) -> Ended {
    let done = ended(child.wait_with_output().expect("it ends"));
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    done
}

#[test]
fn the_clouds_outlast_the_command_that_started_them_while_another_uses_them() {
    let place = Place::new();
    let [mut first, second] = two_networks(&place);
    place.lets_go("a");
    until("the first is done", LIMIT, || {
        place.play_ok(&["state", "history", "--stack", "a", "--json"]).stdout.contains("\"done\"")
    });
    assert!(first.try_wait().expect("a child").is_none(), "the first waits for the second");
    place.lets_go("b");
    let first = ended_well(first);
    assert!(first.stderr.contains("`gitpod-play sandbox serve` keeps them up"), "{}", first.stderr);
    let second = ended_well(second);
    assert!(second.stderr.contains("run done") && !second.stderr.contains("note:"), "{}", second.stderr);
    let status = place.play_ok(&["sandbox", "status"]);
    assert!(status.stdout.contains("not served") && status.stdout.contains("2 vpc"), "{}", status.stdout);
}

#[test]
fn clouds_that_end_all_the_same_are_named_as_the_reason() {
    let place = Place::new();
    let [mut first, second] = two_networks(&place);
    first.kill().expect("it is killed");
    let _ = first.wait();
    place.lets_go("a");
    place.lets_go("b");
    let second = ended(second.wait_with_output().expect("it ends"));
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("`gitpod-play sandbox serve` keeps them up"), "{}", second.stderr);
    place.play_ok(&["run", "b.rhai", "--yes", "--allow-run", "sh"]);
}

#[test]
fn faults_and_pace_reach_clouds_that_another_process_serves() {
    let world = World::at_pace("600", &[]);
    let vpc = "step(\"v\", || aws::ec2::vpc(#{ name: \"v\", cidr: \"10.0.0.0/16\" }));\n";
    world.place.write("p.rhai", &format!("target(\"aws\", #{{ region: \"eu-west-1\" }});\n{vpc}"));
    let error = json!({ "code": "UnauthorizedOperation", "status": 403 });
    let rules = json!([{ "service": "ec2", "operation": "CreateVpc", "count": 1, "action": { "error": error } }]);
    world.place.write("faults.json", &rules.to_string());
    let run = ["run", "p.rhai", "--yes"];
    let failed = world.play(&[&run[..], &["--faults", "faults.json", "--pace", "max"]].concat(), &[]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("UnauthorizedOperation"), "{}", failed.stderr);
    assert!(failed.stderr.contains("they have these faults until it ends"), "{}", failed.stderr);
    assert_eq!(world.admin("GET", "pace", ""), "max");
    let done = world.play(&run, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stderr.contains("pace"), "nobody asked for another one: {}", done.stderr);

    world.place.write("wrong.json", "{}");
    for (verb, file) in [("run", "none.json"), ("plan", "none.json"), ("destroy", "none.json"), ("plan", "wrong.json")]
    {
        let refused = world.play(&[verb, "p.rhai", "--faults", file], &[]);
        assert!(refused.code == 2 && refused.stderr.contains(file), "{verb} {file}: {}", refused.stderr);
    }
    let elsewhere = ["plan", "p.rhai", "--faults", "faults.json", "--endpoint", "aws=http://127.0.0.1:1"];
    let refused = world.play(&elsewhere, &[]);
    assert!(refused.code == 2 && refused.stderr.contains("simulated clouds only"), "{}", refused.stderr);
}

#[test]
fn the_clouds_of_a_state_in_a_bucket_are_those_that_a_run_uses() {
    let place = Place::new();
    let status = place.play_ok(&["sandbox", "status", "--json", "--state", "s3://bucket/prefix"]);
    let shown: Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(shown["folder"], ".gitpod-play/sandbox");
    let mut command = place.command(&["sandbox", "reset", "--yes"]);
    command.env("GITPOD_PLAY_STATE", "s3://bucket/prefix");
    place.write(".gitpod-play/sandbox/left", "");
    assert!(command.status().expect("it runs").success());
    assert!(!place.path().join(".gitpod-play/sandbox").exists() && !place.path().join("s3:").exists());
}

/// The events of a command's standard output.
fn events(done: &Ended) -> Vec<Value> {
    done.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Two resources in two steps, no cloud needed.
const KEPT: &str = "step(\"first\", || kept::value(#{ name: \"one\", value: 1 }));\n\
                    step(\"second\", |first| kept::value(#{ name: \"two\", value: 2 }));\n";

#[test]
fn destroy_refuses_steps_that_there_are_not_and_names_the_nearest() {
    let place = Place::new();
    place.write("p.rhai", KEPT);
    place.play_ok(&["run", "p.rhai", "--yes"]);
    let refused = place.play(&["destroy", "p.rhai", "--yes", "--step", "frist"]);
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    for words in ["error: there is no step `frist` in stack `p`", "hint: did you mean `--step first`?"] {
        assert!(refused.stderr.contains(words), "`{words}` is not in\n{}", refused.stderr);
    }
    assert_eq!(place.resources().len(), 2, "nothing was deleted");
    place.play_ok(&["destroy", "p.rhai", "--yes", "--step", "second"]);
    let again = place.play_ok(&["destroy", "p.rhai", "--yes", "--step", "second"]);
    assert!(again.stdout.contains("nothing to delete"), "{}", again.stdout);
}

#[test]
fn destroy_tells_events_alone_when_there_is_nothing_to_delete() {
    let place = Place::new();
    place.write("p.rhai", KEPT);
    place.play_ok(&["run", "p.rhai", "--yes"]);
    for _ in 0..2 {
        let done = place.play_ok(&["destroy", "p.rhai", "--yes", "--json"]);
        let events = events(&done);
        assert_eq!(events.first().expect("an event")["event"], "run_started");
        let last = events.last().expect("an event");
        assert!(last["event"] == "run_ended" && last["verb"] == "destroy" && last["resources"] == 0, "{last}");
    }
}

#[test]
fn allowed_deletes_that_fit_nothing_are_told() {
    let place = Place::new();
    place.write("p.rhai", KEPT);
    let said = "warning: `--allow-delete twoo` fits no resource: did you mean `two`?";
    let allow = ["--allow-delete", "twoo", "--allow-delete", "one", "--allow-delete", "kept::value/two"];
    for verb in [&["run", "p.rhai", "--yes"][..], &["plan", "p.rhai"], &["destroy", "p.rhai", "--yes"]] {
        let done = place.play_ok(&[verb, &allow[..]].concat());
        assert!(done.stderr.contains(said), "{verb:?}\n{}", done.stderr);
        assert_eq!(done.stderr.matches("fits no resource").count(), 1, "{verb:?}\n{}", done.stderr);
    }
}

#[test]
fn a_plan_as_events_begins_ends_and_counts() {
    let place = Place::new();
    let book = |name: &str, content: &str| {
        let file = |name: &str, content: &str| format!("file::write(#{{ name: \"{name}\", content: \"{content}\" }})");
        format!("step(\"a\", || {});\nstep(\"b\", |a| {});\n", file(name, "1"), file("b.txt", content))
    };
    place.write("p.rhai", &book("a.txt", "1"));
    place.play_ok(&["run", "p.rhai", "--yes"]);
    place.write("p.rhai", &book("c.txt", "2"));
    let events = events(&place.play_ok(&["plan", "p.rhai", "--json"]));
    let first = &events[0];
    assert!(first["event"] == "run_started" && first["verb"] == "plan" && first["steps"] == 2, "{first}");
    let last = events.last().expect("an event");
    let shown = ["create", "change", "replace", "delete", "unknown", "keep"].map(|count| last[count].as_u64());
    assert_eq!(last["event"], "plan_ended", "{last}");
    assert_eq!(shown.map(Option::unwrap), [1, 1, 0, 1, 0, 0], "{last}");
}

#[test]
fn what_is_refused_is_an_event_too() {
    let place = Place::new();
    place.write("p.rhai", KEPT);
    place.write("broken.rhai", "step(\"a\", || );\n");
    for (args, words) in [
        (&["run", "p.rhai", "--json", "--step", "frist"][..], "there is no step `frist`"),
        (&["run", "broken.rhai", "--json"], "broken.rhai"),
        (&["plan", "p.rhai", "--json", "--faults", "none.json"], "cannot read `none.json`"),
        (&["destroy", "none.rhai", "--json"], "there is no playbook `none.rhai`"),
        (&["run", "p.rhai", "--json", "--stepp", "first"], "there is no option `--stepp`"),
    ] {
        let refused = place.play(args);
        assert_eq!(refused.code, 2, "{args:?}\n{}", refused.stderr);
        let events = events(&refused);
        let last = events.last().unwrap_or_else(|| panic!("{args:?}: no event"));
        assert_eq!(last["event"], "refused", "{args:?}");
        assert!(last["error"].as_str().unwrap_or_default().contains(words), "{args:?}\n{last}");
        assert!(refused.stderr.contains(words), "{args:?}\n{}", refused.stderr);
    }
}

#[test]
fn stand_ins_and_missing_digests_are_told_once_in_a_line() {
    let place = Place::new();
    let run = ["run", AWS, "--pace", "max", "--yes"];
    let first = place.play_ok(&run);
    let notes: Vec<&str> = first.stderr.lines().filter(|line| line.starts_with("note: the sandbox answers")).collect();
    assert!(!notes.is_empty(), "{}", first.stderr);
    let different: std::collections::BTreeSet<&&str> = notes.iter().collect();
    assert_eq!(different.len(), notes.len(), "each is told once: {notes:#?}");
    let plan = place.play_ok(&["plan", AWS, "--pace", "max", "--json"]);
    let told = events(&plan).iter().filter(|event| event["event"] == "note").count();
    assert_eq!(told, notes.len(), "a plan tells the same");

    // What a plan looks at is progress, and nobody watches.
    let plan = place.play_ok(&["plan", AWS, "--pace", "max"]);
    assert!(plan.stderr.lines().all(|line| line.starts_with("note: ")), "{}", plan.stderr);
}

#[test]
fn a_destroyed_database_names_what_it_leaves() {
    let place = Place::new();
    let book = |more: &str| {
        format!(
            "target(\"aws\", #{{ region: \"eu-west-1\" }});\n\
             fn subnet(vpc, zone, cidr) {{ aws::ec2::subnet(#{{ name: zone, vpc: vpc, cidr: cidr, zone: zone }}).id }}\n\
             step(\"database\", || {{\n\
                 let vpc = aws::ec2::vpc(#{{ name: \"d\", cidr: \"10.0.0.0/16\" }});\n\
                 let subnets = [subnet(vpc.id, \"eu-west-1a\", \"10.0.0.0/24\"), subnet(vpc.id, \"eu-west-1b\", \"10.0.1.0/24\")];\n\
                 let group = aws::rds::subnet_group(#{{ name: \"d\", description: \"d\", subnets: subnets }});\n\
                 let password = random::password(#{{ name: \"d\", bytes: 16 }});\n\
                 aws::rds::instance(#{{ name: \"d\", engine: \"mysql\", engine_version: \"8.0\", class: \"db.m5.large\",\n\
                     storage_gib: 20, username: \"gitpod\", password: password.value, subnet_group: group.name{more} }})\n\
             }});\n"
        )
    };
    for (more, words, refused) in [
        ("", "the last snapshot `d-final-", "of the data in it only a last snapshot would be left"),
        (", skip_final_snapshot: true", "kept: the automated backups of database `d`", "the data in it would be lost"),
    ] {
        place.write("p.rhai", &book(more));
        place.play_ok(&["run", "p.rhai", "--pace", "max", "--yes"]);
        let destroy = ["destroy", "p.rhai", "--pace", "max", "--yes"];
        let said = place.play(&destroy);
        assert!(said.code == 1 && said.stderr.contains(refused), "{}", said.stderr);
        let done = place.play_ok(&[&destroy[..], &["--allow-delete", "d"]].concat());
        assert_eq!(done.stderr.matches(words).count(), 2, "at the step and at the end:\n{}", done.stderr);
        let end = done.stderr.split("destroy done").next().unwrap_or_default();
        assert!(end.lines().last().is_some_and(|line| line.starts_with("kept: ")), "{}", done.stderr);
    }
}

#[test]
fn a_plan_shows_the_lines_of_a_long_text_that_differ() {
    let place = Place::new();
    place.play_ok(&["run", AWS, "--pace", "max", "--yes"]);
    let plan = place.play_ok(&["plan", AWS, "--pace", "max", "--set", "domain=other.example.com"]);
    let lines = "differs in\n        - domain: gitpod.example.com\n        + domain: other.example.com\n  + ";
    assert!(plan.stdout.contains(lines), "{}", plan.stdout);
}
