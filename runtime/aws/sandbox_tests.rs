//! Tags of groups, load balancers, quotas and leftovers against the simulated cloud. What Kubernetes or EKS make in life is
//! made here by calls of the SDK.

use super::{clients, lab::Lab};
use crate::{cx::Mode, error::Class};
use aws_sdk_autoscaling::types::{LaunchTemplateSpecification, Tag as GroupTag};
use aws_sdk_elasticloadbalancing::types::{Listener, Tag as ClassicTag};
use aws_sdk_elasticloadbalancingv2::types::{LoadBalancerTypeEnum, Tag as NewerTag};
use serde_json::{Value, json};

async fn subnet(lab: &mut Lab) -> (String, String) {
    let id = |seen: &Value| seen["id"].as_str().unwrap().to_owned();
    let vpc = id(&lab.declare("aws::ec2::vpc", json!({ "name": "lab", "cidr": "192.168.0.0/16" })).await);
    let subnet = json!({ "name": "a", "vpc": vpc, "cidr": "192.168.0.0/19", "zone": "eu-west-1a" });
    let subnet = id(&lab.declare("aws::ec2::subnet", subnet).await);
    let gateway = json!({ "name": "lab", "vpc": vpc });
    lab.declare("aws::ec2::internet_gateway", gateway).await;
    (vpc, subnet)
}

/// A group as EKS makes it, with the tag that it sets by itself.
async fn group(lab: &mut Lab, name: &str) {
    let (_, subnet) = subnet(lab).await;
    let image = json!({ "owner": "099720109477", "name": "ubuntu-eks/k8s_*/images/*" });
    let image = lab.look("aws::ec2::find_image", image).await.unwrap();
    let template = json!({ "name": "lab-nodes", "image": image["id"], "instance_type": "m6i.xlarge" });
    let template = lab.declare("aws::ec2::launch_template", template).await;
    let clients = clients(&lab.cx("")).await.unwrap();
    let theirs = GroupTag::builder().resource_id(name).resource_type("auto-scaling-group");
    let theirs = theirs.key("eks:cluster-name").value("lab").propagate_at_launch(true).build();
    let template = LaunchTemplateSpecification::builder().launch_template_id(template["id"].as_str().unwrap());
    let make = clients.autoscaling().create_auto_scaling_group().auto_scaling_group_name(name);
    let make = make.min_size(0).max_size(1).vpc_zone_identifier(subnet).tags(theirs);
    make.launch_template(template.version("1").build()).send().await.unwrap();
}

#[tokio::test]
async fn tags_of_a_group_are_put_beside_those_of_others() {
    let mut lab = Lab::start(Mode::Run).await;
    group(&mut lab, "nodes").await;
    let kind = "aws::autoscaling::tags";
    let args = json!({ "group": "nodes", "tags": { "k8s.io/cluster-autoscaler/enabled": "true" } });
    let seen = lab.declare(kind, args).await;
    assert_eq!(seen["tags"]["eks:cluster-name"], "lab");
    // More of them, which an update puts and a delete takes away.
    let more = json!({ "group": "nodes", "tags": { "k8s.io/cluster-autoscaler/enabled": "true", "team": "x" } });
    let cx = lab.cx("aws::autoscaling::tags/nodes");
    let seen = lab.in_line(kind, &cx, &more, seen).await;
    assert_eq!(seen["keys"], json!(["k8s.io/cluster-autoscaler/enabled", "team"]));
    let resource = lab.registry.kind(kind).unwrap();
    assert_eq!(resource.find(&cx, &more).await.unwrap().unwrap()["tags"], seen["tags"]);
    lab.delete_seen(kind, "aws::autoscaling::tags/nodes", seen).await;
    let told = clients(&cx).await.unwrap().autoscaling().describe_tags().send().await.unwrap();
    let left: Vec<_> = told.tags().iter().filter_map(|tag| tag.key()).collect();
    assert_eq!(left, ["eks:cluster-name"]);
}

#[tokio::test]
async fn load_balancers_are_found_by_host_and_by_cluster() {
    let mut lab = Lab::start(Mode::Run).await;
    let (_, subnet) = subnet(&mut lab).await;
    let cx = lab.cx("");
    let clients = clients(&cx).await.unwrap();
    let owned = ClassicTag::builder().key("kubernetes.io/cluster/lab").value("owned").build().unwrap();
    let listener = Listener::builder().protocol("tcp").load_balancer_port(443).instance_port(30443).build().unwrap();
    let make = clients.elb().create_load_balancer().load_balancer_name("classic").subnets(&subnet);
    let hostname = make.listeners(listener).tags(owned).send().await.unwrap().dns_name.unwrap();
    let make = clients.elbv2().create_load_balancer().name("network").subnets(&subnet);
    let tag = NewerTag::builder().key("elbv2.k8s.aws/cluster").value("lab").build();
    make.r#type(LoadBalancerTypeEnum::Network).tags(tag).send().await.unwrap();
    let make = clients.elbv2().create_load_balancer().name("other").subnets(&subnet);
    make.r#type(LoadBalancerTypeEnum::Network).send().await.unwrap();

    let by_host = lab.look("aws::elb::find_load_balancers", json!({ "hostname": hostname })).await.unwrap();
    assert_eq!((&by_host[0]["name"], &by_host[0]["kind"]), (&json!("classic"), &json!("classic")));
    assert!(by_host[0]["zone_id"].as_str().is_some_and(|zone| zone.starts_with('Z')), "{by_host}");
    let by_cluster = lab.look("aws::elb::find_load_balancers", json!({ "cluster": "lab" })).await.unwrap();
    let names: Vec<_> = by_cluster.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["classic", "network"]);
    let neither = lab.look("aws::elb::find_load_balancers", json!({})).await.unwrap_err();
    assert_eq!(neither.class, Class::Usage);

    let left = lab.look("aws::leftovers", json!({ "stack": "gone", "cluster": "lab" })).await.unwrap();
    let kinds: Vec<_> = left.as_array().unwrap().iter().map(|one| (&one["kind"], &one["id"])).collect();
    assert!(kinds.contains(&(&json!("load-balancer"), &json!("network"))), "{left}");
}

#[tokio::test]
async fn quotas_are_told_with_their_names() {
    let lab = Lab::start(Mode::Run).await;
    let quota = json!({ "service": "vpc", "code": "L-F678F1CE" });
    let quota = lab.look("aws::servicequotas::quota", quota).await.unwrap();
    assert_eq!(quota["value"], json!(5.0));
    let none = json!({ "service": "vpc", "code": "L-00000000" });
    assert_eq!(lab.look("aws::servicequotas::quota", none).await.unwrap_err().class, Class::NotFound);
}
