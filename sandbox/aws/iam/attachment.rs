//! Policies on roles and users: attached ones and inline ones.

use serde_json::{Value, json};

use super::document::{self, Use};
use super::{Principal, ROLE, USER, done, encoded, limit, list, policy};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "AttachRolePolicy" => attach(cx, &ROLE),
        "AttachUserPolicy" => attach(cx, &USER),
        "DetachRolePolicy" => detach(cx, &ROLE),
        "DetachUserPolicy" => detach(cx, &USER),
        "ListAttachedRolePolicies" => attached(cx, &ROLE),
        "ListAttachedUserPolicies" => attached(cx, &USER),
        "PutRolePolicy" => put_inline(cx, &ROLE),
        "PutUserPolicy" => put_inline(cx, &USER),
        "GetRolePolicy" => get_inline(cx, &ROLE),
        "GetUserPolicy" => get_inline(cx, &USER),
        "DeleteRolePolicy" => delete_inline(cx, &ROLE),
        "DeleteUserPolicy" => delete_inline(cx, &USER),
        "ListRolePolicies" => list_inline(cx, &ROLE),
        "ListUserPolicies" => list_inline(cx, &USER),
        _ => return None,
    })
}

/// A role or user takes at most this many managed policies.
const POLICIES_PER_PRINCIPAL: usize = 10;

fn attach(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (name, doc) = principal.named(cx)?;
    let arn = cx.p.req("PolicyArn")?.to_owned();
    policy::find(&cx.tx, &arn)?;
    let attached = doc["_attached"].as_array().cloned().unwrap_or_default();
    if !attached.iter().any(|a| *a == *arn) {
        if attached.len() >= POLICIES_PER_PRINCIPAL {
            return Err(limit(format!("Cannot exceed quota for PoliciesPerRole: {POLICIES_PER_PRINCIPAL}")));
        }
        cx.tx.update(principal.table, &name, |doc| {
            doc["_attached"].as_array_mut().into_iter().for_each(|all| all.push(json!(arn)));
        });
    }
    done(cx)
}

fn detach(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (name, doc) = principal.named(cx)?;
    let arn = cx.p.req("PolicyArn")?.to_owned();
    if !doc["_attached"].as_array().is_some_and(|all| all.iter().any(|a| *a == *arn)) {
        return Err(ApiError::new("NoSuchEntity", format!("Policy {arn} was not found.")).status(404));
    }
    cx.tx.update(principal.table, &name, |doc| {
        doc["_attached"].as_array_mut().into_iter().for_each(|all| all.retain(|a| *a != *arn));
    });
    done(cx)
}

fn attached(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (_, doc) = principal.named(cx)?;
    let policies = doc["_attached"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let policies = policies.map(|arn| json!({"PolicyName": arn.rsplit('/').next(), "PolicyArn": arn})).collect();
    list(cx, "AttachedPolicies", policies)
}

fn put_inline(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (name, _) = principal.named(cx)?;
    let (policy, document) = (cx.p.req("PolicyName")?.to_owned(), cx.p.req("PolicyDocument")?.to_owned());
    super::check_name("policyName", &policy, 128)?;
    document::check(&document, Use::Permission)?;
    cx.tx.update(principal.table, &name, |doc| doc["_inline"][&policy] = json!(document));
    done(cx)
}

fn inline(cx: &Cx<'_>, principal: &Principal) -> Result<(String, String, Value), ApiError> {
    let (name, doc) = principal.named(cx)?;
    let policy = cx.p.req("PolicyName")?;
    if let Some(document) = doc["_inline"].get(policy) {
        Ok((name, policy.to_owned(), document.clone()))
    } else {
        let message = format!("The {} policy with name {policy} cannot be found.", principal.noun);
        Err(ApiError::new("NoSuchEntity", message).status(404))
    }
}

fn get_inline(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (name, policy, document) = inline(cx, principal)?;
    let mut answer = json!({"PolicyName": policy, "PolicyDocument": encoded(&document)});
    answer[principal.parameter] = json!(name);
    cx.query(&answer)
}

fn delete_inline(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (name, policy, _) = inline(cx, principal)?;
    cx.tx.update(principal.table, &name, |doc| {
        doc["_inline"].as_object_mut().into_iter().for_each(|all| drop(all.remove(&policy)));
    });
    done(cx)
}

fn list_inline(cx: &mut Cx<'_>, principal: &Principal) -> Outcome {
    let (_, doc) = principal.named(cx)?;
    let names = doc["_inline"].as_object().into_iter().flatten().map(|(name, _)| json!(name)).collect();
    list(cx, "PolicyNames", names)
}
