//! What AWS refuses is refused, with AWS's own error code: EC2 and IAM.

mod client;

use client::{Client, vpc_with_gateway};
use sandbox::core::clock::Pace;
use sandbox::{Options, Sandbox};

/// A call that must be refused: operation, parameters, code.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

const NOWHERE_VPC: &str = "vpc-0123456789abcdef0";
const TRUST: &str =
    r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

async fn start() -> (Sandbox, Client) {
    let options = Options { pace: Pace::Max, verify_signatures: false, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let client = Client::new(&sandbox.aws_url, &sandbox.access_key);
    (sandbox, client)
}

/// Each is refused with its code, and together they change nothing.
async fn all_refused(sandbox: &Sandbox, client: &Client, iam: bool, refusals: &[Refusal<'_>]) {
    let before = sandbox.env().store.dump();
    for (operation, parameters, code) in refusals {
        let reply = if iam { client.iam(operation, parameters).await } else { client.ec2(operation, parameters).await };
        let reply = reply.unwrap();
        assert_eq!(reply.text("Code"), *code, "{operation} {parameters:?}: {}", reply.body);
        assert!(reply.status >= 400);
    }
    assert_eq!(sandbox.env().store.dump(), before);
}

#[tokio::test]
async fn networks() {
    let (sandbox, client) = start().await;
    let (vpc, subnet) = vpc_with_gateway(&client).await;
    let (vpc, subnet) = (vpc.as_str(), subnet.as_str());
    let gateway = client.ec2("DescribeInternetGateways", &[]).await.unwrap().text("internetGatewayId");
    let table = client.ec2("CreateRouteTable", &[("VpcId", vpc)]).await.unwrap().text("routeTableId");
    let main =
        client.ec2("DescribeRouteTables", &[("Filter.1.Name", "association.main"), ("Filter.1.Value.1", "true")]);
    let main = main.await.unwrap().text("routeTableAssociationId");
    let route = [("RouteTableId", table.as_str()), ("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", &gateway)];
    assert_eq!(client.ec2("CreateRoute", &route).await.unwrap().status, 200);
    let to_nowhere = [
        ("RouteTableId", table.as_str()),
        ("DestinationCidrBlock", "1.0.0.0/8"),
        ("GatewayId", "igw-0123456789abcdef0"),
    ];
    let associate = [("RouteTableId", table.as_str()), ("SubnetId", "subnet-0123456789abcdef0")];
    let unknown_filter = [("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")];
    let refusals: &[Refusal<'_>] = &[
        ("CreateVpc", &[("CidrBlock", "banana")], "InvalidParameterValue"),
        ("CreateVpc", &[("CidrBlock", "10.0.0.0/8")], "InvalidVpc.Range"),
        ("CreateVpc", &[], "MissingParameter"),
        ("DescribeVpcs", &[("VpcId.1", NOWHERE_VPC)], "InvalidVpcID.NotFound"),
        ("DescribeVpcs", &unknown_filter, "InvalidParameterValue"),
        ("CreateSubnet", &[("VpcId", vpc), ("CidrBlock", "192.168.0.0/24")], "InvalidSubnet.Range"),
        ("CreateSubnet", &[("VpcId", vpc), ("CidrBlock", "10.0.0.0/25")], "InvalidSubnet.Conflict"),
        ("CreateSubnet", &[("VpcId", NOWHERE_VPC), ("CidrBlock", "10.0.0.0/24")], "InvalidVpcID.NotFound"),
        (
            "CreateSubnet",
            &[("VpcId", vpc), ("CidrBlock", "10.0.9.0/24"), ("AvailabilityZone", "us-east-1a")],
            "InvalidParameterValue",
        ),
        ("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", vpc)], "Resource.AlreadyAssociated"),
        ("DetachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", NOWHERE_VPC)], "Gateway.NotAttached"),
        ("DeleteInternetGateway", &[("InternetGatewayId", &gateway)], "DependencyViolation"),
        ("CreateRoute", &route, "RouteAlreadyExists"),
        ("CreateRoute", &to_nowhere, "InvalidInternetGatewayID.NotFound"),
        ("AssociateRouteTable", &associate, "InvalidSubnetID.NotFound"),
        ("DisassociateRouteTable", &[("AssociationId", &main)], "InvalidParameterValue"),
        ("CreateNatGateway", &[("SubnetId", subnet), ("AllocationId", "eipalloc-0")], "InvalidAllocationID.NotFound"),
        ("DeleteVpc", &[("VpcId", vpc)], "DependencyViolation"),
        ("CreateTags", &[("ResourceId.1", vpc), ("Tag.1.Key", "aws:x"), ("Tag.1.Value", "y")], "InvalidParameterValue"),
        ("NoSuchOperation", &[], "InvalidAction"),
    ];
    all_refused(&sandbox, &client, false, refusals).await;
}

#[tokio::test]
async fn security_groups_and_launch_templates() {
    let (sandbox, client) = start().await;
    let (vpc, _) = vpc_with_gateway(&client).await;
    let group = [("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    let id = client.ec2("CreateSecurityGroup", &group).await.unwrap().text("groupId");
    let rule = |cidr| {
        [
            ("GroupId", id.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.IpRanges.1.CidrIp", cidr),
        ]
    };
    assert_eq!(client.ec2("AuthorizeSecurityGroupIngress", &rule("0.0.0.0/0")).await.unwrap().status, 200);
    let user = [("GroupName", "user"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    let user = client.ec2("CreateSecurityGroup", &user).await.unwrap().text("groupId");
    let names_it =
        [("GroupId", user.as_str()), ("IpPermissions.1.IpProtocol", "-1"), ("IpPermissions.1.Groups.1.GroupId", &id)];
    assert_eq!(client.ec2("AuthorizeSecurityGroupIngress", &names_it).await.unwrap().status, 200);
    let template = [("LaunchTemplateName", "lt1"), ("LaunchTemplateData.InstanceType", "m6i.xlarge")];
    assert_eq!(client.ec2("CreateLaunchTemplate", &template).await.unwrap().status, 200);
    let default =
        client.ec2("DescribeSecurityGroups", &[("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "default")]);
    let default = default.await.unwrap().text("groupId");
    let bad_data = [("LaunchTemplateName", "lt2"), ("LaunchTemplateData.UserData", "not base64!")];
    let version = [("LaunchTemplateName", "lt1"), ("LaunchTemplateVersion.1", "7")];
    let refusals: &[Refusal<'_>] = &[
        ("CreateSecurityGroup", &group, "InvalidGroup.Duplicate"),
        ("AuthorizeSecurityGroupIngress", &rule("0.0.0.0/0"), "InvalidPermission.Duplicate"),
        ("AuthorizeSecurityGroupIngress", &rule("nope"), "InvalidParameterValue"),
        ("RevokeSecurityGroupIngress", &rule("1.2.3.4/32"), "InvalidPermission.NotFound"),
        ("DeleteSecurityGroup", &[("GroupId", &id)], "DependencyViolation"),
        ("DeleteSecurityGroup", &[("GroupId", &default)], "CannotDelete"),
        ("CreateLaunchTemplate", &template, "InvalidLaunchTemplateName.AlreadyExistsException"),
        ("CreateLaunchTemplate", &bad_data, "InvalidUserData.Malformed"),
        ("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "x")], "InvalidLaunchTemplateName.NotFoundException"),
        ("DescribeLaunchTemplateVersions", &version, "InvalidLaunchTemplateId.VersionNotFound"),
        ("DescribeInstanceTypes", &[("InstanceType.1", "m6i.huge")], "InvalidInstanceType"),
        ("DescribeImages", &[("ImageId.1", "ami-0")], "InvalidAMIID.NotFound"),
    ];
    all_refused(&sandbox, &client, false, refusals).await;
}

#[tokio::test]
async fn identities() {
    let (sandbox, client) = start().await;
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
    assert_eq!(client.iam("CreateRole", &role).await.unwrap().status, 200);
    let policy = [("PolicyName", "p"), ("PolicyDocument", POLICY)];
    let arn = client.iam("CreatePolicy", &policy).await.unwrap().text("Arn");
    let attach = [("RoleName", "r"), ("PolicyArn", arn.as_str())];
    assert_eq!(client.iam("AttachRolePolicy", &attach).await.unwrap().status, 200);
    client.iam("CreateUser", &[("UserName", "u")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.iam("CreateAccessKey", &[("UserName", "u")]).await.unwrap().status, 200);
    }
    let provider = [("Url", "https://oidc.example.com/id/1"), ("ClientIDList.member.1", "sts.amazonaws.com")];
    assert_eq!(client.iam("CreateOpenIDConnectProvider", &provider).await.unwrap().status, 200);
    let unknown_policy = [("RoleName", "r"), ("PolicyArn", "arn:aws:iam::aws:policy/NoSuchThing")];
    let bad_trust = [("RoleName", "s"), ("AssumeRolePolicyDocument", r#"{"Version":"2012-10-17"}"#)];
    let refusals: &[Refusal<'_>] = &[
        ("CreateRole", &role, "EntityAlreadyExists"),
        ("CreateRole", &bad_trust, "MalformedPolicyDocument"),
        ("CreateRole", &[("RoleName", "bad name"), ("AssumeRolePolicyDocument", TRUST)], "ValidationError"),
        ("GetRole", &[("RoleName", "none")], "NoSuchEntity"),
        ("DeleteRole", &[("RoleName", "r")], "DeleteConflict"),
        ("AttachRolePolicy", &unknown_policy, "NoSuchEntity"),
        ("CreatePolicy", &policy, "EntityAlreadyExists"),
        ("CreatePolicy", &[("PolicyName", "q"), ("PolicyDocument", "{not json")], "MalformedPolicyDocument"),
        ("DeletePolicy", &[("PolicyArn", &arn)], "DeleteConflict"),
        ("CreateAccessKey", &[("UserName", "u")], "LimitExceeded"),
        ("DeleteUser", &[("UserName", "u")], "DeleteConflict"),
        ("CreateOpenIDConnectProvider", &provider, "EntityAlreadyExists"),
        ("GetInstanceProfile", &[("InstanceProfileName", "none")], "NoSuchEntity"),
    ];
    all_refused(&sandbox, &client, true, refusals).await;
}
