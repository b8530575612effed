//! OpenID Connect providers.

use serde_json::{Value, json};

use super::{arn, done, exists, tags};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateOpenIDConnectProvider" => create(cx),
        "GetOpenIDConnectProvider" => get(cx),
        "ListOpenIDConnectProviders" => list_all(cx),
        "DeleteOpenIDConnectProvider" => delete(cx),
        "AddClientIDToOpenIDConnectProvider" => add_client(cx),
        "RemoveClientIDFromOpenIDConnectProvider" => remove_client(cx),
        "UpdateOpenIDConnectProviderThumbprint" => thumbprints(cx),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let url = cx.p.req("Url")?;
    let Some(host) = url.strip_prefix("https://").filter(|host| !host.is_empty()) else {
        return Err(ApiError::new("ValidationError", "Invalid Open ID Connect Provider URL"));
    };
    let host = host.trim_end_matches('/').to_owned();
    let arn = arn(cx, &format!("oidc-provider/{host}"));
    if cx.tx.get("/iam.oidc", &arn).is_some() {
        return Err(exists(format!("Provider with url https://{host} already exists.")));
    }
    let prints = checked_prints(cx)?;
    let tag_list = tags::given(cx)?;
    let provider = json!({
        "Url": host,
        "ClientIDList": cx.p.list("ClientIDList"),
        "ThumbprintList": prints,
        "CreateDate": cx.clock().iso_now(),
        "Tags": tag_list,
    });
    cx.tx.put("/iam.oidc", &arn, provider);
    cx.query(&json!({"OpenIDConnectProviderArn": arn, "Tags": tag_list}))
}

fn checked_prints(cx: &Cx<'_>) -> Result<Vec<String>, ApiError> {
    let prints = cx.p.list("ThumbprintList");
    match prints.iter().find(|p| p.len() != 40 || !p.chars().all(|c| c.is_ascii_hexdigit())) {
        Some(wrong) => {
            Err(ApiError::new("InvalidInput", format!("Thumbprint {wrong} must be exactly 40 hexadecimal characters")))
        }
        None if prints.len() > 5 => {
            Err(ApiError::new("InvalidInput", "Thumbprint list must contain fewer than 5 entries."))
        }
        None => Ok(prints),
    }
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let arn = cx.p.req("OpenIDConnectProviderArn")?;
    let found = cx.tx.get("/iam.oidc", arn).cloned();
    found.map(|provider| (arn.to_owned(), provider)).ok_or_else(|| {
        ApiError::new("NoSuchEntity", format!("OpenIDConnect Provider not found for arn {arn}")).status(404)
    })
}

fn get(cx: &mut Cx<'_>) -> Outcome {
    let (_, provider) = named(cx)?;
    cx.query(&provider)
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let all: Vec<Value> = cx.tx.scan("/iam.oidc").map(|(arn, _)| json!({"Arn": arn})).collect();
    cx.query(&json!({"OpenIDConnectProviderList": all}))
}

/// One that is not there is fine: AWS says so as well.
fn delete(cx: &mut Cx<'_>) -> Outcome {
    let arn = cx.p.req("OpenIDConnectProviderArn")?.to_owned();
    cx.tx.delete("/iam.oidc", &arn);
    done(cx)
}

fn add_client(cx: &mut Cx<'_>) -> Outcome {
    let (arn, provider) = named(cx)?;
    let client = json!(cx.p.req("ClientID")?);
    if !provider["ClientIDList"].as_array().is_some_and(|all| all.contains(&client)) {
        cx.tx.update("/iam.oidc", &arn, |p| {
            p["ClientIDList"].as_array_mut().into_iter().for_each(|c| c.push(client.clone()));
        });
    }
    done(cx)
}

fn remove_client(cx: &mut Cx<'_>) -> Outcome {
    let (arn, _) = named(cx)?;
    let client = json!(cx.p.req("ClientID")?);
    cx.tx.update("/iam.oidc", &arn, |p| {
        p["ClientIDList"].as_array_mut().into_iter().for_each(|c| c.retain(|c| *c != client));
    });
    done(cx)
}

fn thumbprints(cx: &mut Cx<'_>) -> Outcome {
    let (arn, _) = named(cx)?;
    let prints = checked_prints(cx)?;
    cx.tx.update("/iam.oidc", &arn, |provider| provider["ThumbprintList"] = json!(prints));
    done(cx)
}
