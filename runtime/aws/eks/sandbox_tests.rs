//! The bindings of this service against the simulated one.

use crate::{aws::lab::Lab, cx::Mode, error::Class};
use serde_json::{Value, json};

/// Subnets of two zones, a role, and the arguments of a cluster on them.
async fn cluster_args(lab: &mut Lab, extra: &Value) -> Value {
    let vpc = lab.declare("aws::ec2::vpc", json!({ "name": "lab", "cidr": "192.168.0.0/16" })).await;
    let mut subnets = Vec::new();
    for (name, cidr, zone) in [("a", "192.168.0.0/19", "eu-west-1a"), ("b", "192.168.32.0/19", "eu-west-1b")] {
        let args = json!({ "name": name, "vpc": vpc["id"], "cidr": cidr, "zone": zone });
        subnets.push(lab.declare("aws::ec2::subnet", args).await["id"].clone());
    }
    let role =
        json!({ "name": "gitpod-control-plane", "trust": "eks.amazonaws.com", "policies": ["AmazonEKSClusterPolicy"] });
    let role = lab.declare("aws::iam::role", role).await;
    let mut args = json!({ "name": "gitpod", "role": role["arn"], "version": "1.32", "subnets": subnets,
                           "public_access": true, "private_access": true, "tags": { "project": "gitpod" } });
    for (key, value) in extra.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    args
}

async fn group_args(lab: &mut Lab, cluster: &Value) -> Value {
    let policies = ["AmazonEC2ContainerRegistryReadOnly", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"];
    let role = json!({ "name": "gitpod-nodes", "trust": "ec2.amazonaws.com", "policies": policies });
    let role = lab.declare("aws::iam::role", role).await;
    let image = json!({ "owner": "099720109477", "name": "ubuntu-eks/k8s_1.32/images/*" });
    let image = lab.look("aws::ec2::find_image", image).await.unwrap();
    let template = json!({ "name": "gitpod", "image": image["id"], "instance_type": "m6i.xlarge", "volume_gib": 300,
                           "user_data": "#!/bin/bash\n/etc/eks/bootstrap.sh gitpod\n",
                           "volume_type": "gp3", "volume_iops": 6000, "volume_throughput_mibs": 500 });
    let template = lab.declare("aws::ec2::launch_template", template).await;
    json!({ "cluster": "gitpod", "name": "workspaces", "role": role["arn"], "subnets": cluster["subnets"],
            "capacity": "on-demand", "scaling": { "min": 1, "desired": 2, "max": 10 },
            "launch_template": { "id": template["id"], "version": template["latest_version"] },
            "labels": { "gitpod.io/workload_workspace_regular": "true" }, "tags": { "project": "gitpod" } })
}

#[tokio::test]
async fn a_cluster_changes_in_place_one_thing_at_a_time() {
    let mut lab = Lab::start(Mode::Run).await;
    let args = cluster_args(&mut lab, &json!({ "logging": ["api", "audit"] })).await;
    let kind = "aws::eks::cluster";
    let made = lab.declare(kind, args.clone()).await;
    assert!(made["endpoint"].as_str().unwrap().starts_with("https://"), "{made:#}");
    assert!(!made["certificate_authority"].as_str().unwrap().is_empty());
    assert!(made["issuer"].as_str().unwrap().starts_with("https://"));
    assert_eq!(lab.look("aws::eks::find_cluster", json!({ "name": "gitpod" })).await.unwrap(), made);
    assert_eq!(lab.look("aws::eks::find_cluster", json!({ "name": "none" })).await.unwrap(), Value::Null);

    let cx = lab.cx("aws::eks::cluster/gitpod");
    let mut wanted = args.clone();
    wanted["version"] = json!("1.33");
    wanted["public_cidrs"] = json!(["10.0.0.0/8"]);
    wanted["logging"] = json!([]);
    wanted["tags"]["team"] = json!("x");
    let changed = lab.in_line(kind, &cx, &wanted, made).await;
    assert_eq!((&changed["version"], &changed["logging"]), (&json!("1.33"), &json!([])));
    let resource = lab.registry.kind(kind).unwrap();
    let back = resource.diff(&args, &changed);
    let refused = resource.update(&cx, &args, &changed, &back).await.unwrap_err();
    assert_eq!(refused.class, Class::Invalid);
    lab.delete(kind, "aws::eks::cluster/gitpod", &wanted).await;
}

#[tokio::test]
async fn the_same_token_makes_one_cluster() {
    let mut lab = Lab::start(Mode::Run).await;
    let args = cluster_args(&mut lab, &json!({})).await;
    let (kind, cx) = (lab.registry.kind("aws::eks::cluster").unwrap(), lab.cx("aws::eks::cluster/gitpod"));
    let made = kind.create(&cx, &args, "token").await.unwrap();
    let again = kind.create(&cx, &args, "token").await.unwrap();
    assert_eq!(made["arn"], again["arn"]);
    assert_eq!(kind.create(&cx, &args, "other").await.unwrap_err().class, Class::Conflict);
}

#[tokio::test]
async fn node_groups_change_in_one_call_and_roll_on_a_new_template() {
    let mut lab = Lab::start(Mode::Run).await;
    let args = cluster_args(&mut lab, &json!({})).await;
    let cluster = lab.declare("aws::eks::cluster", args).await;
    let args = group_args(&mut lab, &cluster).await;
    let kind = "aws::eks::nodegroup";
    let made = lab.declare(kind, args.clone()).await;
    assert!(!made["autoscaling_group"].as_str().unwrap().is_empty());

    let cx = lab.cx("aws::eks::nodegroup/gitpod/workspaces");
    let mut wanted = args.clone();
    wanted["scaling"]["max"] = json!(20);
    let writes = lab.run.wire.counts().1;
    let changed = lab.in_line(kind, &cx, &wanted, made).await;
    assert_eq!(lab.run.wire.counts().1, writes + 1, "new bounds are one write");
    assert_eq!(changed["scaling"], json!({ "min": 1, "desired": 2, "max": 20 }));

    let template = lab.registry.kind("aws::ec2::launch_template").unwrap();
    let template_cx = lab.cx("aws::ec2::launch_template/gitpod");
    let (_, _, mut template_args) =
        lab.made.iter().find(|(kind, ..)| kind.ends_with("launch_template")).unwrap().clone();
    let seen = template.find(&template_cx, &template_args).await.unwrap().unwrap();
    template_args["volume_gib"] = json!(400);
    let seen = lab.in_line("aws::ec2::launch_template", &template_cx, &template_args, seen).await;
    wanted["launch_template"]["version"] = seen["latest_version"].clone();
    wanted["labels"] = json!({ "gitpod.io/workload_workspace_headless": "true" });
    wanted["taints"] = json!([{ "key": "dedicated", "value": "gitpod", "effect": "NoSchedule" }]);
    let changed = lab.in_line(kind, &cx, &wanted, changed).await;
    assert_eq!(changed["labels"], wanted["labels"]);
    assert_eq!(changed["launch_template"]["version"], "2");

    let used = lab.registry.kind("aws::eks::cluster").unwrap();
    let refused = used.delete(&lab.cx("aws::eks::cluster/gitpod"), &cluster).await.unwrap_err();
    assert_eq!(refused.class, Class::InUse);
    lab.delete(kind, "aws::eks::nodegroup/gitpod/workspaces", &wanted).await;
    lab.delete(
        "aws::eks::cluster",
        "aws::eks::cluster/gitpod",
        &json!({ "name": "gitpod", "role": "r", "version": "1.32",
        "subnets": cluster["subnets"] }),
    )
    .await;
}

#[tokio::test]
async fn addons_and_entries_live_in_a_cluster() {
    let mut lab = Lab::start(Mode::Run).await;
    let args = cluster_args(&mut lab, &json!({ "authentication_mode": "API_AND_CONFIG_MAP" })).await;
    let cluster = lab.declare("aws::eks::cluster", args).await;
    let args = group_args(&mut lab, &cluster).await;
    lab.declare("aws::eks::nodegroup", args).await;
    let addon = json!({ "cluster": "gitpod", "name": "aws-ebs-csi-driver", "role": cluster["role"] });
    let made = lab.declare("aws::eks::addon", addon.clone()).await;
    let mut wanted = addon.clone();
    wanted["configuration"] = json!({ "controller": { "replicaCount": 1 } });
    wanted["tags"] = json!({ "team": "x" });
    let changed =
        lab.in_line("aws::eks::addon", &lab.cx("aws::eks::addon/gitpod/aws-ebs-csi-driver"), &wanted, made).await;
    assert_eq!(changed["role"], cluster["role"]);

    let entry = json!({ "cluster": "gitpod", "principal": "arn:aws:iam::111122223333:role/gitpod-nodes2",
                        "policies": ["AmazonEKSClusterAdminPolicy"], "groups": ["team"] });
    lab.declare("aws::iam::role", json!({ "name": "gitpod-nodes2", "trust": "ec2.amazonaws.com" })).await;
    let made = lab.declare("aws::eks::access_entry", entry.clone()).await;
    let mut wanted = entry.clone();
    wanted["policies"] = json!(["AmazonEKSViewPolicy"]);
    wanted["namespaces"] = json!(["gitpod"]);
    let cx = lab.cx("aws::eks::access_entry/gitpod/role/gitpod-nodes2");
    lab.in_line("aws::eks::access_entry", &cx, &wanted, made).await;
    lab.delete("aws::eks::access_entry", "aws::eks::access_entry/gitpod/role/gitpod-nodes2", &wanted).await;
    lab.delete("aws::eks::addon", "aws::eks::addon/gitpod/aws-ebs-csi-driver", &addon).await;
}

#[tokio::test]
async fn versions_and_tokens_need_no_write() {
    let lab = Lab::start(Mode::Plan).await;
    let offered = lab.look("aws::eks::versions", json!({})).await.unwrap();
    let versions = offered["versions"].as_array().unwrap();
    assert!(versions.contains(&json!("1.33")), "{offered}");
    let reads = lab.run.wire.counts().0;
    let token = crate::aws::eks::token(&lab.cx(""), "gitpod").await.unwrap();
    let again = crate::aws::eks::token(&lab.cx(""), "gitpod").await.unwrap();
    assert!(token.secret.reveal().starts_with("k8s-aws-v1."));
    assert_eq!(token.secret, again.secret, "a token is kept");
    assert_ne!(token.secret, crate::aws::eks::token(&lab.cx(""), "other").await.unwrap().secret);
    assert_eq!(lab.run.wire.counts(), (reads, 0));
}
