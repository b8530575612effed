//! Changes of records: all or nothing, `PENDING` until the name servers have them.

use serde_json::{Value, json};

use super::record::{self, invalid_change, key_of, label};
use super::{CHANGES, answer, invalid, records, several, zone};
use crate::aws::http::{ApiError, Outcome};
use crate::aws::{Cx, due};
use crate::core::store::hex_digits;

/// Begins a change; returns it as Route 53 shows it.
pub fn begin(cx: &mut Cx<'_>, comment: Option<&str>) -> Value {
    let id = format!("C{}", hex_digits(20).to_uppercase());
    let mut doc = json!({
        "Id": format!("/change/{id}"), "Status": "PENDING", "SubmittedAt": cx.clock().iso_now(), "Comment": comment,
    });
    due::begin(&mut doc, cx.clock().ready_at("route53-change"), json!({"Status": "INSYNC"}));
    cx.tx.put(CHANGES, &id, doc.clone());
    doc
}

/// `GetChange`.
pub fn get(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.or("Id", "").rsplit('/').next().unwrap_or_default().to_owned();
    match cx.tx.get(CHANGES, &id).cloned() {
        Some(doc) => answer(cx, 200, json!({"ChangeInfo": doc})),
        None => {
            Err(ApiError::new("NoSuchChange", format!("A change with the specified change ID does not exist: {id}"))
                .status(404))
        }
    }
}

/// `ChangeResourceRecordSets`.
pub fn apply(cx: &mut Cx<'_>) -> Outcome {
    let (id, zone_doc) = zone::named(cx)?;
    let zone_name = zone_doc["Name"].as_str().unwrap_or_default().to_owned();
    let body = cx.xml_body()?;
    let changes = several(body.at("ChangeBatch.Changes.Change"));
    if changes.is_empty() || changes.len() > 1000 {
        return Err(invalid("a change batch has 1 to 1000 changes"));
    }
    let table = records(&id);
    let mut wrong = Vec::new();
    for change in &changes {
        let action = change["Action"].as_str().unwrap_or_default();
        let outcome = record::parse(&change["ResourceRecordSet"], &zone_name)
            .and_then(|wanted| one(cx, &table, action, wanted, &zone_name));
        wrong.extend(outcome.err());
    }
    // The transaction takes back what the good ones of a bad batch did.
    if !wrong.is_empty() {
        return Err(invalid_change(&wrong));
    }
    let comment = body.opt("ChangeBatch.Comment").map(str::to_owned);
    let change = begin(cx, comment.as_deref());
    answer(cx, 200, json!({"ChangeInfo": change}))
}

fn one(cx: &mut Cx<'_>, table: &str, action: &str, wanted: Value, zone_name: &str) -> Result<(), String> {
    let key = key_of(&wanted);
    let before = cx.tx.get(table, &key).cloned();
    let own = wanted["Name"] == json!(zone_name) && (wanted["Type"] == json!("SOA") || wanted["Type"] == json!("NS"));
    match (action, before) {
        ("CREATE", Some(_)) => {
            Err(format!("Tried to create resource record set {} but it already exists", label(&wanted)))
        }
        ("DELETE", None) => Err(format!("Tried to delete resource record set {} but it was not found", label(&wanted))),
        ("DELETE", Some(_)) if own => Err(format!(
            "A HostedZone must contain at least one NS record for the zone itself and exactly one SOA record: {}",
            label(&wanted)
        )),
        ("DELETE", Some(before)) if !same(&before, &wanted) => Err(format!(
            "Tried to delete resource record set {} but the values provided do not match the current values",
            label(&wanted)
        )),
        ("DELETE", Some(_)) => {
            cx.tx.delete(table, &key);
            Ok(())
        }
        ("CREATE" | "UPSERT", _) => {
            conflicts(cx, table, &wanted)?;
            cx.tx.put(table, &key, wanted);
            Ok(())
        }
        (other, _) => Err(format!("'{other}' is not an action: there are CREATE, UPSERT and DELETE")),
    }
}

/// A CNAME stands alone at its name; simple and identified sets do not mix.
fn conflicts(cx: &Cx<'_>, table: &str, wanted: &Value) -> Result<(), String> {
    let at_name = |r: &Value| r["Name"] == wanted["Name"] && r["Type"] != wanted["Type"];
    let is_cname = wanted["Type"] == json!("CNAME");
    if cx.tx.any(table, |r| at_name(r) && (is_cname || r["Type"] == json!("CNAME"))) {
        return Err(format!(
            "RRSet of type {} with DNS name {} is not permitted as it conflicts with other records with the same DNS name in zone",
            wanted["Type"].as_str().unwrap_or_default(),
            wanted["Name"].as_str().unwrap_or_default()
        ));
    }
    let mixes = |r: &Value| {
        r["Name"] == wanted["Name"]
            && r["Type"] == wanted["Type"]
            && r["SetIdentifier"].is_null() != wanted["SetIdentifier"].is_null()
    };
    if cx.tx.any(table, mixes) {
        return Err(format!(
            "RRSet with DNS name {} cannot be created as a non-simple and a simple set at the same time",
            wanted["Name"]
        ));
    }
    Ok(())
}

/// Whether two record sets say the same; the order of values does not count.
fn same(a: &Value, b: &Value) -> bool {
    let values = |r: &Value| -> Vec<String> {
        let all = r["ResourceRecords"]["@ResourceRecord"].as_array().into_iter().flatten();
        let mut all: Vec<String> = all.map(|r| r["Value"].to_string()).collect();
        all.sort();
        all
    };
    a["TTL"] == b["TTL"] && a["AliasTarget"] == b["AliasTarget"] && values(a) == values(b)
}
