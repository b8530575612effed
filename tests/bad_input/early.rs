//! What is known before a run writes anything ends it there, with the exit code that fits.

use super::{refused, script};
use crate::support::{AWS, Place, writes};

/// `run` ends with `code` before anything is written, neither to the clouds nor about resources.
fn nothing_is_written(place: &Place, args: &[&str], code: i32, words: &[&str]) {
    let recorded = [args, &["--pace", "max", "--record", "calls.jsonl"]].concat();
    refused(place, &recorded, code, words);
    if place.path().join("calls.jsonl").exists() {
        assert_eq!(writes(&place.calls("calls.jsonl")), Vec::<String>::new(), "{args:?}");
    }
    if place.path().join(".gitpod-play").exists() {
        let stack = place.play(&["state", "history"]);
        assert!(!stack.stdout.contains("run"), "no run began: {}", stack.stdout);
    }
}

#[test]
fn settings_of_the_shipped_playbook_that_cannot_work() {
    let cases: [(&str, i32, &[&str]); 29] = [
        ("workspaces.min=11", 2, &["`workspaces.min` is 11", "hint: 0 <= workspaces.min"]),
        ("services.desired=9", 2, &["`services.desired` is 9, `services.max` 4"]),
        ("database.storage_gib=500", 2, &["`database.storage_gib` is 500"]),
        ("certificates.own_certificate=pem", 2, &["`certificates.own_key` is not"]),
        ("network.zones=1", 2, &["network.zones", "from 2 to 6"]),
        ("network.nat=triple", 2, &["network.nat", "highly-available"]),
        ("network.cidr=10.0.0.0/40", 2, &["network.cidr", "10.0.0.0/40"]),
        ("nodes.timeout=soon", 2, &["`soon` is no duration"]),
        ("cluster.name=-bad", 2, &["`-bad` cannot be the name of a cluster", "hint: use 1 to 100 letters"]),
        ("storage.bucket=Bad_Name", 2, &["`Bad_Name` cannot be the name of a bucket"]),
        ("domain=not_a_domain", 2, &["`not_a_domain` is no name of a domain"]),
        ("database.class=large", 2, &["`large` is no class of a database"]),
        ("cluster.public_cidrs=foo", 2, &["`foo` in `public_cidrs` is no block of addresses"]),
        ("cluster.logging=api,foo", 2, &["`foo` is no log of a control plane", "hint: `logging` takes any of `api`"]),
        ("database.storage_gib=5", 2, &["`storage_gib` is 5", "hint: use 20 to 65536"]),
        ("database.database=my-db", 2, &["`my-db` cannot be the name of a database"]),
        ("cluster.calico_sha256=abc", 2, &["`abc` is no sha256"]),
        ("cluster.calico_manifest=nix.yaml", 2, &["cannot read `./nix.yaml`"]),
        ("certificates.cert_manager_manifest=ftp://x/y", 2, &["the scheme `ftp` is not supported"]),
        ("install.namespace=Bad_NS", 2, &["`Bad_NS` cannot be the name of a namespace", "hint: use 1 to 63"]),
        ("services.instance_type=foo", 2, &["`services.instance_type` is `foo`", "hint: types are called like"]),
        ("cluster.name=", 2, &["`cluster.name` is empty"]),
        ("storage.user=", 2, &["`storage.user` is empty"]),
        (
            "workspaces.instance_type=m6i.foo",
            1,
            &["no instances of type `m6i.foo`", "hint: set `workspaces.instance_type`"],
        ),
        ("database.class=db.m5.foo", 1, &["no class `db.m5.foo`", "hint: set `database.class`"]),
        (
            "database.engine_version=9.9",
            1,
            &["no version 9.9 of MySQL", "hint: `database.engine_version` is one of 8."],
        ),
        ("install.method=binary", 2, &["`gitpod-installer`, which is not allowed", "`--allow-run gitpod-installer`"]),
        ("storage.bucket=taken", 1, &["bucket `taken` belongs to someone else", "hint: names are unique"]),
        ("cluster.version=1.2", 1, &["EKS does not offer version 1.2", "hint: `cluster.version` is one of 1."]),
    ];
    for (setting, code, words) in cases {
        let place = Place::new();
        nothing_is_written(&place, &["run", AWS, "--set", setting], code, words);
        refused(&place, &["plan", AWS, "--pace", "max", "--set", setting], code, words);
    }
}

#[test]
fn a_program_that_is_allowed_and_not_there() {
    let place = Place::new();
    let wanted = [AWS, "--set", "install.method=binary", "--allow-run", "gitpod-installer"];
    let words = ["cannot run `gitpod-installer`", "there is no such program", "hint: install it, or put it on PATH"];
    nothing_is_written(&place, &[&["run"], &wanted[..]].concat(), 1, &words);
    refused(&place, &[&["plan", "--pace", "max"], &wanted[..]].concat(), 1, &words);
}

#[test]
fn a_wrong_account_and_quotas_that_are_too_small() {
    nothing_is_written(&Place::new(), &["run", AWS, "--set", "aws.account=999999999999"], 1, &["999999999999"]);
    let many = ["run", AWS, "--set", "workspaces.desired=900", "--set", "workspaces.max=900"];
    nothing_is_written(&Place::new(), &many, 1, &["the quota of vCPUs", "L-1216C47A"]);
}

#[test]
fn arguments_that_only_a_step_shows() {
    let made =
        "target(\"aws\", #{ region: \"eu-west-1\" }); step(\"b\", || random::password(#{ name: \"p\" }).name);\n";
    let cases: [(&str, &[&str]); 4] = [
        (
            "let c = \"10.0.0.0/99\";\nstep(\"a\", |b| aws::ec2::vpc(#{ name: \"x\", cidr: c }));",
            &["10.0.0.0/99", "p.rhai:3:25"],
        ),
        (
            "step(\"a\", |b| aws::ec2::vpc(#{ name: 3, cidr: \"10.0.0.0/16\" }));",
            &["bad argument at `name`", "p.rhai:2:25"],
        ),
        (
            "step(\"v\", || aws::iam::role(#{ name: \"r\", trust: \"eks.amazonaws.com\" }));\n\
             step(\"a\", |b, v| aws::eks::cluster(#{ name: \"-x\", version: \"1.33\", role: v.arn, subnets: [\"subnet-1\", \"subnet-2\"] }));",
            &["`-x` cannot be the name of a cluster", "p.rhai:3:28"],
        ),
        ("step(\"a\", || { let cfg = #{ a: 1 }; cfg.b });", &["`b`", "p.rhai:2"]),
    ];
    for (text, words) in cases {
        nothing_is_written(&script(&format!("{made}{text}\n")), &["run", "p.rhai"], 2, words);
    }
}

#[test]
fn what_a_plan_cannot_know_does_not_stop_a_run() {
    let place = script(
        "target(\"aws\", #{ region: \"eu-west-1\" });\n\
         step(\"vpc\", || aws::ec2::vpc(#{ name: \"n\", cidr: \"10.0.0.0/16\" }));\n\
         step(\"looks\", |vpc| { let found = aws::ec2::get_vpc(#{ id: vpc.id }); if found.cidr != \"10.0.0.0/16\" { fail(\"odd\") } });\n",
    );
    place.play_ok(&["run", "p.rhai", "--pace", "max"]);
}

#[test]
fn a_script_that_keeps_a_step_busy_for_ever_is_stopped() {
    // Few operations, each of which takes long.
    let place =
        script("step(\"a\", || { let s = \"x\"; while s.len() < 2000000 { s += s; } loop { s.to_upper(); } });\n");
    nothing_is_written(&place, &["run", "p.rhai"], 2, &["computes for more than", "p.rhai:1"]);
    let place = script("step(\"a\", || { let x = []; loop { x.push(1); } });\n");
    nothing_is_written(&place, &["run", "p.rhai"], 2, &["too large", "p.rhai:1"]);
    let place = script("step(\"a\", || { loop {} });\n");
    nothing_is_written(&place, &["run", "p.rhai"], 2, &["does not come to an end", "p.rhai:1"]);
}
