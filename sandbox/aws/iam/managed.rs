//! AWS's managed policies: names and paths, and short documents. The names in `KNOWN` are those that Gitpod's
//! architecture and people need; those in `FURTHER` were written down from memory so that lists are as long as on
//! AWS, and were not compared with AWS's own list.

use serde_json::{Value, json};

/// Policies with the actions that they allow here. AWS's own documents are longer; these allow what nodes,
/// clusters and people need them for.
const KNOWN: &[(&str, &str)] = &[
    ("AdministratorAccess", "*"),
    ("PowerUserAccess", "*"),
    (
        "AmazonEKSClusterPolicy",
        "autoscaling:Describe*,autoscaling:UpdateAutoScalingGroup,ec2:*,elasticloadbalancing:*,iam:CreateServiceLinkedRole,kms:DescribeKey",
    ),
    (
        "AmazonEKSServicePolicy",
        "ec2:*NetworkInterface*,ec2:Describe*,eks:UpdateClusterVersion,route53:AssociateVPCWithHostedZone",
    ),
    ("AmazonEKSVPCResourceController", "ec2:*NetworkInterface*,ec2:*PrivateIpAddresses"),
    ("AmazonEKSWorkerNodePolicy", "ec2:Describe*,eks:DescribeCluster,eks-auth:AssumeRoleForPodIdentity"),
    ("AmazonEKSWorkerNodeMinimalPolicy", "eks-auth:AssumeRoleForPodIdentity"),
    ("AmazonEKS_CNI_Policy", "ec2:*NetworkInterface*,ec2:*PrivateIpAddresses,ec2:Describe*,ec2:CreateTags"),
    ("AmazonEC2ContainerRegistryReadOnly", "ecr:Get*,ecr:Describe*,ecr:List*,ecr:Batch*"),
    ("AmazonEC2ContainerRegistryPullOnly", "ecr:GetAuthorizationToken,ecr:BatchGetImage,ecr:GetDownloadUrlForLayer"),
    ("AmazonEC2ContainerRegistryPowerUser", "ecr:*"),
    ("AmazonEC2ContainerRegistryFullAccess", "ecr:*"),
    ("ElasticLoadBalancingFullAccess", "elasticloadbalancing:*,ec2:Describe*,cognito-idp:DescribeUserPoolClient"),
    ("ElasticLoadBalancingReadOnly", "elasticloadbalancing:Describe*"),
    ("AmazonSSMManagedInstanceCore", "ssm:*,ssmmessages:*,ec2messages:*"),
    ("AmazonS3FullAccess", "s3:*,s3-object-lambda:*"),
    ("AmazonS3ReadOnlyAccess", "s3:Get*,s3:List*"),
    ("AmazonEC2FullAccess", "ec2:*,elasticloadbalancing:*,autoscaling:*"),
    ("AmazonEC2ReadOnlyAccess", "ec2:Describe*,ec2:Get*"),
    ("AmazonVPCFullAccess", "ec2:*"),
    ("AmazonRDSFullAccess", "rds:*,ec2:Describe*"),
    ("AmazonRDSReadOnlyAccess", "rds:Describe*,rds:List*"),
    ("AmazonRoute53FullAccess", "route53:*,route53domains:*"),
    ("AmazonRoute53ReadOnlyAccess", "route53:Get*,route53:List*"),
    ("AutoScalingFullAccess", "autoscaling:*,ec2:Describe*"),
    ("IAMFullAccess", "iam:*"),
    ("IAMReadOnlyAccess", "iam:Get*,iam:List*,iam:Simulate*"),
    (
        "service-role/AmazonEBSCSIDriverPolicy",
        "ec2:*Volume*,ec2:*Snapshot*,ec2:Describe*,ec2:CreateTags,ec2:DeleteTags",
    ),
    ("service-role/AmazonEFSCSIDriverPolicy", "elasticfilesystem:*,ec2:DescribeAvailabilityZones"),
    ("service-role/AmazonRDSEnhancedMonitoringRole", "logs:*"),
    ("ReadOnlyAccess", "*:Describe*,*:Get*,*:List*"),
    ("SecurityAudit", "*:Describe*,*:Get*,*:List*"),
    ("job-function/ViewOnlyAccess", "*:Describe*,*:List*"),
];

/// Further policies: a service's prefix of names, and the endings that exist for it. Their documents allow reading
/// only.
const FURTHER: &[(&str, &str)] = &[
    ("AWSAccount", "ActivityAccess,ManagementFullAccess,ManagementReadOnlyAccess,UsageReportAccess"),
    ("AWSBackup", "FullAccess,OperatorAccess"),
    ("AWSBatch", "FullAccess"),
    ("AWSBilling", "ReadOnlyAccess"),
    ("AWSBudgets", "ReadOnlyAccess"),
    ("AWSCertificateManager", "FullAccess,ReadOnly,PrivateCAFullAccess,PrivateCAReadOnly,PrivateCAUser"),
    ("AWSCloud9", "Administrator,EnvironmentMember,SSMInstanceProfile,User"),
    ("AWSCloudFormation", "FullAccess,ReadOnlyAccess"),
    ("AWSCloudHSM", "FullAccess,ReadOnlyAccess"),
    ("AWSCloudMap", "FullAccess,ReadOnlyAccess,DiscoverInstanceAccess,RegisterInstanceAccess"),
    ("AWSCloudShell", "FullAccess"),
    ("AWSCloudTrail", "_FullAccess,_ReadOnlyAccess"),
    ("AWSCodeArtifact", "AdminAccess,ReadOnlyAccess"),
    ("AWSCodeBuild", "AdminAccess,DeveloperAccess,ReadOnlyAccess"),
    ("AWSCodeCommit", "FullAccess,PowerUser,ReadOnly"),
    ("AWSCodeDeploy", "FullAccess,DeployerAccess,ReadOnlyAccess,RoleForECS,RoleForECSLimited"),
    ("AWSCodePipeline", "_FullAccess,_ReadOnlyAccess,ApproverAccess,CustomActionAccess"),
    ("AWSCodeStar", "FullAccess,NotificationsServiceRolePolicy"),
    ("AWSConfig", "UserAccess"),
    ("AWSDataPipeline", "_FullAccess,_PowerUser"),
    ("AWSDeepRacer", "FullAccess,DefaultMultiUserAccess"),
    ("AWSDirectConnect", "FullAccess,ReadOnlyAccess"),
    ("AWSDirectoryService", "FullAccess,ReadOnlyAccess"),
    ("AWSElasticBeanstalk", "WebTier,WorkerTier,MulticontainerDocker,ReadOnly"),
    ("AWSElementalMediaConvert", "FullAccess,ReadOnly"),
    ("AWSElementalMediaPackage", "FullAccess,ReadOnly"),
    ("AWSElementalMediaStore", "FullAccess,ReadOnly"),
    ("AWSGreengrass", "FullAccess,ReadOnlyAccess"),
    ("AWSHealth", "FullAccess"),
    ("AWSImportExport", "FullAccess,ReadOnlyAccess"),
    ("AWSIoT", "FullAccess,ConfigAccess,ConfigReadOnlyAccess,DataAccess,EventsFullAccess,EventsReadOnlyAccess"),
    ("AWSKeyManagementService", "PowerUser"),
    ("AWSLambda", "_FullAccess,_ReadOnlyAccess"),
    ("AWSMarketplace", "FullAccess,ManageSubscriptions,Read-only,SellerFullAccess"),
    ("AWSNetworkManager", "FullAccess,ReadOnlyAccess"),
    ("AWSOpsWorks", "_FullAccess,CloudWatchLogs,CMInstanceProfileRole"),
    ("AWSOrganizations", "FullAccess,ReadOnlyAccess"),
    ("AWSPriceList", "ServiceFullAccess"),
    ("AWSPrivateMarketplace", "AdminFullAccess,Requests"),
    ("AWSResourceAccessManager", "FullAccess,ReadOnlyAccess"),
    ("AWSResourceGroups", "ReadOnlyAccess"),
    ("AWSSecurityHub", "FullAccess,ReadOnlyAccess"),
    ("AWSServiceCatalog", "AdminFullAccess,AdminReadOnlyAccess,EndUserFullAccess,EndUserReadOnlyAccess"),
    (
        "AWSSSO",
        "DirectoryAdministrator,DirectoryReadOnly,MasterAccountAdministrator,MemberAccountAdministrator,ReadOnly",
    ),
    ("AWSStepFunctions", "FullAccess,ReadOnlyAccess,ConsoleFullAccess"),
    ("AWSStorageGateway", "FullAccess,ReadOnlyAccess"),
    ("AWSSupport", "Access"),
    ("AWSWAF", "FullAccess,ReadOnlyAccess,ConsoleFullAccess,ConsoleReadOnlyAccess"),
    ("AWSXRay", "DaemonWriteAccess"),
    ("AWSXray", "FullAccess,ReadOnlyAccess,WriteOnlyAccess"),
    ("AmazonAPIGateway", "Administrator,InvokeFullAccess"),
    ("AmazonAppFlow", "FullAccess,ReadOnlyAccess"),
    ("AmazonAppStream", "FullAccess,ReadOnlyAccess"),
    ("AmazonAthena", "FullAccess"),
    ("AmazonCloudDirectory", "FullAccess,ReadOnlyAccess"),
    ("AmazonCognito", "DeveloperAuthenticatedIdentities,PowerUser,ReadOnly"),
    ("AmazonConnect", "_FullAccess,ReadOnlyAccess"),
    ("AmazonDMS", "RedshiftS3Role"),
    ("AmazonDetective", "FullAccess,MemberAccess"),
    ("AmazonDocDB", "FullAccess,ReadOnlyAccess,ConsoleFullAccess"),
    ("AmazonDynamoDB", "FullAccess,ReadOnlyAccess"),
    ("AmazonEC2", "RoleforDataPipelineRole"),
    ("AmazonECS", "_FullAccess"),
    ("AmazonEMR", "FullAccessPolicy_v2,ReadOnlyAccessPolicy_v2"),
    ("AmazonESCognito", "Access"),
    ("AmazonES", "FullAccess,ReadOnlyAccess"),
    ("AmazonElastiCache", "FullAccess,ReadOnlyAccess"),
    ("AmazonElasticContainerRegistryPublic", "FullAccess,PowerUser,ReadOnly"),
    (
        "AmazonElasticFileSystem",
        "FullAccess,ReadOnlyAccess,ClientFullAccess,ClientReadOnlyAccess,ClientReadWriteAccess",
    ),
    ("AmazonElasticMapReduce", "FullAccess,ReadOnlyAccess"),
    ("AmazonElasticTranscoder", "_FullAccess,_JobsSubmitter,_ReadOnlyAccess"),
    ("AmazonEventBridge", "FullAccess,ReadOnlyAccess,SchedulerFullAccess,SchedulerReadOnlyAccess"),
    ("AmazonFSx", "FullAccess,ReadOnlyAccess,ConsoleFullAccess,ConsoleReadOnlyAccess"),
    ("AmazonForecast", "FullAccess"),
    ("AmazonFraudDetector", "FullAccessPolicy"),
    ("AmazonFreeRTOS", "FullAccess"),
    ("AmazonGlacier", "FullAccess,ReadOnlyAccess"),
    ("AmazonGuardDuty", "FullAccess,ReadOnlyAccess"),
    ("AmazonHoneycode", "FullAccess,ReadOnlyAccess"),
    ("AmazonInspector", "FullAccess,ReadOnlyAccess"),
    ("AmazonInspector2", "FullAccess,ReadOnlyAccess"),
    ("AmazonKendra", "FullAccess,ReadOnlyAccess"),
    ("AmazonKeyspaces", "FullAccess,ReadOnlyAccess"),
    ("AmazonKinesis", "FullAccess,ReadOnlyAccess"),
    ("AmazonKinesisAnalytics", "FullAccess,ReadOnly"),
    ("AmazonKinesisFirehose", "FullAccess,ReadOnlyAccess"),
    ("AmazonKinesisVideoStreams", "FullAccess,ReadOnlyAccess"),
    ("AmazonLex", "FullAccess,ReadOnly,RunBotsOnly"),
    ("AmazonMQ", "FullAccess,ReadOnlyAccess,ApiFullAccess,ApiReadOnlyAccess"),
    ("AmazonMSK", "FullAccess,ReadOnlyAccess,ConnectReadOnlyAccess"),
    ("AmazonMachineLearning", "FullAccess,ReadOnlyAccess,BatchPredictionsAccess"),
    ("AmazonMacie", "FullAccess,ReadOnlyAccess"),
    ("AmazonManagedBlockchain", "FullAccess,ReadOnlyAccess,ConsoleFullAccess"),
    ("AmazonMemoryDB", "FullAccess,ReadOnlyAccess"),
    ("AmazonMobileAnalytics", "FullAccess,FinancialReportAccess,WriteOnlyAccess"),
    ("AmazonOpenSearchService", "FullAccess,ReadOnlyAccess,CognitoAccess"),
    ("AmazonPolly", "FullAccess,ReadOnlyAccess"),
    ("AmazonPrometheus", "FullAccess,ConsoleFullAccess,QueryAccess,RemoteWriteAccess"),
    ("AmazonQLDB", "FullAccess,ReadOnly,ConsoleFullAccess"),
    ("AmazonRDS", "DataFullAccess,PerformanceInsightsReadOnly"),
    ("AmazonRedshift", "FullAccess,ReadOnlyAccess,AllCommandsFullAccess,DataFullAccess,QueryEditor"),
    ("AmazonRekognition", "FullAccess,ReadOnlyAccess,CustomLabelsFullAccess"),
    (
        "AmazonRoute53",
        "AutoNamingFullAccess,DomainsFullAccess,DomainsReadOnlyAccess,ResolverFullAccess,ResolverReadOnlyAccess",
    ),
    ("AmazonS3", "OutpostsFullAccess,OutpostsReadOnlyAccess,TablesFullAccess,TablesReadOnlyAccess"),
    ("AmazonSES", "FullAccess,ReadOnlyAccess"),
    ("AmazonSNS", "FullAccess,ReadOnlyAccess"),
    ("AmazonSQS", "FullAccess,ReadOnlyAccess"),
    ("AmazonSSM", "FullAccess,ReadOnlyAccess,PatchAssociation"),
    ("AmazonSageMaker", "FullAccess,ReadOnly,CanvasFullAccess"),
    ("AmazonTextract", "FullAccess"),
    ("AmazonTimestream", "FullAccess,ReadOnlyAccess,ConsoleFullAccess"),
    ("AmazonTranscribe", "FullAccess,ReadOnlyAccess"),
    ("AmazonVPC", "ReadOnlyAccess,CrossAccountNetworkInterfaceOperations"),
    ("AmazonWorkDocs", "FullAccess,ReadOnlyAccess"),
    ("AmazonWorkMail", "FullAccess,ReadOnlyAccess"),
    ("AmazonWorkSpaces", "Admin,SelfServiceAccess"),
    ("CloudFront", "FullAccess,ReadOnlyAccess"),
    ("CloudSearch", "FullAccess,ReadOnlyAccess"),
    ("CloudWatch", "FullAccess,FullAccessV2,ReadOnlyAccess,ActionsEC2Access,AgentServerPolicy,AgentAdminPolicy"),
    ("CloudWatchEvents", "FullAccess,ReadOnlyAccess"),
    ("CloudWatchLogs", "FullAccess,ReadOnlyAccess"),
    ("ComprehendFullAccess", ""),
    ("SecretsManager", "ReadWrite"),
    ("TranslateFullAccess", ""),
];

fn policy(path_and_name: &str, actions: &[&str]) -> Value {
    let (path, name) =
        path_and_name.rsplit_once('/').map_or(("/".to_owned(), path_and_name), |(p, n)| (format!("/{p}/"), n));
    let document =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    // Ids follow from names: the same on every start.
    let sum = path_and_name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, b| (sum ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    json!({
        "PolicyName": name,
        "PolicyId": format!("ANPAZ{sum:016X}"),
        "Arn": format!("arn:aws:iam::aws:policy/{path_and_name}"),
        "Path": path,
        "DefaultVersionId": "v1",
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "CreateDate": "2015-02-06T18:40:00Z",
        "UpdateDate": "2023-06-01T12:00:00Z",
        "_versions": [{"VersionId": "v1", "Document": document.to_string(), "CreateDate": "2015-02-06T18:40:00Z"}],
    })
}

/// All of AWS's policies that are simulated, by name.
pub(super) fn all() -> Vec<Value> {
    let known = KNOWN.iter().map(|(name, actions)| policy(name, &actions.split(',').collect::<Vec<_>>()));
    let further = FURTHER.iter().flat_map(|(service, endings)| {
        endings
            .split(',')
            .map(move |ending| policy(&format!("{service}{ending}"), &["*:Describe*", "*:Get*", "*:List*"]))
    });
    let mut all: Vec<Value> = known.chain(further).collect();
    all.sort_by(|a, b| a["Arn"].as_str().cmp(&b["Arn"].as_str()));
    all.dedup_by(|a, b| a["Arn"] == b["Arn"]);
    all
}

/// AWS's policy of this ARN.
pub(super) fn find(arn: &str) -> Option<Value> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    if let Some((known, actions)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Some(policy(known, &actions.split(',').collect::<Vec<_>>()));
    }
    all().into_iter().find(|policy| policy["Arn"] == *arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_those_of_the_guide() {
        assert!(all().len() >= 200, "{}", all().len());
        for name in [
            "AmazonEC2ContainerRegistryReadOnly",
            "AmazonEKSWorkerNodePolicy",
            "AmazonEKS_CNI_Policy",
            "ElasticLoadBalancingFullAccess",
            "AmazonSSMManagedInstanceCore",
            "AmazonEKSClusterPolicy",
            "service-role/AmazonEBSCSIDriverPolicy",
        ] {
            assert!(find(&format!("arn:aws:iam::aws:policy/{name}")).is_some(), "{name}");
        }
        assert!(find("arn:aws:iam::aws:policy/NoSuchThing").is_none());
    }
}
