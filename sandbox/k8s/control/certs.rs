//! cert-manager, for as long as its deployment runs: issuers that become ready, and certificates
//! with a real key pair in their secret.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use super::{Context, events::Level, meta, pace, terminating, with_condition};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiError, ApiResult, Key, Write},
};

/// How long a certificate is good, as Let's Encrypt has it.
const LIFE_DAYS: i64 = 90;

/// Whether cert-manager's controller runs.
fn is_installed(context: &Context) -> bool {
    let deployments = context.store().read().list("apps/deployments", "", "", "");
    deployments.iter().any(|d| {
        let controller = meta(d, "name") == "cert-manager"
            || d["metadata"]["labels"]["app.kubernetes.io/component"] == "controller"
                && d["metadata"]["labels"]["app.kubernetes.io/name"] == "cert-manager";
        controller && condition_is_true(d, "Available")
    })
}

fn ready(object: &Value, status: bool, reason: &str, message: &str) -> Value {
    let mut conditions = with_condition(object, "Ready", status, reason, message);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        condition["observedGeneration"] = object["metadata"]["generation"].clone();
    }
    conditions
}

/// Registers an issuer.
pub fn reconcile_issuer(context: &mut Context, key: &Key, issuer: &Arc<Value>) -> ApiResult<()> {
    let up_to_date = issuer["status"]["conditions"][0]["observedGeneration"] == issuer["metadata"]["generation"];
    if (condition_is_true(issuer, "Ready") && up_to_date)
        || !is_installed(context)
        || !context.elapsed(key, issuer, "register", pace::ISSUER_S)
    {
        return Ok(());
    }
    let acme = issuer["spec"]["acme"].is_object();
    let (reason, message) = if acme {
        ("ACMEAccountRegistered", "The ACME account was registered with the ACME server")
    } else {
        ("IsReady", "Signing CA verified")
    };
    let mut status = json!({"conditions": ready(issuer, true, reason, message)});
    if acme {
        let server = issuer["spec"]["acme"]["server"].as_str().unwrap_or("");
        status["acme"] = json!({"uri": format!("{server}/acct/1"),
            "lastRegisteredEmail": issuer["spec"]["acme"]["email"]});
    }
    context.set_status(key, status)
}

/// The issuer of a certificate, or what is the matter with it.
fn issuer(context: &Context, key: &Key, certificate: &Value) -> Result<Arc<Value>, String> {
    let wanted = &certificate["spec"]["issuerRef"];
    let name = wanted["name"].as_str().unwrap_or("");
    let place = if wanted["kind"] == "ClusterIssuer" {
        Key::new("cert-manager.io/clusterissuers", "", name)
    } else {
        Key::new("cert-manager.io/issuers", &key.namespace, name)
    };
    let objects = context.store().read();
    match objects.find(&place) {
        None => Err(format!("issuer \"{name}\" not found")),
        Some(found) if !condition_is_true(found, "Ready") => Err(format!("issuer \"{name}\" is not ready")),
        Some(found) => Ok(found.clone()),
    }
}

fn issue(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, first);
    }
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let ymd = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let end = today.checked_add(jiff::Span::new().days(LIFE_DAYS)).unwrap_or(today);
    params.not_before = ymd(today);
    params.not_after = ymd(end);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn names(certificate: &Value) -> Vec<String> {
    let listed = certificate["spec"]["dnsNames"].as_array().into_iter().flatten();
    let mut names: Vec<String> = listed.filter_map(|n| n.as_str().map(String::from)).collect();
    if names.is_empty() {
        names.extend(certificate["spec"]["commonName"].as_str().map(String::from));
    }
    names
}

/// Whether the secret holds a certificate for these names.
fn covers(secret: &Value, names: &[String]) -> bool {
    secret["metadata"]["annotations"]["cert-manager.io/alt-names"] == names.join(",").as_str()
        && secret["data"]["tls.crt"].as_str().is_some_and(|c| !c.is_empty())
}

/// Issues a certificate, and again when its names change or its secret goes.
pub fn reconcile(context: &mut Context, key: &Key, certificate: &Arc<Value>) -> ApiResult<()> {
    if terminating(certificate) || !is_installed(context) {
        return Ok(());
    }
    let names = names(certificate);
    let secret_name = certificate["spec"]["secretName"].as_str().unwrap_or("");
    let place = Key::new("/secrets", &key.namespace, secret_name);
    let known = context.store().read().find(&place).cloned();
    if known.as_ref().is_some_and(|s| covers(s, &names)) {
        let message = "Certificate is up to date and has not expired";
        let conditions = ready(certificate, true, "Ready", message);
        let revision = certificate["status"]["revision"].as_i64().unwrap_or(1);
        let end = known.map_or(Value::Null, |s| s["metadata"]["annotations"]["sandbox.local/not-after"].clone());
        return context.set_status(key, json!({"conditions": conditions, "revision": revision, "notAfter": end}));
    }
    let issuer = issuer(context, key, certificate);
    let (reason, message) = match &issuer {
        Err(problem) => ("DoesNotExist", problem.as_str()),
        Ok(_) => ("Issuing", "Issuing certificate as Secret does not exist or does not cover the names"),
    };
    let conditions = ready(certificate, false, reason, message);
    context.set_status(key, json!({"conditions": conditions}))?;
    let Ok(issuer) = issuer else {
        context.restart(certificate, "issue");
        return Ok(());
    };
    let over_dns = issuer["spec"]["acme"].is_object();
    let time_s = if over_dns { pace::CERTIFICATE_S } else { pace::OWN_CERTIFICATE_S };
    if !context.elapsed(key, certificate, "issue", time_s) {
        return Ok(());
    }
    context.restart(certificate, "issue");
    store_secret(context, &place, certificate, &names, known.is_some())?;
    context.event(certificate, Level::Normal, "Issuing", "The certificate has been issued");
    context.enqueue(key.clone());
    Ok(())
}

fn store_secret(context: &Context, place: &Key, certificate: &Value, names: &[String], exists: bool) -> ApiResult<()> {
    let (pem, key) = issue(names).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let end = jiff::Timestamp::now().as_second() + LIFE_DAYS * 86_400;
    let end = jiff::Timestamp::from_second(end).map(|t| t.to_string()).unwrap_or_default();
    let issuer = &certificate["spec"]["issuerRef"];
    let annotations = json!({"cert-manager.io/certificate-name": meta(certificate, "name"),
        "cert-manager.io/alt-names": names.join(","),
        "cert-manager.io/common-name": names.first(),
        "cert-manager.io/issuer-name": issuer["name"], "cert-manager.io/issuer-kind": issuer["kind"],
        "sandbox.local/not-after": end});
    let data = json!({"tls.crt": STANDARD.encode(pem), "tls.key": STANDARD.encode(key)});
    if exists {
        return context.change(place, |secret| {
            json_patch::merge(secret, &json!({"metadata": {"annotations": annotations}, "data": data}));
        });
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": place.name, "annotations": annotations}, "data": data});
    let write = Write { manager: "cert-manager-certificates-issuing".to_owned(), ..Write::simulation() };
    context.store().create(place, secret, &write).map(|_| ())
}
