//! What principals may do: `SimulatePrincipalPolicy`, and the check of every call by an IAM user or assumed role.

use serde_json::{Value, json};

use super::document::{Decision, decide};
use super::{missing, policy, text};
use crate::aws::Cx;
use crate::aws::auth::Caller;
use crate::aws::http::Outcome;
use crate::core::store::Tx;

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    (cx.op == "SimulatePrincipalPolicy").then(|| simulate(cx))
}

/// The documents that hold for a user or role; `None` when it is not one of the account's.
fn documents(tx: &Tx<'_>, arn: &str) -> Option<Vec<String>> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let principal = if let Some((_, path)) = arn.split_once(":user/") {
        tx.get("/iam.user", &name(path))
    } else if let Some((_, path)) = arn.split_once(":assumed-role/") {
        tx.get("/iam.role", path.split('/').next().unwrap_or(path))
    } else if let Some((_, path)) = arn.split_once(":role/") {
        tx.get("/iam.role", &name(path))
    } else {
        None
    }?;
    let inline = principal["_inline"].as_object().into_iter().flatten().filter_map(|(_, d)| d.as_str());
    let mut all: Vec<String> = inline.map(str::to_owned).collect();
    for arn in principal["_attached"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let version = policy::find(tx, arn).ok().and_then(|policy| policy::version_document(&policy, None));
        all.extend(version.map(|v| text(&v, "Document").to_owned()));
    }
    Some(all)
}

/// Whether a caller may do `action` (`s3:PutObject`) on a resource (ARN). The account's own administrator may do
/// everything.
pub fn allowed(tx: &Tx<'_>, caller: &Caller, action: &str, resource: &str) -> bool {
    documents(tx, &caller.arn).is_none_or(|all| decide(&all, action, Some(resource)) == Decision::Allowed)
}

/// Whether a caller may do `action` on any resource at all: the check that every call passes.
pub fn may_call(tx: &Tx<'_>, caller: &Caller, action: &str) -> bool {
    action.starts_with("sts:Get")
        || documents(tx, &caller.arn).is_none_or(|all| decide(&all, action, None) == Decision::Allowed)
}

fn simulate(cx: &mut Cx<'_>) -> Outcome {
    let source = cx.p.req("PolicySourceArn")?;
    let documents = documents(&cx.tx, source);
    let admin = source.ends_with(":user/sandbox-admin") || source.ends_with(":root");
    if documents.is_none() && !admin {
        return Err(missing("entity", source));
    }
    let mut resources = cx.p.list("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let mut results = Vec::new();
    for action in cx.p.list("ActionNames") {
        for resource in &resources {
            // Asked about `*`, a statement for some resource does not count, as on AWS.
            let decision = documents.as_ref().map_or(Decision::Allowed, |all| decide(all, &action, Some(resource)));
            results.push(json!({
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": match decision {
                    Decision::Allowed => "allowed",
                    Decision::ImplicitDeny => "implicitDeny",
                    Decision::ExplicitDeny => "explicitDeny",
                },
                "MatchedStatements": [],
                "MissingContextValues": [],
            }));
        }
    }
    cx.query(&json!({"EvaluationResults": results, "IsTruncated": false}))
}
