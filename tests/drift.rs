//! Drift: what somebody changed or deleted by hand shows in a plan, field by field, and is put back by a run.

use crate::support::{
    AWS,
    hand::Hand,
    quick::play_ok,
    world::{World, differences},
    writes,
};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch};
use serde_json::json;

const DEPLOYMENTS: (&str, &str, &str) = ("apps/v1", "Deployment", "deployments");
const NAMESPACES: (&str, &str, &str) = ("v1", "Namespace", "namespaces");
const SERVICE_ACCOUNTS: (&str, &str, &str) = ("v1", "ServiceAccount", "serviceaccounts");
const CLUSTER_ROLES: (&str, &str, &str) = ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles");

/// The lines of a plan about the resource at `address`, without the spaces that align them.
fn about(plan: &str, address: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = plan.lines().skip_while(|line| words(line).split(' ').nth(1) != Some(address));
    let first = lines.next().unwrap_or_else(|| panic!("`{address}` is not in\n{plan}"));
    let rest = lines.take_while(|line| line.starts_with("      ")).map(words);
    std::iter::once(words(first)).chain(rest).collect()
}

fn assert_planned(plan: &str, address: &str, wanted: &[&str]) {
    let said = about(plan, address);
    let missing: Vec<&&str> = wanted.iter().filter(|wanted| !said.iter().any(|line| line == *wanted)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in {said:#?}\n{plan}");
}

/// A plan with exactly these changes, and nothing written; a run that puts all back; a plan with nothing to do.
fn put_back(world: &World, args: &[&str], before: &[String], wanted: &[(&str, &[&str])]) {
    let drifted = world.objects();
    world.admin("DELETE", "calls", "");
    let plan = play_ok(world, &[&["plan", AWS, "--verbose"], args].concat());
    for (address, lines) in wanted {
        assert_planned(&plan.stdout, address, lines);
    }
    let others = |line: &&str| line.starts_with("  ") && !line.starts_with("      ");
    let others: Vec<&str> =
        plan.stdout.lines().filter(others).filter_map(|line| line.split_whitespace().nth(1)).collect();
    let unexpected: Vec<&&str> = others.iter().filter(|it| !wanted.iter().any(|(address, _)| address == *it)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} is planned as well\n{}", plan.stdout);
    assert_eq!(differences(&drifted, &world.objects()), Vec::<String>::new(), "a plan writes nothing");

    play_ok(world, &[&["run", AWS, "--yes"], args].concat());
    assert_eq!(differences(before, &world.objects()), Vec::<String>::new(), "a run puts it back");
    let settled = play_ok(world, &[&["plan", AWS, "--detailed-exitcode"], args].concat());
    assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);
}

#[test]
fn what_was_changed_by_hand_is_shown_field_by_field_and_put_back() {
    let _alone = crate::support::alone();
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let before = world.objects();
    let hand = Hand::of(&world);

    // A tag changed, and one taken away.
    let vpcs = hand.does(hand.ec2.describe_vpcs().send());
    let vpc = vpcs.vpcs()[0].vpc_id().expect("an id").to_owned();
    let tag = |key: &str, value: Option<&str>| {
        aws_sdk_ec2::types::Tag::builder().key(key).set_value(value.map(str::to_owned)).build()
    };
    hand.does(hand.ec2.create_tags().resources(&vpc).tags(tag("project", Some("theirs"))).send());
    hand.does(hand.ec2.delete_tags().resources(&vpc).tags(tag("department", None)).send());

    // Sizes of a node group.
    let scaling = aws_sdk_eks::types::NodegroupScalingConfig::builder().min_size(2).desired_size(2).max_size(7).build();
    let group = hand.eks.update_nodegroup_config().cluster_name("gitpod").nodegroup_name("workspaces");
    hand.does(group.scaling_config(scaling).send());

    // A setting of the database.
    let database = hand.rds.modify_db_instance().db_instance_identifier("gitpod-instance");
    hand.does(database.multi_az(false).max_allocated_storage(300).apply_immediately(true).send());

    // The bucket's protection.
    let buckets = hand.does(hand.s3.list_buckets().send());
    let bucket = buckets.buckets()[0].name().expect("a name").to_owned();
    hand.does(hand.s3.delete_public_access_block().bucket(&bucket).send());

    // A policy detached, another one attached, a statement changed.
    let managed = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    hand.does(hand.iam.detach_role_policy().role_name("gitpod-nodes").policy_arn(managed).send());
    let open = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let inline = hand.iam.put_role_policy().role_name("gitpod-cluster-autoscaler").policy_name("access");
    hand.does(inline.policy_document(open.to_string()).send());

    // Objects in Kubernetes: replicas, an image, an annotation.
    let edited = json!({ "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "cluster-autoscaler", "image": "evil/image:1" }] } } } });
    hand.patches(DEPLOYMENTS, "kube-system", "cluster-autoscaler", &edited);
    let annotated =
        json!({ "metadata": { "annotations": { "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/other" } } });
    hand.patches(SERVICE_ACCOUNTS, "kube-system", "cluster-autoscaler", &annotated);

    put_back(
        &world,
        &[],
        &before,
        &[
            ("aws::ec2::vpc/gitpod", &["tags.project theirs → gitpod", "tags.department (none) → demo"]),
            ("aws::eks::nodegroup/gitpod/workspaces", &["scaling.min 2 → 1", "scaling.max 7 → 10"]),
            ("aws::rds::instance/gitpod-instance", &["multi_az false → true", "max_storage_gib 300 → 120"]),
            (&format!("aws::s3::bucket/{bucket}"), &["block_public_access false → true"]),
            ("aws::iam::role/gitpod-nodes", &["policies.AmazonEKSWorkerNodePolicy (none) → attached"]),
            ("aws::iam::role/gitpod-cluster-autoscaler", &["~ aws::iam::role/gitpod-cluster-autoscaler"]),
            ("k8s::object/kube-system/Deployment.apps/cluster-autoscaler", &["spec.replicas 3 → 1"]),
            (
                "k8s::object/kube-system/ServiceAccount/cluster-autoscaler",
                &["~ k8s::object/kube-system/ServiceAccount/cluster-autoscaler"],
            ),
        ],
    );
}

#[test]
fn what_was_deleted_by_hand_is_made_again() {
    let _alone = crate::support::alone();
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let before = world.objects();
    let hand = Hand::of(&world);

    let rules = hand.does(hand.ec2.describe_security_group_rules().send());
    let rule =
        rules.security_group_rules().iter().find(|rule| rule.from_port() == Some(3306)).expect("the database's rule");
    let revoked = hand.ec2.revoke_security_group_ingress().set_group_id(rule.group_id().map(str::to_owned));
    hand.does(revoked.security_group_rule_ids(rule.security_group_rule_id().expect("an id")).send());
    hand.does(hand.eks.delete_addon().cluster_name("gitpod").addon_name("aws-ebs-csi-driver").send());
    let role = "gitpod-aws-load-balancer-controller";
    hand.does(hand.iam.delete_role_policy().role_name(role).policy_name("access").send());
    hand.does(hand.iam.delete_role().role_name(role).send());

    // A record of the zone.
    let zones = hand.does(hand.route53.list_hosted_zones().send());
    let zone = zones.hosted_zones()[0].id().to_owned();
    let sets = hand.does(hand.route53.list_resource_record_sets().hosted_zone_id(&zone).send());
    let record = sets
        .resource_record_sets()
        .iter()
        .find(|set| set.name().starts_with("gitpod.") && set.r#type().as_str() == "A");
    let change =
        Change::builder().action(ChangeAction::Delete).resource_record_set(record.expect("a record").clone()).build();
    let batch = ChangeBatch::builder().changes(change.expect("a change")).build().expect("a batch");
    hand.does(hand.route53.change_resource_record_sets().hosted_zone_id(&zone).change_batch(batch).send());

    hand.deletes(CLUSTER_ROLES, "", "cluster-autoscaler");
    hand.deletes(DEPLOYMENTS, "cert-manager", "cert-manager-webhook");

    let created = |address: &str| format!("+ {address}");
    let addresses = [
        "aws::ec2::security_group_rule/rds-access",
        "aws::eks::addon/gitpod/aws-ebs-csi-driver",
        "aws::iam::role/gitpod-aws-load-balancer-controller",
        "k8s::object/ClusterRole.rbac.authorization.k8s.io/cluster-autoscaler",
        "k8s::object/cert-manager/Deployment.apps/cert-manager-webhook",
    ];
    let plan = play_ok(&world, &["plan", AWS, "--verbose"]);
    for address in addresses {
        assert_planned(&plan.stdout, address, &[&created(address), "note: was deleted by someone else"]);
    }
    let record =
        plan.stdout.lines().find(|line| line.contains("+ aws::route53::record/")).expect("the record is planned");
    let record = record.split_whitespace().nth(1).expect("an address").to_owned();
    let wanted: Vec<(&str, &[&str])> =
        addresses.iter().map(|address| (*address, &[][..])).chain([(record.as_str(), &[][..])]).collect();
    put_back(&world, &[], &before, &wanted);
}

#[test]
fn a_subnet_and_a_zone_that_are_gone_are_made_again() {
    let world = World::new();
    for step in ["nat_gateways", "dns_zone"] {
        play_ok(&world, &["run", AWS, "--yes", "--step", step]);
    }
    let hand = Hand::of(&world);
    let before = world.objects();
    let subnets = hand.does(hand.ec2.describe_subnets().send());
    let named =
        |subnet: &&aws_sdk_ec2::types::Subnet| subnet.tags().iter().any(|tag| tag.value() == Some("gitpod-private-2"));
    let subnet =
        subnets.subnets().iter().find(named).and_then(|subnet| subnet.subnet_id()).expect("a subnet").to_owned();
    let tables = hand.does(hand.ec2.describe_route_tables().send());
    let associations = tables.route_tables().iter().flat_map(|table| table.associations().to_vec());
    let association = associations.into_iter().find(|it| it.subnet_id() == Some(&subnet)).expect("an association");
    let id = association.route_table_association_id().expect("an id").to_owned();
    hand.does(hand.ec2.disassociate_route_table().association_id(id).send());
    hand.does(hand.ec2.delete_subnet().subnet_id(&subnet).send());
    let plan = play_ok(&world, &["plan", AWS, "--verbose", "--step", "nat_gateways"]);
    assert_planned(&plan.stdout, "aws::ec2::subnet/gitpod-private-2", &["+ aws::ec2::subnet/gitpod-private-2"]);
    assert_planned(
        &plan.stdout,
        "aws::ec2::route_table/gitpod-private-2",
        &["~ aws::ec2::route_table/gitpod-private-2"],
    );
    play_ok(&world, &["run", AWS, "--yes", "--verbose", "--step", "nat_gateways"]);
    assert_eq!(differences(&before, &world.objects()), Vec::<String>::new());

    let zones = hand.does(hand.route53.list_hosted_zones().send());
    hand.does(hand.route53.delete_hosted_zone().id(zones.hosted_zones()[0].id()).send());
    let plan = play_ok(&world, &["plan", AWS, "--verbose", "--step", "dns_zone"]);
    assert_planned(&plan.stdout, "aws::route53::zone/gitpod.example.com", &["+ aws::route53::zone/gitpod.example.com"]);
    play_ok(&world, &["run", AWS, "--yes", "--verbose", "--step", "dns_zone"]);
    assert_eq!(differences(&before, &world.objects()), Vec::<String>::new());
    play_ok(&world, &["run", AWS, "--yes", "--step", "dns_zone", "--record", "again.jsonl"]);
    assert_eq!(writes(&world.place.calls("again.jsonl")), Vec::<String>::new());
}

#[test]
fn a_namespace_that_is_gone_is_made_again_with_all_in_it() {
    let _alone = crate::support::alone();
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let hand = Hand::of(&world);
    hand.deletes(NAMESPACES, "", "gitpod");
    let plan = play_ok(&world, &["plan", AWS, "--verbose"]);
    assert_planned(&plan.stdout, "k8s::object/Namespace/gitpod", &["+ k8s::object/Namespace/gitpod"]);
    play_ok(&world, &["run", AWS, "--yes"]);
    let settled = play_ok(&world, &["plan", AWS, "--detailed-exitcode"]);
    assert!(settled.stdout.contains("nothing to do"), "{}", settled.stdout);
}
