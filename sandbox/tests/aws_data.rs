//! The simulated RDS, Route 53, KMS and tagging over plain HTTP.

mod client;

use client::{Answer, Client, vpc_of_two_zones};
use sandbox::core::clock::Pace;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

async fn start(pace: Pace) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options { pace, ..Options::default() }).await.unwrap();
    let client = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    (sandbox, client)
}

const DATABASE: [(&str, &str); 8] = [
    ("DBInstanceIdentifier", "Gitpod-Instance"),
    ("Engine", "mysql"),
    ("EngineVersion", "8.0"),
    ("DBInstanceClass", "db.m5.large"),
    ("AllocatedStorage", "20"),
    ("MasterUsername", "gitpod"),
    ("MasterUserPassword", "0123456789abcdef"),
    ("DBSubnetGroupName", "gitpod-rds"),
];

async fn with_group(pace: Pace) -> (Sandbox, Client, String) {
    let (sandbox, client) = start(pace).await;
    let (vpc, subnets) = vpc_of_two_zones(&client).await;
    let group = [
        ("DBSubnetGroupName", "gitpod-rds"),
        ("DBSubnetGroupDescription", "d"),
        ("SubnetIds.SubnetIdentifier.1", subnets[0].as_str()),
        ("SubnetIds.SubnetIdentifier.2", subnets[1].as_str()),
    ];
    let made = client.rds("CreateDBSubnetGroup", &group).await;
    assert_eq!((made.status, made.text("VpcId")), (200, vpc.clone()), "{}", made.body);
    (sandbox, client, vpc)
}

async fn until(client: &Client, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..500 {
        let status = client
            .rds("DescribeDBInstances", &[("DBInstanceIdentifier", "gitpod-instance")])
            .await
            .text("DBInstanceStatus");
        if seen.last() != Some(&status) {
            seen.push(status.clone());
        }
        if status == wanted {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("never {wanted}: {seen:?}");
}

#[tokio::test]
async fn a_database_is_created_backed_up_available_and_deleted() {
    // Twelve minutes in 1.4 seconds, so that the shortest state is seen on a busy machine too.
    let (_sandbox, client, _) = with_group(Pace::Times(500.0)).await;
    let made = client.rds("CreateDBInstance", &DATABASE).await;
    assert_eq!((made.status, made.text("DBInstanceStatus").as_str()), (200, "creating"), "{}", made.body);
    assert_eq!((made.text("Address"), made.text("EngineVersion").as_str()), (String::new(), "8.0.43"));
    assert_eq!(until(&client, "available").await, ["creating", "backing-up", "available"]);
    let shown = client.rds("DescribeDBInstances", &[]).await;
    assert!(shown.text("Address").starts_with("gitpod-instance."));
    let id = [("DBInstanceIdentifier", "gitpod-instance")];
    assert_eq!(client.rds("DeleteDBInstance", &id).await.text("Code"), "InvalidParameterCombination");
    assert_eq!(
        client.rds("DeleteDBSubnetGroup", &[("DBSubnetGroupName", "gitpod-rds")]).await.text("Code"),
        "InvalidDBSubnetGroupStateFault"
    );
    let last = client.rds("DeleteDBInstance", &[id[0], ("FinalDBSnapshotIdentifier", "last")]).await;
    assert_eq!(last.text("DBInstanceStatus"), "deleting", "{}", last.body);
    assert_eq!(until(&client, "").await, ["deleting", ""]);
    assert_eq!(client.rds("DescribeDBSnapshots", &[]).await.text("DBSnapshotIdentifier"), "last");
    assert_eq!(client.rds("DeleteDBSubnetGroup", &[("DBSubnetGroupName", "gitpod-rds")]).await.status, 200);
}

#[tokio::test]
async fn wrong_databases_are_refused_in_rds_s_words() {
    let (_sandbox, client, _) = with_group(Pace::Max).await;
    for (name, value, code) in [
        ("DBInstanceIdentifier", "-x", "InvalidParameterValue"),
        ("Engine", "foodb", "InvalidParameterValue"),
        ("EngineVersion", "3.23", "InvalidParameterCombination"),
        ("DBInstanceClass", "db.m5.enormous", "InvalidParameterValue"),
        ("AllocatedStorage", "5", "InvalidParameterValue"),
        ("MasterUserPassword", "short", "InvalidParameterValue"),
        ("MasterUserPassword", "with/slash/inside", "InvalidParameterValue"),
        ("MasterUsername", "root", "InvalidParameterValue"),
        ("DBSubnetGroupName", "none", "DBSubnetGroupNotFoundFault"),
        ("MaxAllocatedStorage", "21", "InvalidParameterCombination"),
        ("PubliclyAccessible", "true", "InvalidVPCNetworkStateFault"),
        ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-0123456789abcdef0", "InvalidParameterValue"),
        ("DBParameterGroupName", "none", "DBParameterGroupNotFound"),
    ] {
        let mut wanted = DATABASE.to_vec();
        wanted.retain(|(n, _)| *n != name);
        wanted.push((name, value));
        assert_eq!(client.rds("CreateDBInstance", &wanted).await.text("Code"), code, "{name}={value}");
    }
}

#[tokio::test]
async fn changes_wait_unless_they_are_wanted_at_once() {
    let (_sandbox, client, _) = with_group(Pace::Max).await;
    client.rds("CreateDBInstance", &DATABASE).await;
    let id = ("DBInstanceIdentifier", "gitpod-instance");
    let later = client.rds("ModifyDBInstance", &[id, ("AllocatedStorage", "40"), ("DeletionProtection", "true")]).await;
    assert_eq!(
        (later.texts("AllocatedStorage"), later.text("DeletionProtection").as_str()),
        (vec!["40".to_owned(), "20".to_owned()], "true"),
        "{}",
        later.body
    );
    let protected = client.rds("DeleteDBInstance", &[id, ("SkipFinalSnapshot", "true")]).await;
    assert_eq!(protected.text("Code"), "InvalidParameterCombination");
    let now = client.rds("ModifyDBInstance", &[id, ("AllocatedStorage", "60"), ("ApplyImmediately", "true")]).await;
    assert_eq!(now.text("DBInstanceStatus"), "modifying");
    let smaller = client.rds("ModifyDBInstance", &[id, ("AllocatedStorage", "30"), ("ApplyImmediately", "true")]).await;
    assert_eq!(smaller.text("Code"), "InvalidParameterCombination");
}

async fn dns(client: &Client, method: &str, path: &str, body: &str) -> Answer {
    client.rest_in("us-east-1", "route53", method, &format!("/2013-04-01/{path}"), &[], body).await
}

fn batch(changes: &[(&str, &str, &str, &str)]) -> String {
    let changes: String = changes
        .iter()
        .map(|(action, name, sort, value)| {
            format!(
                "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>{sort}</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>"
            )
        })
        .collect();
    format!(
        "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

#[tokio::test]
async fn a_zone_and_its_records() {
    let (_sandbox, client) = start(Pace::Max).await;
    let body = "<CreateHostedZoneRequest><Name>gitpod.example.com</Name><CallerReference>r</CallerReference></CreateHostedZoneRequest>";
    let made = dns(&client, "POST", "hostedzone", body).await;
    assert_eq!(
        (made.status, made.texts("NameServer").len(), made.text("Status").as_str()),
        (201, 4, "PENDING"),
        "{}",
        made.body
    );
    assert_eq!(dns(&client, "POST", "hostedzone", body).await.text("Code"), "HostedZoneAlreadyExists");
    let zone = made.text("Id").replace("/hostedzone/", "");
    let records = format!("hostedzone/{zone}/rrset");
    let good = ("UPSERT", "*.ws.gitpod.example.com", "CNAME", "lb.example.com");
    // One bad change spoils the batch.
    let spoiled = dns(&client, "POST", &records, &batch(&[good, ("CREATE", "elsewhere.org", "A", "1.2.3.4")])).await;
    assert_eq!(spoiled.text("Code"), "InvalidChangeBatch");
    assert_eq!(dns(&client, "GET", &records, "").await.texts("Type"), ["NS", "SOA"]);
    let changed =
        dns(&client, "POST", &records, &batch(&[good, ("CREATE", "gitpod.example.com", "A", "1.2.3.4")])).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let id = changed.text("Id").replace("/change/", "");
    assert_eq!(dns(&client, "GET", &format!("change/{id}"), "").await.text("Status"), "INSYNC");
    let listed = dns(&client, "GET", &records, "").await;
    assert_eq!(listed.texts("Name").last().map(String::as_str), Some("\\052.ws.gitpod.example.com."));
    for (action, name, sort, value) in [
        ("CREATE", "gitpod.example.com", "A", "1.2.3.4"),
        ("DELETE", "gitpod.example.com", "A", "9.9.9.9"),
        ("DELETE", "none.gitpod.example.com", "A", "1.2.3.4"),
        ("CREATE", "gitpod.example.com", "CNAME", "x.example.com"),
        ("UPSERT", "a.gitpod.example.com", "A", "not-an-address"),
    ] {
        let refused = dns(&client, "POST", &records, &batch(&[(action, name, sort, value)])).await;
        assert_eq!(refused.text("Code"), "InvalidChangeBatch", "{action} {name} {sort}");
    }
    let full = dns(&client, "DELETE", &format!("hostedzone/{zone}"), "").await;
    assert_eq!(full.text("Code"), "HostedZoneNotEmpty");
    let emptied = batch(&[("DELETE", good.1, good.2, good.3), ("DELETE", "gitpod.example.com", "A", "1.2.3.4")]);
    assert_eq!(dns(&client, "POST", &records, &emptied).await.status, 200);
    assert_eq!(dns(&client, "DELETE", &format!("hostedzone/{zone}"), "").await.status, 200);
    assert_eq!(dns(&client, "GET", &format!("hostedzone/{zone}"), "").await.text("Code"), "NoSuchHostedZone");
}

async fn json_call(client: &Client, service: &str, operation: &str, body: &Value) -> Answer {
    let target = format!("X-Amz-Target: Any.{operation}");
    client.rest(service, "POST", "/", &["Content-Type: application/x-amz-json-1.1", &target], &body.to_string()).await
}

#[tokio::test]
async fn what_a_key_encrypts_only_it_decrypts() {
    let (_sandbox, client) = start(Pace::Max).await;
    let kms = async |operation: &str, body: Value| json_call(&client, "kms", operation, &body).await;
    let key = kms("CreateKey", json!({})).await.json()["KeyMetadata"]["KeyId"].clone();
    kms("CreateAlias", json!({"AliasName": "alias/gitpod", "TargetKeyId": key})).await;
    let sealed = kms("Encrypt", json!({"KeyId": "alias/gitpod", "Plaintext": "aGk=", "EncryptionContext": {"a": "b"}}))
        .await
        .json()["CiphertextBlob"]
        .clone();
    let plain = kms("Decrypt", json!({"CiphertextBlob": sealed, "EncryptionContext": {"a": "b"}})).await.json();
    assert_eq!(plain["Plaintext"], "aGk=");
    let other = kms("Decrypt", json!({"CiphertextBlob": sealed})).await;
    assert_eq!(other.json()["__type"], "InvalidCiphertextException");
    kms("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 7})).await;
    let gone = kms("Encrypt", json!({"KeyId": key, "Plaintext": "aGk="})).await;
    assert_eq!(gone.json()["__type"], "KMSInvalidStateException");
}

#[tokio::test]
async fn resources_are_found_by_their_tags() {
    let (_sandbox, client, vpc) = with_group(Pace::Max).await;
    client
        .ec2("CreateTags", &[("ResourceId.1", &vpc), ("Tag.1.Key", "project"), ("Tag.1.Value", "gitpod")])
        .await
        .unwrap();
    let tagged = [&DATABASE[..], &[("Tags.Tag.1.Key", "project"), ("Tags.Tag.1.Value", "gitpod")]].concat();
    client.rds("CreateDBInstance", &tagged).await;
    let body = json!({"TagFilters": [{"Key": "project", "Values": ["gitpod"]}]});
    let found = json_call(&client, "tagging", "GetResources", &body).await.json();
    let arns: Vec<&str> =
        found["ResourceTagMappingList"].as_array().unwrap().iter().filter_map(|r| r["ResourceARN"].as_str()).collect();
    assert_eq!(
        arns,
        [
            format!("arn:aws:ec2:eu-west-1:111122223333:vpc/{vpc}").as_str(),
            "arn:aws:rds:eu-west-1:111122223333:db:gitpod-instance"
        ]
    );
    let none =
        json_call(&client, "tagging", "GetResources", &json!({"TagFilters": [{"Key": "project", "Values": ["x"]}]}))
            .await
            .json();
    assert_eq!(none["ResourceTagMappingList"], json!([]));
}
