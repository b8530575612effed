//! What AWS offers, not what an account has: regions, zones, instance types.

use serde_json::{Value, json};

use super::Kind;
use crate::aws::Cx;
use crate::aws::http::{ApiError, Outcome};

pub(super) fn family(cx: &mut Cx<'_>) -> Option<Outcome> {
    Some(match cx.op.as_str() {
        "DescribeRegions" => regions(cx),
        "DescribeAvailabilityZones" => availability_zones(cx),
        "DescribeInstanceTypes" => instance_types(cx),
        "DescribeInstanceTypeOfferings" => offerings(cx),
        _ => return None,
    })
}

/// Regions with the prefix of their zone ids.
const REGIONS: &[(&str, &str)] = &[
    ("us-east-1", "use1"),
    ("us-east-2", "use2"),
    ("us-west-1", "usw1"),
    ("us-west-2", "usw2"),
    ("ca-central-1", "cac1"),
    ("eu-west-1", "euw1"),
    ("eu-west-2", "euw2"),
    ("eu-west-3", "euw3"),
    ("eu-central-1", "euc1"),
    ("eu-north-1", "eun1"),
    ("ap-southeast-1", "apse1"),
    ("ap-southeast-2", "apse2"),
    ("ap-northeast-1", "apne1"),
    ("ap-south-1", "aps1"),
    ("sa-east-1", "sae1"),
];

/// The zones of a region: name and id. `us-west-1` has two, `us-east-1` six, the others three.
pub fn zones(region: &str) -> Vec<(String, String)> {
    let prefix = REGIONS.iter().find(|(name, _)| *name == region).map_or("xx1", |(_, prefix)| prefix);
    let letters = match region {
        "us-west-1" => "ab",
        "us-east-1" => "abcdef",
        _ => "abc",
    };
    letters
        .chars()
        .enumerate()
        .map(|(n, letter)| (format!("{region}{letter}"), format!("{prefix}-az{}", n + 1)))
        .collect()
}

fn regions(cx: &mut Cx<'_>) -> Outcome {
    let wanted = cx.p.list("RegionName");
    let all: Vec<Value> = REGIONS
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
        .map(|(name, _)| json!({"regionName": name, "regionEndpoint": format!("ec2.{name}.amazonaws.com"), "optInStatus": "opt-in-not-required"}))
        .collect();
    cx.ec2(&json!({"regionInfo": all}))
}

fn availability_zones(cx: &mut Cx<'_>) -> Outcome {
    const ZONES: Kind = Kind {
        table: "",
        ids: "ZoneName",
        noun: "availability zone",
        missing: "InvalidParameterValue",
        set: "availabilityZoneInfo",
        filters: &[
            ("state", "zoneState"),
            ("zone-name", "zoneName"),
            ("zone-id", "zoneId"),
            ("zone-type", "zoneType"),
            ("region-name", "regionName"),
            ("opt-in-status", "optInStatus"),
            ("group-name", "groupName"),
        ],
    };
    let region = cx.region.clone();
    let zone = |(name, id): (String, String)| {
        json!({
            "zoneName": name, "zoneId": id, "zoneState": "available", "regionName": region, "zoneType": "availability-zone",
            "optInStatus": "opt-in-not-required", "groupName": region, "networkBorderGroup": region, "messageSet": [],
        })
    };
    ZONES.answer(cx, zones(&cx.region).into_iter().map(zone).collect())
}

/// Families: name, GiB of memory per vCPU, architecture, current generation.
const FAMILIES: &[(&str, u64, &str, bool)] = &[
    ("m4", 4, "x86_64", false),
    ("m5", 4, "x86_64", true),
    ("m5a", 4, "x86_64", true),
    ("m5d", 4, "x86_64", true),
    ("m6a", 4, "x86_64", true),
    ("m6g", 4, "arm64", true),
    ("m6i", 4, "x86_64", true),
    ("m6id", 4, "x86_64", true),
    ("m7a", 4, "x86_64", true),
    ("m7g", 4, "arm64", true),
    ("m7i", 4, "x86_64", true),
    ("c5", 2, "x86_64", true),
    ("c6a", 2, "x86_64", true),
    ("c6i", 2, "x86_64", true),
    ("c7i", 2, "x86_64", true),
    ("r5", 8, "x86_64", true),
    ("r6a", 8, "x86_64", true),
    ("r6i", 8, "x86_64", true),
    ("r7i", 8, "x86_64", true),
];

/// Sizes: name and vCPUs.
const SIZES: &[(&str, u64)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
];

/// Burstable types: name, vCPUs, MiB.
const BURSTABLE: &[(&str, u64, u64)] = &[
    ("t3.micro", 2, 1024),
    ("t3.small", 2, 2048),
    ("t3.medium", 2, 4096),
    ("t3.large", 2, 8192),
    ("t3.xlarge", 4, 16_384),
    ("t3.2xlarge", 8, 32_768),
    ("t3a.medium", 2, 4096),
    ("t3a.large", 2, 8192),
];

fn all_types() -> Vec<Value> {
    let sized = FAMILIES.iter().flat_map(|(family, ratio, arch, current)| {
        SIZES.iter().map(move |(size, cpus)| (format!("{family}.{size}"), *cpus, cpus * ratio * 1024, *arch, *current))
    });
    let burstable = BURSTABLE.iter().map(|(name, cpus, mib)| ((*name).to_owned(), *cpus, *mib, "x86_64", true));
    sized
        .chain(burstable)
        .map(|(name, cpus, mib, arch, current)| describe_type(&name, cpus, mib, arch, current))
        .collect()
}

fn describe_type(name: &str, cpus: u64, mib: u64, arch: &str, current: bool) -> Value {
    let interfaces = if cpus <= 2 {
        3
    } else if cpus <= 16 {
        4
    } else {
        8
    };
    let addresses = if cpus <= 2 {
        10
    } else if cpus <= 8 {
        15
    } else {
        30
    };
    json!({
        "instanceType": name,
        "currentGeneration": current,
        "freeTierEligible": name == "t3.micro",
        "supportedUsageClasses": ["on-demand", "spot"],
        "supportedRootDeviceTypes": ["ebs"],
        "supportedVirtualizationTypes": ["hvm"],
        "bareMetal": false,
        "hypervisor": "nitro",
        "processorInfo": {"supportedArchitectures": [arch], "sustainedClockSpeedInGhz": 3.5},
        "vCpuInfo": {"defaultVCpus": cpus, "defaultCores": (cpus / 2).max(1), "defaultThreadsPerCore": 2},
        "memoryInfo": {"sizeInMiB": mib},
        "instanceStorageSupported": name.contains("d."),
        "ebsInfo": {"ebsOptimizedSupport": "default", "encryptionSupport": "supported", "nvmeSupport": "required"},
        "networkInfo": {
            "networkPerformance": "Up to 12.5 Gigabit",
            "maximumNetworkInterfaces": interfaces,
            "ipv4AddressesPerInterface": addresses,
            "ipv6AddressesPerInterface": addresses,
            "ipv6Supported": true,
            "enaSupport": "required",
        },
        "burstablePerformanceSupported": name.starts_with('t'),
        "autoRecoverySupported": true,
    })
}

/// Whether AWS offers this instance type.
pub fn instance_type_exists(name: &str) -> bool {
    BURSTABLE.iter().any(|(known, _, _)| *known == name)
        || name.split_once('.').is_some_and(|(family, size)| {
            FAMILIES.iter().any(|(known, ..)| *known == family) && SIZES.iter().any(|(known, _)| *known == size)
        })
}

const TYPE_FILTERS: &[(&str, &str)] = &[
    ("instance-type", "instanceType"),
    ("current-generation", "currentGeneration"),
    ("processor-info.supported-architecture", "processorInfo.supportedArchitectures"),
    ("vcpu-info.default-vcpus", "vCpuInfo.defaultVCpus"),
    ("memory-info.size-in-mib", "memoryInfo.sizeInMiB"),
    ("hypervisor", "hypervisor"),
    ("supported-usage-class", "supportedUsageClasses"),
    ("location", "location"),
];

fn instance_types(cx: &mut Cx<'_>) -> Outcome {
    const TYPES: Kind = Kind {
        table: "",
        ids: "InstanceType",
        noun: "instance type",
        missing: "InvalidInstanceType",
        set: "instanceTypeSet",
        filters: TYPE_FILTERS,
    };
    if let Some(unknown) = cx.p.list("InstanceType").iter().find(|name| !instance_type_exists(name)) {
        let message = format!("The following supplied instance types do not exist: [{unknown}]");
        return Err(ApiError::new("InvalidInstanceType", message));
    }
    TYPES.answer(cx, all_types())
}

fn offerings(cx: &mut Cx<'_>) -> Outcome {
    const OFFERINGS: Kind = Kind {
        table: "",
        ids: "Unused",
        noun: "instance type",
        missing: "InvalidInstanceType",
        set: "instanceTypeOfferingSet",
        filters: TYPE_FILTERS,
    };
    let location_type = cx.p.or("LocationType", "region").to_owned();
    let locations: Vec<String> = match location_type.as_str() {
        "availability-zone" => zones(&cx.region).into_iter().map(|(name, _)| name).collect(),
        "availability-zone-id" => zones(&cx.region).into_iter().map(|(_, id)| id).collect(),
        "region" => vec![cx.region.clone()],
        other => return Err(super::invalid("locationType", other, "No such location type.")),
    };
    let all = all_types()
        .iter()
        .flat_map(|kind| {
            let name = kind["instanceType"].clone();
            locations.iter().map(move |l| (name.clone(), l.clone()))
        })
        .map(|(name, location)| json!({"instanceType": name, "locationType": location_type, "location": location}))
        .collect();
    OFFERINGS.answer(cx, all)
}
