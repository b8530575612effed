//! What deleting a database leaves.

use super::instance_observed::InstanceObserved;

/// One name for each database that ever was, so that a repeated delete makes no second snapshot.
pub fn last_snapshot(observed: &InstanceObserved) -> String {
    let id: String = observed.resource_id.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let id = &id[id.len().saturating_sub(12)..];
    format!("{}-final-{id}", observed.name).trim_end_matches('-').to_owned()
}

/// Its data, and what goes on costing money.
pub fn kept(observed: &InstanceObserved) -> Option<String> {
    let snapshot = (!observed.skip_final_snapshot).then(|| format!("the last snapshot `{}`", last_snapshot(observed)));
    let backups = !observed.delete_automated_backups && observed.backup_days > 0;
    let backups = backups.then(|| "the automated backups".to_owned());
    let parts: Vec<String> = snapshot.into_iter().chain(backups).collect();
    (!parts.is_empty()).then(|| format!("{} of database `{}`", parts.join(" and "), observed.name))
}

/// What has to be allowed.
pub fn loss(observed: &InstanceObserved) -> &'static str {
    if observed.skip_final_snapshot {
        "the data in it would be lost"
    } else {
        "of the data in it only a last snapshot would be left"
    }
}

#[cfg(test)]
mod tests {
    use super::{super::instance_observed::Kept, *};

    fn database(skip_final_snapshot: bool, delete_automated_backups: bool) -> InstanceObserved {
        let instance = aws_sdk_rds::types::DbInstance::builder()
            .db_instance_identifier("gitpod-instance")
            .dbi_resource_id("db-ABCDEFGHIJKLMNOP")
            .backup_retention_period(1)
            .build();
        let flags = Kept { skip_final_snapshot, delete_automated_backups, ..Kept::default() };
        super::super::instance_observed::observed(&instance, flags)
    }

    #[test]
    fn the_last_snapshot_is_named_by_what_is_never_used_twice() {
        assert_eq!(last_snapshot(&database(false, false)), "gitpod-instance-final-efghijklmnop");
    }

    #[test]
    fn what_a_delete_leaves_is_named() {
        let snapshot = "the last snapshot `gitpod-instance-final-efghijklmnop`";
        let of = "of database `gitpod-instance`";
        assert_eq!(kept(&database(false, false)), Some(format!("{snapshot} and the automated backups {of}")));
        assert_eq!(kept(&database(false, true)), Some(format!("{snapshot} {of}")));
        assert_eq!(kept(&database(true, false)), Some(format!("the automated backups {of}")));
        assert_eq!(kept(&database(true, true)), None);
        assert_eq!(loss(&database(true, true)), "the data in it would be lost");
        assert_eq!(loss(&database(false, true)), "of the data in it only a last snapshot would be left");
    }
}
