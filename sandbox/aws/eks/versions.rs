//! The Kubernetes versions that EKS offers.

use serde_json::{Value, json};

use super::{paged, seconds, texts};
use crate::aws::Cx;
use crate::aws::http::Outcome;

/// One minor version.
pub struct Offer {
    /// `1.33`.
    pub version: &'static str,
    /// Newest patch.
    pub patch: &'static str,
    /// Platform version of new clusters.
    pub platform: &'static str,
    /// Whether support is extended, no longer standard.
    pub extended: bool,
    /// Release, end of standard and of extended support: unix seconds.
    pub dates: [i64; 3],
}

/// What is offered, oldest first.
pub const OFFERS: &[Offer] = &[
    Offer {
        version: "1.29",
        patch: "1.29.15",
        platform: "eks.36",
        extended: true,
        dates: [1_705_968_000, 1_742_688_000, 1_774_224_000],
    },
    Offer {
        version: "1.30",
        patch: "1.30.14",
        platform: "eks.34",
        extended: true,
        dates: [1_716_422_400, 1_753_228_800, 1_784_764_800],
    },
    Offer {
        version: "1.31",
        patch: "1.31.13",
        platform: "eks.30",
        extended: true,
        dates: [1_727_308_800, 1_764_115_200, 1_795_651_200],
    },
    Offer {
        version: "1.32",
        patch: "1.32.9",
        platform: "eks.23",
        extended: false,
        dates: [1_737_590_400, 1_774_224_000, 1_805_760_000],
    },
    Offer {
        version: "1.33",
        patch: "1.33.5",
        platform: "eks.16",
        extended: false,
        dates: [1_748_476_800, 1_785_283_200, 1_816_819_200],
    },
    Offer {
        version: "1.34",
        patch: "1.34.1",
        platform: "eks.9",
        extended: false,
        dates: [1_759_363_200, 1_796_169_600, 1_827_705_600],
    },
];

/// Version of clusters that ask for none.
pub const DEFAULT: &str = "1.34";

/// The offer of a version.
pub fn offer(version: &str) -> Option<&'static Offer> {
    OFFERS.iter().find(|offer| offer.version == version)
}

/// The place of a version among those offered.
pub fn index(version: &str) -> Option<usize> {
    OFFERS.iter().position(|offer| offer.version == version)
}

/// `DescribeClusterVersions`, newest first.
pub fn describe(cx: &Cx<'_>) -> Outcome {
    let wanted = texts(&cx.p, "clusterVersions");
    let status = cx.p.opt("versionStatus").or(cx.p.opt("status")).map(|s| s.to_uppercase().replace('-', "_"));
    let default_only = cx.p.flag("defaultOnly") == Some(true);
    let shown: Vec<Value> = OFFERS
        .iter()
        .rev()
        .filter(|offer| wanted.is_empty() || wanted.iter().any(|w| w == offer.version))
        .filter(|offer| !default_only || offer.version == DEFAULT)
        .map(show)
        .filter(|doc| status.as_deref().is_none_or(|s| doc["versionStatus"] == json!(s)))
        .collect();
    paged(cx, "clusterVersions", shown)
}

fn show(offer: &Offer) -> Value {
    let status = if offer.extended { "EXTENDED_SUPPORT" } else { "STANDARD_SUPPORT" };
    json!({
        "clusterVersion": offer.version,
        "clusterType": "eks",
        "defaultPlatformVersion": offer.platform,
        "defaultVersion": offer.version == DEFAULT,
        "kubernetesPatchVersion": offer.patch,
        "releaseDate": seconds(offer.dates[0] * 1000),
        "endOfStandardSupportDate": seconds(offer.dates[1] * 1000),
        "endOfExtendedSupportDate": seconds(offer.dates[2] * 1000),
        "status": status.to_lowercase().replace('_', "-"),
        "versionStatus": status,
    })
}
