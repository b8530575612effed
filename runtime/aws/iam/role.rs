//! `aws::iam::role`.

use super::{
    account::partition,
    attached::{self, Holder},
    check_name, document, read_tags, sent_tags,
};
use crate::{
    aws::{
        self,
        object::{absent, changed, found, gone, remember, remembered, text, touches},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Class, Error, Result},
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An IAM role: what an AWS service, a node or a service account of the cluster may do.
///
/// Use it for the control plane, the nodes and each service account that calls AWS. Its managed policies are kept exactly as
/// listed: others are detached. Inline policies are read and changed only when `inline` is set. Roles of other owners are
/// never touched.
///
/// # Errors
/// A role of that name that is not ours; a policy that does not exist; a document that IAM refuses
/// (`MalformedPolicyDocument`).
///
/// ```rhai
/// let role = aws::iam::role(#{
///     name: "gitpod-control-plane", trust: "eks.amazonaws.com", policies: ["AmazonEKSClusterPolicy"],
/// });
/// print(role.arn);
/// ```
///
/// Stands on GetRole, ListAttachedRolePolicies, CreateRole, UpdateRole, UpdateAssumeRolePolicy, AttachRolePolicy,
/// DetachRolePolicy, ListRolePolicies, GetRolePolicy, PutRolePolicy, DeleteRolePolicy, TagRole, DeleteRole.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleArgs {
    /// Name, unique in the account: 1 to 64 letters, digits and `+=,.@_-`.
    pub name: String,
    /// Who may assume it: a service (`"eks.amazonaws.com"`), or a whole trust policy as a map.
    pub trust: Value,
    /// Managed policies: names of AWS's own (`"AmazonEKSClusterPolicy"`) or ARNs.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Inline policies by name. Default: none are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<BTreeMap<String, Value>>,
    /// What it is for, up to 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Longest session in seconds, 3600 to 43200. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_s: Option<i32>,
    /// Tags besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A role as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleObserved {
    /// Its name.
    pub name: String,
    /// The trust policy, always as a document.
    pub trust: Value,
    /// ARNs of the attached policies.
    pub policies: Vec<String>,
    /// Inline policies, where they are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<BTreeMap<String, Value>>,
    /// What it is for.
    pub description: Option<String>,
    /// Longest session in seconds.
    pub max_session_s: Option<i32>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// ARN.
    pub arn: String,
    /// Stable id: `AROA…`.
    pub id: String,
}

/// See [`RoleArgs`].
pub struct Role;

#[async_trait]
impl Resource for Role {
    const KIND: &'static str = "aws::iam::role";
    type Args = RoleArgs;
    type Observed = RoleObserved;
    const REPLACE: &'static [&'static str] = &["name"];
    const FIND_BY: &'static [&'static str] = &["name"];
    const OWNERSHIP: Ownership = Ownership::Tags;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        text(args, "name")
    }

    fn validate(args: &RoleArgs) -> Result<()> {
        check_name("a role", &args.name, 64)?;
        match &args.trust {
            Value::String(service) if service.contains('.') => {}
            Value::Object(map) if map.contains_key("Statement") => {}
            _ => {
                return Err(Error::usage(format!("`trust` of role `{}` is neither a service nor a policy", args.name))
                    .hint("write `\"eks.amazonaws.com\"`, or a map with `Statement`"));
            }
        }
        if args.max_session_s.is_some_and(|s| !(3600..=43_200).contains(&s)) {
            return Err(Error::usage("`max_session_s` must be between 3600 and 43200"));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &RoleArgs) -> Result<Option<RoleObserved>> {
        observe(cx, &args.name, args.inline.is_some()).await
    }

    async fn read(cx: &Cx, last: &RoleObserved) -> Result<Option<RoleObserved>> {
        let inline = last.inline.is_some() || remembered(cx, &key(&last.name), "inline").is_some();
        observe(cx, &last.name, inline).await
    }

    fn tags(observed: &RoleObserved) -> Option<&BTreeMap<String, String>> {
        Some(&observed.tags)
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut changes = compare(wanted, observed, Self::REPLACE, &["trust", "policies", "inline"]);
        document::compare(&mut changes, "trust", &document::trust(&wanted["trust"]), &observed["trust"]);
        attached::compare(&mut changes, &wanted["policies"], &observed["policies"]);
        let Some(inline) = wanted["inline"].as_object() else { return changes };
        for (name, wanted) in inline {
            document::compare(&mut changes, &format!("inline.{name}"), wanted, &observed["inline"][name]);
        }
        let there = observed["inline"].as_object();
        for (name, old) in there.into_iter().flatten().filter(|(name, _)| !inline.contains_key(*name)) {
            changed(&mut changes, &format!("inline.{name}"), old, &Value::Null);
        }
        changes
    }

    async fn create(cx: &Cx, args: &RoleArgs, _token: &str) -> Result<RoleObserved> {
        let aws = aws::clients(cx).await?;
        let made = aws
            .iam()
            .create_role()
            .role_name(&args.name)
            .assume_role_policy_document(document::trust(&args.trust).to_string())
            .set_description(args.description.clone())
            .set_max_session_duration(args.max_session_s)
            .set_tags(Some(sent_tags(&cx.tags(&args.tags))?))
            .send()
            .await
            .map_err(unless_unseen)?;
        let role = made.role().ok_or_else(|| absent("the role"))?;
        // What is attached to it is a difference, which the engine sees next.
        Ok(RoleObserved {
            tags: cx.tags(&args.tags),
            ..observed(role, Vec::new(), args.inline.as_ref().map(|_| BTreeMap::new()))?
        })
    }

    async fn update(cx: &Cx, args: &RoleArgs, observed: &RoleObserved, changes: &[Change]) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        if touches(changes, "trust") {
            let document = document::trust(&args.trust).to_string();
            let update = iam.update_assume_role_policy().role_name(&args.name).policy_document(document);
            update.send().await.map_err(unless_unseen)?;
        }
        if touches(changes, "description") || touches(changes, "max_session_s") {
            iam.update_role()
                .role_name(&args.name)
                .set_description(args.description.clone().or_else(|| observed.description.clone()))
                .set_max_session_duration(args.max_session_s.or(observed.max_session_s))
                .send()
                .await?;
        }
        if touches(changes, "tags") {
            iam.tag_role().role_name(&args.name).set_tags(Some(sent_tags(&cx.tags(&args.tags))?)).send().await?;
        }
        if touches(changes, "policies") {
            Holder::Role(&args.name).reconcile(iam, &partition(&observed.arn), &args.policies).await?;
        }
        if touches(changes, "inline") {
            update_inline(cx, args, changes).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, observed: &RoleObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let iam = aws.iam();
        Holder::Role(&observed.name).detach_all(iam).await?;
        for policy in found(inline_names(iam, &observed.name).await)?.unwrap_or_default() {
            gone(
                iam.delete_role_policy()
                    .role_name(&observed.name)
                    .policy_name(policy)
                    .send()
                    .await
                    .map_err(Error::from),
            )?;
        }
        gone(iam.delete_role().role_name(&observed.name).send().await.map_err(Error::from))
    }
}

/// A principal that was made a moment ago is not known to all of IAM yet, which passes.
fn unless_unseen(error: impl Into<Error>) -> Error {
    let error: Error = error.into();
    let unseen = error.cause.as_deref().is_some_and(|cause| cause.contains("Invalid principal in policy"));
    if unseen { Error { class: Class::Passing, ..error } } else { error }
}

fn key(name: &str) -> String {
    format!("aws::iam::role/{name}")
}

async fn update_inline(cx: &Cx, args: &RoleArgs, changes: &[Change]) -> Result<()> {
    let aws = aws::clients(cx).await?;
    let wanted = args.inline.clone().unwrap_or_default();
    for change in changes {
        let Some(name) = change.field.strip_prefix("inline.") else { continue };
        if let Some(document) = wanted.get(name) {
            let put = aws.iam().put_role_policy().role_name(&args.name).policy_name(name);
            put.policy_document(document.to_string()).send().await?;
        } else {
            let delete = aws.iam().delete_role_policy().role_name(&args.name).policy_name(name);
            gone(delete.send().await.map_err(Error::from))?;
        }
    }
    remember(cx, &key(&args.name), "inline", Value::Bool(true));
    Ok(())
}

async fn observe(cx: &Cx, name: &str, with_inline: bool) -> Result<Option<RoleObserved>> {
    let aws = aws::clients(cx).await?;
    let iam = aws.iam();
    let answers = futures::try_join!(
        async { iam.get_role().role_name(name).send().await.map_err(Error::from) },
        Holder::Role(name).attached(iam),
        async { if with_inline { inline(iam, name).await.map(Some) } else { Ok(None) } },
    );
    let Some((answer, policies, inline)) = found(answers)? else { return Ok(None) };
    answer.role().map(|role| observed(role, policies, inline)).transpose()
}

fn observed(
    role: &aws_sdk_iam::types::Role,
    policies: Vec<String>,
    inline: Option<BTreeMap<String, Value>>,
) -> Result<RoleObserved> {
    Ok(RoleObserved {
        name: role.role_name().to_owned(),
        trust: role.assume_role_policy_document().map(document::parse).transpose()?.unwrap_or(Value::Null),
        policies,
        inline,
        description: role.description().map(str::to_owned),
        max_session_s: role.max_session_duration(),
        tags: read_tags(role.tags()),
        arn: role.arn().to_owned(),
        id: role.role_id().to_owned(),
    })
}

async fn inline_names(iam: &aws_sdk_iam::Client, role: &str) -> Result<Vec<String>> {
    Ok(iam.list_role_policies().role_name(role).into_paginator().items().send().try_collect().await?)
}

async fn inline(iam: &aws_sdk_iam::Client, role: &str) -> Result<BTreeMap<String, Value>> {
    let mut policies = BTreeMap::new();
    for name in inline_names(iam, role).await? {
        let answer = iam.get_role_policy().role_name(role).policy_name(&name).send().await?;
        policies.insert(name, document::parse(answer.policy_document())?);
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn there() -> Value {
        json!({
            "name": "r", "trust": document::service_trust("eks.amazonaws.com"),
            "policies": ["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"], "inline": { "a": { "Statement": ["x"] } },
            "tags": { "gitpod-play/stack": "s" },
        })
    }

    #[test]
    fn what_says_the_same_is_no_change() {
        let wanted = json!({
            "name": "r", "trust": "eks.amazonaws.com", "policies": ["AmazonEKSClusterPolicy"],
            "inline": { "a": { "Statement": "x" } },
        });
        assert_eq!(Role::diff(&wanted, &there()), vec![]);
    }

    #[test]
    fn inline_policies_that_nobody_wants_go() {
        let changes =
            Role::diff(&json!({ "name": "r", "trust": "ec2.amazonaws.com", "inline": { "b": {} } }), &there());
        let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["trust", "inline.b", "inline.a"]);
        assert_eq!(changes[2].new, Value::Null);
    }

    #[test]
    fn bad_arguments_are_refused() {
        let args = |name: &str, trust: Value| -> RoleArgs {
            serde_json::from_value(json!({ "name": name, "trust": trust })).unwrap()
        };
        assert!(Role::validate(&args("gitpod", json!("eks.amazonaws.com"))).is_ok());
        assert!(Role::validate(&args("git pod", json!("eks.amazonaws.com"))).is_err());
        assert!(Role::validate(&args("gitpod", json!("eks"))).is_err());
        assert!(Role::validate(&args("gitpod", json!({ "Version": "x" }))).is_err());
    }
}
