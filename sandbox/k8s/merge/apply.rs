//! Server-side apply.

use serde_json::Value;

use super::{
    fields::{FieldPath, FieldSet, fields, human, key_of, owned_part, remove_at, value_at},
    managers::{Account, Manager, managers, store_managers},
    schema::{Place, child, item},
};

/// A field that another manager owns and that the applied object would change.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it, as the real server words it: `"NAME"`, and for an ordinary write `using VERSION`.
    pub owner: String,
    /// The field, as a person writes it.
    pub field: String,
}

/// Merges `applied` into `live`: maps by name, lists by key, sets by value, the rest replaced.
fn merge(live: &mut Value, applied: &Value, place: &Place) {
    let node = place.as_deref();
    match (&mut *live, applied) {
        (Value::Object(live), Value::Object(applied)) if !node.is_some_and(|n| n.atomic) => {
            for (name, value) in applied {
                match live.get_mut(name) {
                    Some(found) => merge(found, value, &child(place, name)),
                    None => {
                        live.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(live), Value::Array(applied)) if node.is_some_and(|n| !n.keys.is_empty()) => {
            let keys = node.map_or(&[][..], |n| &n.keys);
            for entry in applied {
                let key = key_of(entry, keys);
                match live.iter_mut().find(|x| key_of(x, keys) == key) {
                    Some(found) => merge(found, entry, &item(place)),
                    None => live.push(entry.clone()),
                }
            }
        }
        (Value::Array(live), Value::Array(applied)) if node.is_some_and(|n| n.set) => {
            for entry in applied {
                if !live.contains(entry) {
                    live.push(entry.clone());
                }
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}

fn owner(manager: &Manager) -> String {
    let mut words = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        words = format!("{words} with subresource {:?}", manager.subresource);
    }
    if manager.operation == "Update" {
        words = format!("{words} using {}", manager.api_version);
    }
    words
}

fn conflicts<'a>(
    live: &Value,
    part: &Value,
    wanted: &'a FieldSet,
    others: &[&Manager],
) -> Vec<(Conflict, &'a FieldPath)> {
    let mut found = Vec::new();
    for other in others {
        for path in wanted {
            let whole_item = path.last().is_some_and(|e| e.starts_with("k:"));
            if whole_item || !other.set.contains(path) {
                continue;
            }
            if value_at(live, path) != value_at(part, path) {
                let conflict = Conflict { owner: owner(other), field: human(path) };
                found.push((conflict, path));
            }
        }
    }
    found
}

fn holds(set: &FieldSet, path: &FieldPath) -> bool {
    set.range(path.clone()..).next().is_some_and(|next| next.starts_with(path))
}

/// Cuts from `out` what the manager applied before, does not apply now, and nobody else holds.
fn prune(out: &mut Value, before: &FieldSet, now: &FieldSet, others: &[&Manager]) {
    let mut gone: Vec<&FieldPath> = before.difference(now).collect();
    // Whole list items first: once an item's key fields are cut, nothing finds it any more.
    gone.sort_by_key(|p| p.len());
    let mut cut: Vec<&FieldPath> = Vec::new();
    for path in gone {
        let held = holds(now, path) || others.iter().any(|m| holds(&m.set, path));
        if held || cut.iter().any(|c| path.starts_with(c)) {
            continue;
        }
        remove_at(out, path);
        cut.push(path);
    }
}

/// Applies `applied` to `live`, whose `managedFields` say who owns what.
///
/// # Errors
/// The conflicts, unless `force` takes the fields over.
pub fn apply(live: &Value, applied: &Value, account: Account, force: bool) -> Result<Value, Vec<Conflict>> {
    let Account { node, manager, subresource, has_status, now } = account;
    let part = owned_part(applied, subresource, has_status);
    let wanted = fields(&part, node);
    let (mine, mut others): (Vec<Manager>, Vec<Manager>) =
        managers(live).into_iter().partition(|m| m.is(manager, "Apply", subresource));
    let taken: Vec<FieldPath> = {
        let found = conflicts(live, &part, &wanted, &others.iter().collect::<Vec<_>>());
        if !found.is_empty() && !force {
            return Err(found.into_iter().map(|(c, _)| c).collect());
        }
        found.into_iter().map(|(_, path)| path.clone()).collect()
    };
    for other in &mut others {
        for path in &taken {
            other.set.remove(path);
        }
    }
    let mut out = live.clone();
    merge(&mut out, &part, &Some(node.clone()));
    let mine = mine.into_iter().next();
    if let Some(mine) = &mine {
        prune(&mut out, &mine.set, &wanted, &others.iter().collect::<Vec<_>>());
    }
    let api_version = applied["apiVersion"].as_str().unwrap_or("").to_owned();
    // An apply that changes nothing keeps its time, so that the object stays the same.
    let time =
        mine.filter(|m| m.set == wanted && m.api_version == api_version).map_or_else(|| now.to_owned(), |m| m.time);
    others.push(Manager {
        name: manager.to_owned(),
        operation: "Apply".to_owned(),
        subresource: subresource.to_owned(),
        api_version,
        time,
        set: wanted,
    });
    store_managers(&mut out, others);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::apply;
    use crate::k8s::merge::{managers::Account, schema::builtin};

    fn run(live: &Value, applied: &Value, manager: &str, force: bool) -> Result<Value, Vec<String>> {
        let node = builtin("apps", "v1", "Deployment");
        let account = Account { node: &node, manager, subresource: "", has_status: true, now: "t" };
        apply(live, applied, account, force).map_err(|c| c.into_iter().map(|c| c.field).collect::<Vec<_>>())
    }

    fn deployment(replicas: i64, containers: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn two_managers_share_a_list_and_each_prunes_only_its_own() {
        let base = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}});
        let first = deployment(2, &json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]));
        let live = run(&base, &first, "one", false).unwrap();
        let side = json!({"apiVersion": "apps/v1", "spec": {"template": {"spec": {"containers":
            [{"name": "side", "image": "s"}]}}}});
        let live = run(&live, &side, "two", false).unwrap();
        let live = run(&live, &deployment(2, &json!([{"name": "a", "image": "2"}])), "one", false).unwrap();
        let names: Vec<&str> = live["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "side"]);
    }

    #[test]
    fn a_conflict_is_named_and_force_takes_the_field() {
        let base = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}});
        let live = run(&base, &deployment(2, &json!([])), "one", false).unwrap();
        let other = json!({"apiVersion": "apps/v1", "spec": {"replicas": 5}});
        assert_eq!(run(&live, &other, "two", false).unwrap_err(), [".spec.replicas"]);
        let live = run(&live, &other, "two", true).unwrap();
        assert_eq!(live["spec"]["replicas"], 5);
        assert_eq!(run(&live, &other, "two", false).unwrap(), live, "applying again changes nothing");
    }
}
