//! Resource Groups Tagging: everything of a region that has tags, by its tags.

use serde_json::{Value, json};

use super::http::Outcome;
use super::{Cx, Protocol, Service, query};

/// Resource Groups Tagging API.
pub const SERVICE: Service =
    Service { name: "tagging", protocol: Protocol::Json11, version: None, routes: &[], handle };

/// EC2's tables, the member of their ids, and the sort in their ARNs.
const EC2: &[(&str, &str, &str)] = &[
    ("vpc", "vpcId", "vpc"),
    ("subnet", "subnetId", "subnet"),
    ("sg", "groupId", "security-group"),
    ("sgr", "securityGroupRuleId", "security-group-rule"),
    ("igw", "internetGatewayId", "internet-gateway"),
    ("natgw", "natGatewayId", "natgateway"),
    ("eip", "allocationId", "elastic-ip"),
    ("rtb", "routeTableId", "route-table"),
    ("lt", "launchTemplateId", "launch-template"),
    ("instance", "instanceId", "instance"),
    ("volume", "volumeId", "volume"),
    ("eni", "networkInterfaceId", "network-interface"),
    ("vpce", "vpcEndpointId", "vpc-endpoint"),
    ("image", "imageId", "image"),
];

/// Other tables: the member of the ARN, and that of the tags.
const OTHERS: &[(&str, &str, &str)] = &[
    ("eks.cluster", "arn", "tags"),
    ("eks.nodegroup", "nodegroupArn", "tags"),
    ("eks.addon", "addonArn", "tags"),
    ("rds.instance", "DBInstanceArn", "TagList"),
    ("rds.subnet-group", "DBSubnetGroupArn", "_tags"),
    ("rds.snapshot", "DBSnapshotArn", "TagList"),
    ("elbv2", "LoadBalancerArn", "_tags"),
    ("kms.key", "Arn", "_tags"),
    ("ecr.repository", "repositoryArn", "_tags"),
    ("secretsmanager.secret", "ARN", "Tags"),
    ("acm.certificate", "CertificateArn", "_tags"),
];

fn handle(cx: &mut Cx<'_>) -> Outcome {
    match cx.op.as_str() {
        "GetResources" => resources(cx),
        "GetTagKeys" => {
            let keys: std::collections::BTreeSet<String> =
                all(cx).into_iter().flat_map(|(_, tags)| tags.into_iter().map(|(key, _)| key)).collect();
            cx.json(&json!({"TagKeys": keys}))
        }
        _ => cx.unknown_operation(),
    }
}

/// Tags in any of the shapes that services keep them in.
fn pairs(tags: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    if let Some(list) = tags.as_array().or_else(|| tags["@Tag"].as_array()) {
        let either = |tag: &Value, names: [&str; 3]| {
            names.iter().find_map(|n| tag[*n].as_str().map(str::to_owned)).unwrap_or_default()
        };
        return list
            .iter()
            .map(|t| (either(t, ["key", "Key", "TagKey"]), either(t, ["value", "Value", "TagValue"])))
            .collect();
    }
    tags.as_object().into_iter().flatten().filter(|(_, v)| v.is_string()).map(|(k, v)| (k.clone(), text(v))).collect()
}

/// ARN and tags of everything that has some.
fn all(cx: &Cx<'_>) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for (table, id, sort) in EC2 {
        for (_, doc) in cx.tx.scan(table) {
            let arn = cx.arn("ec2", &format!("{sort}/{}", doc[*id].as_str().unwrap_or_default()));
            found.push((arn, pairs(&doc["tagSet"])));
        }
    }
    for (table, arn, tags) in OTHERS {
        for (_, doc) in cx.tx.scan(table) {
            found.push((doc[*arn].as_str().unwrap_or_default().to_owned(), pairs(&doc[*tags])));
        }
    }
    for (name, doc) in cx.tx.scan("elb") {
        found.push((cx.arn("elasticloadbalancing", &format!("loadbalancer/{name}")), pairs(&doc["_tags"])));
    }
    for (name, doc) in cx.tx.scan("/s3.bucket").filter(|(_, doc)| doc["Region"] == json!(cx.region)) {
        let kept = doc["config"]["tagging"].as_str().unwrap_or("<Tagging/>");
        let parsed = super::xml::parse(kept.as_bytes()).unwrap_or_default();
        let tags = match &parsed["Tagging"]["TagSet"]["Tag"] {
            Value::Array(list) => json!(list),
            Value::Null => json!([]),
            one => json!([one]),
        };
        found.push((format!("arn:aws:s3:::{name}"), pairs(&tags)));
    }
    // Services without regions keep their tags in one.
    if cx.region == "us-east-1" {
        for (id, doc) in cx.tx.scan("/r53.zone") {
            found.push((
                format!("arn:aws:route53:::hostedzone/{}", id.trim_start_matches("/hostedzone/")),
                pairs(&doc["_tags"]),
            ));
        }
    }
    found.retain(|(_, tags)| !tags.is_empty());
    found.sort();
    found
}

fn resources(cx: &mut Cx<'_>) -> Outcome {
    let filters: Vec<(String, Vec<String>)> =
        cx.p.items("TagFilters").iter().map(|f| (f.or("Key", "").to_owned(), f.list("Values"))).collect();
    let sorts = cx.p.list("ResourceTypeFilters");
    let arns = cx.p.list("ResourceARNList");
    let of_sort = |arn: &str| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let (service, resource) =
            (parts.get(2).copied().unwrap_or_default(), parts.get(5).copied().unwrap_or_default());
        sorts.is_empty()
            || sorts.iter().any(|sort| match sort.split_once(':') {
                None => service == sort,
                Some((s, kind)) => {
                    service == s
                        && (resource.starts_with(&format!("{kind}/")) || resource.starts_with(&format!("{kind}:")))
                }
            })
    };
    let fits = |tags: &[(String, String)]| {
        filters.iter().all(|(key, values)| {
            tags.iter().any(|(k, v)| k == key && (values.is_empty() || values.iter().any(|wanted| wanted == v)))
        })
    };
    let found: Vec<Value> = all(cx)
        .into_iter()
        .filter(|(arn, tags)| of_sort(arn) && fits(tags) && (arns.is_empty() || arns.contains(arn)))
        .map(|(arn, tags)| {
            let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            json!({"ResourceARN": arn, "Tags": tags})
        })
        .collect();
    let size = cx.p.int("ResourcesPerPage")?.unwrap_or(50);
    let (page, next) = query::page(found, Some(size), cx.p.opt("PaginationToken"), "PaginationTokenExpiredException")?;
    cx.json(&json!({"ResourceTagMappingList": page, "PaginationToken": next.unwrap_or_default()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_every_shape() {
        let wanted = vec![("a".to_owned(), "b".to_owned())];
        for shape in [
            json!([{"key": "a", "value": "b"}]),
            json!([{"TagKey": "a", "TagValue": "b"}]),
            json!({"@Tag": [{"Key": "a", "Value": "b"}]}),
            json!({"a": "b"}),
        ] {
            assert_eq!(pairs(&shape), wanted, "{shape}");
        }
        assert!(pairs(&Value::Null).is_empty());
    }
}
