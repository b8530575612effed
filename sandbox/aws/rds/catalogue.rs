//! Engines, their versions, and the classes that can be ordered.

use serde_json::{Value, json};

use crate::aws::Cx;
use crate::aws::http::Outcome;

/// A database engine.
pub struct Engine {
    /// Name.
    pub name: &'static str,
    /// Description.
    pub about: &'static str,
    /// Licence model.
    pub licence: &'static str,
    /// Default port.
    pub port: u16,
    /// Versions, oldest first; of each major version the last is its default.
    pub versions: &'static [&'static str],
    /// Version where a request names none.
    pub default: &'static str,
    /// Longest master user name, and longest password.
    pub longest: (usize, usize),
}

/// Every engine.
pub const ENGINES: &[Engine] = &[
    Engine {
        name: "mysql",
        about: "MySQL Community Edition",
        licence: "general-public-license",
        port: 3306,
        versions: &[
            "5.7.44", "8.0.32", "8.0.33", "8.0.34", "8.0.35", "8.0.36", "8.0.37", "8.0.39", "8.0.40", "8.0.41",
            "8.0.42", "8.0.43", "8.4.3", "8.4.4", "8.4.5", "8.4.6",
        ],
        default: "8.0.42",
        longest: (32, 41),
    },
    Engine {
        name: "mariadb",
        about: "MariaDB Community Edition",
        licence: "general-public-license",
        port: 3306,
        versions: &["10.6.21", "10.6.22", "10.11.11", "10.11.13", "11.4.5", "11.4.7", "11.8.3"],
        default: "11.4.7",
        longest: (16, 41),
    },
    Engine {
        name: "postgres",
        about: "PostgreSQL",
        licence: "postgresql-license",
        port: 5432,
        versions: &["13.22", "14.18", "14.19", "15.13", "15.14", "16.9", "16.10", "17.5", "17.6"],
        default: "17.6",
        longest: (63, 128),
    },
];

/// The engine of a name.
pub fn engine(name: &str) -> Option<&'static Engine> {
    ENGINES.iter().find(|engine| engine.name == name)
}

/// The major version: `8.0` of MySQL `8.0.42`, `17` of PostgreSQL `17.6`.
pub fn major(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    parts[..parts.len().saturating_sub(1).max(1)].join(".")
}

impl Engine {
    /// The full version that a request means: a full one, or the newest of a major one.
    pub fn version(&self, asked: &str) -> Option<&'static str> {
        let exact = self.versions.iter().find(|v| **v == asked);
        exact.or_else(|| self.versions.iter().rev().find(|v| major(v) == asked)).copied()
    }

    /// The family of its parameter groups.
    pub fn family(&self, version: &str) -> String {
        format!("{}{}", self.name, major(version))
    }

    /// The place of a version among all.
    pub fn place(&self, version: &str) -> Option<usize> {
        self.versions.iter().position(|v| *v == version)
    }
}

const SIZES: [&str; 7] = ["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"];
const FAMILIES: [&str; 14] =
    ["m5", "m5d", "m6g", "m6gd", "m6i", "m6id", "m7g", "m7i", "r5", "r6g", "r6i", "r7g", "m8g", "r8g"];
const BURSTABLE: [&str; 10] = [
    "t3.micro",
    "t3.small",
    "t3.medium",
    "t3.large",
    "t3.xlarge",
    "t4g.micro",
    "t4g.small",
    "t4g.medium",
    "t4g.large",
    "t4g.xlarge",
];

/// Every class, such as `db.m5.large`.
fn classes() -> Vec<String> {
    let sized = FAMILIES.iter().flat_map(|family| SIZES.iter().map(move |size| format!("db.{family}.{size}")));
    sized.chain(BURSTABLE.iter().map(|class| format!("db.{class}"))).collect()
}

/// Whether a class can be had for an engine version. The oldest MySQL runs on no class that is newer than it.
pub fn fits(class: &str, engine: &Engine, version: &str) -> bool {
    let too_new = ["db.m7", "db.r7", "db.m8", "db.r8"].iter().any(|new| class.starts_with(new));
    let old = engine.name == "mysql" && major(version) == "5.7";
    classes().iter().any(|known| known == class) && !(old && too_new)
}

/// Whether any engine can have the class.
pub fn class_exists(class: &str) -> bool {
    classes().iter().any(|known| known == class)
}

/// `DescribeDBEngineVersions`.
pub fn versions(cx: &mut Cx<'_>) -> Outcome {
    let (wanted, version) = (cx.p.opt("Engine"), cx.p.opt("EngineVersion"));
    let family = cx.p.opt("DBParameterGroupFamily");
    let default_only = cx.p.flag("DefaultOnly") == Some(true);
    let mut all: Vec<Value> = Vec::new();
    for engine in ENGINES.iter().filter(|e| wanted.is_none_or(|name| name == e.name)) {
        for v in engine.versions {
            let fits_version = version.is_none_or(|asked| asked == *v || asked == major(v));
            let fits_family = family.is_none_or(|f| f == engine.family(v));
            // Of a major version asked for, the default is its newest minor one.
            let is_default =
                if version.is_some() { engine.version(&major(v)) == Some(v) } else { engine.default == *v };
            if fits_version && fits_family && (!default_only || is_default) {
                all.push(shown(engine, v));
            }
        }
    }
    let (page, marker) = cx.page_marked(all)?;
    cx.query(&json!({"DBEngineVersions": {"@DBEngineVersion": page}, "Marker": marker}))
}

fn shown(engine: &Engine, version: &str) -> Value {
    let later: Vec<Value> = engine
        .versions
        .iter()
        .filter(|v| engine.place(v) > engine.place(version))
        .map(|v| {
            json!({
                "Engine": engine.name, "EngineVersion": v, "Description": format!("{} {v}", engine.about),
                "AutoUpgrade": false, "IsMajorVersionUpgrade": major(v) != major(version),
            })
        })
        .collect();
    json!({
        "Engine": engine.name,
        "EngineVersion": version,
        "MajorEngineVersion": major(version),
        "DBParameterGroupFamily": engine.family(version),
        "DBEngineDescription": engine.about,
        "DBEngineVersionDescription": format!("{} {version}", engine.about),
        "ValidUpgradeTarget": {"@UpgradeTarget": later},
        "ExportableLogTypes": ["audit", "error", "general", "slowquery"],
        "SupportsLogExportsToCloudwatchLogs": true,
        "SupportsReadReplica": true,
        "Status": "available",
    })
}

/// `DescribeOrderableDBInstanceOptions`.
pub fn orderable(cx: &mut Cx<'_>) -> Outcome {
    let wanted = super::need(cx, "Engine")?;
    let (version, class) = (cx.p.opt("EngineVersion"), cx.p.opt("DBInstanceClass"));
    let zones: Vec<Value> = crate::aws::ec2::zones(&cx.region).iter().map(|(name, _)| json!({"Name": name})).collect();
    let mut all = Vec::new();
    for engine in ENGINES.iter().filter(|e| e.name == wanted) {
        for v in engine.versions.iter().filter(|v| version.is_none_or(|asked| asked == **v || asked == major(v))) {
            for c in classes().iter().filter(|c| class.is_none_or(|asked| asked == *c) && fits(c, engine, v)) {
                all.push(option(engine, v, c, &zones));
            }
        }
    }
    let (page, marker) = cx.page_marked(all)?;
    cx.query(&json!({"OrderableDBInstanceOptions": {"@OrderableDBInstanceOption": page}, "Marker": marker}))
}

fn option(engine: &Engine, version: &str, class: &str, zones: &[Value]) -> Value {
    json!({
        "Engine": engine.name,
        "EngineVersion": version,
        "DBInstanceClass": class,
        "LicenseModel": engine.licence,
        "AvailabilityZones": {"@AvailabilityZone": zones},
        "MultiAZCapable": true,
        "ReadReplicaCapable": true,
        "Vpc": true,
        "SupportsStorageEncryption": true,
        "StorageType": "gp3",
        "SupportsIops": true,
        "SupportsStorageAutoscaling": true,
        "MinStorageSize": 20,
        "MaxStorageSize": 65_536,
        "SupportsIAMDatabaseAuthentication": true,
        "SupportsPerformanceInsights": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_classes() {
        let mysql = engine("mysql").unwrap();
        assert_eq!(mysql.version("8.0"), Some("8.0.43"));
        assert_eq!(mysql.version("8.0.35"), Some("8.0.35"));
        assert_eq!(mysql.version("9.9"), None);
        assert_eq!(mysql.family("5.7.44"), "mysql5.7");
        assert_eq!(engine("postgres").unwrap().family("17.6"), "postgres17");
        assert!(fits("db.m5.large", mysql, "5.7.44") && !fits("db.m7g.large", mysql, "5.7.44"));
        assert!(!class_exists("db.m5.enormous"));
    }
}
