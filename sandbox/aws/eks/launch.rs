//! What a node group's machines are made from: its launch template, or the request itself.

use base64::Engine;
use serde_json::{Value, json};

use super::{invalid, refused};
use crate::aws::ec2;
use crate::aws::http::ApiError;
use crate::aws::params::Params;
use crate::core::store::Tx;

/// A launch template of one version, checked for use by a managed node group.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// `lt-…`.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version, a number as text.
    pub version: String,
    /// `launchTemplateData` as EC2 shows it.
    pub data: Value,
}

impl Template {
    /// A text member of the data.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.data[member].as_str().filter(|text| !text.is_empty())
    }

    /// Security groups that the template names.
    pub fn groups(&self) -> Vec<String> {
        let texts = |value: &Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items.filter_map(|v| v.as_str().or(v["groupId"].as_str()).map(str::to_owned)).collect()
        };
        let mut groups = texts(&self.data["securityGroupIdSet"]);
        for interface in self.data["networkInterfaceSet"].as_array().into_iter().flatten() {
            groups.extend(texts(&interface["groupSet"]));
            groups.extend(texts(&interface["securityGroupIdSet"]));
        }
        groups
    }

    /// Tags that the template gives to instances.
    pub fn instance_tags(&self) -> Vec<(String, String)> {
        let specs = self.data["tagSpecificationSet"].as_array().into_iter().flatten();
        let tags = specs
            .filter(|s| s["resourceType"] == json!("instance"))
            .flat_map(|s| s["tagSet"].as_array().into_iter().flatten());
        tags.filter_map(|t| Some((t["key"].as_str()?.to_owned(), t["value"].as_str()?.to_owned()))).collect()
    }

    /// As EKS shows it.
    pub fn show(&self) -> Value {
        json!({"name": self.name, "version": self.version, "id": self.id})
    }
}

/// Finds the launch template of `wanted` (`id` or `name`, `version`).
///
/// # Errors
/// `InvalidParameterException`, `InvalidRequestException` when there is none such.
pub fn find(tx: &Tx<'_>, wanted: &Params) -> Result<Template, ApiError> {
    let (id, name) = (wanted.opt("id"), wanted.opt("name"));
    if id.is_some() == name.is_some() {
        return Err(invalid(
            "You must specify either the launch template ID or the launch template name, but not both",
        ));
    }
    let fits = |lt: &Value| match id {
        Some(id) => lt["launchTemplateId"] == json!(id),
        None => lt["launchTemplateName"] == json!(name),
    };
    let Some(lt) = tx.scan("lt").map(|(_, lt)| lt).find(|lt| fits(lt)) else {
        let which = id.or(name).unwrap_or_default();
        return Err(refused(format!("Launch template {which} not found. (Service: AmazonEC2; Status Code: 400)")));
    };
    let text = |member: &str| lt[member].as_str().unwrap_or_default().to_owned();
    let id = text("launchTemplateId");
    let (version, data) = ec2::version_data(tx, &id, wanted.or("version", "$Default")).map_err(|e| {
        refused(format!("{} (Service: AmazonEC2; Status Code: 400; Error Code: {})", e.message, e.code))
    })?;
    Ok(Template { name: text("launchTemplateName"), id, version: version.to_string(), data })
}

/// Refuses what a managed node group cannot have in its template, or both in template and request.
///
/// # Errors
/// `InvalidParameterException`.
pub fn check(template: &Template, p: &Params) -> Result<(), ApiError> {
    let data = &template.data;
    if !data["iamInstanceProfile"].is_null() {
        return Err(invalid(
            "Launch template should not specify an instance profile. The noderole in your request will be used to construct an instance profile.",
        ));
    }
    if data["instanceMarketOptions"]["marketType"] == json!("spot") {
        return Err(invalid("Launch template must not request spot instances: use capacityType instead"));
    }
    for (member, what) in
        [("hibernationOptions", "hibernation options"), ("instanceInitiatedShutdownBehavior", "a shutdown behavior")]
    {
        if !data[member].is_null() {
            return Err(invalid(format!("Launch template should not specify {what}.")));
        }
    }
    if data["networkInterfaceSet"].as_array().into_iter().flatten().any(|n| !n["subnetId"].is_null()) {
        return Err(invalid("Launch template should not specify subnets: give them with the node group."));
    }
    if p.has("diskSize") {
        return Err(invalid("Disk size must be specified within the launch template."));
    }
    if p.has("remoteAccess") {
        return Err(invalid("Remote access configuration cannot be specified with a launch template."));
    }
    if template.text("instanceType").is_some() && !p.list("instanceTypes").is_empty() {
        return Err(invalid("Instance types cannot be specified both in the launch template and in the request."));
    }
    if template.text("imageId").is_some() {
        if p.opt("amiType").is_some_and(|t| t != "CUSTOM") {
            return Err(invalid(
                "You cannot specify an AMI type other than CUSTOM, when specifying an image id in your launch template.",
            ));
        }
        if p.has("releaseVersion") || p.has("version") {
            return Err(invalid(
                "You cannot specify the field kubernetes version or releaseVersion when specifying an image id in your launch template.",
            ));
        }
    } else if p.opt("amiType") == Some("CUSTOM") {
        return Err(invalid("AMI type CUSTOM needs an image id in the launch template."));
    }
    Ok(())
}

/// Why machines of this template never join the cluster, if so: an image of one's own needs user data that runs the
/// bootstrap.
pub fn never_joins(template: &Template) -> bool {
    template.text("imageId").is_some() && template.text("userData").is_none()
}

/// Whether the security groups of the template keep machines from the control plane: its private endpoint takes only
/// who wears the cluster's own group, or whom a rule of that group lets in.
pub fn shut_out(tx: &Tx<'_>, template: &Template, cluster: &Value) -> bool {
    let vpc = &cluster["resourcesVpcConfig"];
    let (own, groups) = (&vpc["clusterSecurityGroupId"], template.groups());
    if groups.is_empty() || vpc["endpointPrivateAccess"] != json!(true) || groups.iter().any(|g| *own == json!(g)) {
        return false;
    }
    let lets_in = |rule: &Value| {
        let source = &rule["referencedGroupInfo"]["groupId"];
        rule["groupId"] == *own
            && rule["isEgress"] == json!(false)
            && (!rule["cidrIpv4"].is_null() || groups.iter().any(|g| *source == json!(g)))
    };
    !tx.any("sgr", lets_in)
}

/// Pods that fit on a machine: by its interfaces, unless the user data lifts that bound.
pub fn max_pods(instance_type: &str, image_is_custom: bool, user_data: Option<&str>) -> u32 {
    let decoded = user_data.and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
    let script = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if let Some(n) = script.split("max-pods=").nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }) {
        return n;
    }
    if script.contains("USE_MAX_PODS=false") || script.contains("use-max-pods false") {
        return 110;
    }
    if image_is_custom && !script.contains("bootstrap.sh") {
        return 110;
    }
    match instance_type.split('.').nth(1).unwrap_or_default() {
        "nano" | "micro" => 4,
        "small" => 11,
        "medium" => 17,
        "large" => 29,
        "xlarge" | "2xlarge" => 58,
        "4xlarge" | "8xlarge" | "12xlarge" => 234,
        _ => 737,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(script: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(script)
    }

    #[test]
    fn user_data_lifts_the_bound_on_pods() {
        let bootstrap = encoded("#!/bin/bash\n/etc/eks/bootstrap.sh gitpod");
        assert_eq!(max_pods("m6i.xlarge", true, Some(&bootstrap)), 58);
        let lifted = encoded("export USE_MAX_PODS=false\n/etc/eks/bootstrap.sh gitpod");
        assert_eq!(max_pods("m6i.xlarge", true, Some(&lifted)), 110);
        let told = encoded("/etc/eks/bootstrap.sh gitpod --kubelet-extra-args '--max-pods=42'");
        assert_eq!(max_pods("m6i.xlarge", true, Some(&told)), 42);
        assert_eq!(max_pods("m6i.2xlarge", false, None), 58);
    }

    #[test]
    fn what_a_template_must_not_say() {
        let template = |data: Value| Template { data, ..Template::default() };
        let request = Params(json!({"instanceTypes": ["m6i.large"], "diskSize": 20}));
        assert!(check(&template(json!({"iamInstanceProfile": {"name": "x"}})), &Params::default()).is_err());
        assert!(
            check(&template(json!({"instanceType": "m6i.large"})), &Params(json!({"instanceTypes": ["m6i.large"]})))
                .is_err()
        );
        assert!(check(&template(json!({})), &request).is_err());
        assert!(check(&template(json!({"imageId": "ami-1"})), &Params(json!({"version": "1.33"}))).is_err());
        assert!(check(&template(json!({"imageId": "ami-1"})), &Params(json!({"amiType": "CUSTOM"}))).is_ok());
    }
}
