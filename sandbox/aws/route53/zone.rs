//! Hosted zones.

use serde_json::{Value, json};

use super::{ZONES, answer, change, invalid, name, page_size, record, records};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::hex_digits;

/// Id and document of the zone of a request, which may come with its prefix.
pub fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let id = cx.p.or("Id", "").rsplit('/').next().unwrap_or_default().to_owned();
    find(cx, &id).map(|doc| (id, doc))
}

/// The zone of an id.
pub fn find(cx: &Cx<'_>, id: &str) -> Result<Value, ApiError> {
    let missing = || ApiError::new("NoSuchHostedZone", format!("No hosted zone found with ID: {id}")).status(404);
    cx.tx.get(ZONES, id).cloned().ok_or_else(missing)
}

/// `CreateHostedZone`.
pub fn create(cx: &mut Cx<'_>) -> Outcome {
    let body = cx.xml_body()?;
    let given = body.or("Name", "").to_owned();
    let Some(zone_name) = name::canonical(&given).filter(|n| n.matches('.').count() > 1 && !n.starts_with("\\052"))
    else {
        return Err(ApiError::new("InvalidDomainName", format!("{given} is not a valid domain name.")));
    };
    let reference = body.or("CallerReference", "").to_owned();
    if reference.is_empty() || reference.len() > 128 {
        return Err(invalid("CallerReference must have 1 to 128 characters"));
    }
    if cx.tx.any(ZONES, |zone| zone["CallerReference"] == json!(reference)) {
        let message =
            format!("A hosted zone has already been created with the specified caller reference: {reference}");
        return Err(ApiError::new("HostedZoneAlreadyExists", message).status(409));
    }
    if cx.tx.scan(ZONES).count() >= cx.env.quota("route53", "L-4EA4796A") {
        return Err(ApiError::new("TooManyHostedZones", "Limits Exceeded: the number of hosted zones is exhausted"));
    }
    let private = body.has("VPC") || body.flag("HostedZoneConfig.PrivateZone") == Some(true);
    if private && !body.has("VPC.VPCId") {
        return Err(invalid("a private hosted zone needs a VPC"));
    }
    if let Some(vpc) = body.opt("VPC.VPCId") {
        // The VPC may be in any region; only its id is known here.
        if !vpc.starts_with("vpc-") {
            return Err(ApiError::new("InvalidVPCId", format!("The VPC ID {vpc} is not valid")));
        }
    }
    let id = format!("Z{}", hex_digits(20).to_uppercase());
    let servers = servers(&id);
    let doc = json!({
        "Id": format!("/hostedzone/{id}"),
        "Name": zone_name,
        "CallerReference": reference,
        "Config": {"Comment": body.opt("HostedZoneConfig.Comment"), "PrivateZone": private},
        "_servers": servers,
        "_vpc": body.at("VPC"),
        "_tags": [],
    });
    cx.tx.put(ZONES, &id, doc.clone());
    own_records(cx, &id, &zone_name, &servers);
    let change = change::begin(cx, body.opt("HostedZoneConfig.Comment"));
    let reply = answer(
        cx,
        201,
        json!({
            "HostedZone": shown(cx, &id, &doc),
            "ChangeInfo": change,
            "DelegationSet": (!private).then(|| json!({"NameServers": {"@NameServer": servers}})),
            "VPC": body.at("VPC"),
        }),
    )?;
    Ok(reply.with("location", format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}")))
}

/// Four name servers, always the same for one zone.
fn servers(id: &str) -> Vec<String> {
    let seed = id.bytes().fold(7_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    ["com", "net", "org", "co.uk"]
        .iter()
        .zip(0_u32..)
        .map(|(top, n)| {
            let number = (seed >> (n * 3)) % 512 + n * 512;
            format!("ns-{number}.awsdns-{:02}.{top}", number % 64)
        })
        .collect()
}

/// The two records that every zone has.
fn own_records(cx: &mut Cx<'_>, id: &str, zone_name: &str, servers: &[String]) {
    let values: Vec<String> = servers.iter().map(|server| format!("{server}.")).collect();
    let soa = format!("{}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400", servers[0]);
    for (sort, ttl, values) in [("NS", "172800", values), ("SOA", "900", vec![soa])] {
        let shown: Vec<Value> = values.iter().map(|value| json!({"Value": value})).collect();
        let doc = json!({"Name": zone_name, "Type": sort, "TTL": ttl, "ResourceRecords": {"@ResourceRecord": shown}});
        cx.tx.put(&records(id), &record::key(zone_name, sort, ""), doc);
    }
}

fn shown(cx: &Cx<'_>, id: &str, doc: &Value) -> Value {
    let mut shown = doc.clone();
    shown["ResourceRecordSetCount"] = json!(cx.tx.scan(&records(id)).count());
    shown
}

/// `GetHostedZone`.
pub fn get(cx: &mut Cx<'_>) -> Outcome {
    let (id, doc) = named(cx)?;
    let private = doc["Config"]["PrivateZone"] == json!(true);
    let vpcs = json!({"@VPC": [doc["_vpc"]]});
    answer(
        cx,
        200,
        json!({
            "HostedZone": shown(cx, &id, &doc),
            "DelegationSet": (!private).then(|| json!({"NameServers": {"@NameServer": doc["_servers"]}})),
            "VPCs": private.then_some(vpcs),
        }),
    )
}

/// `UpdateHostedZoneComment`.
pub fn comment(cx: &mut Cx<'_>) -> Outcome {
    let (id, mut doc) = named(cx)?;
    doc["Config"]["Comment"] = json!(cx.xml_body()?.opt("Comment"));
    cx.tx.put(ZONES, &id, doc.clone());
    answer(cx, 200, json!({"HostedZone": shown(cx, &id, &doc)}))
}

/// `DeleteHostedZone`.
pub fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (id, doc) = named(cx)?;
    let own = |r: &Value| r["Name"] == doc["Name"] && (r["Type"] == json!("NS") || r["Type"] == json!("SOA"));
    if cx.tx.any(&records(&id), |r| !own(r)) {
        let message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
        return Err(ApiError::new("HostedZoneNotEmpty", message));
    }
    cx.tx.delete_where(&records(&id), |_| true);
    cx.tx.delete(ZONES, &id);
    let change = change::begin(cx, None);
    answer(cx, 200, json!({"ChangeInfo": change}))
}

/// `ListHostedZones`, by id.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let size = page_size(cx, 100)?;
    let marker = cx.p.opt("marker").map(str::to_owned);
    let from = |id: &str| marker.as_deref().is_none_or(|m| id >= m);
    let mut found: Vec<(String, Value)> =
        cx.tx.scan(ZONES).filter(|(id, _)| from(id)).map(|(id, doc)| (id.clone(), doc.clone())).collect();
    let next = found.get(size).map(|(id, _)| id.clone());
    found.truncate(size);
    let zones: Vec<Value> = found.iter().map(|(id, doc)| shown(cx, id, doc)).collect();
    answer(
        cx,
        200,
        json!({
            "HostedZones": {"@HostedZone": zones}, "Marker": marker, "IsTruncated": next.is_some(), "NextMarker": next, "MaxItems": size,
        }),
    )
}

/// `ListHostedZonesByName`: in the order of names, from one on.
pub fn list_by_name(cx: &mut Cx<'_>) -> Outcome {
    let size = page_size(cx, 100)?;
    let given = cx.p.opt("dnsname").map(str::to_owned);
    let first = match &given {
        None => String::new(),
        Some(text) => {
            let wrong = || ApiError::new("InvalidDomainName", format!("{text} is not a valid domain name."));
            name::sort_key(&name::canonical(text).ok_or_else(wrong)?)
        }
    };
    let first_id = cx.p.opt("hostedzoneid").unwrap_or_default().to_owned();
    let place = |id: &str, doc: &Value| (name::sort_key(doc["Name"].as_str().unwrap_or_default()), id.to_owned());
    let mut found: Vec<(String, Value)> = cx
        .tx
        .scan(ZONES)
        .filter(|(id, doc)| place(id, doc) >= (first.clone(), first_id.clone()))
        .map(|(id, doc)| (id.clone(), doc.clone()))
        .collect();
    found.sort_by_key(|(id, doc)| place(id, doc));
    let next = found.get(size).cloned();
    found.truncate(size);
    let zones: Vec<Value> = found.iter().map(|(id, doc)| shown(cx, id, doc)).collect();
    answer(
        cx,
        200,
        json!({
            "HostedZones": {"@HostedZone": zones},
            "DNSName": given,
            "HostedZoneId": cx.p.opt("hostedzoneid"),
            "IsTruncated": next.is_some(),
            "NextDNSName": next.as_ref().map(|(_, doc)| doc["Name"].clone()),
            "NextHostedZoneId": next.as_ref().map(|(id, _)| id.clone()),
            "MaxItems": size,
        }),
    )
}
