//! Service Quotas: the limits that the other services enforce.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, query};
use crate::core::quota::{self, QUOTAS};

/// Service Quotas.
pub const SERVICE: Service =
    Service { name: "servicequotas", protocol: Protocol::Json11, version: None, routes: &[], handle };

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "GetServiceQuota" => one(cx, false),
        "GetAWSDefaultServiceQuota" => one(cx, true),
        "ListServiceQuotas" => list(cx, false),
        "ListAWSDefaultServiceQuotas" => list(cx, true),
        "ListServices" => services(cx),
        "RequestServiceQuotaIncrease" => increase(cx),
        _ => cx.unknown_operation(),
    }
}

fn shown(cx: &Cx<'_>, quota: &(&str, &str, &str, f64), default: bool) -> Value {
    let (service, code, name, common) = *quota;
    let value = if default { common } else { quota::value(&cx.env.options.quotas, service, code) };
    json!({
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": cx.arn("servicequotas", &format!("{service}/{code}")),
        "QuotaCode": code,
        "QuotaName": name,
        "Value": value,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": matches!(service, "iam" | "route53"),
    })
}

fn named(cx: &Cx<'_>) -> Result<&'static (&'static str, &'static str, &'static str, f64), ApiError> {
    let (service, code) = (cx.p.req("ServiceCode")?, cx.p.req("QuotaCode")?);
    QUOTAS.iter().find(|quota| quota.0 == service && quota.1 == code).ok_or_else(|| {
        let message = "The request failed because the specified service quota does not exist.";
        ApiError::new("NoSuchResourceException", message)
    })
}

fn one(cx: &mut Cx<'_>, default: bool) -> Outcome {
    let quota = named(cx)?;
    cx.json(&json!({"Quota": shown(cx, quota, default)}))
}

fn list(cx: &mut Cx<'_>, default: bool) -> Outcome {
    let service = cx.p.req("ServiceCode")?;
    let all: Vec<Value> = QUOTAS.iter().filter(|quota| quota.0 == service).map(|q| shown(cx, q, default)).collect();
    if all.is_empty() {
        let message = "The request failed because the specified service does not exist.";
        return Err(ApiError::new("NoSuchResourceException", message));
    }
    let (page, next) =
        query::page(all, cx.p.int("MaxResults")?, cx.p.opt("NextToken"), "InvalidPaginationTokenException")?;
    cx.json(&json!({"Quotas": page, "NextToken": next}))
}

fn services(cx: &mut Cx<'_>) -> Outcome {
    let mut codes: Vec<&str> = QUOTAS.iter().map(|quota| quota.0).collect();
    codes.dedup();
    let all: Vec<Value> = codes.iter().map(|code| json!({"ServiceCode": code, "ServiceName": code})).collect();
    cx.json(&json!({"Services": all}))
}

/// Requests are taken and stay pending: people decide about them.
fn increase(cx: &mut Cx<'_>) -> Outcome {
    let quota = named(cx)?;
    let mut request = shown(cx, quota, false);
    request["Id"] = json!(uuid::Uuid::new_v4().simple().to_string());
    request["Status"] = json!("PENDING");
    request["DesiredValue"] = cx.p.at("DesiredValue").cloned().unwrap_or_default();
    cx.json(&json!({"RequestedQuota": request}))
}
