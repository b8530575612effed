//! `aws::route53::record`.

use super::{check_name, plain_id, plain_name, record_sets};
use crate::{
    aws::{
        self,
        object::{changed, found, text},
    },
    bind::{Change, Ownership, Resource, compare},
    cx::Cx,
    error::{Error, Result},
    value::{has_unknown, revealed},
};
use async_trait::async_trait;
use aws_sdk_route53::types::{AliasTarget, ResourceRecord, ResourceRecordSet, RrType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Seconds that resolvers keep an answer where the script says nothing.
const TTL_S: i64 = 300;

/// A DNS record: what a name in a zone stands for.
///
/// Give either `values`, or an `alias` for a load balancer (which costs nothing and may stand at the zone's own name). It does
/// not wait until all of Route53's servers know it, which takes up to a minute. A record of that name and type that says
/// something else and is not in the stack's log is not touched.
///
/// # Errors
/// A zone that does not exist; a `CNAME` beside other records (`InvalidChangeBatch`).
///
/// ```rhai
/// aws::route53::record(#{
///     zone: zone.id, name: "*.gitpod.example.com", type: "A",
///     alias: #{ hostname: balancer.hostname, zone_id: balancer.zone_id },
/// });
/// aws::route53::record(#{ zone: zone.id, name: "www.example.com", type: "CNAME", ttl: 60, values: ["example.com"] });
/// ```
///
/// Stands on ListResourceRecordSets, ChangeResourceRecordSets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordArgs {
    /// Id of the zone.
    pub zone: String,
    /// The full name, with or without final dot: `*.gitpod.example.com`.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `TXT`, `MX`, `NS`, `SRV`, `CAA`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds that resolvers keep the answer, 0 to 2147483647. Default: 300. None with `alias`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// What it says; texts of `TXT` records with or without their quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// The load balancer it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
}

/// A load balancer that a record stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Its DNS name.
    pub hostname: String,
    /// The hosted zone of that name, which is AWS's own.
    pub zone_id: String,
    /// Whether Route53 asks it whether it is well. Default: false.
    #[serde(default)]
    pub evaluate_health: bool,
}

/// A record as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RecordObserved {
    /// Id of its zone.
    pub zone: String,
    /// Its name, without final dot.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds that resolvers keep the answer.
    pub ttl: Option<i64>,
    /// What it says.
    pub values: Option<Vec<String>>,
    /// The load balancer it stands for.
    pub alias: Option<Alias>,
}

/// See [`RecordArgs`].
pub struct Record;

#[async_trait]
impl Resource for Record {
    const KIND: &'static str = "aws::route53::record";
    type Args = RecordArgs;
    type Observed = RecordObserved;
    const REPLACE: &'static [&'static str] = &["zone", "name", "type"];
    const OWNERSHIP: Ownership = Ownership::Part;
    const REPEATABLE: bool = true;
    const POLL_S: u64 = 2;
    const TIMEOUT_S: u64 = 300;

    fn name(args: &Value) -> Option<String> {
        Some(format!("{}/{}", plain_name(&text(args, "name")?), text(args, "type")?))
    }

    fn validate(args: &RecordArgs) -> Result<()> {
        check_name(&args.name)?;
        let known = ["A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "CAA"];
        if !known.contains(&args.kind.as_str()) {
            return Err(Error::usage(format!("`{}` is no type of record that can be set", args.kind))
                .hint(format!("`type` is one of `{}`", known.join("`, `"))));
        }
        let filled = args.values.as_ref().is_some_and(|values| !values.is_empty());
        if filled == args.alias.is_some() {
            return Err(Error::usage(format!("record `{}` needs either `values` or `alias`", args.name)));
        }
        if args.alias.is_some() && args.ttl.is_some() {
            return Err(Error::usage(format!("record `{}` has an `alias` and so no `ttl`", args.name)));
        }
        Ok(())
    }

    async fn find(cx: &Cx, args: &RecordArgs) -> Result<Option<RecordObserved>> {
        observe(cx, &args.zone, &args.name, &args.kind).await
    }

    async fn read(cx: &Cx, last: &RecordObserved) -> Result<Option<RecordObserved>> {
        observe(cx, &last.zone, &last.name, &last.kind).await
    }

    fn diff(wanted: &Value, observed: &Value) -> Vec<Change> {
        let mut wanted = wanted.clone();
        for (field, plain) in
            [("name", &plain_name as &dyn Fn(&str) -> String), ("zone", &|id| plain_id(id).to_owned())]
        {
            if let Some(text) = wanted.get(field).map(revealed).as_ref().and_then(Value::as_str) {
                wanted[field] = Value::String(plain(text));
            }
        }
        let mut changes = compare(&wanted, observed, Self::REPLACE, &["values", "alias"]);
        let kind = wanted["type"].as_str().unwrap_or_default();
        for field in ["values", "alias"] {
            let (new, old) = (&wanted[field], &observed[field]);
            let same = !has_unknown(new) && in_one_form(kind, field, new) == in_one_form(kind, field, old);
            if !new.is_null() && !same {
                changed(&mut changes, field, old, new);
            }
        }
        changes
    }

    async fn create(cx: &Cx, args: &RecordArgs, _token: &str) -> Result<RecordObserved> {
        put(cx, args, None).await?;
        Ok(RecordObserved {
            zone: plain_id(&args.zone).to_owned(),
            name: plain_name(&args.name),
            kind: args.kind.clone(),
            ttl: args.alias.is_none().then(|| args.ttl.unwrap_or(TTL_S)),
            values: args.values.clone(),
            alias: args.alias.clone(),
        })
    }

    async fn update(cx: &Cx, args: &RecordArgs, observed: &RecordObserved, _changes: &[Change]) -> Result<()> {
        put(cx, args, observed.ttl).await
    }

    async fn delete(cx: &Cx, observed: &RecordObserved) -> Result<()> {
        let aws = aws::clients(cx).await?;
        let there = record_sets::get(aws.route53(), &observed.zone, &observed.name, &observed.kind).await;
        match found(there)?.flatten() {
            Some(set) => record_sets::remove(aws.route53(), &observed.zone, set).await,
            None => Ok(()),
        }
    }
}

/// `values` and `alias` in a form in which what says the same is equal.
fn in_one_form(kind: &str, field: &str, value: &Value) -> Option<Vec<String>> {
    let value = revealed(value);
    if field == "alias" {
        let alias: Alias = serde_json::from_value(value).ok()?;
        return Some(vec![plain_name(&alias.hostname), alias.zone_id, alias.evaluate_health.to_string()]);
    }
    let mut values: Vec<String> =
        value.as_array()?.iter().filter_map(Value::as_str).map(|value| plain_value(kind, value)).collect();
    values.sort_unstable();
    Some(values)
}

/// A value with what may be left out filled in.
fn plain_value(kind: &str, value: &str) -> String {
    match kind {
        "TXT" => sent_value(kind, value),
        "CNAME" | "NS" => plain_name(value),
        _ => value.to_owned(),
    }
}

/// A value as Route53 takes it: texts stand in quotes.
fn sent_value(kind: &str, value: &str) -> String {
    if kind == "TXT" && !value.starts_with('"') {
        return format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    value.to_owned()
}

async fn put(cx: &Cx, args: &RecordArgs, ttl_now: Option<i64>) -> Result<()> {
    let incomplete = |mistake: String| Error::failed(format!("record `{}` is incomplete", args.name)).because(mistake);
    let set = ResourceRecordSet::builder().name(&args.name).r#type(RrType::from(args.kind.as_str()));
    let set = if let Some(alias) = &args.alias {
        let target = AliasTarget::builder().hosted_zone_id(&alias.zone_id).dns_name(&alias.hostname);
        let target = target.evaluate_target_health(alias.evaluate_health).build();
        set.alias_target(target.map_err(|mistake| incomplete(mistake.to_string()))?)
    } else {
        let mut set = set.ttl(args.ttl.or(ttl_now).unwrap_or(TTL_S));
        for value in args.values.iter().flatten() {
            let record = ResourceRecord::builder().value(sent_value(&args.kind, value)).build();
            set = set.resource_records(record.map_err(|mistake| incomplete(mistake.to_string()))?);
        }
        set
    };
    let set = set.build().map_err(|mistake| incomplete(mistake.to_string()))?;
    record_sets::put(aws::clients(cx).await?.route53(), &args.zone, set).await
}

async fn observe(cx: &Cx, zone: &str, name: &str, kind: &str) -> Result<Option<RecordObserved>> {
    let aws = aws::clients(cx).await?;
    let there = found(record_sets::get(aws.route53(), zone, name, kind).await)?.flatten();
    Ok(there.map(|set| {
        let alias = set.alias_target().map(|target| Alias {
            hostname: plain_name(target.dns_name()),
            zone_id: target.hosted_zone_id().to_owned(),
            evaluate_health: target.evaluate_target_health(),
        });
        let values: Vec<String> = set.resource_records().iter().map(|record| record.value().to_owned()).collect();
        RecordObserved {
            zone: plain_id(zone).to_owned(),
            name: plain_name(set.name()),
            kind: set.r#type().as_str().to_owned(),
            ttl: set.ttl(),
            values: (!values.is_empty()).then_some(values),
            alias,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_the_same_is_no_change() {
        let there = json!({
            "zone": "Z1", "name": "*.gitpod.example.com", "type": "A",
            "alias": { "hostname": "lb.elb.amazonaws.com", "zone_id": "Z2", "evaluate_health": false },
        });
        let wanted = json!({
            "zone": "/hostedzone/Z1", "name": "*.Gitpod.example.com.", "type": "A",
            "alias": { "hostname": "LB.elb.amazonaws.com.", "zone_id": "Z2" },
        });
        assert_eq!(Record::diff(&wanted, &there), vec![]);
        let other = json!({ "type": "A", "alias": { "hostname": "other", "zone_id": "Z2" } });
        assert_eq!(Record::diff(&other, &there)[0].field, "alias");
    }

    #[test]
    fn values_compare_as_sets_and_texts_with_quotes() {
        let there = json!({ "type": "TXT", "values": ["\"b\"", "\"a\""], "ttl": 60 });
        assert_eq!(Record::diff(&json!({ "type": "TXT", "values": ["a", "b"] }), &there), vec![]);
        let there = json!({ "type": "CNAME", "values": ["example.com."], "ttl": 60 });
        assert_eq!(Record::diff(&json!({ "type": "CNAME", "values": ["example.com"] }), &there), vec![]);
        assert_eq!(Record::diff(&json!({ "type": "CNAME", "ttl": 300 }), &there)[0].field, "ttl");
    }

    #[test]
    fn a_record_says_one_thing() {
        let args = |extra: Value| -> RecordArgs {
            let mut args = json!({ "zone": "Z1", "name": "a.example.com", "type": "A" });
            for (key, value) in extra.as_object().into_iter().flatten() {
                args[key] = value.clone();
            }
            serde_json::from_value(args).unwrap()
        };
        let alias = json!({ "hostname": "h", "zone_id": "Z2" });
        assert!(Record::validate(&args(json!({ "values": ["1.2.3.4"] }))).is_ok());
        assert!(Record::validate(&args(json!({ "alias": alias }))).is_ok());
        assert!(Record::validate(&args(json!({}))).is_err());
        assert!(Record::validate(&args(json!({ "values": ["1.2.3.4"], "alias": alias }))).is_err());
        assert!(Record::validate(&args(json!({ "alias": alias, "ttl": 60 }))).is_err());
        assert!(Record::validate(&args(json!({ "values": ["x"], "type": "PTR?" }))).is_err());
    }
}
