//! CustomResourceDefinitions: served a moment after they were made.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, pace, with_condition};
use crate::k8s::{
    cluster::condition_is_true,
    store::{ApiResult, Key},
};

/// Establishes a definition.
pub fn reconcile(context: &mut Context, key: &Key, crd: &Arc<Value>) -> ApiResult<()> {
    if condition_is_true(crd, "Established") || !context.elapsed(key, crd, "establish", pace::ESTABLISH_S) {
        return Ok(());
    }
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<&Value> = versions.filter(|v| v["storage"] == true).map(|v| &v["name"]).collect();
    let accepted = with_condition(crd, "NamesAccepted", true, "NoConflicts", "no conflicts found");
    let with = json!({"status": {"conditions": accepted}});
    let message = "the initial names have been accepted";
    let all = with_condition(&with, "Established", true, "InitialNamesAccepted", message);
    let names = &crd["spec"]["names"];
    let status = json!({"acceptedNames": names, "storedVersions": stored, "conditions": all});
    context.set_status(key, status)
}
