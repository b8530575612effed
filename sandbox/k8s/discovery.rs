//! Discovery and OpenAPI documents.

use std::{cmp::Reverse, sync::Arc};

use serde_json::{Map, Value, json};

use super::kinds::{Kind, REVIEWS, group_version};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUB_VERBS: [&str; 3] = ["get", "patch", "update"];

/// The groups in order of appearance, each with its versions, preferred first.
pub fn groups(kinds: &[Arc<Kind>]) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    let of_kinds = kinds.iter().map(|k| (k.group.as_str(), k.version.as_str()));
    for (group, version) in of_kinds.chain(REVIEWS.iter().map(|r| (r.group, "v1"))) {
        let at = out.iter().position(|(g, _)| g == group).unwrap_or_else(|| {
            out.push((group.to_owned(), Vec::new()));
            out.len() - 1
        });
        if !out[at].1.iter().any(|v| v == version) {
            out[at].1.push(version.to_owned());
        }
    }
    for (_, versions) in &mut out {
        versions.sort_by_key(|v| {
            let unstable = u8::from(v.contains("alpha")) * 2 + u8::from(v.contains("beta"));
            (unstable, Reverse(v.clone()))
        });
    }
    out
}

/// `APIGroupList` for `/apis`.
pub fn group_list(kinds: &[Arc<Kind>]) -> Value {
    let all = groups(kinds).into_iter().filter(|(g, _)| !g.is_empty());
    let all: Vec<Value> = all.map(|(group, versions)| group_document(&group, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

/// `APIGroup` for `/apis/GROUP`.
pub fn group_document(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": group,
        "preferredVersion": versions.first(), "versions": versions})
}

/// `APIResourceList` of one group and version; none when nothing is served there.
pub fn resource_list(kinds: &[Arc<Kind>], group: &str, version: &str) -> Option<Value> {
    let mut out = Vec::new();
    for kind in kinds.iter().filter(|k| k.group == group && k.version == version) {
        let mut entry = json!({"name": kind.plural, "singularName": kind.singular,
            "namespaced": kind.namespaced, "kind": kind.kind, "verbs": VERBS});
        add_names(&mut entry, kind);
        out.push(entry);
        if kind.has_status {
            out.push(json!({"name": format!("{}/status", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "kind": kind.kind, "verbs": SUB_VERBS}));
        }
        if kind.has_scale {
            out.push(json!({"name": format!("{}/scale", kind.plural), "singularName": "",
                "namespaced": kind.namespaced, "group": "autoscaling", "version": "v1",
                "kind": "Scale", "verbs": SUB_VERBS}));
        }
    }
    for review in REVIEWS.iter().filter(|r| r.group == group && version == "v1") {
        out.push(json!({"name": review.plural, "singularName": review.kind.to_lowercase(),
            "namespaced": review.namespaced, "kind": review.kind, "verbs": ["create"]}));
    }
    (!out.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": group_version(group, version), "resources": out})
    })
}

fn add_names(entry: &mut Value, kind: &Kind) {
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

fn aggregated_kind(kind: &Kind) -> Value {
    let this = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut subs = Vec::new();
    if kind.has_status {
        subs.push(json!({"subresource": "status", "responseKind": this, "verbs": SUB_VERBS}));
    }
    if kind.has_scale {
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        subs.push(json!({"subresource": "scale", "responseKind": scale, "verbs": SUB_VERBS}));
    }
    let mut entry = json!({"resource": kind.plural, "responseKind": this,
        "scope": scope(kind.namespaced), "singularResource": kind.singular, "verbs": VERBS});
    add_names(&mut entry, kind);
    if !subs.is_empty() {
        entry["subresources"] = json!(subs);
    }
    entry
}

fn aggregated_version(kinds: &[Arc<Kind>], group: &str, version: &str) -> Value {
    let here = kinds.iter().filter(|k| k.group == group && k.version == version);
    let mut out: Vec<Value> = here.map(|k| aggregated_kind(k)).collect();
    for review in REVIEWS.iter().filter(|r| r.group == group) {
        out.push(json!({"resource": review.plural,
            "responseKind": {"group": group, "version": version, "kind": review.kind},
            "scope": scope(review.namespaced), "singularResource": review.kind.to_lowercase(),
            "verbs": ["create"]}));
    }
    json!({"version": version, "freshness": "Current", "resources": out})
}

/// Aggregated discovery in `format` (`v2` or `v2beta1`, as the client asked); `core` chooses
/// between `/api` and `/apis`.
pub fn aggregated(kinds: &[Arc<Kind>], core: bool, format: &str) -> Value {
    let wanted = groups(kinds).into_iter().filter(|(g, _)| g.is_empty() == core);
    let items: Vec<Value> = wanted
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions.iter().map(|v| aggregated_version(kinds, &group, v)).collect();
            let metadata = if core { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{format}"),
        "metadata": {}, "items": items})
}

fn base(group: &str, version: &str) -> String {
    let root = if group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", group_version(group, version))
}

/// The index of OpenAPI v3. Clients take the URLs as they stand, so they carry the cluster's
/// `prefix`; the hash changes with the kinds.
pub fn openapi_index(kinds: &[Arc<Kind>], prefix: &str, hash: u64) -> Value {
    let mut paths = Map::new();
    for (group, versions) in groups(kinds) {
        for version in versions {
            let path = base(&group, &version);
            let url = format!("{prefix}/openapi/v3/{path}?hash=S{hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// Just enough OpenAPI v3 for clients that only look whether server-side field validation and
/// apply are there: PATCH operations, no schemas.
pub fn openapi_document(kinds: &[Arc<Kind>], group: &str, version: &str) -> Value {
    let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let parameters: Vec<Value> =
        ["dryRun", "fieldManager", "fieldValidation", "force"].into_iter().map(query).collect();
    let mut paths = Map::new();
    for kind in kinds.iter().filter(|k| k.group == group && k.version == version) {
        let mut path = format!("/{}", base(group, version));
        if kind.namespaced {
            path.push_str("/namespaces/{namespace}");
        }
        path = format!("{path}/{}/{{name}}", kind.plural);
        let mut content = json!({"application/apply-patch+yaml": {},
            "application/json-patch+json": {}, "application/merge-patch+json": {}});
        if kind.builtin {
            content["application/strategic-merge-patch+json"] = json!({});
        }
        let operation = json!({"parameters": parameters, "requestBody": {"content": content},
            "responses": {"200": {"description": "OK"}}, "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind":
                {"group": group, "version": version, "kind": kind.kind}});
        paths.insert(path, json!({"patch": operation}));
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths, "components": {"schemas": {}}})
}

#[cfg(test)]
mod tests {
    use super::{aggregated, groups, openapi_index, resource_list};
    use crate::k8s::kinds::builtins;

    #[test]
    fn groups_put_the_stable_and_newest_version_first() {
        let all = groups(builtins());
        let scaling = all.iter().find(|(g, _)| g == "autoscaling").unwrap();
        assert_eq!(scaling.1, ["v2", "v1"]);
    }

    #[test]
    fn documents_name_the_kinds() {
        let list = resource_list(builtins(), "apps", "v1").unwrap();
        let names: Vec<&str> =
            list["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
        assert!(names.contains(&"deployments/scale"), "{names:?}");
        assert!(resource_list(builtins(), "apps", "v9").is_none());
        assert_eq!(aggregated(builtins(), true, "v2")["items"].as_array().unwrap().len(), 1);
        let index = openapi_index(builtins(), "/clusters/a", 7);
        let url = &index["paths"]["apis/apps/v1"]["serverRelativeURL"];
        assert_eq!(url, "/clusters/a/openapi/v3/apis/apps/v1?hash=S7");
    }
}
