//! The life of a resource, as one pure table that is used live and in recovery.

use super::event::Event;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a resource is in its life. A resource that is gone has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was about to be made: it may exist or not.
    Intended,
    /// It exists and may not be usable yet.
    Created,
    /// It is usable.
    Ready,
    /// It was about to be changed: the change may have happened or not.
    Updating,
    /// It was about to be deleted: it may exist or not.
    Deleting,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 5] = [Status::Intended, Status::Created, Status::Ready, Status::Updating, Status::Deleting];
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Intended => "intended",
            Status::Created => "created",
            Status::Ready => "ready",
            Status::Updating => "updating",
            Status::Deleting => "deleting",
        })
    }
}

/// An event that cannot happen to a resource in that status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illegal {
    /// The resource.
    pub address: String,
    /// Its status; `None` when there is no such resource.
    pub status: Option<Status>,
    /// The event's name.
    pub event: &'static str,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, status, event } = self;
        match status {
            Some(status) => write!(f, "`{event}` cannot happen to `{address}`, which is {status}"),
            None => write!(f, "`{event}` cannot happen to `{address}`, which does not exist"),
        }
    }
}

/// The status after `event`. Events that are about no resource change nothing.
///
/// | event | from | to |
/// |---|---|---|
/// | intent | –, intended | intended |
/// | created | intended, created | created |
/// | ready | any | ready |
/// | updating | created, ready, updating | updating |
/// | updated | updating | ready |
/// | declared | any | the same |
/// | deleting | any | deleting |
/// | deleted, forgotten | any | – |
/// | adopted | –, intended | ready |
///
/// `ready` after `updating` or `deleting` means that the change or deletion was not carried out, or is done already, and
/// the object was found as wanted. `deleted` straight from `ready` means that someone else deleted it.
#[expect(clippy::match_same_arms, reason = "one line for each row of the table")]
pub fn next(status: Option<Status>, event: &Event) -> Result<Option<Status>, Illegal> {
    use Status::{Created, Deleting, Intended, Ready, Updating};
    let Some(address) = event.address() else { return Ok(status) };
    let after = match (event, status) {
        (Event::Intent { .. }, None | Some(Intended)) => Some(Intended),
        (Event::Created { .. }, Some(Intended | Created)) => Some(Created),
        (Event::Ready { .. }, Some(_)) => Some(Ready),
        (Event::Updating { .. }, Some(Created | Ready | Updating)) => Some(Updating),
        (Event::Updated { .. }, Some(Updating)) => Some(Ready),
        (Event::Declared { .. }, Some(same)) => Some(same),
        (Event::Deleting { .. }, Some(_)) => Some(Deleting),
        (Event::Deleted { .. } | Event::Forgotten { .. }, Some(_)) => None,
        (Event::Adopted { .. }, None | Some(Intended)) => Some(Ready),
        _ => return Err(Illegal { address: address.to_owned(), status, event: event.name() }),
    };
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn events() -> Vec<Event> {
        let address = || "k/a".to_owned();
        let text = String::new;
        vec![
            Event::Intent {
                address: address(),
                kind: text(),
                name: text(),
                step: text(),
                args: Value::Null,
                token: text(),
                protect: false,
                stateful: false,
            },
            Event::Created { address: address(), outputs: Value::Null },
            Event::Ready { address: address(), outputs: Value::Null },
            Event::Updating { address: address(), changes: vec![] },
            Event::Updated { address: address(), args: Value::Null, outputs: Value::Null },
            Event::Declared { address: address(), step: text(), args: Value::Null, protect: false },
            Event::Deleting { address: address() },
            Event::Deleted { address: address() },
            Event::Adopted {
                address: address(),
                kind: text(),
                name: text(),
                step: text(),
                args: Value::Null,
                outputs: Value::Null,
                protect: false,
                stateful: false,
            },
            Event::Forgotten { address: address() },
        ]
    }

    /// Every pair of status and event, written out a second time, so that a change of the table must be meant.
    #[test]
    fn the_table_is_as_documented() {
        const ILLEGAL: &str = "!";
        let wanted = [
            // –, intended, created, ready, updating, deleting
            ("intent", ["intended", "intended", "!", "!", "!", "!"]),
            ("created", ["!", "created", "created", "!", "!", "!"]),
            ("ready", ["!", "ready", "ready", "ready", "ready", "ready"]),
            ("updating", ["!", "!", "updating", "updating", "updating", "!"]),
            ("updated", ["!", "!", "!", "!", "ready", "!"]),
            ("declared", ["!", "intended", "created", "ready", "updating", "deleting"]),
            ("deleting", ["!", "deleting", "deleting", "deleting", "deleting", "deleting"]),
            ("deleted", ["!", "-", "-", "-", "-", "-"]),
            ("adopted", ["ready", "ready", "!", "!", "!", "!"]),
            ("forgotten", ["!", "-", "-", "-", "-", "-"]),
        ];
        let from: Vec<Option<Status>> = std::iter::once(None).chain(Status::ALL.map(Some)).collect();
        for (event, (name, row)) in events().iter().zip(wanted) {
            assert_eq!(event.name(), name);
            for (status, wanted) in from.iter().zip(row) {
                let got = match next(*status, event) {
                    Ok(Some(status)) => status.to_string(),
                    Ok(None) => "-".into(),
                    Err(illegal) => {
                        assert_eq!((illegal.event, illegal.status), (name, *status));
                        ILLEGAL.into()
                    }
                };
                assert_eq!(got, wanted, "`{name}` from {status:?}");
            }
        }
    }

    #[test]
    fn other_events_change_no_resource() {
        for status in std::iter::once(None).chain(Status::ALL.map(Some)) {
            assert_eq!(next(status, &Event::Heartbeat), Ok(status));
        }
    }

    #[test]
    fn every_status_can_end() {
        for status in Status::ALL {
            assert_eq!(next(Some(status), &Event::Deleted { address: "k/a".into() }), Ok(None));
        }
    }
}
