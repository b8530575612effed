//! Claims and their volumes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, events::Level, meta, pace};
use crate::k8s::{
    cluster::EBS_DRIVER,
    store::{ApiResult, Key, Write},
};

/// The class of a claim: its own, or the default one.
fn class(context: &Context, claim: &Value) -> Option<Arc<Value>> {
    let classes = context.store().read().list("storage.k8s.io/storageclasses", "", "", "");
    let is_default =
        |c: &Arc<Value>| c["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    match claim["spec"]["storageClassName"].as_str() {
        Some(name) => classes.into_iter().find(|c| meta(c, "name") == name),
        None => classes.into_iter().find(is_default),
    }
}

/// The driver that makes and deletes the volumes of a class; `None` where nothing that is simulated does.
fn driver(class: &Value) -> Option<&'static str> {
    let provisioner = class["provisioner"].as_str();
    // What the control plane did itself once is done by the driver since Kubernetes 1.23.
    matches!(provisioner, Some("kubernetes.io/aws-ebs" | EBS_DRIVER)).then_some(EBS_DRIVER)
}

fn is_running(context: &Context, driver: &str) -> bool {
    context.store().read().find(&Key::new("storage.k8s.io/csidrivers", "", driver)).is_some()
}

fn is_used(context: &Context, key: &Key) -> bool {
    let pods = context.store().read().list("/pods", &key.namespace, "", "");
    pods.iter().filter(|p| p["spec"]["nodeName"].is_string()).any(|p| {
        let mut volumes = p["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.any(|v| v["persistentVolumeClaim"]["claimName"] == key.name.as_str())
    })
}

/// Binds a claim to a volume made for it.
pub fn reconcile(context: &mut Context, key: &Key, claim: &Arc<Value>) -> ApiResult<()> {
    if claim["status"]["phase"] == "Bound" {
        return Ok(());
    }
    let Some(class) = class(context, claim) else {
        let message = match claim["spec"]["storageClassName"].as_str() {
            Some(name) => format!("storageclass.storage.k8s.io \"{name}\" not found"),
            None => "no persistent volumes available for this claim and no storage class is set".to_owned(),
        };
        context.event(claim, Level::Warning, "ProvisioningFailed", &message);
        return context.set_status(key, json!({"phase": "Pending"}));
    };
    if class["volumeBindingMode"] == "WaitForFirstConsumer" && !is_used(context, key) {
        let message = "waiting for first consumer to be created before binding";
        context.event(claim, Level::Normal, "WaitForFirstConsumer", message);
        return context.set_status(key, json!({"phase": "Pending"}));
    }
    let driver = driver(&class);
    if let Some(driver) = driver.filter(|driver| !is_running(context, driver)) {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        context.event(claim, Level::Normal, "ExternalProvisioning", &message);
        return context.set_status(key, json!({"phase": "Pending"}));
    }
    if !context.elapsed(key, claim, "volume", pace::VOLUME_S) {
        return Ok(());
    }
    let name = format!("pvc-{}", meta(claim, "uid"));
    let capacity = &claim["spec"]["resources"]["requests"];
    let mut volume = json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {"capacity": capacity, "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "storageClassName": class["metadata"]["name"],
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": key.namespace, "name": key.name, "uid": claim["metadata"]["uid"]}},
        "status": {"phase": "Bound"}});
    if let Some(driver) = driver {
        volume["spec"]["csi"] = json!({"driver": driver, "fsType": "ext4", "volumeHandle": name});
    }
    let place = Key::new("/persistentvolumes", "", &name);
    if context.store().read().find(&place).is_none() {
        context.store().create(&place, volume, &Write::simulation())?;
    }
    context.cluster.cloud().volumes_changed(&context.cluster.name, &context.cluster.volumes());
    let class_name = class["metadata"]["name"].clone();
    context.change(key, |claim| {
        claim["spec"]["volumeName"] = json!(name);
        if claim["spec"]["storageClassName"].is_null() {
            claim["spec"]["storageClassName"] = class_name;
        }
    })?;
    let status = json!({"phase": "Bound", "accessModes": claim["spec"]["accessModes"],
        "capacity": capacity});
    context.set_status(key, status)
}

/// Lets a volume go, or releases it, when its claim is gone. What a driver made goes with the driver's help only.
pub fn reconcile_volume(context: &mut Context, key: &Key, volume: &Arc<Value>) -> ApiResult<()> {
    let claim = &volume["spec"]["claimRef"];
    let Some(uid) = claim["uid"].as_str() else { return Ok(()) };
    if context.store().read().key_of_uid(uid).is_some() {
        return Ok(());
    }
    if volume["status"]["phase"] != "Released" {
        context.set_status(key, json!({"phase": "Released"}))?;
    }
    let driver = volume["spec"]["csi"]["driver"].as_str();
    if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        || driver.is_some_and(|driver| !is_running(context, driver))
        || !context.elapsed(key, volume, "delete", pace::VOLUME_S)
    {
        return Ok(());
    }
    // A driver removes the disk first.
    let mut others = context.cluster.volumes();
    others.retain(|other| other.name != key.name);
    context.cluster.cloud().volumes_changed(&context.cluster.name, &others);
    context.store().delete(key, &Value::Null, false).map(|_| ())
}
