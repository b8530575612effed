//! Users.

use serde_json::{Value, json};

use super::{USER, arn, below, conflict, done, list, path, tags, unique_id};
use crate::aws::Cx;
use crate::aws::http::Outcome;

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "CreateUser" => create(cx),
        "GetUser" => get(cx),
        "ListUsers" => list_all(cx),
        "DeleteUser" => delete(cx),
        "ListAccountAliases" => list(cx, "AccountAliases", Vec::new()),
        "ListGroupsForUser" => USER.named(cx).and_then(|_| list(cx, "Groups", Vec::new())),
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>) -> Outcome {
    let name = USER.new_name(cx)?;
    let (path, tag_list) = (path(cx)?, tags::given(cx)?);
    let user = json!({
        "Path": path,
        "UserName": name,
        "UserId": unique_id("AIDA"),
        "Arn": arn(cx, &format!("user{path}{name}")),
        "CreateDate": cx.clock().iso_now(),
        "Tags": tag_list,
        "_inline": {},
        "_attached": [],
    });
    cx.tx.put("/iam.user", &name, user.clone());
    cx.query(&json!({"User": user}))
}

/// The user that is named, or the caller.
fn get(cx: &mut Cx<'_>) -> Outcome {
    let user = match (&cx.caller.user_name, cx.p.has("UserName")) {
        (Some(name), false) => cx.tx.get("/iam.user", name).cloned().unwrap_or_default(),
        (None, false) => json!({
            "Path": "/", "UserName": "sandbox-admin", "UserId": cx.caller.user_id, "Arn": cx.caller.arn, "CreateDate": "2020-01-01T00:00:00Z",
        }),
        _ => USER.named(cx)?.1,
    };
    cx.query(&json!({"User": user}))
}

fn list_all(cx: &mut Cx<'_>) -> Outcome {
    let users: Vec<Value> =
        cx.tx.scan("/iam.user").map(|(_, user)| user.clone()).filter(|user| below(cx, user)).collect();
    list(cx, "Users", users)
}

fn delete(cx: &mut Cx<'_>) -> Outcome {
    let (name, user) = USER.named(cx)?;
    if cx.tx.any("/iam.key", |key| key["UserName"] == *name) {
        return Err(conflict("Cannot delete entity, must delete access keys first."));
    }
    if user["_attached"].as_array().is_some_and(|a| !a.is_empty()) {
        return Err(conflict("Cannot delete entity, must detach all policies first."));
    }
    if user["_inline"].as_object().is_some_and(|i| !i.is_empty()) {
        return Err(conflict("Cannot delete entity, must delete policies first."));
    }
    cx.tx.delete("/iam.user", &name);
    done(cx)
}
