//! Writes of which nobody knows whether they were done: failed creates, lost replies, runs that died. What they made is found
//! and is made once; what others made under the same name is theirs.

use crate::support::{
    AWS, Place,
    hand::Hand,
    quick::{MAX, forget_calls, play, play_ok, written},
    world::World,
    writes,
};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use serde_json::{Value, json};

const AWS_TARGET: &str = "target(\"aws\", #{ region: \"eu-west-1\" });\n";

/// A world with a playbook of these steps.
fn world_of(steps: &str) -> World {
    let place = Place::new();
    place.write("p.rhai", &format!("{AWS_TARGET}{steps}"));
    World::in_place(place, "max", &[])
}

/// What goes wrong from now on, until it is mended.
fn goes_wrong(world: &World, rules: &[(&str, &str, u32, Value)]) {
    let rule = |(service, operation, count, action): &(&str, &str, u32, Value)| json!({ "service": service, "operation": operation, "count": count, "action": action });
    world.admin("PUT", "faults", &rules.iter().map(rule).collect::<Value>().to_string());
}

fn mended(world: &World) {
    world.admin("DELETE", "faults", "");
}

fn lost() -> Value {
    json!({ "drop_after": true })
}

/// The reply is lost, and what was made is not seen by so many reads.
fn unseen_for(reads: u32) -> Value {
    json!({ "drop_after": true, "not_found_for": reads })
}

fn refused(code: &str, status: u16) -> Value {
    json!({ "error": { "code": code, "status": status } })
}

/// The documents in the table called `name`.
fn table(world: &World, name: &str) -> Vec<Value> {
    let state = world.admin("GET", "state", "");
    let tables = state.as_object().expect("tables").iter();
    let wanted = tables.filter(|(table, _)| table.rsplit('/').next() == Some(name));
    wanted.flat_map(|(_, documents)| documents.as_object().expect("documents").values().cloned()).collect()
}

/// How often this write was sent since calls were forgotten.
fn sent(world: &World, call: &str) -> usize {
    written(world).iter().filter(|written| *written == call).count()
}

const ROLE_AND_RECORD: &str = r#"let cfg = settings(#{ more: false });
step("z", || aws::route53::zone(#{ name: "a.example.com", empty_on_delete: false }));
step("r", |z| if cfg.more { aws::route53::record(#{ zone: z.id, name: "www.a.example.com", type: "A", ttl: 60, values: ["192.0.2.1"] }) });
step("u", || if cfg.more { aws::iam::role(#{ name: "theirs", trust: "ec2.amazonaws.com", policies: [] }) });
"#;

/// Puts a record into the zone by hand, and makes a role.
fn made_by_hand(world: &World, address: &str) {
    let hand = Hand::of(world);
    let zones = hand.does(hand.route53.list_hosted_zones().send());
    let value = ResourceRecord::builder().value(address).build().expect("a value");
    let set = ResourceRecordSet::builder().name("www.a.example.com").r#type(RrType::A).ttl(60).resource_records(value);
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(set.build().expect("a set"));
    let batch = ChangeBatch::builder().changes(change.build().expect("a change")).build().expect("a batch");
    let put = hand.route53.change_resource_record_sets().hosted_zone_id(zones.hosted_zones()[0].id());
    hand.does(put.change_batch(batch).send());
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
    hand.does(hand.iam.create_role().role_name("theirs").assume_role_policy_document(trust.to_string()).send());
}

#[test]
fn what_others_made_after_a_failed_create_is_theirs() {
    let world = world_of(ROLE_AND_RECORD);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let failed = || refused("InternalFailure", 500);
    goes_wrong(&world, &[("route53", "ChangeResourceRecordSets", 50, failed()), ("iam", "CreateRole", 50, failed())]);
    let more = ["run", "p.rhai", "--yes", "--set", "more=true"];
    assert_eq!(play(&world, &more).code, 1);
    mended(&world);
    assert_eq!(table(&world, "iam.role"), Vec::<Value>::new());
    made_by_hand(&world, "203.0.113.9");
    let before = world.admin("GET", "state", "");

    forget_calls(&world);
    let run = play(&world, &more);
    assert_eq!(run.code, 1, "{}", run.stderr);
    for address in ["aws::iam::role/theirs", "aws::route53::record/www.a.example.com/A"] {
        assert!(run.stderr.contains(&format!("error: `{address}` exists already and is not ours")), "{}", run.stderr);
    }
    assert_eq!(written(&world), Vec::<String>::new());

    let destroy = play(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(destroy.code, 1, "their record is in the zone\n{}", destroy.stderr);
    assert!(destroy.stderr.contains("`aws::iam::role/theirs` is left as it is"), "{}", destroy.stderr);
    assert_eq!(before["/iam.role"], world.admin("GET", "state", "")["/iam.role"]);
    let records = world.admin("GET", "state", "").to_string();
    assert!(records.contains("203.0.113.9"), "their record is gone");
}

#[test]
fn a_record_that_was_made_as_wanted_is_ours_also_when_the_playbook_changed_since() {
    let world = world_of(
        &ROLE_AND_RECORD
            .replace("[\"192.0.2.1\"]", "[cfg.address]")
            .replace("more: false", "more: true, address: \"192.0.2.1\""),
    );
    let at = ("GITPOD_PLAY_CRASH_AT", "answered:1 route53 ChangeResourceRecordSets*");
    let killed = world.play(&[&["run", "p.rhai", "--yes"][..], &MAX].concat(), &[at]);
    assert_eq!(killed.code, -1, "{}", killed.stderr);
    play_ok(&world, &["run", "p.rhai", "--yes", "--set", "address=192.0.2.2"]);
    let state = world.admin("GET", "state", "").to_string();
    assert!(state.contains("192.0.2.2") && !state.contains("192.0.2.1"));
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "r53.zone"), Vec::<Value>::new());
}

#[test]
fn what_the_first_of_two_calls_made_is_not_forgotten() {
    let world = world_of("step(\"z\", || aws::route53::zone(#{ name: \"a.example.com\" }));\n");
    goes_wrong(&world, &[("route53", "ChangeTagsForResource", 1, refused("ExpiredToken", 403))]);
    assert_eq!(play(&world, &["run", "p.rhai", "--yes"]).code, 1);
    assert_eq!(table(&world, "r53.zone").len(), 1);
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "r53.zone"), Vec::<Value>::new());
}

const ROLE: &str = "step(\"u\", || aws::iam::role(#{ name: \"rr\", trust: \"ec2.amazonaws.com\", policies: [] }));\n";

#[test]
fn a_name_that_is_in_the_way_after_a_lost_reply_is_our_own() {
    let world = world_of(ROLE);
    goes_wrong(&world, &[("iam", "CreateRole", 1, unseen_for(16))]);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(sent(&world, "iam CreateRole"), 2);
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "iam.role"), Vec::<Value>::new());
}

#[test]
fn what_a_killed_run_made_is_looked_for_until_it_is_seen() {
    let world = world_of(ROLE);
    // Each look is two reads.
    goes_wrong(&world, &[("iam", "CreateRole", 1, json!({ "not_found_for": 16 }))]);
    let at = ("GITPOD_PLAY_CRASH_AT", "answered:1 iam CreateRole*");
    let killed = world.play(&[&["run", "p.rhai", "--yes"][..], &MAX].concat(), &[at]);
    assert_eq!(killed.code, -1, "{}", killed.stderr);
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "iam.role"), Vec::<Value>::new());
}

#[test]
fn what_has_neither_token_nor_name_is_made_once() {
    let steps = r#"step("e", || aws::ec2::elastic_ip(#{ name: "e" }));
step("v", |e| aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
"#;
    // Seen within the time in which it may be unseen: there is no second create.
    let world = world_of(steps);
    goes_wrong(&world, &[("ec2", "AllocateAddress", 1, unseen_for(15)), ("ec2", "CreateVpc", 1, unseen_for(15))]);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!((sent(&world, "ec2 AllocateAddress"), sent(&world, "ec2 CreateVpc")), (1, 1));

    // Seen too late: the second one is deleted.
    let world = world_of(steps);
    goes_wrong(&world, &[("ec2", "AllocateAddress", 1, unseen_for(21)), ("ec2", "CreateVpc", 1, unseen_for(42))]);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!((sent(&world, "ec2 AllocateAddress"), sent(&world, "ec2 CreateVpc")), (2, 2));
    let made = || (table(&world, "eip").len(), table(&world, "vpc").len());
    assert_eq!(made(), (1, 1));
    forget_calls(&world);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(written(&world), Vec::<String>::new());
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(made(), (0, 0));
}

#[test]
fn what_a_lost_create_made_after_all_looks_is_deleted_when_the_run_ends() {
    let steps = r#"step("v", || aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
step("more", |v| for number in 0..30 { aws::ec2::security_group(#{ name: `g${number}`, description: "g", vpc: v.id }); });
"#;
    let world = world_of(steps);
    goes_wrong(&world, &[("ec2", "CreateVpc", 1, unseen_for(60))]);
    let run = play_ok(&world, &["run", "p.rhai", "--yes", "--verbose", "--record", "calls.jsonl"]);
    assert_eq!((sent(&world, "ec2 CreateVpc"), table(&world, "vpc").len()), (2, 1), "{}", run.stderr);
    let calls = writes(&world.place.calls("calls.jsonl"));
    assert_eq!(calls.last().map(String::as_str), Some("ec2 DeleteVpc"), "after everything else");
    forget_calls(&world);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(written(&world), Vec::<String>::new());
}

#[test]
fn what_is_refused_after_a_lost_reply_is_not_forgotten() {
    let world = world_of("step(\"v\", || aws::ec2::vpc(#{ name: \"v\", cidr: \"10.0.0.0/16\" }));\n");
    // Seen by neither the looks after the lost reply nor those after the refusal, two reads each.
    let refused = refused("VpcLimitExceeded", 400);
    goes_wrong(&world, &[("ec2", "CreateVpc", 1, unseen_for(100)), ("ec2", "CreateVpc", 1, refused)]);
    assert_eq!(play(&world, &["run", "p.rhai", "--yes"]).code, 1);
    assert_eq!(table(&world, "vpc").len(), 1);
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "vpc"), Vec::<Value>::new());
}

const KEY: &str = "step(\"k\", || aws::iam::access_key(#{ user: \"someone\" }));\n";

#[test]
fn a_key_whose_reply_was_lost_does_not_stay() {
    // Of a user of others, who has a key that someone made by hand.
    let world = world_of(KEY);
    let hand = Hand::of(&world);
    hand.does(hand.iam.create_user().user_name("someone").send());
    goes_wrong(&world, &[("iam", "CreateAccessKey", 1, lost())]);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    mended(&world);
    assert_eq!((sent(&world, "iam CreateAccessKey"), table(&world, "iam.key").len()), (2, 1));
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
    assert_eq!(table(&world, "iam.key"), Vec::<Value>::new());

    // Of a user of ours, and the run dies; then the key is wanted no more.
    let own = "step(\"u\", || aws::iam::user(#{ name: \"mine\", policies: [] }));\nstep(\"k\", |u| aws::iam::access_key(#{ user: u.name }));\n";
    let world = world_of(own);
    let at = ("GITPOD_PLAY_CRASH_AT", "answered:1 iam CreateAccessKey*");
    let killed = world.play(&[&["run", "p.rhai", "--yes"][..], &MAX].concat(), &[at]);
    assert_eq!(killed.code, -1, "{}", killed.stderr);
    assert_eq!(table(&world, "iam.key").len(), 1);
    play_ok(&world, &["destroy", "p.rhai", "--yes", "--step", "k"]);
    assert_eq!(table(&world, "iam.key"), Vec::<Value>::new());
}

#[test]
fn a_policy_gets_one_version_for_one_change() {
    let world = world_of(
        r#"let cfg = settings(#{ a: "s3:ListBucket" });
step("p", || aws::iam::policy(#{ name: "pp", document: #{ Version: "2012-10-17", Statement: [#{ Effect: "Allow", Action: [cfg.a], Resource: "*" }] } }));
"#,
    );
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    goes_wrong(&world, &[("iam", "CreatePolicyVersion", 3, lost())]);
    play_ok(&world, &["run", "p.rhai", "--yes", "--set", "a=s3:GetObject"]);
    assert_eq!(sent(&world, "iam CreatePolicyVersion"), 1);
}

#[test]
fn a_patch_that_adds_to_a_list_is_made_once() {
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let shown = world.play(&["state", "show", "--json", "--stack", "aws"], &[]);
    let resources: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let cluster = resources.as_array().expect("a list").iter().find(|it| it["kind"] == "aws::eks::cluster");
    let outputs = &cluster.expect("the cluster")["outputs"];
    let script = format!(
        r#"{AWS_TARGET}step("j", || k8s::patch(#{{ cluster: #{{ name: "gitpod", endpoint: {}, certificate_authority: {} }},
    api_version: "apps/v1", kind: "Deployment", namespace: "kube-system", name: "coredns",
    patch: [#{{ op: "add", path: "/spec/template/spec/tolerations/-", value: #{{ key: "once", operator: "Exists" }} }}] }}));
"#,
        outputs["endpoint"], outputs["certificate_authority"]
    );
    world.place.write("j.rhai", &script);
    goes_wrong(&world, &[("kubernetes", "PATCH *", 1, lost())]);
    play_ok(&world, &["run", "j.rhai", "--yes"]);
    let clusters = world.admin("GET", "kubernetes", "");
    let mut objects = clusters.as_object().expect("clusters").values().filter_map(Value::as_array).flatten();
    let coredns =
        objects.find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "coredns").expect("coredns");
    assert_eq!(coredns["spec"]["template"].to_string().matches("\"once\"").count(), 1);
}
