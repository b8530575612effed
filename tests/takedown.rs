//! Taking the shipped architecture down, in the guide's order: what Kubernetes made goes first, while those who delete it
//! still run.

use crate::support::{
    ALLOW_DATABASE, AWS,
    hand::Hand,
    quick::{play, play_ok},
    world::{World, differences},
};

/// Calls each of which comes before the next.
const ORDERS: [&[&str]; 8] = [
    &[
        "k8s DELETE jobs k8s::object/gitpod/Job",
        "k8s DELETE namespaces k8s::object/Namespace/gitpod",
        "eks DeleteAddon aws::eks::addon/gitpod/aws-ebs-csi-driver",
        "eks DeleteNodegroup aws::eks::nodegroup/gitpod/workspaces",
        "eks DeleteNodegroup aws::eks::nodegroup/gitpod/services",
        "eks DeleteCluster aws::eks::cluster/gitpod",
        "ec2 DeleteSubnet aws::ec2::subnet/gitpod-private-1",
        "ec2 DeleteVpc aws::ec2::vpc/gitpod",
    ],
    // Only nodes use the way out: it goes when they are gone, while the control plane does.
    &[
        "eks DeleteNodegroup aws::eks::nodegroup/gitpod/services",
        "ec2 DeleteNatGateway aws::ec2::nat_gateway/gitpod-nat-1",
        "ec2 ReleaseAddress aws::ec2::elastic_ip/gitpod-nat-1",
        "ec2 DeleteSubnet aws::ec2::subnet/gitpod-public-1",
        "ec2 DeleteVpc aws::ec2::vpc/gitpod",
    ],
    // So does their security group, which the database lets in.
    &[
        "rds DeleteDBInstance aws::rds::instance/gitpod-instance",
        "eks DeleteNodegroup aws::eks::nodegroup/gitpod/services",
        "ec2 DeleteSecurityGroup aws::ec2::security_group/gitpod-services",
        "ec2 DeleteVpc aws::ec2::vpc/gitpod",
    ],
    &[
        "ec2 DeleteNatGateway aws::ec2::nat_gateway/gitpod-nat-1",
        "ec2 DetachInternetGateway aws::ec2::internet_gateway/gitpod",
        "ec2 DeleteVpc aws::ec2::vpc/gitpod",
    ],
    &[
        "rds DeleteDBInstance aws::rds::instance/gitpod-instance",
        "ec2 DeleteSecurityGroup aws::ec2::security_group/gitpod-rds",
        "rds DeleteDBSubnetGroup aws::rds::subnet_group/gitpod-rds",
        "ec2 DeleteVpc aws::ec2::vpc/gitpod",
    ],
    &[
        "rds DeleteDBInstance aws::rds::instance/gitpod-instance",
        "eks DeleteNodegroup aws::eks::nodegroup/gitpod/workspaces",
    ],
    &[
        "iam DeleteAccessKey aws::iam::access_key/gitpod-s3-access",
        "iam DetachUserPolicy aws::iam::user/gitpod-s3-access",
        "iam DeleteUser aws::iam::user/gitpod-s3-access",
        "iam DeletePolicy aws::iam::policy/gitpod_s3_access_policy",
    ],
    &[
        "route53 ChangeResourceRecordSets aws::route53::record/gitpod.example.com/A",
        "route53 DeleteHostedZone aws::route53::zone/gitpod.example.com",
    ],
];

fn volumes(world: &World) -> Vec<String> {
    world.objects().into_iter().filter(|line| line.contains("ebs.csi.aws.com/cluster")).collect()
}

#[test]
fn what_is_taken_down_goes_in_the_guides_order() {
    let _alone = crate::support::alone();
    let pace = ["--pace", "3000"];
    let world = World::at_pace(pace[1], &[]);
    let nothing = world.objects();
    let run = world.play(&[&["run", AWS, "--yes"], &pace[..]].concat(), &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let made = volumes(&world);
    assert!(made.len() == 1 && made[0].contains("created-for/pvc/namespace\",\"value\":\"gitpod\""), "{made:#?}");

    let args = ["destroy", AWS, "--yes", "--record", "down.jsonl", ALLOW_DATABASE[0], ALLOW_DATABASE[1]];
    let destroy = world.play(&[&args, &pace[..]].concat(), &[]);
    assert_eq!(destroy.code, 0, "{}", destroy.stderr);
    assert!(!destroy.stderr.contains("left over") && !destroy.stderr.contains("warning"), "{}", destroy.stderr);
    let mut calls = world.place.calls("down.jsonl");
    calls.sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
    let text = |call: &serde_json::Value, part: &str| call[part].as_str().unwrap_or_default().to_owned();
    let calls: Vec<String> = calls
        .iter()
        .filter(|call| call["write"] == true)
        .map(|call| format!("{} {} {}", text(call, "service"), text(call, "operation"), text(call, "resource")))
        .collect();
    for order in ORDERS {
        let places = order.iter().map(|wanted| calls.iter().position(|call| call.starts_with(wanted)));
        let places: Vec<Option<usize>> = places.collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{order:#?} are at {places:?} of {calls:#?}");
    }
    // A database that worked leaves its last snapshot.
    let left: Vec<String> =
        differences(&nothing, &world.objects()).into_iter().filter(|line| !line.starts_with("+ rds.")).collect();
    assert_eq!(left, Vec::<String>::new());
    let status = world.play(&["sandbox", "status"], &[]).stdout;
    assert!(status.contains("rds  1 backup, 1 snapshot") && !status.contains("ec2 "), "{status}");
}

#[test]
fn a_volume_that_nobody_deletes_is_named_and_holds_nothing_else_up() {
    let _alone = crate::support::alone();
    let world = World::new();
    play_ok(&world, &["run", AWS, "--yes"]);
    let hand = Hand::of(&world);
    hand.does(hand.eks.delete_addon().cluster_name("gitpod").addon_name("aws-ebs-csi-driver").send());
    let destroy = play(&world, &["destroy", AWS, "--yes", ALLOW_DATABASE[0], ALLOW_DATABASE[1]]);
    assert_eq!(destroy.code, 0, "{}", destroy.stderr);
    let said = "`k8s::object/Namespace/gitpod` is gone, but not what it leaves behind: persistent volume `pvc-";
    assert!(destroy.stderr.contains(said), "{}", destroy.stderr);
    assert!(destroy.stderr.contains("left over") && destroy.stderr.contains("volume vol-"), "{}", destroy.stderr);
    assert_eq!(world.recorded(), Vec::<String>::new());
    assert_eq!(volumes(&world).len(), 1);
}
