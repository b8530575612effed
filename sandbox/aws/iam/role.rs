//! Roles, their trust, and roles of services.

use serde_json::{Value, json};

use super::document::{self, Use};
use super::{ROLE, arn, below, conflict, done, encoded, list, path, tags, text, unique_id};
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateRole" => create(cx),
        "GetRole" => get(cx),
        "ListRoles" => list_all(cx),
        "UpdateRole" | "UpdateRoleDescription" => update(cx),
        "UpdateAssumeRolePolicy" => update_trust(cx),
        "DeleteRole" => delete(cx),
        "CreateServiceLinkedRole" => create_linked(cx),
        "DeleteServiceLinkedRole" => delete_linked(cx),
        "GetServiceLinkedRoleDeletionStatus" => cx.query(&json!({"Status": "SUCCEEDED"})),
        _ => return None,
    })
}

/// A role as answers show it; lists leave the tags out.
pub(super) fn shown(role: &Value, with_tags: bool) -> Value {
    let mut role = role.clone();
    role["AssumeRolePolicyDocument"] = json!(encoded(&role["AssumeRolePolicyDocument"]));
    let empty = role["Tags"].as_array().is_none_or(Vec::is_empty);
    if (!with_tags || empty)
        && let Some(members) = role.as_object_mut()
    {
        members.remove("Tags");
    }
    role
}

fn put(cx: &mut Cx<'_>, name: &str, path: &str, trust: &str, tag_list: &Value) -> Result<Value, ApiError> {
    let hours = cx.p.int("MaxSessionDuration")?.unwrap_or(3600);
    if !(3600..=43_200).contains(&hours) {
        return Err(ApiError::new("ValidationError", "MaxSessionDuration must be 3600 to 43200 seconds"));
    }
    let role = json!({
        "Path": path,
        "RoleName": name,
        "RoleId": unique_id("AROA"),
        "Arn": arn(cx, &format!("role{path}{name}")),
        "CreateDate": cx.clock().iso_now(),
        "AssumeRolePolicyDocument": trust,
        "Description": cx.p.opt("Description"),
        "MaxSessionDuration": hours,
        "PermissionsBoundary": cx.p.opt("PermissionsBoundary").map(|arn| json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn})),
        "Tags": tag_list,
        "_inline": {},
        "_attached": [],
    });
    cx.tx.put("/iam.role", name, role.clone());
    Ok(role)
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = ROLE.new_name(cx)?;
    let trust = cx.p.req("AssumeRolePolicyDocument")?.to_owned();
    document::check(&trust, Use::Trust)?;
    if cx.tx.scan("/iam.role").count() >= cx.env.quota("iam", "L-FE177D64") {
        return Err(super::limit("Cannot exceed quota for RolesPerAccount.".to_owned()));
    }
    let (path, tag_list) = (path(cx)?, tags::given(cx)?);
    let role = put(cx, &name, &path, &trust, &tag_list)?;
    cx.query(&json!({"Role": shown(&role, true)}))
}

fn get(cx: &mut Cx<'_>) -> Outcome {
    let (_, role) = ROLE.named(cx)?;
    cx.query(&json!({"Role": shown(&role, true)}))
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let roles = cx.tx.scan("/iam.role").filter(|(_, role)| below(cx, role)).map(|(_, role)| shown(role, false));
    let roles = roles.collect();
    list(cx, "Roles", roles)
}

fn update(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = ROLE.named(cx)?;
    let (description, seconds) = (cx.p.opt("Description").map(str::to_owned), cx.p.int("MaxSessionDuration")?);
    cx.tx.update("/iam.role", &name, |role| {
        if let Some(description) = description {
            role["Description"] = json!(description);
        }
        if let Some(seconds) = seconds {
            role["MaxSessionDuration"] = json!(seconds);
        }
    });
    if cx.op == "UpdateRoleDescription" {
        return get(cx);
    }
    cx.query(&json!({}))
}

fn update_trust(cx: &mut Cx<'_>) -> Outcome {
    let (name, _) = ROLE.named(cx)?;
    let trust = cx.p.req("PolicyDocument")?.to_owned();
    document::check(&trust, Use::Trust)?;
    cx.tx.update("/iam.role", &name, |role| role["AssumeRolePolicyDocument"] = json!(trust));
    done(cx)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, role) = ROLE.named(cx)?;
    if text(&role, "Path").starts_with("/aws-service-role/") {
        let message = "Cannot perform the operation on the protected role - this role is only modifiable by AWS";
        return Err(ApiError::new("UnmodifiableEntity", message));
    }
    if role["_attached"].as_array().is_some_and(|a| !a.is_empty()) {
        return Err(conflict("Cannot delete entity, must detach all policies first."));
    }
    if role["_inline"].as_object().is_some_and(|i| !i.is_empty()) {
        return Err(conflict("Cannot delete entity, must delete policies first."));
    }
    if cx.tx.any("/iam.profile", |profile| profile["_role"] == *name) {
        return Err(conflict("Cannot delete entity, must remove roles from instance profile first."));
    }
    cx.tx.delete("/iam.role", &name);
    done(cx)
}

/// Names that do not follow from the service by capitals alone.
const LINKED: &[(&str, &str)] = &[
    ("autoscaling.amazonaws.com", "AutoScaling"),
    ("eks.amazonaws.com", "AmazonEKS"),
    ("eks-nodegroup.amazonaws.com", "AmazonEKSNodegroup"),
    ("eks-fargate.amazonaws.com", "AmazonEKSForFargate"),
    ("elasticloadbalancing.amazonaws.com", "ElasticLoadBalancing"),
    ("rds.amazonaws.com", "RDS"),
    ("spot.amazonaws.com", "EC2Spot"),
    ("ec2.amazonaws.com", "EC2"),
];

fn create_linked(cx: &mut Cx<'_>) -> Outcome {
    let service = cx.p.req("AWSServiceName")?.to_owned();
    let Some((_, short)) = LINKED.iter().find(|(known, _)| *known == service) else {
        let message = format!("The specified value for service name is invalid: {service}");
        return Err(ApiError::new("InvalidInput", message));
    };
    let suffix = cx.p.opt("CustomSuffix").map(|s| format!("_{s}")).unwrap_or_default();
    let name = format!("AWSServiceRoleFor{short}{suffix}");
    if cx.tx.get("/iam.role", &name).is_some() {
        let message =
            format!("Service role name {name} has been taken in this account, please try a different suffix.");
        return Err(ApiError::new("InvalidInput", message));
    }
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
    let role = put(cx, &name, &format!("/aws-service-role/{service}/"), &trust.to_string(), &json!([]))?;
    cx.query(&json!({"Role": shown(&role, true)}))
}

fn delete_linked(cx: &mut Cx<'_>) -> Outcome {
    let (name, role) = ROLE.named(cx)?;
    cx.tx.delete("/iam.role", &name);
    let task = format!("task{}{name}/{}", text(&role, "Path"), uuid::Uuid::new_v4());
    cx.query(&json!({"DeletionTaskId": task}))
}
