//! ACM: certificates, issued once their DNS record is in a hosted zone.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};
use crate::core::store::hex_digits;

/// Certificate Manager.
pub const SERVICE: Service = Service { name: "acm", protocol: Protocol::Json11, version: None, routes: &[], handle };

const TABLE: &str = "acm.certificate";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "RequestCertificate" => request(cx),
        "DescribeCertificate" => {
            let doc = named(cx)?;
            cx.json(&json!({"Certificate": shown(cx, doc)}))
        }
        "ListCertificates" => {
            let all: Vec<Value> = cx
                .tx
                .select(TABLE, |_| true)
                .into_iter()
                .map(|doc| shown(cx, doc))
                .map(|doc| json!({"CertificateArn": doc["CertificateArn"], "DomainName": doc["DomainName"], "Status": doc["Status"]}))
                .collect();
            let (page, next) = query::page(all, cx.p.int("MaxItems")?, cx.p.opt("NextToken"), "ValidationException")?;
            cx.json(&json!({"CertificateSummaryList": page, "NextToken": next}))
        }
        "DeleteCertificate" => {
            let doc = named(cx)?;
            cx.tx.delete(TABLE, doc["CertificateArn"].as_str().unwrap_or_default());
            cx.json(&json!({}))
        }
        "ListTagsForCertificate" => {
            let doc = named(cx)?;
            cx.json(&json!({"Tags": doc["_tags"]}))
        }
        _ => cx.unknown_operation(),
    }
}

fn named(cx: &Cx<'_>) -> Result<Value, ApiError> {
    let arn = cx.p.or("CertificateArn", "");
    let missing = || ApiError::new("ResourceNotFoundException", format!("Could not find certificate {arn}."));
    cx.tx.get(TABLE, arn).cloned().ok_or_else(missing)
}

fn request(cx: &mut Cx<'_>) -> Outcome {
    let domain = cx.p.or("DomainName", "").to_owned();
    let plain = domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-*".contains(c));
    if !domain.contains('.') || domain.len() > 253 || !plain {
        let message =
            format!("1 validation error detected: Value '{domain}' at 'domainName' failed to satisfy constraint");
        return Err(ApiError::new("ValidationException", message));
    }
    let wanted = cx.wanted_without(&["IdempotencyToken"]);
    let token = cx.p.opt("IdempotencyToken").map(str::to_owned);
    if let Some(arn) = cx.replay(token.as_deref(), &wanted, "InvalidParameterException")? {
        return cx.json(&json!({"CertificateArn": arn}));
    }
    let arn = cx.arn("acm", &format!("certificate/{}", uuid::Uuid::new_v4()));
    let mut names = vec![domain.clone()];
    names.extend(cx.p.list("SubjectAlternativeNames").into_iter().filter(|n| *n != domain));
    let options: Vec<Value> = names
        .iter()
        .map(|name| {
            let bare = name.trim_start_matches("*.");
            json!({
                "DomainName": name, "ValidationDomain": name, "ValidationMethod": "DNS",
                "ResourceRecord": {
                    "Name": format!("_{}.{bare}.", hex_digits(32)), "Type": "CNAME",
                    "Value": format!("_{}.acm-validations.aws.", hex_digits(32)),
                },
            })
        })
        .collect();
    let doc = json!({
        "CertificateArn": arn, "DomainName": domain, "SubjectAlternativeNames": names, "DomainValidationOptions": options,
        "CreatedAt": cx.clock().now() / 1000, "Type": "AMAZON_ISSUED", "KeyAlgorithm": "RSA_2048",
        "InUseBy": [], "RenewalEligibility": "INELIGIBLE", "_tags": cx.p.at("Tags").cloned().unwrap_or_else(|| json!([])),
    });
    cx.tx.put(TABLE, &arn, doc);
    cx.remember(token.as_deref(), &wanted, &arn);
    cx.json(&json!({"CertificateArn": arn}))
}

/// Issued when each name's record can be found.
fn shown(cx: &Cx<'_>, mut doc: Value) -> Value {
    let found = |record: &Value| {
        let (name, value) = (record["Name"].as_str().unwrap_or_default(), record["Value"].clone());
        let key = super::route53::record_key(name, "CNAME");
        cx.tx.scan("/r53.zone").any(|(zone, _)| {
            let set = cx.tx.get(&format!("/r53.record/{zone}"), &key);
            set.is_some_and(|set| set["ResourceRecords"]["@ResourceRecord"][0]["Value"] == value)
        })
    };
    let states: Vec<bool> =
        doc["DomainValidationOptions"].as_array().into_iter().flatten().map(|o| found(&o["ResourceRecord"])).collect();
    for (option, valid) in doc["DomainValidationOptions"].as_array_mut().into_iter().flatten().zip(&states) {
        option["ValidationStatus"] = json!(if *valid { "SUCCESS" } else { "PENDING_VALIDATION" });
    }
    doc["Status"] = json!(if states.iter().all(|valid| *valid) { "ISSUED" } else { "PENDING_VALIDATION" });
    doc
}
