//! Systems Manager: parameters, one's own and the public ones that name EKS's images.

use serde_json::{Value, json};

use super::http::{ApiError, Outcome};
use super::{Cx, Protocol, Service, eks};

/// Systems Manager.
pub const SERVICE: Service = Service { name: "ssm", protocol: Protocol::Json11, version: None, routes: &[], handle };

const TABLE: &str = "ssm.parameter";

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "GetParameter" => {
            let name = cx.p.or("Name", "").to_owned();
            let found = find(cx, &name).ok_or_else(|| ApiError::new("ParameterNotFound", name))?;
            cx.json(&json!({"Parameter": found}))
        }
        "GetParameters" => {
            let (mut found, mut invalid) = (Vec::new(), Vec::new());
            for name in cx.p.list("Names") {
                match find(cx, &name) {
                    Some(parameter) => found.push(parameter),
                    None => invalid.push(name),
                }
            }
            cx.json(&json!({"Parameters": found, "InvalidParameters": invalid}))
        }
        "PutParameter" => put(cx),
        "DeleteParameter" => {
            let name = cx.p.or("Name", "").to_owned();
            cx.tx.delete(TABLE, &name).ok_or_else(|| ApiError::new("ParameterNotFound", name))?;
            cx.json(&json!({}))
        }
        _ => cx.unknown_operation(),
    }
}

fn find(cx: &Cx<'_>, name: &str) -> Option<Value> {
    cx.tx.get(TABLE, name).cloned().or_else(|| public(cx, name))
}

/// `/aws/service/eks/optimized-ami/VERSION/FAMILY/…/recommended/image_id`: the image that node groups of that
/// version are made from.
fn public(cx: &Cx<'_>, name: &str) -> Option<Value> {
    let rest = name.strip_prefix("/aws/service/eks/optimized-ami/")?;
    let (version, rest) = rest.split_once('/')?;
    let known = ["amazon-linux-2023/x86_64/standard/recommended", "amazon-linux-2/recommended"];
    let leaf = known.iter().find_map(|family| rest.strip_prefix(family))?;
    let image = eks::image_of_version(cx.env, version)?;
    let value = match leaf {
        "/image_id" => image,
        "" => json!({"image_id": image, "schema_version": "2"}).to_string(),
        _ => return None,
    };
    Some(json!({
        "Name": name, "Type": "String", "Value": value, "Version": 1, "DataType": "text",
        "ARN": format!("arn:aws:ssm:{}::parameter{name}", cx.region),
    }))
}

fn put(cx: &mut Cx<'_>) -> Outcome {
    let (name, value) = (cx.p.or("Name", "").to_owned(), cx.p.or("Value", "").to_owned());
    if name.is_empty() || value.is_empty() || name.starts_with("/aws") {
        return Err(ApiError::new(
            "ValidationException",
            "a parameter needs a value and a name that does not begin with /aws",
        ));
    }
    let before = cx.tx.get(TABLE, &name).and_then(|doc| doc["Version"].as_i64());
    if before.is_some() && cx.p.flag("Overwrite") != Some(true) {
        let message =
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
        return Err(ApiError::new("ParameterAlreadyExists", message));
    }
    let version = before.unwrap_or(0) + 1;
    let doc = json!({
        "Name": name, "Type": cx.p.or("Type", "String"), "Value": value, "Version": version, "DataType": "text",
        "LastModifiedDate": cx.clock().now() / 1000, "ARN": cx.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/'))),
    });
    cx.tx.put(TABLE, &name, doc);
    cx.json(&json!({"Version": version, "Tier": "Standard"}))
}
