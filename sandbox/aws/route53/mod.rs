//! Route 53: hosted zones, their records, and the changes that make them. The service is global.

mod change;
mod name;
mod record;
mod tags;
mod zone;

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::rest::Route;
use super::{Cx, Env, Protocol, Service, due};
use crate::core::store::Tx;

/// Where the record set of a name (with its last dot) and type is kept in the table of its zone.
pub fn record_key(name: &str, sort: &str) -> String {
    record::key(name, sort, "")
}

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// Domain name service.
pub const SERVICE: Service =
    Service { name: "route53", protocol: Protocol::RestXml(NAMESPACE), version: None, routes: ROUTES, handle };

const ZONES: &str = "/r53.zone";
const CHANGES: &str = "/r53.change";

const ROUTES: &[Route] = &[
    ("POST", "/2013-04-01/hostedzone", "CreateHostedZone"),
    ("GET", "/2013-04-01/hostedzone", "ListHostedZones"),
    ("GET", "/2013-04-01/hostedzonesbyname", "ListHostedZonesByName"),
    ("GET", "/2013-04-01/hostedzonecount", "GetHostedZoneCount"),
    ("GET", "/2013-04-01/hostedzone/{Id}", "GetHostedZone"),
    ("POST", "/2013-04-01/hostedzone/{Id}", "UpdateHostedZoneComment"),
    ("DELETE", "/2013-04-01/hostedzone/{Id}", "DeleteHostedZone"),
    ("POST", "/2013-04-01/hostedzone/{Id}/rrset", "ChangeResourceRecordSets"),
    ("GET", "/2013-04-01/hostedzone/{Id}/rrset", "ListResourceRecordSets"),
    ("GET", "/2013-04-01/hostedzone/{Id}/dnssec", "GetDNSSEC"),
    ("GET", "/2013-04-01/change/{Id}", "GetChange"),
    ("GET", "/2013-04-01/testdnsanswer", "TestDNSAnswer"),
    ("GET", "/2013-04-01/tags/{ResourceType}/{ResourceId}", "ListTagsForResource"),
    ("POST", "/2013-04-01/tags/{ResourceType}/{ResourceId}", "ChangeTagsForResource"),
    ("POST", "/2013-04-01/tags/{ResourceType}", "ListTagsForResources"),
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "CreateHostedZone" => zone::create(cx),
        "ListHostedZones" => zone::list(cx),
        "ListHostedZonesByName" => zone::list_by_name(cx),
        "GetHostedZoneCount" => {
            let count = cx.tx.scan(ZONES).count();
            answer(cx, 200, json!({"HostedZoneCount": count}))
        }
        "GetHostedZone" => zone::get(cx),
        "UpdateHostedZoneComment" => zone::comment(cx),
        "DeleteHostedZone" => zone::delete(cx),
        "GetDNSSEC" => {
            zone::named(cx)?;
            answer(cx, 200, json!({"Status": {"ServeSignature": "NOT_SIGNING"}, "KeySigningKeys": []}))
        }
        "ChangeResourceRecordSets" => change::apply(cx),
        "GetChange" => change::get(cx),
        "ListResourceRecordSets" => record::list(cx),
        "TestDNSAnswer" => record::test(cx),
        "ListTagsForResource" | "ListTagsForResources" | "ChangeTagsForResource" => tags::handle(cx),
        _ => cx.unknown_operation(),
    }
}

/// Changes become `INSYNC` when their time has come.
pub fn settle(tx: &mut Tx<'_>, env: &Env) {
    due::pass(tx, &env.clock, CHANGES);
}

/// An answer whose root is named after the operation.
fn answer(cx: &Cx<'_>, status: u16, mut members: Value) -> Outcome {
    members["$xmlns"] = json!(NAMESPACE);
    cx.xml(status, &json!({format!("{}Response", cx.op): members}))
}

/// `InvalidInput`.
fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidInput", message)
}

/// The items of a list parsed from XML, where one item is not told from a list of one.
fn several(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(all)) => all.clone(),
        Some(one) if one.is_object() || one.as_str().is_some_and(|text| !text.is_empty()) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// The table of a zone's records.
fn records(zone: &str) -> String {
    format!("/r53.record/{zone}")
}

/// How many items a page may have: `maxitems`, at most `most`.
fn page_size(cx: &Cx<'_>, most: usize) -> Result<usize, ApiError> {
    match cx.p.opt("maxitems") {
        None => Ok(most),
        Some(text) => {
            let size = text.parse::<usize>().ok().filter(|size| *size > 0);
            size.map(|size| size.min(most)).ok_or_else(|| invalid(format!("'{text}' is not a number of items")))
        }
    }
}
