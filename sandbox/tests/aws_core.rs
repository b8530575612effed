//! The simulated AWS over plain HTTP: durability, idempotency, paging, faults, identity.

mod client;

use std::time::{Duration, Instant};

use client::{Client, vpc_with_gateway};
use sandbox::core::clock::Pace;
use sandbox::core::fault::FaultRule;
use sandbox::{Options, Sandbox};
use serde_json::json;

/// The client of these tests does not sign.
fn options(dir: Option<&std::path::Path>) -> Options {
    Options { dir: dir.map(Into::into), pace: Pace::Max, verify_signatures: false, ..Options::default() }
}

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(options(None)).await.unwrap();
    let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
    (sandbox, client)
}

fn rules(value: serde_json::Value) -> Vec<FaultRule> {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Sandbox::start(options(Some(dir.path()))).await.unwrap();
    let client = Client::new(&first.aws_url, &first.access_key);
    let reply = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap();
    let id = reply.text("vpcId");
    // What a kill would leave: the journal as it is at this moment, of a simulation that still runs.
    std::fs::create_dir_all(copy.path().join("aws")).unwrap();
    std::fs::copy(dir.path().join("aws/journal"), copy.path().join("aws/journal")).unwrap();
    let second = Sandbox::start(options(Some(copy.path()))).await.unwrap();
    let client = Client::new(&second.aws_url, &second.access_key);
    let found = client.ec2("DescribeVpcs", &[("VpcId.1", &id)]).await.unwrap();
    assert_eq!((found.status, found.text("cidrBlock")), (200, "10.0.0.0/16".to_owned()));
    assert_eq!(found.text("state"), "available");
}

#[tokio::test]
async fn the_folder_of_a_simulation_that_ended_can_be_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3 {
        let sandbox = Sandbox::start(options(Some(dir.path()))).await.unwrap();
        let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
        let made = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap();
        assert_eq!(made.status, 200, "{}", made.body);
        assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().texts("vpcId").len(), n + 1);
    }
}

#[tokio::test]
async fn a_start_is_quick() {
    // The first start of a process pays for things that stay, such as the random generator.
    drop(start().await);
    let begin = Instant::now();
    let (sandbox, client) = start().await;
    assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().status, 200);
    // Ten times the 20 ms that are promised, for machines that do other things at the same time.
    assert!(begin.elapsed() < Duration::from_millis(200), "{:?}", begin.elapsed());
    drop(sandbox);
}

#[tokio::test]
async fn a_token_makes_one_thing_and_other_parameters_are_refused() {
    let (_sandbox, client) = start().await;
    let (_, subnet) = vpc_with_gateway(&client).await;
    let allocation = client.ec2("AllocateAddress", &[("Domain", "vpc")]).await.unwrap().text("allocationId");
    let parameters = [("SubnetId", subnet.as_str()), ("AllocationId", &allocation), ("ClientToken", "t")];
    let first = client.ec2("CreateNatGateway", &parameters).await.unwrap();
    assert_eq!(first.text("state"), "pending");
    let again = client.ec2("CreateNatGateway", &parameters).await.unwrap();
    assert_eq!(first.text("natGatewayId"), again.text("natGatewayId"));
    assert_eq!(again.text("state"), "available");
    let other = [("SubnetId", subnet.as_str()), ("ConnectivityType", "private"), ("ClientToken", "t")];
    let refused = client.ec2("CreateNatGateway", &other).await.unwrap();
    assert_eq!((refused.status, refused.text("Code")), (400, "IdempotentParameterMismatch".to_owned()));
}

#[tokio::test]
async fn pages_join_to_the_whole() {
    let (_sandbox, client) = start().await;
    for n in 0..7 {
        let name = format!("r{n}");
        let trust =
            r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        let made = client.iam("CreateRole", &[("RoleName", &name), ("AssumeRolePolicyDocument", trust)]).await.unwrap();
        assert_eq!(made.status, 200, "{}", made.body);
    }
    let (mut names, mut marker) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = client.iam("ListRoles", &[("MaxItems", "3"), ("Marker", &marker)]).await.unwrap();
        names.extend(page.texts("RoleName"));
        marker = page.text("Marker");
    }
    assert_eq!(names, (0..7).map(|n| format!("r{n}")).collect::<Vec<_>>());
    assert_eq!(marker, "");
    let wrong = client.iam("ListRoles", &[("Marker", "rubbish")]).await.unwrap();
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn errors_on_demand_and_dry_runs_change_nothing() {
    let (sandbox, client) = start().await;
    let throttle = json!([{"service": "ec2", "operation": "Create*", "count": 1, "action": {"error": {"code": "RequestLimitExceeded", "status": 503}}}]);
    sandbox.env().faults.set(rules(throttle));
    let vpc = [("CidrBlock", "10.0.0.0/16")];
    let refused = client.ec2("CreateVpc", &vpc).await.unwrap();
    assert_eq!((refused.status, refused.text("Code")), (503, "RequestLimitExceeded".to_owned()));
    let dry = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("DryRun", "true")]).await.unwrap();
    assert_eq!((dry.status, dry.text("Code")), (412, "DryRunOperation".to_owned()));
    assert_eq!(sandbox.env().store.commits(), 0);
    assert_eq!(client.ec2("CreateVpc", &vpc).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_lost_request_did_nothing_and_a_lost_reply_did_the_work() {
    let (sandbox, client) = start().await;
    let drop_before = json!([{"operation": "CreateVpc", "nth": 1, "action": {"drop_before": true}}]);
    sandbox.env().faults.set(rules(drop_before));
    assert!(client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.is_none());
    assert!(client.ec2("DescribeVpcs", &[]).await.unwrap().texts("vpcId").is_empty());
    let drop_after = json!([{"operation": "CreateVpc", "nth": 1, "action": {"drop_after": true}}]);
    sandbox.env().faults.set(rules(drop_after));
    assert!(client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.is_none());
    assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().texts("vpcId").len(), 1);
}

#[tokio::test]
async fn fresh_things_may_stay_unseen_for_a_while() {
    let (sandbox, client) = start().await;
    let slow = json!([{"operation": "CreateVpc", "action": {"not_found_for": 2, "delay_ms": 30}}]);
    sandbox.env().faults.set(rules(slow));
    let begin = Instant::now();
    let id = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap().text("vpcId");
    assert!(begin.elapsed() >= Duration::from_millis(30));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.ec2("DescribeVpcs", &[("VpcId.1", &id)]).await.unwrap().status);
    }
    assert_eq!(statuses, [400, 400, 200]);
}

#[tokio::test]
async fn a_reply_may_come_long_after_the_work() {
    let (sandbox, client) = start().await;
    let late = json!([{"operation": "CreateVpc", "action": {"reply_delay_ms": 5000}}]);
    sandbox.env().faults.set(rules(late));
    let create = client.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]);
    assert!(tokio::time::timeout(Duration::from_millis(500), create).await.is_err());
    assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().texts("vpcId").len(), 1);
}

#[tokio::test]
async fn faults_calls_and_pace_are_set_over_http() {
    let (_sandbox, client) = start().await;
    let rule = r#"{"operation":"DescribeVpcs","count":1,"action":{"error":{"code":"InternalError"}}}"#;
    assert_eq!(client.send("POST", "/_sandbox/faults", rule).await.unwrap().status, 200);
    assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().status, 500);
    let list = client.send("GET", "/_sandbox/faults", "").await.unwrap();
    assert!(list.body.contains("\"fired\":1"), "{}", list.body);
    let wrong = client.send("PUT", "/_sandbox/faults", r#"[{"operatoin":"x"}]"#).await.unwrap();
    assert!(wrong.status == 400 && wrong.body.contains("operatoin"), "{}", wrong.body);
    let calls = client.send("GET", "/_sandbox/calls", "").await.unwrap();
    assert!(calls.body.contains("InternalError") && calls.body.contains("\"write\":false"), "{}", calls.body);
    assert_eq!(client.send("PUT", "/_sandbox/pace", "100").await.unwrap().body, "100.0");
    assert_eq!(client.send("PUT", "/_sandbox/pace", "fast").await.unwrap().status, 400);
}

#[tokio::test]
async fn keys_are_known_and_policies_hold() {
    let (sandbox, client) = start().await;
    let stranger = Client::new(&sandbox.aws_url, "AKIANOBODY");
    let refused = stranger.ec2("DescribeVpcs", &[]).await.unwrap();
    assert_eq!((refused.status, refused.text("Code")), (401, "AuthFailure".to_owned()));
    let refused = stranger.iam("ListUsers", &[]).await.unwrap();
    assert_eq!((refused.status, refused.text("Code")), (403, "InvalidClientTokenId".to_owned()));

    client.iam("CreateUser", &[("UserName", "u")]).await.unwrap();
    let key = client.iam("CreateAccessKey", &[("UserName", "u")]).await.unwrap().text("AccessKeyId");
    let user = Client::new(&sandbox.aws_url, &key);
    assert_eq!(user.ec2("DescribeVpcs", &[]).await.unwrap().text("Code"), "UnauthorizedOperation");
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;
    let put = [("UserName", "u"), ("PolicyName", "p"), ("PolicyDocument", document)];
    assert_eq!(client.iam("PutUserPolicy", &put).await.unwrap().status, 200);
    assert_eq!(user.ec2("DescribeVpcs", &[]).await.unwrap().status, 200);
    assert_eq!(
        user.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).await.unwrap().text("Code"),
        "UnauthorizedOperation"
    );
    let gone = client.iam("DeleteAccessKey", &[("UserName", "u"), ("AccessKeyId", &key)]).await.unwrap();
    assert_eq!(gone.status, 200);
    assert_eq!(user.ec2("DescribeVpcs", &[]).await.unwrap().text("Code"), "AuthFailure");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_in_each_service_s_words() {
    let sandbox = Sandbox::start(Options { verify_signatures: true, ..options(None) }).await.unwrap();
    let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
    assert_eq!(client.ec2("DescribeVpcs", &[]).await.unwrap().text("Code"), "AuthFailure");
    assert_eq!(client.iam("ListUsers", &[]).await.unwrap().text("Code"), "SignatureDoesNotMatch");
    // Keys of AWS's documentation have no secret here.
    let example = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(example.ec2("DescribeVpcs", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn networks_are_taken_down_in_order_only() {
    let (_sandbox, client) = start().await;
    let (vpc, subnet) = vpc_with_gateway(&client).await;
    let allocation = client.ec2("AllocateAddress", &[]).await.unwrap().text("allocationId");
    let gateway =
        client.ec2("CreateNatGateway", &[("SubnetId", &subnet), ("AllocationId", &allocation)]).await.unwrap();
    for (operation, name, id, code) in [
        ("DeleteVpc", "VpcId", &vpc, "DependencyViolation"),
        ("DeleteSubnet", "SubnetId", &subnet, "DependencyViolation"),
        ("ReleaseAddress", "AllocationId", &allocation, "InvalidIPAddress.InUse"),
    ] {
        let refused = client.ec2(operation, &[(name, id)]).await.unwrap();
        assert_eq!((refused.status, refused.text("Code")), (400, code.to_owned()), "{operation}");
    }
    let id = gateway.text("natGatewayId");
    client.ec2("DeleteNatGateway", &[("NatGatewayId", &id)]).await.unwrap();
    let after = client.ec2("DescribeNatGateways", &[("NatGatewayId.1", &id)]).await.unwrap();
    assert_eq!(after.text("state"), "deleted");
    for (operation, name, id) in
        [("ReleaseAddress", "AllocationId", &allocation), ("DeleteSubnet", "SubnetId", &subnet)]
    {
        assert_eq!(client.ec2(operation, &[(name, id)]).await.unwrap().status, 200, "{operation}");
    }
}
