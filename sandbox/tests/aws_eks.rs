//! The simulated EKS over plain HTTP: states, tokens, versions, machines, take-down.

mod client;

use client::{Answer, Client, role, vpc_of_two_zones};
use sandbox::core::clock::Pace;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

async fn start(options: Options) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options { pace: Pace::Max, ..options }).await.unwrap();
    let client = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    (sandbox, client)
}

struct Site {
    client: Client,
    subnets: [String; 2],
    role: String,
    _sandbox: Sandbox,
}

impl Site {
    async fn new(options: Options) -> Self {
        let (sandbox, client) = start(options).await;
        let (_, subnets) = vpc_of_two_zones(&client).await;
        let role = role(&client, "control-plane", "eks.amazonaws.com").await;
        Self { client, subnets, role, _sandbox: sandbox }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.client.rest("eks", method, path, &["Content-Type: application/json"], &body).await
    }

    fn cluster(&self) -> Value {
        json!({
            "name": "gitpod", "version": "1.32", "roleArn": self.role, "clientRequestToken": "t",
            "resourcesVpcConfig": {"subnetIds": self.subnets},
            "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
        })
    }

    async fn make_cluster(&self) -> Value {
        let made = self.call("POST", "/clusters", &self.cluster()).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.json()["cluster"].clone()
    }

    fn nodegroup(&self) -> Value {
        json!({
            "nodegroupName": "services", "nodeRole": self.role, "subnets": self.subnets, "instanceTypes": ["m6i.xlarge"],
            "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2}, "labels": {"gitpod.io/workload_meta": "true"},
        })
    }

    async fn make_nodegroup(&self, body: &Value) -> Value {
        let made = self.call("POST", "/clusters/gitpod/node-groups", body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.json()["nodegroup"].clone()
    }

    async fn show(&self, path: &str, member: &str) -> Value {
        self.call("GET", path, &Value::Null).await.json()[member].clone()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["__type"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_cluster_comes_into_being_and_goes_with_all_that_it_made() {
    let site = Site::new(Options::default()).await;
    let made = site.make_cluster().await;
    assert_eq!(made["status"], "CREATING");
    assert!(made["endpoint"].is_null() && made["identity"].is_null());
    let shown = site.show("/clusters/gitpod", "cluster").await;
    assert_eq!(shown["status"], "ACTIVE");
    assert!(shown["endpoint"].as_str().unwrap().starts_with("https://"));
    assert!(shown["identity"]["oidc"]["issuer"].as_str().unwrap().contains("oidc.eks.eu-west-1"));
    let group = shown["resourcesVpcConfig"]["clusterSecurityGroupId"].as_str().unwrap();
    let found = site.client.ec2("DescribeSecurityGroups", &[("GroupId.1", group)]).await.unwrap();
    assert_eq!(found.status, 200);
    let held = site.client.ec2("DeleteSubnet", &[("SubnetId", &site.subnets[0])]).await.unwrap();
    assert_eq!(held.text("Code"), "DependencyViolation");
    assert_eq!(site.call("DELETE", "/clusters/gitpod", &Value::Null).await.json()["cluster"]["status"], "DELETING");
    let gone = site.call("GET", "/clusters/gitpod", &Value::Null).await;
    assert_eq!((gone.status, code(&gone).as_str()), (404, "ResourceNotFoundException"));
    let free = site.client.ec2("DeleteSubnet", &[("SubnetId", &site.subnets[0])]).await.unwrap();
    assert_eq!(free.status, 200, "{}", free.body);
    let absent = site.client.ec2("DescribeSecurityGroups", &[("GroupId.1", group)]).await.unwrap();
    assert_eq!(absent.text("Code"), "InvalidGroup.NotFound");
}

#[tokio::test]
async fn a_token_makes_one_cluster() {
    let site = Site::new(Options::default()).await;
    let first = site.make_cluster().await;
    let again = site.make_cluster().await;
    assert_eq!(first["createdAt"], again["createdAt"]);
    let mut other = site.cluster();
    other["version"] = json!("1.33");
    assert_eq!(code(&site.call("POST", "/clusters", &other).await), "InvalidParameterException");
    other["clientRequestToken"] = json!("u");
    let taken = site.call("POST", "/clusters", &other).await;
    assert_eq!((taken.status, code(&taken).as_str()), (409, "ResourceInUseException"));
}

#[tokio::test]
async fn wrong_clusters_are_refused() {
    let site = Site::new(Options::default()).await;
    let stranger = role(&site.client, "stranger", "ec2.amazonaws.com").await;
    let changes = [
        ("/version", json!("1.22")),
        ("/name", json!("-x")),
        ("/roleArn", json!("arn:aws:iam::111122223333:role/none")),
        ("/roleArn", json!(stranger)),
        ("/resourcesVpcConfig/subnetIds", json!([site.subnets[0]])),
        ("/resourcesVpcConfig/subnetIds", json!(["subnet-0123456789abcdef0", site.subnets[0]])),
    ];
    for (pointer, value) in changes {
        let mut body = site.cluster();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let refused = site.call("POST", "/clusters", &body).await;
        assert_eq!((refused.status, code(&refused).as_str()), (400, "InvalidParameterException"), "{pointer} {value}");
    }
}

#[tokio::test]
async fn versions_go_up_one_at_a_time() {
    let site = Site::new(Options::default()).await;
    site.make_cluster().await;
    for wrong in ["1.34", "1.31", "1.32"] {
        let refused = site.call("POST", "/clusters/gitpod/updates", &json!({"version": wrong})).await;
        assert_eq!(code(&refused), "InvalidParameterException", "{wrong}");
    }
    let update =
        site.call("POST", "/clusters/gitpod/updates", &json!({"version": "1.33"})).await.json()["update"].clone();
    assert_eq!((update["status"].as_str(), update["type"].as_str()), (Some("InProgress"), Some("VersionUpdate")));
    let id = update["id"].as_str().unwrap();
    assert_eq!(site.show(&format!("/clusters/gitpod/updates/{id}"), "update").await["status"], "Successful");
    assert_eq!(site.show("/clusters/gitpod", "cluster").await["version"], "1.33");
    let same = json!({"logging": {"clusterLogging": [{"types": ["api"], "enabled": false}]}});
    assert_eq!(code(&site.call("POST", "/clusters/gitpod/update-config", &same).await), "InvalidParameterException");
}

#[tokio::test]
async fn a_node_group_has_machines_that_follow_its_size() {
    let site = Site::new(Options::default()).await;
    site.make_cluster().await;
    let made = site.make_nodegroup(&site.nodegroup()).await;
    assert_eq!(made["status"], "CREATING");
    let shown = site.show("/clusters/gitpod/node-groups/services", "nodegroup").await;
    assert_eq!(shown["status"], "ACTIVE");
    let group = shown["resources"]["autoScalingGroups"][0]["name"].as_str().unwrap().to_owned();
    let running = [
        ("Filter.1.Name", "tag:eks:nodegroup-name"),
        ("Filter.1.Value.1", "services"),
        ("Filter.2.Name", "instance-state-name"),
        ("Filter.2.Value.1", "running"),
    ];
    let machines = site.client.ec2("DescribeInstances", &running).await.unwrap();
    assert_eq!(machines.texts("privateDnsName").len(), 2, "{}", machines.body);
    assert_eq!(machines.texts("instanceType"), ["m6i.xlarge", "m6i.xlarge"]);
    let bigger = json!({"scalingConfig": {"maxSize": 9, "desiredSize": 3}});
    let update = site.call("POST", "/clusters/gitpod/node-groups/services/update-config", &bigger).await;
    assert_eq!(update.status, 200, "{}", update.body);
    let found =
        site.client.autoscaling("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", &group)]).await;
    assert_eq!((found.text("MaxSize"), found.texts("InstanceId").len()), ("9".to_owned(), 3));
    assert!(found.body.contains("<Key>k8s.io/cluster-autoscaler/enabled</Key>"));
    // A machine that is lost is replaced.
    let lost = found.text("InstanceId");
    assert_eq!(site.client.ec2("TerminateInstances", &[("InstanceId.1", &lost)]).await.unwrap().status, 200);
    let found =
        site.client.autoscaling("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", &group)]).await;
    let machines = found.texts("InstanceId");
    assert!(machines.len() == 3 && !machines.contains(&lost), "{machines:?}");
    // Who sets the size at the group changes the node group too.
    let set = [("AutoScalingGroupName", group.as_str()), ("DesiredCapacity", "1")];
    assert_eq!(site.client.autoscaling("SetDesiredCapacity", &set).await.status, 200);
    let shown = site.show("/clusters/gitpod/node-groups/services", "nodegroup").await;
    assert_eq!(shown["scalingConfig"]["desiredSize"], 1);
    let refused = site.call("DELETE", "/clusters/gitpod", &Value::Null).await;
    assert_eq!(code(&refused), "ResourceInUseException");
    assert_eq!(site.call("DELETE", "/clusters/gitpod/node-groups/services", &Value::Null).await.status, 200);
    let gone = site.call("GET", "/clusters/gitpod/node-groups/services", &Value::Null).await;
    assert_eq!(code(&gone), "ResourceNotFoundException");
    assert!(site.client.ec2("DescribeInstances", &running).await.unwrap().texts("instanceId").is_empty());
    let found = site.client.autoscaling("DescribeAutoScalingGroups", &[]).await;
    assert!(found.texts("AutoScalingGroupName").is_empty());
}

#[tokio::test]
async fn node_groups_can_fail() {
    let quotas = [("L-1216C47A".to_owned(), 8.0)].into();
    let faults = serde_json::from_value(json!([
        {"service": "eks", "operation": "CreateNodegroup", "count": 1, "action": {"create_fails": "no capacity"}},
    ]))
    .unwrap();
    let site = Site::new(Options { quotas, faults, ..Options::default() }).await;
    site.make_cluster().await;
    let small = json!({"minSize": 0, "maxSize": 1, "desiredSize": 0});
    for (name, scaling, issue) in
        [("a", &small, "NodeCreationFailure"), ("b", &Value::Null, "AsgInstanceLaunchFailures")]
    {
        let mut body = site.nodegroup();
        body["nodegroupName"] = json!(name);
        if scaling.is_null() {
            body["scalingConfig"]["desiredSize"] = json!(3);
        } else {
            body["scalingConfig"] = scaling.clone();
        }
        site.make_nodegroup(&body).await;
        let shown = site.show(&format!("/clusters/gitpod/node-groups/{name}"), "nodegroup").await;
        assert_eq!((&shown["status"], &shown["health"]["issues"][0]["code"]), (&json!("CREATE_FAILED"), &json!(issue)));
    }
}

#[tokio::test]
async fn launch_templates_are_checked() {
    let site = Site::new(Options::default()).await;
    site.make_cluster().await;
    let template = [
        ("LaunchTemplateName", "own-image"),
        ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
        ("LaunchTemplateData.InstanceType", "m6i.2xlarge"),
    ];
    let id = site.client.ec2("CreateLaunchTemplate", &template).await.unwrap().text("launchTemplateId");
    let mut body = site.nodegroup();
    body["launchTemplate"] = json!({"id": "lt-0123456789abcdef0"});
    let path = "/clusters/gitpod/node-groups";
    assert_eq!(code(&site.call("POST", path, &body).await), "InvalidRequestException");
    body["launchTemplate"] = json!({"id": id, "version": "1"});
    // Instance types in both places.
    assert_eq!(code(&site.call("POST", path, &body).await), "InvalidParameterException");
    body["instanceTypes"] = Value::Null;
    site.make_nodegroup(&body).await;
    // An image of one's own without user data never joins.
    let shown = site.show("/clusters/gitpod/node-groups/services", "nodegroup").await;
    assert_eq!((&shown["status"], &shown["amiType"]), (&json!("CREATE_FAILED"), &json!("CUSTOM")));
}

#[tokio::test]
async fn add_ons_without_nodes_are_degraded() {
    let site = Site::new(Options::default()).await;
    site.make_cluster().await;
    for (name, status) in [("vpc-cni", "ACTIVE"), ("coredns", "DEGRADED")] {
        let made = site.call("POST", "/clusters/gitpod/addons", &json!({"addonName": name})).await;
        assert_eq!(made.json()["addon"]["status"], "CREATING", "{}", made.body);
        assert_eq!(site.show(&format!("/clusters/gitpod/addons/{name}"), "addon").await["status"], status);
    }
    let wrong = json!({"addonName": "kube-proxy", "addonVersion": "v0.0.1"});
    assert_eq!(code(&site.call("POST", "/clusters/gitpod/addons", &wrong).await), "InvalidParameterException");
    site.make_nodegroup(&site.nodegroup()).await;
    assert_eq!(site.show("/clusters/gitpod/addons/coredns", "addon").await["status"], "ACTIVE");
}

#[tokio::test]
async fn access_is_by_entries_and_policies() {
    let site = Site::new(Options::default()).await;
    site.make_cluster().await;
    let path = "/clusters/gitpod/access-entries";
    let admin = site.show(path, "accessEntries").await;
    assert_eq!(admin, json!(["arn:aws:iam::111122223333:user/sandbox-admin"]), "the creator is an administrator");
    let made = site.call("POST", path, &json!({"principalArn": site.role})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(code(&site.call("POST", path, &json!({"principalArn": site.role})).await), "ResourceInUseException");
    let one = format!("{path}/{}", site.role.replace(':', "%3A").replace('/', "%2F"));
    let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
    let scope = json!({"policyArn": policy, "accessScope": {"type": "namespace", "namespaces": ["gitpod"]}});
    assert_eq!(site.call("POST", &format!("{one}/access-policies"), &scope).await.status, 200);
    let listed = site.show(&format!("{one}/access-policies"), "associatedAccessPolicies").await;
    assert_eq!(listed[0]["policyArn"], policy);
    assert_eq!(site.call("DELETE", &one, &Value::Null).await.status, 200);
    assert_eq!(code(&site.call("GET", &one, &Value::Null).await), "ResourceNotFoundException");
}

#[tokio::test]
async fn groups_that_keep_nodes_from_the_private_endpoint_make_them_fail() {
    let site = Site::new(Options::default()).await;
    let mut cluster = site.cluster();
    cluster["resourcesVpcConfig"]["endpointPrivateAccess"] = json!(true);
    assert_eq!(site.call("POST", "/clusters", &cluster).await.status, 200);
    let shown = site.show("/clusters/gitpod", "cluster").await["resourcesVpcConfig"].clone();
    let (vpc, own) = (shown["vpcId"].as_str().unwrap(), shown["clusterSecurityGroupId"].as_str().unwrap());
    let group = [("GroupName", "services"), ("GroupDescription", "d"), ("VpcId", vpc)];
    let group = site.client.ec2("CreateSecurityGroup", &group).await.unwrap().text("groupId");
    for (name, groups, status) in
        [("alone", vec![group.as_str()], "CREATE_FAILED"), ("both", vec![own, &group], "ACTIVE")]
    {
        let mut template = vec![("LaunchTemplateName".to_owned(), name)];
        template.extend(groups.iter().zip(1..).map(|(g, n)| (format!("LaunchTemplateData.SecurityGroupId.{n}"), *g)));
        let template: Vec<(&str, &str)> = template.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let made = site.client.ec2("CreateLaunchTemplate", &template).await.unwrap();
        let mut body = site.nodegroup();
        body["nodegroupName"] = json!(name);
        body["launchTemplate"] = json!({"id": made.text("launchTemplateId")});
        site.make_nodegroup(&body).await;
        let shown = site.show(&format!("/clusters/gitpod/node-groups/{name}"), "nodegroup").await;
        assert_eq!(shown["status"], status, "{name}");
    }
}
