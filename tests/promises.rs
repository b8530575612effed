//! The promises of the design, on the shipped playbook and the simulated clouds.

use crate::support::{ALLOW_DATABASE, AWS, Place, holding, writes};
use std::collections::BTreeSet;

#[test]
fn the_whole_architecture_is_planned_made_kept_changed_and_taken_away() {
    let place = Place::new();
    let plan = place.play_ok(&["plan", AWS, "--pace", "max", "--record", "plan.jsonl"]);
    assert!(plan.stdout.contains("to create"), "{}", plan.stdout);
    assert_eq!(writes(&place.calls("plan.jsonl")), Vec::<String>::new(), "a plan never writes");
    assert!(!place.path().join(".gitpod-play/aws").exists(), "a plan leaves nothing in the state folder");

    let run = place.play_ok(&["run", AWS, "--pace", "max", "--yes", "--record", "run.jsonl"]);
    assert!(run.stderr.contains("Gitpod is at https://gitpod.example.com"), "{}", run.stderr);
    let calls = place.calls("run.jsonl");
    let written = writes(&calls).len();
    let said = format!("calls: {} reads, {written} writes", calls.len() - written);
    assert!(
        run.stderr.contains(&said),
        "`{said}` is not what is said, with the look before the first write:\n{}",
        run.stderr
    );
    let config = place.read(".gitpod-play/aws/gitpod.config.yaml");
    assert!(config.contains("domain: gitpod.example.com"), "{config}");

    let resources = place.resources();
    let addresses: BTreeSet<&str> = resources.iter().filter_map(|it| it["address"].as_str()).collect();
    for wanted in ["aws::ec2::vpc/gitpod", "aws::eks::cluster/gitpod", "aws::rds::instance/gitpod-instance"] {
        assert!(addresses.contains(wanted), "{wanted} is missing in {addresses:?}");
    }

    place.play_ok(&["run", AWS, "--pace", "max", "--yes", "--record", "again.jsonl"]);
    let again = place.calls("again.jsonl");
    assert_eq!(writes(&again), Vec::<String>::new(), "running again changes nothing");
    let reads = again.len();
    let budget = resources.len() * 3 / 2;
    assert!(reads <= budget, "{reads} reads for {} resources, at most {budget} are allowed", resources.len());

    let settled = place.play_ok(&["plan", AWS, "--pace", "max", "--detailed-exitcode"]);
    assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);

    let changed = place.play(&["plan", AWS, "--pace", "max", "--detailed-exitcode", "--set", "workspaces.max=20"]);
    assert_eq!(changed.code, 3, "{}{}", changed.stdout, changed.stderr);
    assert!(changed.stdout.contains("10 → 20"), "{}", changed.stdout);
    place.play_ok(&["run", AWS, "--pace", "max", "--yes", "--set", "workspaces.max=20", "--record", "max.jsonl"]);
    assert_eq!(writes(&place.calls("max.jsonl")), ["eks UpdateNodegroupConfig"], "exactly one write call");

    let refused = place.play(&["destroy", AWS, "--pace", "max", "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-delete gitpod-instance"), "{}", refused.stderr);
    assert_eq!(place.resources().len(), resources.len(), "a refused destroy deletes nothing");

    let destroy = place.play_ok(&["destroy", AWS, "--pace", "max", "--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]]);
    assert!(!destroy.stderr.contains("left over"), "{}", destroy.stderr);
    assert_eq!(place.resources().len(), 0);
    place.play_ok(&["destroy", AWS, "--pace", "max", "--yes"]);
}

#[test]
fn a_fork_changes_the_shipped_playbook_without_copying_it() {
    let place = Place::new();
    place.write(
        "acme.rhai",
        r#"//! The company's own.
extends("playbooks/aws", #{ domain: "gp.acme.dev", cluster: #{ name: "acme" } });

remove("storage_test");

wrap("storage", |base, account| {
    let made = base.call(account);
    print(`bucket ${made.bucket}`);
    made
});

insert_after("network", "marker", |network| kept::value(#{ name: "vpc", value: network.vpc }));
"#,
    );
    let run = place.play_ok(&["run", "acme.rhai", "--pace", "max", "--yes"]);
    assert!(run.stderr.contains("Gitpod is at https://gp.acme.dev"), "{}", run.stderr);
    assert!(run.stderr.contains("bucket gitpod-"), "{}", run.stderr);
    let resources = place.resources();
    assert!(resources.iter().any(|it| it["address"] == "aws::eks::cluster/acme"));
    assert!(resources.iter().any(|it| it["address"] == "kept::value/vpc"));
    let steps = place.play_ok(&["steps", "acme.rhai"]);
    assert!(!steps.stdout.contains("storage_test") && steps.stdout.contains("marker"), "{}", steps.stdout);
}

#[test]
fn drift_is_shown_and_put_back() {
    let place = Place::new();
    place.write(
        "net.rhai",
        r#"target("aws", #{ region: "eu-west-1" });
step("network", || aws::ec2::vpc(#{ name: "n", cidr: "10.0.0.0/16", tags: #{ team: "a" } }));
"#,
    );
    place.play_ok(&["run", "net.rhai", "--pace", "max"]);
    let edited = place.read("net.rhai").replace("team: \"a\"", "team: \"b\"");
    place.write("other.rhai", &edited);
    // Somebody else's hand: the same object, changed through another playbook of the same stack.
    place.play_ok(&["run", "other.rhai", "--stack", "net", "--pace", "max"]);
    let plan = place.play(&["plan", "net.rhai", "--pace", "max", "--detailed-exitcode"]);
    assert_eq!(plan.code, 3, "{}{}", plan.stdout, plan.stderr);
    assert!(plan.stdout.contains("tags.team") && plan.stdout.contains("b → a"), "{}", plan.stdout);
    place.play_ok(&["run", "net.rhai", "--pace", "max"]);
    place.play_ok(&["plan", "net.rhai", "--pace", "max", "--detailed-exitcode"]);
}

#[test]
fn what_is_no_longer_declared_is_shown_and_deleted_last() {
    let place = Place::new();
    let two = r#"target("aws", #{ region: "eu-west-1" });
step("a", || aws::ec2::vpc(#{ name: "a", cidr: "10.0.0.0/16" }));
step("b", || aws::ec2::vpc(#{ name: "b", cidr: "10.1.0.0/16" }));
"#;
    place.write("two.rhai", two);
    place.play_ok(&["run", "two.rhai", "--pace", "max"]);
    place.write("two.rhai", &two.lines().take(2).collect::<Vec<_>>().join("\n"));
    let plan = place.play_ok(&["plan", "two.rhai", "--pace", "max"]);
    assert!(plan.stdout.contains("- aws::ec2::vpc/b"), "{}", plan.stdout);
    let kept = place.play_ok(&["run", "two.rhai", "--pace", "max"]);
    assert!(kept.stderr.contains("--yes"), "{}", kept.stderr);
    assert_eq!(place.resources().len(), 2, "nobody agreed to the delete");
    place.play_ok(&["run", "two.rhai", "--pace", "max", "--yes"]);
    assert_eq!(place.resources().len(), 1);
}

#[test]
fn two_runs_at_once_on_one_stack() {
    let place = Place::new();
    place.write(
        "slow.rhai",
        &format!("target(\"aws\", #{{ region: \"eu-west-1\" }});\nstep(\"n\", || {});\n", holding("n")),
    );
    let first = place.command(&["run", "slow.rhai", "--allow-run", "sh"]).spawn().expect("the first run starts");
    place.is_held("n");
    let second = place.play(&["run", "slow.rhai", "--allow-run", "sh"]);
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    place.lets_go("n");
    let first = first.wait_with_output().expect("the first run ends");
    assert!(first.status.success(), "the first run is not disturbed");
}

#[test]
fn what_a_destroy_leaves_over_is_named() {
    let place = Place::new();
    place.write(
        "p.rhai",
        r#"target("aws", #{ region: "eu-west-1" });
step("network", || aws::ec2::vpc(#{ name: "n", cidr: "10.0.0.0/16" }));
step("bucket", || aws::s3::bucket(#{ name: "forgotten-bucket" }));
step("zone", || aws::route53::zone(#{ name: "acme.dev" }));
"#,
    );
    place.play_ok(&["run", "p.rhai", "--pace", "max"]);
    let zone = place.resources().iter().find(|it| it["kind"] == "aws::route53::zone").expect("a zone").clone();
    for address in ["aws::ec2::vpc/n", "aws::s3::bucket/forgotten-bucket", "aws::route53::zone/acme.dev"] {
        place.play_ok(&["state", "rm", address, "--yes"]);
    }
    let destroy = place.play_ok(&["destroy", "p.rhai", "--pace", "max", "--yes"]);
    let zone = zone["outputs"]["id"].as_str().expect("an id");
    for left in ["vpc vpc-", "s3 bucket forgotten-bucket", &format!("route53 hostedzone {zone}")] {
        assert!(destroy.stderr.contains(left), "`{left}` is missing in {}", destroy.stderr);
    }
}
