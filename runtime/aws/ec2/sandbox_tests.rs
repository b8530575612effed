//! The kinds of this service against the simulated one: made, made again, changed, deleted.

use crate::{
    aws::lab::{Lab, run},
    bind::Binding,
    cx::{Cx, Mode},
    error::Class,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A network as a playbook makes it; ids by name.
async fn network(lab: &mut Lab) -> BTreeMap<&'static str, String> {
    let id = |seen: &Value| seen["id"].as_str().unwrap().to_owned();
    let vpc =
        lab.declare("aws::ec2::vpc", json!({ "name": "lab", "cidr": "192.168.0.0/16", "dns_hostnames": true })).await;
    let vpc = id(&vpc);
    let public = json!({ "name": "public", "vpc": vpc, "cidr": "192.168.0.0/19", "zone": "eu-west-1a",
                         "public_ips": true, "tags": { "kubernetes.io/role/elb": "1" } });
    let public = id(&lab.declare("aws::ec2::subnet", public).await);
    let private = json!({ "name": "private", "vpc": vpc, "cidr": "192.168.96.0/19", "zone": "eu-west-1b" });
    let private = id(&lab.declare("aws::ec2::subnet", private).await);
    let gateway = id(&lab.declare("aws::ec2::internet_gateway", json!({ "name": "lab", "vpc": vpc })).await);
    let table = json!({ "name": "public", "vpc": vpc, "subnets": [public],
                        "routes": [{ "cidr": "0.0.0.0/0", "gateway": gateway }] });
    lab.declare("aws::ec2::route_table", table).await;
    let ip = id(&lab.declare("aws::ec2::elastic_ip", json!({ "name": "lab" })).await);
    let nat = json!({ "name": "lab", "subnet": public, "elastic_ip": ip });
    let nat = id(&lab.declare("aws::ec2::nat_gateway", nat).await);
    let table = json!({ "name": "private", "vpc": vpc, "subnets": [private],
                        "routes": [{ "cidr": "0.0.0.0/0", "nat_gateway": nat }] });
    lab.declare("aws::ec2::route_table", table).await;
    [("vpc", vpc), ("public", public), ("private", private), ("gateway", gateway)].into()
}

#[tokio::test]
async fn a_network_is_made_kept_and_taken_down() {
    let mut lab = Lab::start(Mode::Run).await;
    let ids = network(&mut lab).await;
    let group = |name: &str| json!({ "name": name, "description": "lab", "vpc": ids["vpc"], "tags": { "Name": "x" } });
    let services = lab.declare("aws::ec2::security_group", group("services")).await;
    let database = lab.declare("aws::ec2::security_group", group("database")).await;
    let rule = json!({ "name": "rds-access", "group": database["id"], "protocol": "tcp", "from_port": 3306,
                       "to_port": 3306, "source_group": services["id"], "description": "mysql" });
    lab.declare("aws::ec2::security_group_rule", rule).await;
    let out = json!({ "name": "out", "group": database["id"], "direction": "egress", "protocol": "udp", "from_port": 53,
                      "to_port": 53, "cidr": "10.0.0.0/8" });
    lab.declare("aws::ec2::security_group_rule", out).await;

    let (_, writes) = lab.run.wire.counts();
    for (kind, address, args) in &lab.made {
        let (resource, cx) = (lab.registry.kind(kind).unwrap(), lab.cx(address));
        let seen = resource.find(&cx, args).await.unwrap().unwrap();
        assert_eq!(resource.diff(args, &seen), vec![], "{address}");
    }
    assert_eq!(lab.run.wire.counts().1, writes, "a second run writes nothing");

    let left = lab.look("aws::leftovers", json!({ "stack": "lab" })).await.unwrap();
    assert_eq!(left.as_array().unwrap().len(), lab.made.len(), "{left:#}");
    for (kind, address, args) in lab.made.iter().rev() {
        lab.delete(kind, address, args).await;
    }
    assert_eq!(lab.look("aws::leftovers", json!({ "stack": "lab" })).await.unwrap(), json!([]));
    lab.sandbox.shutdown();
}

#[tokio::test]
async fn a_launch_template_changes_by_a_new_version() {
    let mut lab = Lab::start(Mode::Run).await;
    let image = json!({ "owner": "099720109477", "name": "ubuntu-eks/k8s_*/images/*" });
    let image = lab.look("aws::ec2::find_image", image).await.unwrap();
    let kind = "aws::ec2::launch_template";
    let args = |iops: i32| {
        json!({ "name": "lab-services", "image": image["id"], "instance_type": "m6i.xlarge", "volume_gib": 300,
                "volume_type": "gp3", "volume_iops": iops, "volume_throughput_mibs": 500, "ebs_optimized": true,
                "imds_v1": true, "user_data": "#!/bin/bash\necho hi\n", "instance_tags": { "pool": "services" } })
    };
    let made = lab.declare(kind, args(6000)).await;
    assert_eq!((&made["version"], &made["user_data"]), (&json!(1), &json!("#!/bin/bash\necho hi\n")));
    let cx = lab.cx("aws::ec2::launch_template/lab-services");
    let changed = lab.in_line(kind, &cx, &args(7000), made.clone()).await;
    assert_eq!((&changed["version"], &changed["latest_version"]), (&json!(2), &json!(2)));
    // A run that died between the two calls of an update goes on with the version it made.
    let resource = lab.registry.kind(kind).unwrap();
    let changes = resource.diff(&args(7000), &made);
    resource.update(&cx, &args(7000), &made, &changes).await.unwrap();
    let again = resource.read(&cx, &changed).await.unwrap().unwrap();
    assert_eq!(again["latest_version"], json!(2));
    lab.delete(kind, "aws::ec2::launch_template/lab-services", &args(7000)).await;
}

#[tokio::test]
async fn a_table_is_changed_in_place() {
    let mut lab = Lab::start(Mode::Run).await;
    let ids = network(&mut lab).await;
    let kind = "aws::ec2::route_table";
    let (_, address, args) = lab.made.iter().find(|(_, address, _)| address.ends_with("route_table/private")).unwrap();
    let mut wanted = args.clone();
    wanted["subnets"] = json!([]);
    wanted["tags"] = json!({ "team": "x" });
    wanted["routes"] = json!([
        { "cidr": "10.0.0.0/8", "gateway": ids["gateway"] },
        { "cidr": "0.0.0.0/0", "gateway": ids["gateway"] },
    ]);
    let cx = lab.cx(address);
    let seen = lab.registry.kind(kind).unwrap().find(&cx, args).await.unwrap().unwrap();
    let changed = lab.in_line(kind, &cx, &wanted, seen).await;
    assert_eq!(changed["subnets"], json!([]));
    assert_eq!(changed["tags"]["team"], "x");
}

#[tokio::test]
async fn look_ups_tell_what_is_there() {
    let mut lab = Lab::start(Mode::Run).await;
    let ids = network(&mut lab).await;
    let me = lab.look("aws::sts::identity", json!({})).await.unwrap();
    assert_eq!((&me["account"], &me["region"]), (&json!("111122223333"), &json!("eu-west-1")));
    let zones = lab.look("aws::ec2::zones", json!({})).await.unwrap();
    assert!(zones["names"].as_array().unwrap().contains(&json!("eu-west-1a")));
    let vpc = lab.look("aws::ec2::find_vpc", json!({ "name": "lab" })).await.unwrap();
    assert_eq!(vpc["id"], json!(ids["vpc"]));
    assert_eq!(lab.look("aws::ec2::find_vpc", json!({ "name": "none" })).await.unwrap(), Value::Null);
    assert_eq!(lab.look("aws::ec2::get_vpc", json!({ "name": "none" })).await.unwrap_err().class, Class::NotFound);
    let subnets = lab.look("aws::ec2::find_subnets", json!({ "vpc": ids["vpc"] })).await.unwrap();
    assert_eq!((&subnets[0]["id"], &subnets[0]["public"]), (&json!(ids["public"]), &json!(true)));
    let usage = lab.look("aws::ec2::usage", json!({})).await.unwrap();
    assert_eq!(usage["elastic_ips"], json!(0), "what the stack itself has needs no room beside it");
    let mut other = run(&lab.sandbox, Mode::Run);
    other.stack = "other".into();
    let other = Cx { run: Arc::new(other), step: "test".into(), address: "".into() };
    let Binding::Lookup(lookup) = &lab.registry.get("aws::ec2::usage").unwrap().binding else { panic!("no look-up") };
    assert_eq!(lookup.look(&other, &json!({})).await.unwrap()["elastic_ips"], json!(1));
}

#[tokio::test]
async fn a_plan_reads_and_never_writes() {
    let lab = Lab::start(Mode::Plan).await;
    let (resource, cx) = (lab.registry.kind("aws::ec2::vpc").unwrap(), lab.cx("aws::ec2::vpc/lab"));
    let args = json!({ "name": "lab", "cidr": "192.168.0.0/16" });
    assert_eq!(resource.find(&cx, &args).await.unwrap(), None);
    let refused = resource.create(&cx, &args, "token").await.unwrap_err();
    assert_eq!(refused.class, Class::Refused);
    assert_eq!(resource.find(&cx, &args).await.unwrap(), None);
    // By our tags, and by the name.
    assert_eq!(lab.run.wire.counts(), (4, 0));
}

#[tokio::test]
async fn errors_carry_the_words_of_the_cloud() {
    let lab = Lab::start(Mode::Run).await;
    let (resource, cx) = (lab.registry.kind("aws::ec2::subnet").unwrap(), lab.cx("aws::ec2::subnet/lab"));
    let args = json!({ "name": "lab", "vpc": "vpc-00000000000000000", "cidr": "10.0.0.0/19", "zone": "eu-west-1a" });
    let error = resource.create(&cx, &args, "token").await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::NotFound, Some("InvalidVpcID.NotFound")));
    assert!(error.cause.unwrap().starts_with("EC2 CreateSubnet: InvalidVpcID.NotFound: "));
    let nobody = {
        let mut run = run(&lab.sandbox, Mode::Run);
        run.endpoints.insert("aws.access_key_id".into(), "AKIANOBODY0000000000".into());
        Cx { run: Arc::new(run), step: "test".into(), address: "".into() }
    };
    let error = resource.find(&nobody, &args).await.unwrap_err();
    assert_eq!(error.class, Class::Denied, "{error}");
    lab.sandbox.shutdown();
    let error = resource.find(&cx, &args).await.unwrap_err();
    assert_eq!(error.class, Class::Passing, "{error}");
}
