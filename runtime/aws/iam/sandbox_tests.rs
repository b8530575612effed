//! The kinds of this service against the simulated one.

use crate::{
    aws::lab::Lab,
    cx::{Mode, TAG_STACK},
    error::Class,
};
use serde_json::{Value, json};

fn s3_policy(action: &str) -> Value {
    json!({ "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": [action], "Resource": "arn:aws:s3:::gitpod-1" }] })
}

#[tokio::test]
async fn a_role_keeps_exactly_its_policies() {
    let mut lab = Lab::start(Mode::Run).await;
    let kind = "aws::iam::role";
    let args = json!({
        "name": "gitpod-nodes", "trust": "ec2.amazonaws.com", "description": "nodes",
        "policies": ["AmazonEKSWorkerNodePolicy", "AmazonEBSCSIDriverPolicy"],
        "inline": { "access": s3_policy("s3:ListBucket") }, "tags": { "project": "gitpod" },
    });
    let made = lab.declare(kind, args.clone()).await;
    assert_eq!(made["policies"].as_array().unwrap().len(), 2);
    let cx = lab.cx("aws::iam::role/gitpod-nodes");
    let wanted = json!({
        "name": "gitpod-nodes", "trust": "eks.amazonaws.com", "description": "control plane", "max_session_s": 7200,
        "policies": ["AmazonEKSClusterPolicy"], "inline": {}, "tags": { "team": "x" },
    });
    let changed = lab.in_line(kind, &cx, &wanted, made).await;
    assert_eq!(changed["policies"], json!(["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"]));
    assert_eq!((&changed["inline"], &changed["tags"]["project"]), (&json!({}), &json!("gitpod")));
    lab.delete(kind, "aws::iam::role/gitpod-nodes", &wanted).await;
}

#[tokio::test]
async fn an_inline_policy_that_comes_later_is_seen() {
    let mut lab = Lab::start(Mode::Run).await;
    let args = json!({ "name": "r", "trust": "ec2.amazonaws.com" });
    let made = lab.declare("aws::iam::role", args).await;
    let wanted = json!({ "name": "r", "trust": "ec2.amazonaws.com", "inline": { "a": s3_policy("s3:GetObject") } });
    let changed = lab.in_line("aws::iam::role", &lab.cx("aws::iam::role/r"), &wanted, made).await;
    assert_eq!(changed["inline"]["a"]["Statement"][0]["Action"], json!(["s3:GetObject"]));
}

#[tokio::test]
async fn a_policy_has_at_most_five_versions() {
    let mut lab = Lab::start(Mode::Run).await;
    let kind = "aws::iam::policy";
    let args =
        |action: &str| json!({ "name": "gitpod_s3", "document": s3_policy(action), "tags": { "project": "gitpod" } });
    let mut seen = lab.declare(kind, args("s3:ListBucket")).await;
    let cx = lab.cx("aws::iam::policy/gitpod_s3");
    for action in ["s3:A", "s3:B", "s3:C", "s3:D", "s3:E", "s3:F"] {
        seen = lab.in_line(kind, &cx, &args(action), seen).await;
        assert_eq!(seen["document"]["Statement"][0]["Action"], json!([action]));
    }
    let reads = lab.run.wire.counts().0;
    let resource = lab.registry.kind(kind).unwrap();
    assert_eq!(resource.read(&cx, &seen).await.unwrap(), Some(seen));
    assert_eq!(lab.run.wire.counts().0, reads + 1, "an unchanged policy costs one read");
    lab.delete(kind, "aws::iam::policy/gitpod_s3", &args("s3:F")).await;
}

#[tokio::test]
async fn a_key_is_made_once_and_lost_ones_go() {
    let mut lab = Lab::start(Mode::Run).await;
    let policy = lab.declare("aws::iam::policy", json!({ "name": "p", "document": s3_policy("s3:ListBucket") })).await;
    let user = json!({ "name": "gitpod-s3-access", "policies": [policy["arn"]] });
    lab.declare("aws::iam::user", user.clone()).await;
    let by_hand = {
        let aws = crate::aws::clients(&lab.cx("")).await.unwrap();
        let made = aws.iam().create_access_key().user_name("gitpod-s3-access").send().await.unwrap();
        made.access_key().unwrap().access_key_id().to_owned()
    };
    let args = json!({ "user": "gitpod-s3-access" });
    let lost = lab.declare("aws::iam::access_key", args.clone()).await;
    let (kind, cx) =
        (lab.registry.kind("aws::iam::access_key").unwrap(), lab.cx("aws::iam::access_key/gitpod-s3-access"));
    assert!(crate::value::has_secret(&lost["secret"]));
    // The record of the first key was lost: a second one takes its place, and the one made by hand stays.
    let kept = kind.create(&cx, &args, "token").await.unwrap();
    assert_eq!(kind.read(&cx, &lost).await.unwrap(), None);
    assert_eq!(kind.read(&cx, &kept).await.unwrap(), Some(kept.clone()));
    let hand = json!({ "user": "gitpod-s3-access", "id": by_hand, "secret": "" });
    assert!(kind.read(&cx, &hand).await.unwrap().is_some());
    lab.delete_seen("aws::iam::access_key", "aws::iam::access_key/gitpod-s3-access", kept).await;
    lab.delete("aws::iam::user", "aws::iam::user/gitpod-s3-access", &user).await;
}

#[tokio::test]
async fn a_policy_in_use_is_not_deleted() {
    let mut lab = Lab::start(Mode::Run).await;
    let policy = lab.declare("aws::iam::policy", json!({ "name": "p", "document": s3_policy("s3:ListBucket") })).await;
    lab.declare("aws::iam::user", json!({ "name": "u", "policies": [policy["arn"]] })).await;
    let refused = lab.registry.kind("aws::iam::policy").unwrap().delete(&lab.cx(""), &policy).await.unwrap_err();
    assert_eq!(refused.class, Class::InUse);
}

#[tokio::test]
async fn an_oidc_provider_is_found_by_its_url() {
    let mut lab = Lab::start(Mode::Run).await;
    let kind = "aws::iam::oidc_provider";
    let args = json!({ "url": "https://oidc.eks.eu-west-1.amazonaws.com/id/1234", "name": "gitpod" });
    let made = lab.declare(kind, args.clone()).await;
    assert_eq!(made["issuer"], "oidc.eks.eu-west-1.amazonaws.com/id/1234");
    assert_eq!((&made["audiences"], &made["tags"][TAG_STACK]), (&json!(["sts.amazonaws.com"]), &json!("lab")));
    let wanted = json!({ "url": args["url"], "name": "gitpod", "audiences": ["other"], "tags": { "a": "b" } });
    lab.in_line(kind, &lab.cx("aws::iam::oidc_provider/gitpod"), &wanted, made).await;
    lab.delete(kind, "aws::iam::oidc_provider/gitpod", &args).await;
}
