//! Instance profiles.

use serde_json::{Value, json};

use super::{ROLE, arn, check_name, conflict, done, exists, limit, list, missing, path, role, tags, text, unique_id};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateInstanceProfile" => create(cx),
        "GetInstanceProfile" => get(cx),
        "ListInstanceProfiles" => list_all(cx),
        "ListInstanceProfilesForRole" => list_for_role(cx),
        "AddRoleToInstanceProfile" => add_role(cx),
        "RemoveRoleFromInstanceProfile" => remove_role(cx),
        "DeleteInstanceProfile" => delete(cx),
        _ => return None,
    })
}

fn shown(cx: &Cx<'_>, mut profile: Value) -> Value {
    let role = cx.tx.get("/iam.role", text(&profile, "_role")).map(|role| role::shown(role, false));
    profile["Roles"] = role.into_iter().collect();
    profile
}

fn named(cx: &Cx<'_>) -> Result<(String, Value), ApiError> {
    let name = cx.p.req("InstanceProfileName")?;
    let found = cx.tx.get("/iam.profile", name).cloned();
    found.map(|profile| (name.to_owned(), profile)).ok_or_else(|| missing("instance profile", name))
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = cx.p.req("InstanceProfileName")?.to_owned();
    check_name("instanceProfileName", &name, 128)?;
    if cx.tx.get("/iam.profile", &name).is_some() {
        return Err(exists(format!("Instance Profile {name} already exists.")));
    }
    let (path, tag_list) = (path(cx)?, tags::given(cx)?);
    let profile = json!({
        "Path": path,
        "InstanceProfileName": name,
        "InstanceProfileId": unique_id("AIPA"),
        "Arn": arn(cx, &format!("instance-profile{path}{name}")),
        "CreateDate": cx.clock().iso_now(),
        "Roles": [],
        "Tags": tag_list,
    });
    cx.tx.put("/iam.profile", &name, profile.clone());
    cx.query(&json!({"InstanceProfile": profile}))
}

fn get(cx: &mut Cx<'_>) -> Outcome {
    let (_, profile) = named(cx)?;
    cx.query(&json!({"InstanceProfile": shown(cx, profile)}))
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let all = cx.tx.select("/iam.profile", |profile| super::below(cx, profile));
    let all = all.into_iter().map(|profile| shown(cx, profile)).collect();
    list(cx, "InstanceProfiles", all)
}

fn list_for_role(cx: &mut Cx<'_>) -> Outcome {
    let (role, _) = ROLE.named(cx)?;
    let all = cx.tx.select("/iam.profile", |profile| profile["_role"] == *role);
    let all = all.into_iter().map(|profile| shown(cx, profile)).collect();
    list(cx, "InstanceProfiles", all)
}

fn add_role(cx: &mut Cx<'_>) -> Outcome {
    let ((name, profile), (role, _)) = (named(cx)?, ROLE.named(cx)?);
    if profile["_role"].is_string() {
        return Err(limit("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1".to_owned()));
    }
    cx.tx.update("/iam.profile", &name, |profile| profile["_role"] = json!(role));
    done(cx)
}

fn remove_role(cx: &mut Cx<'_>) -> Outcome {
    let ((name, profile), role) = (named(cx)?, cx.p.req("RoleName")?);
    if profile["_role"] != *role {
        return Err(missing("role", role));
    }
    cx.tx.update("/iam.profile", &name, |profile| profile["_role"] = Value::Null);
    done(cx)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, profile) = named(cx)?;
    if profile["_role"].is_string() {
        return Err(conflict("Cannot delete entity, must remove roles from instance profile first."));
    }
    cx.tx.delete("/iam.profile", &name);
    done(cx)
}
