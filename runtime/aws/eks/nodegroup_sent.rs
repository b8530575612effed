//! What changes a node group, in the service's form.

use super::nodegroup::{LaunchTemplate, Scaling, Taint};
use crate::bind::Change;
use aws_sdk_eks::types::{
    LaunchTemplateSpecification, NodegroupScalingConfig, TaintEffect, UpdateLabelsPayload, UpdateTaintsPayload,
};
use std::collections::BTreeMap;

/// The service's form of a template's version.
pub fn sent_template(template: &LaunchTemplate) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder().id(&template.id).version(template.version.text()).build()
}

/// The service's form of a taint.
pub fn sent_taint(taint: &Taint) -> aws_sdk_eks::types::Taint {
    let effect = match taint.effect.as_str() {
        "NoExecute" => TaintEffect::NoExecute,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        _ => TaintEffect::NoSchedule,
    };
    aws_sdk_eks::types::Taint::builder().key(&taint.key).value(&taint.value).effect(effect).build()
}

/// New bounds; the number of nodes only where they would not hold it.
pub fn new_bounds(wanted: Scaling, now: Scaling) -> NodegroupScalingConfig {
    let held = now.desired.clamp(wanted.min, wanted.max);
    let desired = (held != now.desired).then_some(held);
    NodegroupScalingConfig::builder().min_size(wanted.min).max_size(wanted.max).set_desired_size(desired).build()
}

/// Labels to set and to take away.
pub fn new_labels(wanted: &BTreeMap<String, String>, changes: &[Change]) -> UpdateLabelsPayload {
    let keys = changes.iter().filter_map(|change| change.field.strip_prefix("labels."));
    let (set, unset): (Vec<&str>, Vec<&str>) = keys.partition(|key| wanted.contains_key(*key));
    let set = set.into_iter().filter_map(|key| Some((key.to_owned(), wanted.get(key)?.clone()))).collect();
    let unset: Vec<String> = unset.into_iter().map(str::to_owned).collect();
    UpdateLabelsPayload::builder()
        .set_add_or_update_labels(Some(set))
        .set_remove_labels((!unset.is_empty()).then_some(unset))
        .build()
}

/// Taints to set and to take away.
pub fn new_taints(wanted: Option<&[Taint]>, now: &[Taint]) -> UpdateTaintsPayload {
    let wanted = wanted.unwrap_or_default();
    let stays = |taint: &&Taint| wanted.iter().any(|one| one.key == taint.key && one.effect == taint.effect);
    UpdateTaintsPayload::builder()
        .set_add_or_update_taints(Some(wanted.iter().map(sent_taint).collect()))
        .set_remove_taints(Some(now.iter().filter(|taint| !stays(taint)).map(sent_taint).collect()))
        .build()
}

/// Our form of a taint.
pub fn read_taint(taint: &aws_sdk_eks::types::Taint) -> Taint {
    let effect = match taint.effect() {
        Some(TaintEffect::NoExecute) => "NoExecute",
        Some(TaintEffect::PreferNoSchedule) => "PreferNoSchedule",
        _ => "NoSchedule",
    };
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Taint { key: own(taint.key()), value: own(taint.value()), effect: effect.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_nodes_changes_only_as_far_as_it_must() {
        let now = Scaling { min: 1, desired: 7, max: 10 };
        assert_eq!(new_bounds(Scaling { min: 1, desired: 2, max: 20 }, now).desired_size(), None);
        assert_eq!(new_bounds(Scaling { min: 1, desired: 2, max: 5 }, now).desired_size(), Some(5));
        assert_eq!(new_bounds(Scaling { min: 8, desired: 8, max: 9 }, now).desired_size(), Some(8));
    }
}
