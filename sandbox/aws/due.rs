//! States that end by themselves: `CREATING` becomes `ACTIVE` when its time has come.
//!
//! A document in a transient state carries `_ready_at` (unix milliseconds) and `_next`: the members that it gets at
//! that moment, or `null` when it goes. The members may hold the next `_ready_at` and `_next`, so that states chain.

use serde_json::{Value, json};

use crate::core::clock::Clock;
use crate::core::store::Tx;

/// `_next` of a document that goes away.
pub const GONE: Value = Value::Null;

/// A document whose moment has come.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Its id.
    pub id: String,
    /// How it is now; how it was last when it is gone.
    pub doc: Value,
    /// Whether it is gone.
    pub gone: bool,
}

/// Lets `doc` take over the members of `next` at `ready_at` (unix milliseconds).
pub fn begin(doc: &mut Value, ready_at: i64, next: Value) {
    doc["_ready_at"] = json!(ready_at);
    doc["_next"] = next;
}

/// Gives every document of `table` whose moment has come its next state; returns those.
pub fn pass(tx: &mut Tx<'_>, clock: &Clock, table: &str) -> Vec<Passed> {
    let is_due = |doc: &Value| doc["_ready_at"].as_i64().is_some_and(|at| clock.reached(at));
    let due: Vec<String> = tx.scan(table).filter(|(_, doc)| is_due(doc)).map(|(id, _)| id.clone()).collect();
    let mut passed = Vec::new();
    for id in due {
        let Some(before) = tx.get(table, &id).cloned() else { continue };
        let mut doc = before;
        while is_due(&doc) && !doc["_next"].is_null() {
            advance(&mut doc);
        }
        let gone = is_due(&doc);
        if gone {
            tx.delete(table, &id);
        } else {
            tx.put(table, &id, doc.clone());
        }
        passed.push(Passed { id, doc, gone });
    }
    passed
}

fn advance(doc: &mut Value) {
    let Some(members) = doc.as_object_mut() else { return };
    members.remove("_ready_at");
    let Some(Value::Object(next)) = members.remove("_next") else { return };
    for (name, value) in next {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::clock::Pace;
    use crate::core::store::Store;

    #[test]
    fn states_chain_and_things_go() {
        let (store, clock) = (Store::in_memory(), Clock::new(Pace::Max, BTreeMap::new()));
        let mut tx = store.begin("r");
        let now = clock.now();
        let mut doc = json!({"s": "creating", "x": 1});
        begin(&mut doc, now, json!({"s": "backing-up", "x": null, "_ready_at": now, "_next": {"s": "available"}}));
        tx.put("t", "a", doc);
        tx.put("t", "later", json!({"_ready_at": now + 60_000, "_next": {"s": 1}}));
        let mut going = json!({"s": "deleting"});
        begin(&mut going, now, GONE);
        tx.put("t", "b", going);
        let passed = pass(&mut tx, &clock, "t");
        assert_eq!(tx.get("t", "a"), Some(&json!({"s": "available"})));
        assert_eq!(tx.get("t", "b"), None);
        assert!(tx.get("t", "later").is_some_and(|d| d["s"].is_null()));
        assert_eq!(passed.iter().map(|p| (p.id.as_str(), p.gone)).collect::<Vec<_>>(), [("a", false), ("b", true)]);
        assert!(pass(&mut tx, &clock, "t").is_empty());
    }
}
