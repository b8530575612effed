//! What a command that stopped half-way leaves to the next one: nothing that holds data goes without being named, a plan says
//! what a run does, and no verb is wedged.

use crate::support::{
    quick::{calls, forget_calls, play, play_ok, written},
    world::World,
};

const DATABASE: &str = r#"target("aws", #{ region: "eu-west-1" });
let cfg = settings(#{ cidr: "10.0.0.0/16", text: "one" });
step("v", || aws::ec2::vpc(#{ name: "v", cidr: cfg.cidr }));
step("s", |v| [
    aws::ec2::subnet(#{ name: "s1", vpc: v.id, cidr: cidr_subnet(cfg.cidr, 4, 0), zone: "eu-west-1a" }).id,
    aws::ec2::subnet(#{ name: "s2", vpc: v.id, cidr: cidr_subnet(cfg.cidr, 4, 1), zone: "eu-west-1b" }).id,
]);
step("g", |s| aws::rds::subnet_group(#{ name: "g", description: "g", subnets: s }));
step("q", |v| aws::ec2::security_group(#{ name: "q", vpc: v.id, description: cfg.text }));
step("d", |g, q| aws::rds::instance(#{ name: "db", engine: "mysql", engine_version: "8.0", class: "db.m5.large", storage_gib: 20,
    username: "gitpod", password: random::password(#{ name: "d", bytes: 18 }).value, subnet_group: g.name,
    security_groups: [q.id], skip_final_snapshot: true }));
"#;

const BUCKET: &str = r#"target("aws", #{ region: "eu-west-1" });
step("v", || aws::ec2::vpc(#{ name: "v", cidr: "10.0.0.0/16" }));
step("b", || aws::s3::bucket(#{ name: "half-way-bucket", empty_on_delete: true }));
"#;

fn made(playbook: &str) -> World {
    let world = World::new();
    world.place.write("p.rhai", playbook);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    world
}

fn denied(world: &World, service: &str, operation: &str, times: u32) {
    let rule = format!(
        r#"[{{"service":"{service}","operation":"{operation}","count":{times},"action":{{"error":{{"code":"AccessDenied","status":403}}}}}}]"#
    );
    world.admin("PUT", "faults", &rule);
}

fn put_object(world: &World) {
    let hand = crate::support::hand::Hand::of(world);
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"kept");
    hand.does(hand.s3.put_object().bucket("half-way-bucket").key("a").body(body).send());
}

#[test]
fn what_a_refused_destroy_left_is_kept_by_the_next_run_as_its_plan_says() {
    let world = made(DATABASE);
    denied(&world, "rds", "DeleteDBInstance", 9);
    let destroy = play(&world, &["destroy", "p.rhai", "--yes", "--allow-delete", "db"]);
    assert_eq!(destroy.code, 1, "{}", destroy.stderr);
    world.admin("DELETE", "faults", "");
    forget_calls(&world);
    let plan = play_ok(&world, &["plan", "p.rhai", "--detailed-exitcode"]);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(written(&world), Vec::<String>::new());
    let refused = play(&world, &["destroy", "p.rhai", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("--allow-delete db"), "{}", refused.stderr);
}

#[test]
fn a_bucket_whose_deletion_was_killed_is_kept_with_its_objects() {
    let world = made(BUCKET);
    put_object(&world);
    let destroy = ["destroy", "p.rhai", "--yes", "--pace", "max", "--allow-delete", "half-way-bucket"];
    let killed = world.play(&destroy, &[("GITPOD_PLAY_CRASH_AT", "before:1 s3 DeleteObject*")]);
    assert_eq!(killed.code, -1, "{}", killed.stderr);
    let before = world.objects();
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let lost: Vec<&String> = before.iter().filter(|line| line.contains("half-way-bucket")).collect();
    assert!(!lost.is_empty() && lost.iter().all(|line| world.objects().contains(line)));
    play_ok(&world, &destroy[..3].iter().chain(&destroy[5..]).copied().collect::<Vec<_>>());
    assert_eq!(world.recorded(), Vec::<String>::new());
}

#[test]
fn what_is_no_longer_declared_is_kept_where_nobody_can_tell_what_is_in_it() {
    let world = made(BUCKET);
    put_object(&world);
    world.place.write("p.rhai", &BUCKET.lines().take(2).collect::<Vec<_>>().join("\n"));
    denied(&world, "s3", "ListObjectVersions", 1);
    forget_calls(&world);
    let run = play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert!(run.stderr.contains("no longer declared, kept"), "{}", run.stderr);
    assert_eq!(written(&world), Vec::<String>::new());
}

#[test]
fn a_run_and_a_destroy_that_were_killed_wedge_no_verb() {
    for verb in ["run", "destroy"] {
        let world = World::new();
        world.place.write("p.rhai", DATABASE);
        let run = ["run", "p.rhai", "--yes", "--pace", "max"];
        let destroy = ["destroy", "p.rhai", "--yes", "--pace", "max", "--allow-delete", "db"];
        let killed = world.play(&run, &[("GITPOD_PLAY_CRASH_AT", "answered:1 rds CreateDBInstance*")]);
        assert_eq!(killed.code, -1, "{}", killed.stderr);
        let killed = world.play(&destroy, &[("GITPOD_PLAY_CRASH_AT", "before:1 rds DeleteDBInstance*")]);
        assert_eq!(killed.code, -1, "{}", killed.stderr);
        play_ok(&world, &["plan", "p.rhai"]);
        if verb == "run" {
            play_ok(&world, &run[..3]);
            assert_eq!(world.objects().iter().filter(|line| line.starts_with("rds.instance ")).count(), 1);
        }
        assert_eq!(world.play(&destroy, &[]).code, 0);
        assert_eq!(world.recorded(), Vec::<String>::new());
    }
}

#[test]
fn a_plan_names_the_data_that_goes_with_what_is_replaced() {
    for (setting, replaced) in [("text=two", 2), ("cidr=10.9.0.0/16", 6)] {
        let world = made(DATABASE);
        let wanted = |verb, more: &[&str]| play(&world, &[&[verb, "p.rhai", "--set", setting], more].concat());
        let plan = wanted("plan", &[]).stdout;
        for words in ["± aws::rds::instance/db", "loses the data in it", "--allow-delete db"] {
            assert!(plan.contains(words), "`{words}` is missing in {plan}");
        }
        assert!(plan.contains(&format!("{replaced} to replace")), "{plan}");
        let refused = wanted("run", &["--yes"]);
        assert!(refused.code == 1 && refused.stderr.contains("--allow-delete db"), "{}", refused.stderr);
        let allowed = wanted("plan", &["--allow-delete", "db"]).stdout;
        assert!(allowed.contains("loses the data in it") && !allowed.contains("refused"), "{allowed}");
        let run = wanted("run", &["--yes", "--allow-delete", "db"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(wanted("plan", &[]).stdout.contains("nothing to do"));
    }
}

#[test]
fn what_the_playbook_protects_now_is_not_destroyed() {
    let world = made(BUCKET);
    world.place.write("p.rhai", &BUCKET.replace("\"10.0.0.0/16\" }))", "\"10.0.0.0/16\" })).protect()"));
    forget_calls(&world);
    let refused = play(&world, &["destroy", "p.rhai", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("--allow-delete v"), "{}", refused.stderr);
    assert_eq!(calls(&world).iter().filter(|call| call["write"] == true).count(), 0);
    play_ok(&world, &["destroy", "p.rhai", "--yes", "--allow-delete", "v"]);
}
