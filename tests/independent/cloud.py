"""What the test does on the simulated AWS behind the program's back: python cloud.py URL image|bucket|inventory [NAME]."""

import json
import sys

import boto3

REGION = "eu-west-1"


def client(service):
    return boto3.client(service, endpoint_url=sys.argv[1], region_name=REGION,
                        aws_access_key_id="test", aws_secret_access_key="test")


def image(name):
    """An image as Canonical publishes them."""
    made = client("ec2").register_image(Name=name, RootDeviceName="/dev/sda1", Architecture="x86_64", VirtualizationType="hvm")
    return made["ImageId"]


def bucket(name):
    client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def inventory(_):
    """Everything there is of the kinds that the playbook makes, by id or name."""
    ec2, iam, eks, rds, s3, dns = (client(name) for name in ["ec2", "iam", "eks", "rds", "s3", "route53"])
    zones = dns.list_hosted_zones()["HostedZones"]
    users = iam.list_users()["Users"]
    clusters = eks.list_clusters()["clusters"]
    live = lambda gateway: gateway["State"] not in ("deleted", "deleting")
    return {
        "vpcs": [it["VpcId"] for it in ec2.describe_vpcs()["Vpcs"]],
        "subnets": [it["SubnetId"] for it in ec2.describe_subnets()["Subnets"]],
        "internet_gateways": [it["InternetGatewayId"] for it in ec2.describe_internet_gateways()["InternetGateways"]],
        "nat_gateways": [it["NatGatewayId"] for it in ec2.describe_nat_gateways()["NatGateways"] if live(it)],
        "addresses": [it["AllocationId"] for it in ec2.describe_addresses()["Addresses"]],
        "route_tables": [it["RouteTableId"] for it in ec2.describe_route_tables()["RouteTables"]],
        "security_groups": [it["GroupId"] for it in ec2.describe_security_groups()["SecurityGroups"]],
        "security_group_rules": [it["SecurityGroupRuleId"] for it in ec2.describe_security_group_rules()["SecurityGroupRules"]],
        "launch_templates": [it["LaunchTemplateId"] for it in ec2.describe_launch_templates()["LaunchTemplates"]],
        "clusters": clusters,
        "node_groups": [group for name in clusters for group in eks.list_nodegroups(clusterName=name)["nodegroups"]],
        "roles": [it["RoleName"] for it in iam.list_roles()["Roles"]],
        "policies": [it["Arn"] for it in iam.list_policies(Scope="Local")["Policies"]],
        "users": [it["UserName"] for it in users],
        "access_keys": [key["AccessKeyId"] for user in users
                        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]],
        "identity_providers": [it["Arn"] for it in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]],
        "databases": [it["DBInstanceIdentifier"] for it in rds.describe_db_instances()["DBInstances"]],
        "subnet_groups": [it["DBSubnetGroupName"] for it in rds.describe_db_subnet_groups()["DBSubnetGroups"]],
        "buckets": [it["Name"] for it in s3.list_buckets()["Buckets"]],
        "hosted_zones": [it["Id"] for it in zones],
        "records": [f'{record["Name"]} {record["Type"]}' for zone in zones
                    for record in dns.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]],
    }


VERBS = {"image": image, "bucket": bucket, "inventory": inventory}
print(json.dumps(VERBS[sys.argv[2]](sys.argv[3] if len(sys.argv) > 3 else "")))
