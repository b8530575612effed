//! STS: who am I, and assumed roles.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service};
use crate::core::store::hex_digits;

/// Security Token Service.
pub const SERVICE: Service = Service {
    name: "sts",
    protocol: Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/"),
    version: None,
    routes: &[],
    handle,
};

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "GetCallerIdentity" => {
            cx.query(&json!({"UserId": cx.caller.user_id, "Account": cx.account, "Arn": cx.caller.arn}))
        }
        "AssumeRole" | "AssumeRoleWithWebIdentity" => assume_role(cx),
        "GetSessionToken" => {
            let (arn, id) = (cx.caller.arn.clone(), cx.caller.user_id.clone());
            let credentials = session(cx, &arn, &id)?;
            cx.query(&json!({"Credentials": credentials}))
        }
        _ => cx.unknown_operation(),
    }
}

fn assume_role(cx: &mut Cx<'_>) -> Outcome {
    let (arn, name) = (cx.p.req("RoleArn")?.to_owned(), cx.p.req("RoleSessionName")?.to_owned());
    let account = arn.split(':').nth(4).unwrap_or_default();
    let role = arn.split_once(":role/").map(|(_, path)| path.rsplit('/').next().unwrap_or(path).to_owned());
    let Some(role) = role.filter(|r| !r.is_empty() && account.len() == 12) else {
        return Err(ApiError::new("ValidationError", format!("{arn} is invalid")));
    };
    let known = cx.tx.get("/iam.role", &role).and_then(|r| r["RoleId"].as_str().map(str::to_owned));
    let role_id = known.unwrap_or_else(|| format!("AROA{}", hex_digits(16).to_uppercase()));
    let assumed = format!("arn:aws:sts::{account}:assumed-role/{role}/{name}");
    let id = format!("{role_id}:{name}");
    let credentials = session(cx, &assumed, &id)?;
    cx.query(&json!({"Credentials": credentials, "AssumedRoleUser": {"AssumedRoleId": id, "Arn": assumed}, "PackedPolicySize": 0}))
}

/// Temporary credentials, kept so that their bearer is known.
fn session(cx: &mut Cx<'_>, arn: &str, user_id: &str) -> Result<Value, ApiError> {
    let seconds = cx.p.int("DurationSeconds")?.unwrap_or(3600);
    if !(900..=43_200).contains(&seconds) {
        let message = format!("The requested DurationSeconds {seconds} is outside 900 to 43200.");
        return Err(ApiError::new("ValidationError", message));
    }
    let key = format!("ASIA{}", hex_digits(16).to_uppercase());
    let expires_at = cx.clock().now() + seconds * 1000;
    let credentials = json!({
        "AccessKeyId": key,
        "SecretAccessKey": format!("{}{}", hex_digits(32), hex_digits(8)),
        "SessionToken": format!("IQoJb3JpZ2luX2VjE{}{}", hex_digits(32), hex_digits(32)),
        "Expiration": crate::core::clock::iso(expires_at),
    });
    let mut session = credentials.clone();
    session["Arn"] = json!(arn);
    session["UserId"] = json!(user_id);
    session["_expires_at"] = json!(expires_at);
    cx.tx.put("/sts.session", &key, session);
    Ok(credentials)
}
