//! Record sets: checked, listed, asked for.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::{answer, invalid, name, page_size, records, several, zone};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

const TYPES: [&str; 14] =
    ["A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "TXT"];

/// Where a record set is kept: sorted by name, type and set identifier. The space sorts before all that names hold.
pub fn key(name: &str, sort: &str, set: &str) -> String {
    format!("{} {sort} {set}", name::sort_key(name))
}

/// The key of a record set.
pub fn key_of(record: &Value) -> String {
    let text = |member: &str| record[member].as_str().unwrap_or_default();
    key(text("Name"), text("Type"), text("SetIdentifier"))
}

/// How messages name a record set.
pub fn label(record: &Value) -> String {
    let text = |member: &str| record[member].as_str().unwrap_or_default();
    format!("[name='{}', type='{}']", text("Name"), text("Type"))
}

/// A record set of a request as it is kept; or what is wrong with it.
pub fn parse(given: &Value, zone_name: &str) -> Result<Value, String> {
    let text = |member: &str| given[member].as_str().unwrap_or_default();
    let Some(full) = name::canonical(text("Name")) else {
        return Err(format!(
            "FATAL problem: DomainLabelInvalid (Domain label is invalid) encountered with '{}'",
            text("Name")
        ));
    };
    let sort = text("Type");
    if !TYPES.contains(&sort) {
        return Err(format!("Invalid Resource Record: '{sort}' is not a record type"));
    }
    if !name::within(&full, zone_name) {
        return Err(format!("RRSet with DNS name {full} is not permitted in zone {zone_name}"));
    }
    if sort == "CNAME" && full == zone_name {
        return Err(format!("RRSet of type CNAME with DNS name {full} is not permitted at apex in zone {zone_name}"));
    }
    let mut record = given.clone();
    record["Name"] = json!(full);
    if given["AliasTarget"].is_object() {
        alias(given, &mut record)?;
        return Ok(record);
    }
    let values: Vec<String> = several(given["ResourceRecords"].get("ResourceRecord"))
        .iter()
        .map(|r| r["Value"].as_str().unwrap_or_default().to_owned())
        .collect();
    let ttl = text("TTL").parse::<u32>().ok().filter(|ttl| *ttl <= 2_147_483_647);
    if values.is_empty() || ttl.is_none() {
        return Err(format!(
            "Invalid request: Missing field 'ResourceRecords' or 'TTL' in Change with {}",
            label(&record)
        ));
    }
    if values.len() > 1 && ["CNAME", "SOA"].contains(&sort) {
        return Err(format!("Invalid Resource Record: {} takes one value", label(&record)));
    }
    for value in &values {
        check_value(sort, value)?;
    }
    let shown: Vec<Value> = values.iter().map(|value| json!({"Value": value})).collect();
    record["ResourceRecords"] = json!({"@ResourceRecord": shown});
    Ok(record)
}

fn alias(given: &Value, record: &mut Value) -> Result<(), String> {
    let target = &given["AliasTarget"];
    let host = target["DNSName"].as_str().and_then(name::canonical);
    let zone = target["HostedZoneId"].as_str().unwrap_or_default();
    let Some(host) = host.filter(|_| zone.starts_with('Z')) else {
        return Err(format!(
            "Invalid alias target of {}: it needs a DNS name and the zone that the name is in",
            label(record)
        ));
    };
    if !given["TTL"].is_null() || given["ResourceRecords"].is_object() {
        return Err(format!(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]], but found more than one in Change with {}",
            label(record)
        ));
    }
    if !["A", "AAAA", "CNAME", "HTTPS", "TXT", "MX", "NS", "PTR", "SRV", "CAA"]
        .contains(&record["Type"].as_str().unwrap_or_default())
    {
        return Err(format!("An alias cannot be of the type of {}", label(record)));
    }
    record["AliasTarget"] = json!({
        "HostedZoneId": zone, "DNSName": host,
        "EvaluateTargetHealth": target["EvaluateTargetHealth"].as_str().unwrap_or("false"),
    });
    Ok(())
}

fn check_value(sort: &str, value: &str) -> Result<(), String> {
    let problem = |code: &str, why: &str| {
        Err(format!("Invalid Resource Record: 'FATAL problem: {code} ({why}) encountered with '{value}''"))
    };
    match sort {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            problem("ARRDATAIllegalIPv4Address", "Value is not a valid IPv4 address")
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            problem("AAAARRDATAIllegalIPv6Address", "Value is not a valid IPv6 address")
        }
        "CNAME" | "NS" | "PTR" if name::canonical(value).is_none() => {
            problem("DomainLabelInvalid", "Value is not a valid domain name")
        }
        "TXT" | "SPF" if !(value.len() >= 2 && value.starts_with('"') && value.ends_with('"')) => {
            problem("InvalidCharacterString", "Value should be enclosed in quotation marks")
        }
        "MX" if value.split_whitespace().count() != 2 => problem("MXRRDATANotTwoFields", "Record should have 2 fields"),
        "SRV" if value.split_whitespace().count() != 4 => {
            problem("SRVRRDATANotFourFields", "Record should have 4 fields")
        }
        _ => Ok(()),
    }
}

/// `ListResourceRecordSets`, in the order of names.
pub fn list(cx: &mut Cx<'_>) -> Outcome {
    let (id, _) = zone::named(cx)?;
    let size = page_size(cx, 300)?;
    let first = match (cx.p.opt("name"), cx.p.opt("type")) {
        (None, Some(_)) => return Err(invalid("The input is not valid: a type needs a name")),
        (None, None) => String::new(),
        (Some(text), sort) => {
            let full = name::canonical(text).ok_or_else(|| invalid(format!("'{text}' is not a domain name")))?;
            key(&full, sort.unwrap_or_default(), cx.p.or("identifier", "")).trim_end_matches(' ').to_owned()
        }
    };
    let mut found: Vec<Value> = cx
        .tx
        .scan(&records(&id))
        .filter(|(key, _)| key.as_str() >= first.as_str())
        .map(|(_, doc)| doc.clone())
        .collect();
    let next = found.get(size).cloned();
    found.truncate(size);
    answer(
        cx,
        200,
        json!({
            "ResourceRecordSets": {"@ResourceRecordSet": found},
            "IsTruncated": next.is_some(),
            "NextRecordName": next.as_ref().map(|r| r["Name"].clone()),
            "NextRecordType": next.as_ref().map(|r| r["Type"].clone()),
            "NextRecordIdentifier": next.as_ref().map(|r| r["SetIdentifier"].clone()),
            "MaxItems": size,
        }),
    )
}

/// `TestDNSAnswer`: what the zone's name servers say; aliases answer with their target's name.
pub fn test(cx: &mut Cx<'_>) -> Outcome {
    let id = cx.p.or("hostedzoneid", "").rsplit('/').next().unwrap_or_default().to_owned();
    let doc: Value = zone::find(cx, &id)?;
    let (given, sort) = (cx.p.or("recordname", ""), cx.p.or("recordtype", "A").to_owned());
    let full = name::canonical(given).ok_or_else(|| invalid(format!("'{given}' is not a domain name")))?;
    let wildcard = full.split_once('.').map(|(_, rest)| format!("\\052.{rest}")).unwrap_or_default();
    let table = records(&id);
    let answers = [full.as_str(), &wildcard].into_iter().find_map(|n| {
        let sorts = [sort.as_str(), "CNAME"];
        sorts.into_iter().find_map(|s| cx.tx.get(&table, &key(n, s, "")).cloned())
    });
    let values: Vec<Value> = match &answers {
        Some(r) if r["AliasTarget"].is_object() => vec![r["AliasTarget"]["DNSName"].clone()],
        Some(r) => r["ResourceRecords"]["@ResourceRecord"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|r| r["Value"].clone())
            .collect(),
        None => Vec::new(),
    };
    answer(
        cx,
        200,
        json!({
            "Nameserver": doc["_servers"][0], "RecordName": full, "RecordType": sort,
            "RecordData": {"@RecordDataEntry": values},
            "ResponseCode": if answers.is_some() { "NOERROR" } else { "NXDOMAIN" }, "Protocol": "UDP",
        }),
    )
}

/// The error of a change that has something wrong.
pub fn invalid_change(messages: &[String]) -> ApiError {
    ApiError::new("InvalidChangeBatch", format!("[{}]", messages.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, sort: &str, value: &str) -> Result<Value, String> {
        let given =
            json!({"Name": name, "Type": sort, "TTL": "60", "ResourceRecords": {"ResourceRecord": {"Value": value}}});
        parse(&given, "x.org.")
    }

    #[test]
    fn values_fit_their_types() {
        assert!(record("a.x.org", "A", "1.2.3.4").is_ok());
        assert!(record("a.x.org", "A", "nope").is_err());
        assert!(record("a.x.org", "TXT", "no quotes").is_err());
        assert!(record("x.org", "CNAME", "b.example.com").unwrap_err().contains("apex"));
        assert!(record("other.org", "A", "1.2.3.4").unwrap_err().contains("not permitted in zone"));
    }

    #[test]
    fn an_alias_has_no_ttl() {
        let target = json!({"HostedZoneId": "Z1", "DNSName": "lb.example.com"});
        let alias = json!({"Name": "x.org", "Type": "A", "AliasTarget": target});
        assert_eq!(parse(&alias, "x.org.").unwrap()["AliasTarget"]["DNSName"], json!("lb.example.com."));
        let both = json!({"Name": "x.org", "Type": "A", "TTL": "60", "AliasTarget": target});
        assert!(parse(&both, "x.org.").is_err());
    }
}
