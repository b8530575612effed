//! The bindings of this service against the simulated one.

use crate::{
    aws::{self, lab::Lab},
    bind::{Binding, Todo},
    cx::Mode,
    error::Class,
};
use aws_sdk_s3::primitives::ByteStream;
use serde_json::{Value, json};

const KIND: &str = "aws::s3::bucket";

fn bucket(extra: &Value) -> Value {
    let mut args = json!({ "name": "gitpod-lab-1", "ownership": "BucketOwnerEnforced", "block_public_access": true,
                           "tags": { "project": "gitpod" } });
    for (key, value) in extra.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    args
}

#[tokio::test]
async fn a_bucket_is_made_changed_and_deleted_with_its_objects() {
    let mut lab = Lab::start(Mode::Run).await;
    let made = lab.declare(KIND, bucket(&json!({}))).await;
    assert_eq!(made["endpoint"], "s3.eu-west-1.amazonaws.com");
    let (kind, cx) = (lab.registry.kind(KIND).unwrap(), lab.cx("aws::s3::bucket/gitpod-lab-1"));
    assert!(!kind.holds_data(&cx, &made).await.unwrap());
    let wanted = bucket(&json!({ "versioning": true, "encryption": "AES256", "tags": { "team": "x" } }));
    let changed = lab.in_line(KIND, &cx, &wanted, made).await;
    assert_eq!((&changed["versioning"], &changed["tags"]["project"]), (&json!(true), &json!("gitpod")));

    let aws = aws::clients(&cx).await.unwrap();
    for body in [&b"one"[..], b"two"] {
        let put = aws.s3().put_object().bucket("gitpod-lab-1").key("a").body(ByteStream::from_static(body));
        put.send().await.unwrap();
    }
    aws.s3().delete_object().bucket("gitpod-lab-1").key("a").send().await.unwrap();
    assert!(kind.holds_data(&cx, &changed).await.unwrap(), "old versions are data");
    let refused = kind.delete(&cx, &changed).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_deref()), (Class::Failed, Some("BucketNotEmpty")));

    let wanted = bucket(&json!({ "versioning": true, "empty_on_delete": true }));
    let changed = lab.in_line(KIND, &cx, &wanted, changed).await;
    lab.delete_seen(KIND, "aws::s3::bucket/gitpod-lab-1", changed).await;
}

#[tokio::test]
async fn a_name_that_someone_else_has_is_a_conflict() {
    let lab = Lab::start(Mode::Run).await;
    let (kind, cx) = (lab.registry.kind(KIND).unwrap(), lab.cx("aws::s3::bucket/gitpod"));
    let args = bucket(&json!({ "name": "gitpod" }));
    let refused = kind.create(&cx, &args, "token").await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_deref()), (Class::Conflict, Some("BucketAlreadyExists")));
    assert!(refused.hint.unwrap().contains("account"));
}

#[tokio::test]
async fn a_create_whose_reply_was_lost_is_taken_up() {
    let mut lab = Lab::start(Mode::Run).await;
    lab.declare(KIND, bucket(&json!({}))).await;
    let (kind, cx) = (lab.registry.kind(KIND).unwrap(), lab.cx("aws::s3::bucket/gitpod-lab-1"));
    kind.create(&cx, &bucket(&json!({})), "token").await.unwrap();
    let other = lab.cx("aws::s3::bucket/other");
    assert_eq!(kind.create(&other, &bucket(&json!({})), "token").await.unwrap_err().class, Class::Conflict);
}

#[tokio::test]
async fn a_key_proves_that_it_can_use_the_bucket() {
    let mut lab = Lab::start(Mode::Run).await;
    let bucket = lab.declare(KIND, bucket(&json!({}))).await;
    let objects = format!("{}/*", bucket["arn"].as_str().unwrap());
    let statement = |actions: &[&str]| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket["arn"] },
            { "Effect": "Allow", "Action": actions, "Resource": objects },
        ] })
    };
    let document = statement(&["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]);
    let policy = lab.declare("aws::iam::policy", json!({ "name": "p", "document": document })).await;
    lab.declare("aws::iam::user", json!({ "name": "u", "policies": [policy["arn"]] })).await;
    let key = lab.declare("aws::iam::access_key", json!({ "user": "u" })).await;
    let args = json!({ "bucket": "gitpod-lab-1", "region": "eu-west-1", "key": "gitpod-play-test",
                       "access_key_id": key["id"], "secret_access_key": key["secret"] });
    let Some(Binding::Action(action)) = lab.registry.get("aws::s3::try_access").map(|entry| entry.binding.clone())
    else {
        panic!("no such action")
    };
    assert!(action.once());
    assert!(matches!(action.pending(&lab.cx(""), &args).await.unwrap(), Todo::Needed(_)));
    assert_eq!(action.perform(&lab.cx(""), &args).await.unwrap(), json!({ "ok": true }));
    let versioned = self::bucket(&json!({ "versioning": true }));
    lab.in_line(KIND, &lab.cx("aws::s3::bucket/gitpod-lab-1"), &versioned, bucket.clone()).await;
    assert_eq!(action.perform(&lab.cx(""), &args).await.unwrap(), json!({ "ok": true }));
    let aws = aws::clients(&lab.cx("")).await.unwrap();
    let left = aws.s3().list_object_versions().bucket("gitpod-lab-1").send().await.unwrap();
    assert!(left.versions().is_empty() && left.delete_markers().is_empty(), "the test leaves nothing: {left:?}");

    let read_only = json!({ "name": "p", "document": statement(&["s3:GetObject"]) });
    lab.in_line("aws::iam::policy", &lab.cx("aws::iam::policy/p"), &read_only, policy).await;
    let refused = action.perform(&lab.cx(""), &args).await.unwrap_err();
    assert_eq!(refused.class, Class::Denied);
    assert!(refused.cause.unwrap().contains("PutObject"));
}
