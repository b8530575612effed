//! Service quotas, with AWS's defaults for an established account.

use std::collections::BTreeMap;

/// A quota: service code, quota code, name, default.
pub const QUOTAS: &[(&str, &str, &str, f64)] = &[
    ("vpc", "L-F678F1CE", "VPCs per Region", 5.0),
    ("vpc", "L-A4707A72", "Internet gateways per Region", 5.0),
    ("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5.0),
    ("vpc", "L-407747CB", "Subnets per VPC", 200.0),
    ("vpc", "L-E79EC296", "VPC security groups per Region", 2500.0),
    ("vpc", "L-0EA8095F", "Inbound or outbound rules per security group", 60.0),
    ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5.0),
    ("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 512.0),
    ("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 512.0),
    ("eks", "L-1194D53C", "Clusters", 100.0),
    ("eks", "L-6D54EA21", "Managed node groups per cluster", 30.0),
    ("eks", "L-BD136A63", "Nodes per managed node group", 450.0),
    ("eks", "L-33415657", "Control plane security groups per cluster", 4.0),
    ("rds", "L-7B6409FD", "DB instances", 40.0),
    ("rds", "L-7ADDB58A", "Total storage for all DB instances", 100_000.0),
    ("rds", "L-48C6BF61", "DB subnet groups", 50.0),
    ("s3", "L-DC2B2D3D", "General purpose buckets", 10_000.0),
    ("elasticloadbalancing", "L-E9E9831D", "Classic Load Balancers per Region", 20.0),
    ("elasticloadbalancing", "L-69A177A2", "Network Load Balancers per Region", 50.0),
    ("ebs", "L-7A658B76", "Storage for General Purpose SSD (gp3) volumes, in TiB", 50.0),
    ("autoscaling", "L-CDE20ADC", "Auto Scaling groups per region", 500.0),
    ("route53", "L-4EA4796A", "Hosted zones", 500.0),
    ("iam", "L-FE177D64", "Roles per account", 1000.0),
];

/// The value of a quota: what `overrides` says by quota code, else the default, else no limit.
pub fn value(overrides: &BTreeMap<String, f64>, service: &str, code: &str) -> f64 {
    let listed = || QUOTAS.iter().find(|(s, c, ..)| *s == service && *c == code).map_or(f64::MAX, |quota| quota.3);
    overrides.get(code).copied().unwrap_or_else(listed)
}
