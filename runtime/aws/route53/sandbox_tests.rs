//! The bindings of this service against the simulated one.

use crate::{
    aws::{self, lab::Lab},
    cx::{Mode, TAG_STACK},
    error::Class,
};
use serde_json::{Value, json};

const ZONE: &str = "aws::route53::zone";
const ADDRESS: &str = "aws::route53::zone/gitpod.example.com";

fn zone(extra: &Value) -> Value {
    let mut args = json!({ "name": "gitpod.example.com", "comment": "Gitpod", "tags": { "project": "gitpod" } });
    for (key, value) in extra.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    args
}

#[tokio::test]
async fn a_zone_holds_records() {
    let mut lab = Lab::start(Mode::Run).await;
    let made = lab.declare(ZONE, zone(&json!({}))).await;
    assert_eq!(made["name_servers"].as_array().unwrap().len(), 4);
    assert_eq!(
        lab.look("aws::route53::find_zone", json!({ "name": "gitpod.example.com." })).await.unwrap()["id"],
        made["id"]
    );
    assert_eq!(lab.look("aws::route53::find_zone", json!({ "name": "none.example.com" })).await.unwrap(), Value::Null);

    let kind = "aws::route53::record";
    let star =
        json!({ "zone": made["id"], "name": "*.gitpod.example.com", "type": "A", "ttl": 60, "values": ["192.0.2.1"] });
    let seen = lab.declare(kind, star.clone()).await;
    let resource = lab.registry.kind(kind).unwrap();
    let cx = lab.cx("aws::route53::record/*.gitpod.example.com/A");
    assert_eq!(resource.find(&cx, &star).await.unwrap(), Some(seen.clone()));
    let mut wanted = star.clone();
    wanted["values"] = json!(["192.0.2.3", "192.0.2.2"]);
    lab.in_line(kind, &cx, &wanted, seen).await;
    let alias = json!({ "zone": made["id"], "name": "gitpod.example.com", "type": "A",
                        "alias": { "hostname": "LB-1.eu-west-1.elb.amazonaws.com", "zone_id": "Z32O12XQLNTSW2" } });
    lab.declare(kind, alias).await;
    let text = json!({ "zone": made["id"], "name": "gitpod.example.com", "type": "TXT", "values": ["owner gitpod"] });
    lab.declare(kind, text).await;

    let refused = lab.registry.kind(ZONE).unwrap().delete(&lab.cx(ADDRESS), &made).await.unwrap_err();
    assert_eq!(refused.class, Class::InUse);
    assert!(refused.hint.unwrap().contains("empty_on_delete"));
    lab.delete(kind, "aws::route53::record/*.gitpod.example.com/A", &wanted).await;
    let wanted = zone(&json!({ "comment": "other", "empty_on_delete": true, "tags": { "team": "x" } }));
    let changed = lab.in_line(ZONE, &lab.cx(ADDRESS), &wanted, made).await;
    assert_eq!(changed["comment"], "other");
    lab.delete_seen(ZONE, ADDRESS, changed).await;
}

#[tokio::test]
async fn a_zone_whose_tags_were_never_set_is_still_ours() {
    let lab = Lab::start(Mode::Run).await;
    let (kind, cx) = (lab.registry.kind(ZONE).unwrap(), lab.cx(ADDRESS));
    let made = kind.create(&cx, &zone(&json!({})), "token").await.unwrap();
    let again = kind.create(&cx, &zone(&json!({})), "token").await.unwrap();
    assert_eq!(made["id"], again["id"], "the same token makes one zone");
    let r53 = aws::clients(&cx).await.unwrap();
    let untag = r53.route53().change_tags_for_resource().resource_id(made["id"].as_str().unwrap());
    let untag = untag.resource_type(aws_sdk_route53::types::TagResourceType::Hostedzone);
    untag.remove_tag_keys(TAG_STACK).remove_tag_keys("project").send().await.unwrap();
    let found = kind.find(&cx, &zone(&json!({}))).await.unwrap().unwrap();
    assert_eq!(found["tags"][TAG_STACK], "lab");
    assert!(!kind.diff(&zone(&json!({})), &found).is_empty(), "the other tags are set again");
}

#[tokio::test]
async fn a_zone_of_someone_else_is_not_ours() {
    let lab = Lab::start(Mode::Run).await;
    let cx = lab.cx(ADDRESS);
    let r53 = aws::clients(&cx).await.unwrap();
    let theirs = r53.route53().create_hosted_zone().name("gitpod.example.com").caller_reference("by hand").send().await;
    theirs.unwrap();
    let kind = lab.registry.kind(ZONE).unwrap();
    let found = kind.find(&cx, &zone(&json!({}))).await.unwrap().unwrap();
    assert_eq!(found["tags"], json!({}));
    let ours = kind.create(&cx, &zone(&json!({})), "token").await.unwrap();
    let found = kind.find(&cx, &zone(&json!({}))).await.unwrap().unwrap();
    assert_eq!(found["id"], ours["id"], "ours comes first");
}
