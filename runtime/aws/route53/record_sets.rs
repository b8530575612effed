//! Record sets as Route53 holds them: looking one up, putting one in, taking them out.

use super::plain_name;
use crate::error::{Class, Error, Result};
use aws_sdk_route53::{
    Client,
    types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType},
};

/// Most changes in one call.
const BATCH: usize = 500;

/// The set of this name and kind.
pub async fn get(r53: &Client, zone: &str, name: &str, kind: &str) -> Result<Option<ResourceRecordSet>> {
    let list = r53.list_resource_record_sets().hosted_zone_id(zone).start_record_name(name);
    let answer = list.start_record_type(RrType::from(kind)).max_items(1).send().await?;
    let fits = |set: &ResourceRecordSet| plain_name(set.name()) == plain_name(name) && set.r#type().as_str() == kind;
    Ok(answer.resource_record_sets.into_iter().find(fits))
}

/// Puts `set` in the place of what has its name and kind.
pub async fn put(r53: &Client, zone: &str, set: ResourceRecordSet) -> Result<()> {
    change(r53, zone, ChangeAction::Upsert, vec![set]).await
}

/// Takes `set` out; it must be as it was read.
pub async fn remove(r53: &Client, zone: &str, set: ResourceRecordSet) -> Result<()> {
    match change(r53, zone, ChangeAction::Delete, vec![set]).await {
        // Someone else was faster.
        Err(error) if error.code.as_deref() == Some("InvalidChangeBatch") && says_not_found(&error) => Ok(()),
        other => other,
    }
}

fn says_not_found(error: &Error) -> bool {
    error.cause.as_deref().is_some_and(|cause| cause.contains("not found"))
}

/// Takes everything out of the zone of the domain `domain` but what Route53 itself put there.
pub async fn empty(r53: &Client, zone: &str, domain: &str) -> Result<()> {
    loop {
        let answer = r53.list_resource_record_sets().hosted_zone_id(zone).send().await?;
        let sets: Vec<ResourceRecordSet> =
            answer.resource_record_sets.into_iter().filter(|set| !belongs(set, domain)).collect();
        if sets.is_empty() {
            if answer.is_truncated {
                return Err(Error::failed(format!("the records of `{domain}` cannot be listed to their end")));
            }
            return Ok(());
        }
        for batch in sets.chunks(BATCH) {
            change(r53, zone, ChangeAction::Delete, batch.to_vec()).await?;
        }
    }
}

/// Every zone's own two sets.
fn belongs(set: &ResourceRecordSet, domain: &str) -> bool {
    plain_name(set.name()) == plain_name(domain) && matches!(set.r#type(), RrType::Ns | RrType::Soa)
}

async fn change(r53: &Client, zone: &str, action: ChangeAction, sets: Vec<ResourceRecordSet>) -> Result<()> {
    let incomplete = |mistake: String| Error::new(Class::Failed, "a change of records is incomplete").because(mistake);
    let mut changes = Vec::with_capacity(sets.len());
    for set in sets {
        let change = Change::builder().action(action.clone()).resource_record_set(set).build();
        changes.push(change.map_err(|mistake| incomplete(mistake.to_string()))?);
    }
    let batch = ChangeBatch::builder().set_changes(Some(changes)).build().map_err(|m| incomplete(m.to_string()))?;
    r53.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await?;
    Ok(())
}
