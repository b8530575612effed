//! EC2: networks, images, launch templates, and the instances of node groups. One file per family of resources.

mod address;
mod catalogue;
mod cidr;
mod describe;
mod endpoint;
mod image;
mod instance;
mod interface;
mod internet_gateway;
mod launch_template;
mod nat_gateway;
mod route_table;
mod security_group;
mod security_group_rule;
mod subnet;
mod tags;
mod volume;
mod vpc;

pub use address::public_ip;
pub use catalogue::{instance_type_exists, zones};
pub use cidr::Cidr;
pub use describe::{Kind, find};
pub(crate) use instance::end as end_instance;
pub use interface::{delete_interface, interface_in, new_interface};
pub use launch_template::version_data;
pub use security_group::{Owner, create_group, group_for_service, group_in, remove_group};
pub use security_group_rule::allow_port_in;
pub use volume::new_volume;

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service};
use crate::core::clock::Clock;
use crate::core::store::Tx;

/// Elastic Compute Cloud.
pub const SERVICE: Service = Service { name: "ec2", protocol: Protocol::Ec2, version: None, routes: &[], handle };

/// Answers an operation of one family; `None` when it belongs to another.
type Family = fn(&mut Cx<'_>) -> Option<Outcome>;

const FAMILIES: &[Family] = &[
    vpc::family,
    subnet::family,
    internet_gateway::family,
    address::family,
    nat_gateway::family,
    route_table::family,
    security_group::family,
    security_group_rule::family,
    image::family,
    launch_template::family,
    catalogue::family,
    instance::family,
    endpoint::family,
    interface::family,
    volume::family,
    tags::family,
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    FAMILIES.iter().find_map(|family| family(cx)).unwrap_or_else(|| cx.unknown_operation())
}

/// Tables whose documents may be in a transient state.
const TRANSIENT: &[&str] = &["vpc", "natgw", "vpce", "image", "instance", "volume"];

/// Ends the transient states that are over: a document with `_ready_at` takes over the members of `_next`, or goes
/// when that is `null`.
pub fn settle(tx: &mut Tx<'_>, clock: &Clock) {
    let now = clock.now();
    for table in TRANSIENT {
        let due = |doc: &Value| doc["_ready_at"].as_i64().is_some_and(|at| at <= now);
        let ids: Vec<String> = tx.scan(table).filter(|(_, doc)| due(doc)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let next = tx.get(table, &id).map(|doc| doc["_next"].clone()).unwrap_or_default();
            if *table == "natgw" && next["state"] == json!("deleted") {
                nat_gateway::let_go(tx, &id);
            }
            let Value::Object(next) = next else {
                tx.delete(table, &id);
                continue;
            };
            tx.update(table, &id, |doc| {
                if let Some(members) = doc.as_object_mut() {
                    members.remove("_ready_at");
                    members.remove("_next");
                    members.extend(next);
                }
            });
        }
    }
}

/// `InvalidParameterValue` in EC2's words.
fn invalid(parameter: &str, value: &str, why: &str) -> ApiError {
    ApiError::new("InvalidParameterValue", format!("Value ({value}) for parameter {parameter} is invalid. {why}"))
}

/// `DependencyViolation` in EC2's words.
fn in_use(what: &str, id: &str) -> ApiError {
    let message = format!("The {what} '{id}' has dependencies and cannot be deleted.");
    ApiError::new("DependencyViolation", message)
}

/// The text member `name` of a document; empty when there is none.
pub fn text<'a>(doc: &'a Value, name: &str) -> &'a str {
    doc[name].as_str().unwrap_or_default()
}
