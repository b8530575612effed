//! The simulated S3 over plain HTTP: conditions, versions, lists, parts, names, policies.

mod client;

use client::{Answer, Client};
use sandbox::core::clock::Pace;
use sandbox::{Options, Sandbox};

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options { pace: Pace::Max, ..Options::default() }).await.unwrap();
    let client = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    (sandbox, client)
}

const HERE: &str =
    "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";

async fn s3(client: &Client, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    client.rest("s3", method, path, headers, body).await
}

async fn with_bucket() -> (Sandbox, Client) {
    let (sandbox, client) = start().await;
    let made = s3(&client, "PUT", "/bucket-of-tests", &[], HERE).await;
    assert_eq!(made.status, 200, "{}", made.body);
    (sandbox, client)
}

#[tokio::test]
async fn of_two_that_put_if_absent_one_wins() {
    let (_sandbox, client) = with_bucket().await;
    let absent = ["If-None-Match: *"];
    assert_eq!(s3(&client, "PUT", "/bucket-of-tests/log/1", &absent, "first").await.status, 200);
    let lost = s3(&client, "PUT", "/bucket-of-tests/log/1", &absent, "second").await;
    assert_eq!((lost.status, lost.text("Code").as_str()), (412, "PreconditionFailed"));
    let kept = s3(&client, "GET", "/bucket-of-tests/log/1", &[], "").await;
    assert_eq!(kept.body, "first");
    let etag = format!("If-Match: {}", kept.header("etag"));
    assert_eq!(s3(&client, "PUT", "/bucket-of-tests/log/1", &[&etag], "third").await.status, 200);
    assert_eq!(s3(&client, "PUT", "/bucket-of-tests/log/1", &[&etag], "fourth").await.status, 412);
    let none = s3(&client, "PUT", "/bucket-of-tests/none", &[&etag], "x").await;
    assert_eq!((none.status, none.text("Code").as_str()), (404, "NoSuchKey"));
    let etag = s3(&client, "HEAD", "/bucket-of-tests/log/1", &[], "").await.header("etag");
    let unchanged = s3(&client, "GET", "/bucket-of-tests/log/1", &[&format!("If-None-Match: {etag}")], "").await;
    assert_eq!(unchanged.status, 304);
}

#[tokio::test]
async fn versions_keep_a_bucket_from_being_deleted() {
    let (_sandbox, client) = with_bucket().await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(s3(&client, "PUT", "/bucket-of-tests?versioning", &[], on).await.status, 200);
    let first = s3(&client, "PUT", "/bucket-of-tests/a%20b", &[], "one").await.header("x-amz-version-id");
    s3(&client, "PUT", "/bucket-of-tests/a%20b", &[], "two").await;
    let old = s3(&client, "GET", &format!("/bucket-of-tests/a%20b?versionId={first}"), &[], "").await;
    assert_eq!(old.body, "one");
    let deleted = s3(&client, "DELETE", "/bucket-of-tests/a%20b", &[], "").await;
    assert_eq!((deleted.status, deleted.header("x-amz-delete-marker").as_str()), (204, "true"));
    assert_eq!(s3(&client, "GET", "/bucket-of-tests/a%20b", &[], "").await.text("Code"), "NoSuchKey");
    assert_eq!(s3(&client, "DELETE", "/bucket-of-tests", &[], "").await.text("Code"), "BucketNotEmpty");
    let listed = s3(&client, "GET", "/bucket-of-tests?versions", &[], "").await;
    assert_eq!((listed.texts("Version").len(), listed.texts("DeleteMarker").len()), (2, 1));
    for id in listed.texts("VersionId") {
        s3(&client, "DELETE", &format!("/bucket-of-tests/a%20b?versionId={id}"), &[], "").await;
    }
    assert_eq!(s3(&client, "DELETE", "/bucket-of-tests", &[], "").await.status, 204);
    assert_eq!(s3(&client, "GET", "/bucket-of-tests?list-type=2", &[], "").await.text("Code"), "NoSuchBucket");
}

#[tokio::test]
async fn lists_page_and_roll_up() {
    let (_sandbox, client) = with_bucket().await;
    for key in ["a", "d/1", "d/2", "e/1", "f"] {
        s3(&client, "PUT", &format!("/bucket-of-tests/{key}"), &[], "x").await;
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    for _ in 0..2 {
        let more = if token.is_empty() { String::new() } else { format!("&continuation-token={token}") };
        let page =
            s3(&client, "GET", &format!("/bucket-of-tests?list-type=2&delimiter=%2F&max-keys=2{more}"), &[], "").await;
        names.extend(page.texts("Key"));
        names.extend(page.texts("Prefix").into_iter().filter(|p| !p.is_empty()));
        token = page.text("NextContinuationToken").replace('=', "%3D");
    }
    assert_eq!((names, token.as_str()), (["a", "d/", "f", "e/"].map(str::to_owned).to_vec(), ""));
    let wrong = s3(&client, "GET", "/bucket-of-tests?list-type=2&continuation-token=%21", &[], "").await;
    assert_eq!(wrong.text("Code"), "InvalidArgument");
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>";
    assert_eq!(s3(&client, "POST", "/bucket-of-tests?delete", &[], body).await.texts("Deleted").len(), 2);
}

#[tokio::test]
async fn parts_make_an_object_and_ranges_read_it() {
    let (_sandbox, client) = with_bucket().await;
    let id = s3(&client, "POST", "/bucket-of-tests/big?uploads", &[], "").await.text("UploadId");
    let path = |number: u32| format!("/bucket-of-tests/big?partNumber={number}&uploadId={id}");
    let big = "x".repeat(5 * 1024 * 1024);
    let mut parts = String::new();
    for (number, body) in [(1, big.as_str()), (2, "end")] {
        let etag = s3(&client, "PUT", &path(number), &[], body).await.header("etag");
        parts.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let complete = format!("/bucket-of-tests/big?uploadId={id}");
    let wrong =
        "<CompleteMultipartUpload><Part><PartNumber>7</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
    assert_eq!(s3(&client, "POST", &complete, &[], wrong).await.text("Code"), "InvalidPart");
    let whole = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    assert_eq!(s3(&client, "POST", &complete, &[], &whole).await.status, 200);
    let tail = s3(&client, "GET", "/bucket-of-tests/big", &["Range: bytes=-5"], "").await;
    assert_eq!((tail.status, tail.body.as_str()), (206, "xxend"));
    assert_eq!(s3(&client, "GET", "/bucket-of-tests/big", &["Range: bytes=99999999-"], "").await.status, 416);
    assert_eq!(s3(&client, "POST", &complete, &[], &whole).await.text("Code"), "NoSuchUpload");
}

#[tokio::test]
async fn names_and_regions_are_s3_s_own() {
    let (_sandbox, client) = with_bucket().await;
    assert_eq!(s3(&client, "PUT", "/bucket-of-tests", &[], HERE).await.text("Code"), "BucketAlreadyOwnedByYou");
    assert_eq!(s3(&client, "PUT", "/gitpod", &[], HERE).await.text("Code"), "BucketAlreadyExists");
    assert_eq!(s3(&client, "HEAD", "/gitpod", &[], "").await.status, 403);
    assert_eq!(s3(&client, "PUT", "/Bad_Name", &[], HERE).await.text("Code"), "InvalidBucketName");
    assert_eq!(
        s3(&client, "PUT", "/no-constraint-here", &[], "").await.text("Code"),
        "IllegalLocationConstraintException"
    );
    let east = client.rest_in("us-east-1", "s3", "PUT", "/bucket-in-virginia", &[], "").await;
    assert_eq!(east.status, 200);
    assert_eq!(client.rest_in("us-east-1", "s3", "PUT", "/bucket-in-virginia", &[], "").await.status, 200);
    let moved = s3(&client, "GET", "/bucket-in-virginia?list-type=2", &[], "").await;
    assert_eq!((moved.status, moved.header("x-amz-bucket-region").as_str()), (301, "us-east-1"));
    assert_eq!(s3(&client, "GET", "/bucket-in-virginia?location", &[], "").await.text("LocationConstraint"), "");
    assert!(s3(&client, "GET", "/bucket-of-tests?location", &[], "").await.body.contains(">eu-west-1<"));
    let tags = s3(&client, "GET", "/bucket-of-tests?tagging", &[], "").await;
    assert_eq!((tags.status, tags.text("Code").as_str()), (404, "NoSuchTagSet"));
    assert_eq!(s3(&client, "GET", "/bucket-of-tests?publicAccessBlock", &[], "").await.text("BlockPublicAcls"), "true");
}

#[tokio::test]
async fn a_user_may_do_what_its_policies_say() {
    let sandbox =
        Sandbox::start(Options { pace: Pace::Max, verify_signatures: false, ..Options::default() }).await.unwrap();
    let admin = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(s3(&admin, "PUT", "/bucket-of-tests", &[], HERE).await.status, 200);
    admin.iam("CreateUser", &[("UserName", "storage")]).await.unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::bucket-of-tests/mine/*"}]}"#;
    let put = [("UserName", "storage"), ("PolicyName", "p"), ("PolicyDocument", policy)];
    assert_eq!(admin.iam("PutUserPolicy", &put).await.unwrap().status, 200);
    let key = admin.iam("CreateAccessKey", &[("UserName", "storage")]).await.unwrap().text("AccessKeyId");
    let user = Client::new(&sandbox.aws_url, &key);
    assert_eq!(s3(&user, "PUT", "/bucket-of-tests/mine/a", &[], "x").await.status, 200);
    assert_eq!(s3(&user, "GET", "/bucket-of-tests/mine/a", &[], "").await.body, "x");
    for (method, path) in [
        ("PUT", "/bucket-of-tests/other"),
        ("DELETE", "/bucket-of-tests/mine/a"),
        ("GET", "/bucket-of-tests?list-type=2"),
    ] {
        let denied = s3(&user, method, path, &[], "").await;
        assert_eq!((denied.status, denied.text("Code").as_str()), (403, "AccessDenied"), "{method} {path}");
    }
    // Who may not list does not learn what is not there.
    assert_eq!(s3(&user, "GET", "/bucket-of-tests/mine/none", &[], "").await.text("Code"), "AccessDenied");
}

#[tokio::test]
async fn bodies_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { dir: Some(dir.path().to_owned()), pace: Pace::Max, ..Options::default() };
    {
        let sandbox = Sandbox::start(options()).await.unwrap();
        let client = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
        s3(&client, "PUT", "/bucket-of-tests", &[], HERE).await;
        s3(&client, "PUT", "/bucket-of-tests/k", &[], "old").await;
        s3(&client, "PUT", "/bucket-of-tests/k", &[], "new").await;
        sandbox.shutdown();
    }
    let mut again = Sandbox::start(options()).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        again = Sandbox::start(options()).await;
    }
    let sandbox = again.unwrap();
    let client = Client::new(&sandbox.aws_url, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(s3(&client, "GET", "/bucket-of-tests/k", &[], "").await.body, "new");
    let blobs = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(blobs, 1, "the body that was replaced is gone");
}
