//! Ownership: what is someone else's is refused until the playbook says `adopt: true`; what holds data or is protected is
//! neither replaced nor deleted until it is named.

use crate::support::{
    AWS,
    hand::Hand,
    quick::{forget_calls, play, play_ok, state_files, written},
    world::{World, differences},
};
use serde_json::json;

const NAMESPACES: (&str, &str, &str) = ("v1", "Namespace", "namespaces");
const DATABASE: [&str; 2] = ["--allow-delete", "gitpod-instance"];

/// What others made, and a playbook that declares things of the same names.
fn others_things(world: &World) -> Vec<String> {
    play_ok(world, &["run", AWS, "--yes"]);
    let hand = Hand::of(world);
    let tag = aws_sdk_ec2::types::Tag::builder().key("Name").value("theirs").build();
    let tags = aws_sdk_ec2::types::TagSpecification::builder().resource_type("vpc".into()).tags(tag).build();
    hand.does(hand.ec2.create_vpc().cidr_block("10.9.0.0/16").tag_specifications(tags).send());
    let vpcs = hand.does(hand.ec2.describe_vpcs().send());
    let gitpods = vpcs.vpcs().iter().find(|vpc| vpc.cidr_block() == Some("192.168.0.0/16")).expect("the VPC");
    let group = hand.ec2.create_security_group().group_name("theirs").description("theirs");
    hand.does(group.vpc_id(gitpods.vpc_id().expect("an id")).send());
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint("eu-west-1".into()).build();
    hand.does(hand.s3.create_bucket().bucket("theirs-bucket").create_bucket_configuration(place).send());
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
    hand.does(hand.iam.create_role().role_name("theirs").assume_role_policy_document(trust.to_string()).send());
    hand.does(hand.iam.create_user().user_name("theirs").send());
    hand.does(hand.route53.create_hosted_zone().name("theirs.example.com").caller_reference("by hand").send());
    hand.makes(NAMESPACES, "", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "theirs" } }));
    let cluster = hand.does(hand.eks.describe_cluster().name("gitpod").send()).cluster.expect("the cluster");
    let network = cluster.resources_vpc_config().expect("its network");
    let (endpoint, authority) =
        (cluster.endpoint().expect("one"), cluster.certificate_authority().and_then(|it| it.data()).expect("one"));
    let script = format!(
        r#"target("aws", #{{ region: "eu-west-1" }});
let cfg = settings(#{{ adopt: false }});
step("vpc", || aws::ec2::vpc(#{{ name: "theirs", cidr: "10.9.0.0/16", tags: #{{ team: "ours" }}, adopt: cfg.adopt }}));
step("group", || aws::ec2::security_group(#{{ name: "theirs", description: "theirs", vpc: "{vpc}", adopt: cfg.adopt }}));
step("bucket", || aws::s3::bucket(#{{ name: "theirs-bucket", versioning: true, adopt: cfg.adopt }}));
step("role", || aws::iam::role(#{{ name: "theirs", trust: "ec2.amazonaws.com", policies: [], adopt: cfg.adopt }}));
step("user", || aws::iam::user(#{{ name: "theirs", policies: [], adopt: cfg.adopt }}));
step("zone", || aws::route53::zone(#{{ name: "theirs.example.com", adopt: cfg.adopt }}));
step("database", || aws::rds::instance(#{{ name: "gitpod-instance", engine: "mysql", engine_version: "8.0", class: "db.m5.large", storage_gib: 20,
    username: "gitpod", password: random::password(#{{ name: "d", bytes: 18 }}).value, adopt: cfg.adopt }}));
step("cluster", || aws::eks::cluster(#{{ name: "gitpod", role: "{role}", version: "{version}", subnets: {subnets:?}, adopt: cfg.adopt }}));
step("namespace", || k8s::object(#{{ cluster: #{{ name: "gitpod", endpoint: "{endpoint}", certificate_authority: "{authority}" }},
    manifest: #{{ apiVersion: "v1", kind: "Namespace", metadata: #{{ name: "theirs" }} }}, adopt: cfg.adopt }}));
"#,
        vpc = gitpods.vpc_id().expect("an id"),
        version = cluster.version().expect("one"),
        role = cluster.role_arn().expect("an ARN"),
        subnets = network.subnet_ids(),
    );
    world.place.write("own.rhai", &script);
    [
        "aws::ec2::vpc/theirs",
        "aws::ec2::security_group/theirs",
        "aws::s3::bucket/theirs-bucket",
        "aws::iam::role/theirs",
        "aws::iam::user/theirs",
        "aws::route53::zone/theirs.example.com",
        "aws::rds::instance/gitpod-instance",
        "aws::eks::cluster/gitpod",
        "k8s::object/Namespace/theirs",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn what_is_someone_elses_is_refused_until_it_is_to_be_taken_over() {
    let _alone = crate::support::alone();
    let world = World::new();
    let theirs = others_things(&world);
    let (before, files) = (world.objects(), state_files(&world));
    forget_calls(&world);
    let unwritten = |what: &str| {
        assert_eq!(written(&world), Vec::<String>::new(), "{what}");
        assert_eq!(differences(&before, &world.objects()), Vec::<String>::new(), "{what}");
    };

    let refused = play(&world, &["plan", "own.rhai"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for address in &theirs {
        let words = format!("error: `{address}` exists already and is not ours");
        assert!(refused.stderr.contains(&words), "`{words}` is not in\n{}", refused.stderr);
    }
    assert_eq!(refused.stderr.matches("`adopt: true`").count(), theirs.len(), "{}", refused.stderr);
    unwritten("a refused plan");
    let refused = play(&world, &["run", "own.rhai", "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert_eq!(refused.stderr.matches("`adopt: true`").count(), theirs.len(), "{}", refused.stderr);
    unwritten("a refused run");
    std::fs::remove_dir_all(world.place.path().join(".gitpod-play/own")).expect("the refused run left its log");

    let adopt = ["--set", "adopt=true"];
    let plan = play_ok(&world, &[&["plan", "own.rhai"], &adopt[..]].concat());
    for address in &theirs {
        assert!(plan.stdout.contains(&format!("= {address}  (taken over)")), "{address}\n{}", plan.stdout);
    }
    assert!(plan.stdout.contains("tags.team") && plan.stdout.contains("versioning  false → true"), "{}", plan.stdout);
    unwritten("a plan that would adopt");
    assert_eq!(state_files(&world), files, "a plan that would adopt leaves the state as it is");

    play_ok(&world, &[&["run", "own.rhai", "--yes"], &adopt[..]].concat());
    let shown = world.play(&["state", "show", "--json", "--stack", "own"], &[]);
    for address in &theirs {
        assert!(shown.stdout.contains(&format!("\"{address}\"")), "{address} is not ours now\n{}", shown.stdout);
    }
    forget_calls(&world);
    play_ok(&world, &["run", "own.rhai", "--yes"]);
    assert_eq!(written(&world), Vec::<String>::new(), "what was taken over is ours, without `adopt: true` as well");
}

#[test]
fn what_is_taken_over_is_not_made_again_by_the_way() {
    let world = World::new();
    let hand = Hand::of(&world);
    let tag = aws_sdk_ec2::types::Tag::builder().key("Name").value("theirs").build();
    let tags = aws_sdk_ec2::types::TagSpecification::builder().resource_type("vpc".into()).tags(tag).build();
    hand.does(hand.ec2.create_vpc().cidr_block("10.9.0.0/16").tag_specifications(tags).send());
    world.place.write("p.rhai", "target(\"aws\", #{ region: \"eu-west-1\" });\nstep(\"v\", || aws::ec2::vpc(#{ name: \"theirs\", cidr: \"10.0.0.0/16\", adopt: true }));\n");
    let before = world.objects();
    let plan = play_ok(&world, &["plan", "p.rhai"]);
    assert!(
        plan.stdout.contains("± aws::ec2::vpc/theirs") && plan.stdout.contains("someone else's"),
        "{}",
        plan.stdout
    );
    assert!(plan.stdout.contains("refused without `--allow-delete theirs`"), "{}", plan.stdout);
    let refused = play(&world, &["run", "p.rhai", "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-delete theirs"), "{}", refused.stderr);
    assert_eq!(differences(&before, &world.objects()), Vec::<String>::new());
    play_ok(&world, &["run", "p.rhai", "--yes", "--allow-delete", "theirs"]);
    play_ok(&world, &["plan", "p.rhai", "--detailed-exitcode"]);
}

#[test]
fn a_database_is_not_replaced_by_the_way() {
    let _alone = crate::support::alone();
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let before = world.objects();
    let change = ["--set", "database.username=admin"];
    let plan = play_ok(&world, &[&["plan", AWS], &change[..]].concat());
    for words in [
        "± aws::rds::instance/gitpod-instance  (deleted and made again)",
        "gitpod → admin",
        "replacing it loses the data in it",
        "refused without `--allow-delete gitpod-instance`",
    ] {
        assert!(plan.stdout.contains(words), "`{words}` is not in\n{}", plan.stdout);
    }
    forget_calls(&world);
    let refused = play(&world, &[&["run", AWS, "--yes"], &change[..]].concat());
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for words in [
        "of the data in it only a last snapshot would be left",
        "--allow-delete gitpod-instance",
        "std/aws/database.rhai:",
    ] {
        assert!(refused.stderr.contains(words), "`{words}` is not in\n{}", refused.stderr);
    }
    assert!(!written(&world).iter().any(|call| call.starts_with("rds")), "{:?}", written(&world));
    assert_eq!(differences(&before, &world.objects()), Vec::<String>::new());
    let allowed = play_ok(&world, &[&["plan", AWS], &change[..], &DATABASE].concat());
    assert!(
        allowed.stdout.contains("loses the data") && !allowed.stdout.contains("refused without"),
        "{}",
        allowed.stdout
    );
    play_ok(&world, &[&["run", AWS, "--yes"], &change[..], &DATABASE].concat());
    let settled = play_ok(&world, &[&["plan", AWS, "--detailed-exitcode"], &change[..]].concat());
    assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);
}

#[test]
fn a_bucket_is_deleted_when_it_holds_nothing_and_kept_when_it_holds_objects() {
    let world = World::new();
    let script = |region: &str| {
        format!(
            "target(\"aws\", #{{ region: \"eu-west-1\" }});\nstep(\"b\", || aws::s3::bucket(#{{ name: \"ours-bucket\", region: \"{region}\" }}));\n"
        )
    };
    world.place.write("p.rhai", &script("eu-west-1"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    world.place.write("p.rhai", &script("eu-central-1"));
    let empty = play_ok(&world, &["plan", "p.rhai"]);
    assert!(
        empty.stdout.contains("± aws::s3::bucket/ours-bucket") && !empty.stdout.contains("refused"),
        "{}",
        empty.stdout
    );

    let hand = Hand::of(&world);
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"of value");
    hand.does(hand.s3.put_object().bucket("ours-bucket").key("a").body(body).send());
    let full = play_ok(&world, &["plan", "p.rhai"]);
    assert!(
        full.stdout.contains("loses the data") && full.stdout.contains("refused without `--allow-delete ours-bucket`"),
        "{}",
        full.stdout
    );
    for args in [&["run", "p.rhai", "--yes"][..], &["destroy", "p.rhai", "--yes"]] {
        forget_calls(&world);
        let refused = play(&world, args);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("--allow-delete ours-bucket"), "{}", refused.stderr);
        assert_eq!(written(&world), Vec::<String>::new());
    }
    hand.does(hand.s3.delete_object().bucket("ours-bucket").key("a").send());
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    play_ok(&world, &["destroy", "p.rhai", "--yes"]);
}

#[test]
fn what_is_protected_stays() {
    let world = World::new();
    let script = |cidr: &str| {
        format!(
            "target(\"aws\", #{{ region: \"eu-west-1\" }});\nstep(\"v\", || aws::ec2::vpc(#{{ name: \"v\", cidr: \"{cidr}\" }})).protect();\nstep(\"k\", || kept::value(#{{ name: \"k\", value: 1 }}));\n"
        )
    };
    world.place.write("p.rhai", &script("10.0.0.0/16"));
    play_ok(&world, &["run", "p.rhai", "--yes"]);
    let before = world.objects();
    let kept = |what: &str| assert_eq!(differences(&before, &world.objects()), Vec::<String>::new(), "{what}");

    world.place.write("p.rhai", &script("10.1.0.0/16"));
    let plan = play_ok(&world, &["plan", "p.rhai"]);
    assert!(
        plan.stdout.contains("± aws::ec2::vpc/v") && plan.stdout.contains("refused without `--allow-delete v`"),
        "{}",
        plan.stdout
    );
    for args in [&["run", "p.rhai", "--yes"][..], &["destroy", "p.rhai", "--yes"]] {
        let refused = play(&world, args);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("is protected") && refused.stderr.contains("--allow-delete v"),
            "{}",
            refused.stderr
        );
        kept(args[0]);
    }
    // Gone from the playbook, its protection with it: the log remembers.
    world.place.write("p.rhai", "step(\"k\", || kept::value(#{ name: \"k\", value: 1 }));\n");
    let plan = play_ok(&world, &["plan", "p.rhai"]);
    assert!(
        plan.stdout.contains("- aws::ec2::vpc/v") && plan.stdout.contains("refused without `--allow-delete v`"),
        "{}",
        plan.stdout
    );
    let run = play_ok(&world, &["run", "p.rhai", "--yes"]);
    assert!(
        run.stderr.contains("no longer declared, kept") && run.stderr.contains("--allow-delete v"),
        "{}",
        run.stderr
    );
    kept("run");
    play_ok(&world, &["run", "p.rhai", "--yes", "--allow-delete", "v"]);
    assert_eq!(world.admin("GET", "state", "")["eu-west-1/vpc"].as_object().map_or(0, serde_json::Map::len), 0);
}
