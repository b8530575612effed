//! Managed policies and their versions.

use serde_json::{Value, json};

use super::document::{self, Use};
use super::{arn, check_name, conflict, done, encoded, exists, limit, list, managed, path, tags, text, unique_id};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};
use crate::core::store::Tx;

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreatePolicy" => create(cx),
        "GetPolicy" => get(cx),
        "ListPolicies" => list_all(cx),
        "DeletePolicy" => delete(cx),
        "CreatePolicyVersion" => create_version(cx),
        "GetPolicyVersion" => get_version(cx),
        "ListPolicyVersions" => list_versions(cx),
        "DeletePolicyVersion" => delete_version(cx),
        "SetDefaultPolicyVersion" => set_default(cx),
        "ListEntitiesForPolicy" => entities(cx),
        _ => return None,
    })
}

/// A policy by ARN: the account's or one of AWS's.
pub(super) fn find(tx: &Tx<'_>, arn: &str) -> Result<Value, ApiError> {
    if !arn.starts_with("arn:") {
        return Err(ApiError::new("ValidationError", format!("ARN {arn} is not valid.")));
    }
    let found = tx.get("/iam.policy", arn).cloned().or_else(|| managed::find(arn));
    found.ok_or_else(|| {
        ApiError::new("NoSuchEntity", format!("Policy {arn} does not exist or is not attachable.")).status(404)
    })
}

fn attached_to<'a>(tx: &'a Tx<'_>, table: &str, arn: &'a str) -> impl Iterator<Item = &'a Value> {
    let wears = move |doc: &&Value| doc["_attached"].as_array().is_some_and(|all| all.iter().any(|a| a == arn));
    tx.scan(table).map(|(_, doc)| doc).filter(wears)
}

/// A policy as answers show it, with the count of its attachments.
fn shown(cx: &Cx<'_>, mut policy: Value) -> Value {
    let arn = text(&policy, "Arn").to_owned();
    let count = attached_to(&cx.tx, "/iam.role", &arn).count() + attached_to(&cx.tx, "/iam.user", &arn).count();
    policy["AttachmentCount"] = json!(count);
    policy
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("PolicyName")?.to_owned();
    check_name("policyName", &name, 128)?;
    let path = path(cx)?;
    let arn = arn(cx, &format!("policy{path}{name}"));
    if cx.tx.get("/iam.policy", &arn).is_some() {
        return Err(exists(format!("A policy called {name} already exists. Duplicate names are not allowed.")));
    }
    let document = checked_document(cx)?;
    let now = cx.clock().iso_now();
    let policy = json!({
        "PolicyName": name,
        "PolicyId": unique_id("ANPA"),
        "Arn": arn,
        "Path": path,
        "DefaultVersionId": "v1",
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": cx.p.opt("Description"),
        "CreateDate": now,
        "UpdateDate": now,
        "Tags": tags::given(cx)?,
        "_versions": [{"VersionId": "v1", "Document": document, "CreateDate": now}],
        "_made": 1,
    });
    cx.tx.put("/iam.policy", &arn, policy.clone());
    cx.query(&json!({"Policy": policy}))
}

fn checked_document(cx: &Cx<'_>) -> Result<String, ApiError> {
    let document = cx.p.req("PolicyDocument")?.to_owned();
    document::check(&document, Use::Permission)?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > 6144 {
        return Err(limit("Cannot exceed quota for PolicySize: 6144".to_owned()));
    }
    Ok(document)
}

fn get(cx: &mut Cx<'_>) -> Outcome {
    let arn = cx.p.req("PolicyArn")?;
    let policy = find(&cx.tx, arn).map_err(|error| match error.status {
        404 => ApiError::new("NoSuchEntity", format!("Policy {arn} was not found.")).status(404),
        _ => error,
    })?;
    cx.query(&json!({"Policy": shown(cx, policy)}))
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let scope = cx.p.or("Scope", "All");
    let mut all = Vec::new();
    if scope != "Local" {
        all.extend(managed::all());
    }
    if scope != "AWS" {
        all.extend(cx.tx.select("/iam.policy", |_| true));
    }
    let only_attached = cx.p.flag("OnlyAttached") == Some(true);
    let policies = all
        .into_iter()
        .filter(|policy| super::below(cx, policy))
        .map(|policy| shown(cx, policy))
        .filter(|policy| !only_attached || policy["AttachmentCount"] != json!(0))
        .map(|mut policy| {
            policy.as_object_mut().into_iter().for_each(|members| drop(members.remove("Tags")));
            policy
        })
        .collect();
    list(cx, "Policies", policies)
}

/// The account's own policy that a call names; AWS's cannot be changed.
fn own(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let arn = cx.p.req("PolicyArn")?;
    let policy = find(&cx.tx, arn)?;
    if arn.starts_with("arn:aws:iam::aws:") {
        return Err(ApiError::new("AccessDenied", "Policy is owned by AWS and cannot be changed.").status(403));
    }
    Ok((arn.to_owned(), policy))
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (arn, policy) = own(cx)?;
    if shown(cx, policy.clone())["AttachmentCount"] != json!(0) {
        return Err(conflict("Cannot delete a policy attached to entities."));
    }
    if policy["_versions"].as_array().is_some_and(|v| v.len() > 1) {
        return Err(conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        ));
    }
    cx.tx.delete("/iam.policy", &arn);
    done(cx)
}

fn create_version(cx: &mut Cx<'_>) -> Outcome {
    let (arn, policy) = own(cx)?;
    let document = checked_document(cx)?;
    if policy["_versions"].as_array().is_some_and(|v| v.len() >= 5) {
        return Err(limit("A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.".to_owned()));
    }
    let number = policy["_made"].as_i64().unwrap_or(1) + 1;
    let id = format!("v{number}");
    let default = cx.p.flag("SetAsDefault") == Some(true);
    let version = json!({"VersionId": id, "Document": document, "CreateDate": cx.clock().iso_now()});
    let now = cx.clock().iso_now();
    cx.tx.update("/iam.policy", &arn, |policy| {
        policy["_made"] = json!(number);
        policy["UpdateDate"] = json!(now);
        policy["_versions"].as_array_mut().into_iter().for_each(|v| v.push(version.clone()));
        if default {
            policy["DefaultVersionId"] = json!(id);
        }
    });
    cx.query(
        &json!({"PolicyVersion": {"VersionId": id, "IsDefaultVersion": default, "CreateDate": version["CreateDate"]}}),
    )
}

/// The document of a policy's version, the default one when no id is given.
pub(super) fn version_document(policy: &Value, id: Option<&str>) -> Option<Value> {
    let id = id.unwrap_or(text(policy, "DefaultVersionId"));
    policy["_versions"].as_array()?.iter().find(|v| v["VersionId"] == *id).cloned()
}

fn get_version(cx: &mut Cx<'_>) -> Outcome {
    let (arn, id) = (cx.p.req("PolicyArn")?, cx.p.req("VersionId")?);
    let policy = find(&cx.tx, arn)?;
    let mut version = version_document(&policy, Some(id)).ok_or_else(|| {
        ApiError::new("NoSuchEntity", format!("Policy {arn} version {id} does not exist or is not attachable."))
            .status(404)
    })?;
    version["IsDefaultVersion"] = json!(policy["DefaultVersionId"] == *id);
    version["Document"] = json!(encoded(&version["Document"]));
    cx.query(&json!({"PolicyVersion": version}))
}

fn list_versions(cx: &mut Cx<'_>) -> Outcome {
    let policy = find(&cx.tx, cx.p.req("PolicyArn")?)?;
    let versions = policy["_versions"].as_array().into_iter().flatten();
    let versions = versions
        .map(|v| json!({"VersionId": v["VersionId"], "IsDefaultVersion": v["VersionId"] == policy["DefaultVersionId"], "CreateDate": v["CreateDate"]}))
        .collect();
    list(cx, "Versions", versions)
}

fn delete_version(cx: &mut Cx<'_>) -> Outcome {
    let (arn, policy) = own(cx)?;
    let id = cx.p.req("VersionId")?.to_owned();
    if policy["DefaultVersionId"] == *id {
        return Err(conflict("Cannot delete the default version of a policy."));
    }
    version_document(&policy, Some(&id)).ok_or_else(|| super::missing("policy version", &id))?;
    cx.tx.update("/iam.policy", &arn, |policy| {
        policy["_versions"].as_array_mut().into_iter().for_each(|v| v.retain(|v| v["VersionId"] != *id));
    });
    done(cx)
}

fn set_default(cx: &mut Cx<'_>) -> Outcome {
    let (arn, policy) = own(cx)?;
    let id = cx.p.req("VersionId")?.to_owned();
    version_document(&policy, Some(&id)).ok_or_else(|| super::missing("policy version", &id))?;
    cx.tx.update("/iam.policy", &arn, |policy| policy["DefaultVersionId"] = json!(id));
    done(cx)
}

fn entities(cx: &mut Cx<'_>) -> Outcome {
    let arn = cx.p.req("PolicyArn")?;
    find(&cx.tx, arn)?;
    let roles: Vec<Value> = attached_to(&cx.tx, "/iam.role", arn)
        .map(|r| json!({"RoleName": r["RoleName"], "RoleId": r["RoleId"]}))
        .collect();
    let users: Vec<Value> = attached_to(&cx.tx, "/iam.user", arn)
        .map(|u| json!({"UserName": u["UserName"], "UserId": u["UserId"]}))
        .collect();
    cx.query(&json!({"PolicyRoles": roles, "PolicyUsers": users, "PolicyGroups": [], "IsTruncated": false}))
}
