//! The data of a launch template's version, both ways; pure.

use super::{
    launch_template::{LaunchTemplateArgs, LaunchTemplateObserved},
    tagging,
};
use crate::error::{Class, Error, Result};
use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData,
    VolumeType,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// The root device of Ubuntu's images.
const ROOT_DEVICE: &str = "/dev/sda1";
/// The most that EC2 takes as a start-up script, in bytes before encoding.
const USER_DATA_BYTES: usize = 16 * 1024;
/// Hops that an answer of the metadata service may take: a pod is one further away than the instance.
const METADATA_HOPS: i32 = 2;

/// Checks disk and script.
pub(super) fn check(args: &LaunchTemplateArgs) -> Result<()> {
    let bad = |message: String| Err(Error::new(Class::Invalid, message));
    if args.user_data.as_ref().is_some_and(|script| script.len() > USER_DATA_BYTES) {
        return bad(format!("`user_data` is longer than {USER_DATA_BYTES} bytes"));
    }
    let volume = args.volume_type.as_deref().unwrap_or("gp3");
    let (gib, iops): (RangeInclusive<i32>, Option<RangeInclusive<i32>>) = match volume {
        "gp3" => (1..=65536, Some(3000..=80000)),
        "gp2" => (1..=16384, None),
        "io1" => (4..=16384, Some(100..=64000)),
        "io2" => (4..=65536, Some(100..=256_000)),
        other => return bad(format!("`volume_type`: `{other}` is none of `gp3`, `gp2`, `io1`, `io2`")),
    };
    if let Some(wanted) = args.volume_gib.filter(|wanted| !gib.contains(wanted)) {
        return bad(format!("`volume_gib`: {wanted} is not within {} to {} for `{volume}`", gib.start(), gib.end()));
    }
    match (args.volume_iops, iops) {
        (Some(_), None) => return bad(format!("`volume_iops` cannot be set for `{volume}`")),
        (Some(wanted), Some(range)) if !range.contains(&wanted) => {
            let (from, to) = (range.start(), range.end());
            return bad(format!("`volume_iops`: {wanted} is not within {from} to {to} for `{volume}`"));
        }
        _ => {}
    }
    match args.volume_throughput_mibs {
        Some(_) if volume != "gp3" => bad(format!("`volume_throughput_mibs` cannot be set for `{volume}`")),
        Some(wanted) if !(125..=2000).contains(&wanted) => {
            bad(format!("`volume_throughput_mibs`: {wanted} is not within 125 to 2000"))
        }
        Some(wanted) if wanted > args.volume_iops.unwrap_or(3000) / 4 => bad(format!(
            "`volume_throughput_mibs`: {wanted} MiB/s need at least {} `volume_iops`",
            i64::from(wanted) * 4
        )),
        _ => Ok(()),
    }
}

/// What the arguments ask for.
pub(super) fn wanted(args: &LaunchTemplateArgs) -> RequestLaunchTemplateData {
    let metadata = args.imds_v1.map(|open| {
        let tokens =
            if open { LaunchTemplateHttpTokensState::Optional } else { LaunchTemplateHttpTokensState::Required };
        LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
            .http_tokens(tokens)
            .http_put_response_hop_limit(METADATA_HOPS)
            .build()
    });
    let tagged = |kind: ResourceType| {
        let tags = tagging::list(&args.instance_tags);
        LaunchTemplateTagSpecificationRequest::builder().resource_type(kind).set_tags(Some(tags)).build()
    };
    let tags =
        (!args.instance_tags.is_empty()).then(|| vec![tagged(ResourceType::Instance), tagged(ResourceType::Volume)]);
    RequestLaunchTemplateData::builder()
        .set_image_id(args.image.clone())
        .set_instance_type(args.instance_type.as_deref().map(Into::into))
        .set_user_data(args.user_data.as_ref().map(|script| STANDARD.encode(script)))
        .set_block_device_mappings(volume(args).map(|volume| vec![volume]))
        .set_ebs_optimized(args.ebs_optimized)
        .set_metadata_options(metadata)
        .set_security_group_ids((!args.security_groups.is_empty()).then(|| args.security_groups.clone()))
        .set_tag_specifications(tags)
        .build()
}

fn volume(args: &LaunchTemplateArgs) -> Option<LaunchTemplateBlockDeviceMappingRequest> {
    let asked = args.volume_gib.is_some()
        || args.volume_type.is_some()
        || args.volume_iops.is_some()
        || args.volume_throughput_mibs.is_some()
        || args.volume_encrypted.is_some();
    if !asked {
        return None;
    }
    let disk = LaunchTemplateEbsBlockDeviceRequest::builder()
        .set_volume_size(args.volume_gib)
        .volume_type(args.volume_type.as_deref().map_or(VolumeType::Gp3, Into::into))
        .set_iops(args.volume_iops)
        .set_throughput(args.volume_throughput_mibs)
        .set_encrypted(args.volume_encrypted)
        .delete_on_termination(true)
        .build();
    let device = args.volume_device.as_deref().unwrap_or(ROOT_DEVICE);
    Some(LaunchTemplateBlockDeviceMappingRequest::builder().device_name(device).ebs(disk).build())
}

/// What a version holds, in the form of the arguments; name, numbers and tags are for the caller to fill in.
pub(super) fn seen(data: &ResponseLaunchTemplateData) -> LaunchTemplateObserved {
    let device = data.block_device_mappings().first();
    let disk = device.and_then(|device| device.ebs());
    let tokens = data.metadata_options().and_then(|options| options.http_tokens());
    LaunchTemplateObserved {
        image: data.image_id.clone(),
        instance_type: data.instance_type.as_ref().map(|kind| kind.as_str().to_owned()),
        user_data: data.user_data.as_deref().map(plain),
        volume_gib: disk.and_then(|disk| disk.volume_size),
        volume_type: disk.and_then(|disk| disk.volume_type.as_ref()).map(|kind| kind.as_str().to_owned()),
        volume_iops: disk.and_then(|disk| disk.iops),
        volume_throughput_mibs: disk.and_then(|disk| disk.throughput),
        volume_encrypted: disk.and_then(|disk| disk.encrypted),
        volume_device: device.and_then(|device| device.device_name.clone()),
        ebs_optimized: data.ebs_optimized,
        imds_v1: tokens.map(|tokens| *tokens == LaunchTemplateHttpTokensState::Optional),
        security_groups: data.security_group_ids().to_vec(),
        instance_tags: instance_tags(data),
        ..Default::default()
    }
}

fn instance_tags(data: &ResponseLaunchTemplateData) -> BTreeMap<String, String> {
    let all = data.tag_specifications();
    let found = all.iter().find(|one| one.resource_type() == Some(&ResourceType::Instance));
    found.map(|one| tagging::seen(one.tags())).unwrap_or_default()
}

/// What was asked for, as if it were read: the answer to a create does not show it.
pub(super) fn requested(args: &LaunchTemplateArgs) -> LaunchTemplateObserved {
    let volume = volume(args);
    let disk = volume.as_ref().and_then(|volume| volume.ebs());
    LaunchTemplateObserved {
        image: args.image.clone(),
        instance_type: args.instance_type.clone(),
        user_data: args.user_data.clone(),
        volume_gib: args.volume_gib,
        volume_type: disk.and_then(|disk| disk.volume_type()).map(|kind| kind.as_str().to_owned()),
        volume_iops: args.volume_iops,
        volume_throughput_mibs: args.volume_throughput_mibs,
        volume_encrypted: args.volume_encrypted,
        volume_device: volume.as_ref().and_then(|volume| volume.device_name()).map(str::to_owned),
        ebs_optimized: args.ebs_optimized,
        imds_v1: args.imds_v1,
        security_groups: args.security_groups.clone(),
        instance_tags: args.instance_tags.clone(),
        ..Default::default()
    }
}

/// The script as it was written; what is no text stays encoded.
fn plain(encoded: &str) -> String {
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => text,
        _ => encoded.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(volume_type: &str, gib: i32, iops: Option<i32>, throughput: Option<i32>) -> LaunchTemplateArgs {
        LaunchTemplateArgs {
            name: "gitpod".into(),
            volume_gib: Some(gib),
            volume_type: Some(volume_type.into()),
            volume_iops: iops,
            volume_throughput_mibs: throughput,
            ..Default::default()
        }
    }

    #[test]
    fn disks_are_those_that_ebs_makes() {
        assert!(check(&disk("gp3", 300, Some(6000), Some(500))).is_ok());
        assert!(check(&disk("gp3", 300, Some(2999), None)).is_err());
        assert!(check(&disk("gp3", 300, Some(3000), Some(2001))).is_err());
        assert!(check(&disk("gp3", 300, Some(3000), Some(1000))).is_err(), "too much throughput for its IOPS");
        assert!(check(&disk("gp2", 300, Some(3000), None)).is_err());
        assert!(check(&disk("floppy", 1, None, None)).is_err());
    }

    #[test]
    fn what_is_sent_is_what_is_asked_for() {
        let mut args = disk("gp3", 300, Some(6000), Some(500));
        args.user_data = Some("#!/bin/bash\n".into());
        args.imds_v1 = Some(true);
        args.instance_tags = [("Name".to_owned(), "node".to_owned())].into();
        let sent = wanted(&args);
        assert_eq!(sent.user_data(), Some("IyEvYmluL2Jhc2gK"));
        let ebs = sent.block_device_mappings()[0].ebs().unwrap();
        assert_eq!((ebs.volume_size(), ebs.iops(), ebs.throughput()), (Some(300), Some(6000), Some(500)));
        let metadata = sent.metadata_options().unwrap();
        assert_eq!(metadata.http_tokens(), Some(&LaunchTemplateHttpTokensState::Optional));
        assert_eq!(sent.tag_specifications().len(), 2);
        assert!(wanted(&LaunchTemplateArgs::default()).block_device_mappings().is_empty());
    }

    #[test]
    fn scripts_are_shown_as_written() {
        assert_eq!(plain("IyEvYmluL2Jhc2gK"), "#!/bin/bash\n");
        assert_eq!(plain("/////w=="), "/////w==");
    }
}
