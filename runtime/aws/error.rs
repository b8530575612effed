//! Errors of the SDK as [`Error`]: the class by the cloud's code, the cloud's own words, and what to do about the usual ones.

use crate::error::{Class, Error};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use std::error::Error as StdError;

/// Lets `?` turn what any SDK call returns into an [`Error`].
impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let call = call(std::any::type_name::<E>());
        told(&call, &error).of_call(call)
    }
}

/// The error in our words, not yet of a call.
fn told<E>(call: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    // What our own interceptor said is the answer, not a trouble of the SDK's.
    if let Some(ours) = in_chain::<Error>(error) {
        return ours.clone();
    }
    match error {
        SdkError::ServiceError(told) => {
            let status = told.raw().status().as_u16();
            let meta = told.err().meta();
            let request = meta.request_id().or_else(|| told.raw().headers().get("x-amzn-requestid"));
            refused(call, meta.code(), meta.message(), request, status)
        }
        SdkError::ResponseError(told) => {
            let status = told.raw().status().as_u16();
            let cause = format!("{call}: answer {status} cannot be read: {}", words(error));
            // A cut or garbled answer says nothing about whether the work was done.
            Error::new(Class::Passing, "AWS gave an answer that cannot be read").because(cause)
        }
        SdkError::TimeoutError(_) => {
            Error::new(Class::Passing, "AWS did not answer in time").because(format!("{call}: {}", words(error)))
        }
        SdkError::ConstructionFailure(_) => {
            Error::new(Class::Invalid, "the call cannot be made").because(format!("{call}: {}", words(error)))
        }
        _ => unsent(call, error),
    }
}

/// `EC2 CreateVpc` from `aws_sdk_ec2::operation::create_vpc::CreateVpcError`.
fn call(type_name: &str) -> String {
    let service = type_name.strip_prefix("aws_sdk_").and_then(|rest| rest.split("::").next()).unwrap_or("AWS");
    let service = match service {
        "elasticloadbalancing" => "ELB".to_owned(),
        "elasticloadbalancingv2" => "ELBv2".to_owned(),
        "autoscaling" => "AutoScaling".to_owned(),
        "route53" => "Route53".to_owned(),
        "servicequotas" => "ServiceQuotas".to_owned(),
        other => other.to_uppercase(),
    };
    let operation = type_name.rsplit("::").next().unwrap_or(type_name);
    format!("{service} {}", operation.strip_suffix("Error").unwrap_or(operation))
}

/// An error that the cloud answered with.
fn refused(call: &str, code: Option<&str>, message: Option<&str>, request: Option<&str>, status: u16) -> Error {
    let code = code.map_or_else(|| format!("Http{status}"), str::to_owned);
    let operation = call.split(' ').nth(1).unwrap_or_default();
    let class = class(&code, status, operation);
    let mut cause = format!("{call}: {code}");
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        cause.push_str(": ");
        cause.push_str(message);
    }
    if let Some(request) = request {
        cause.push_str(&format!(" (request {request})"));
    }
    let said = match class {
        Class::Passing => "AWS asks to try again",
        Class::NotFound => "AWS does not know it",
        Class::Conflict => "AWS has something of that name already",
        Class::InUse => "AWS says that something still uses it",
        Class::Denied => "AWS does not allow it",
        _ => "AWS refuses it",
    };
    let error = Error::new(class, said).because(cause);
    let error = match hint(&code, call, message.unwrap_or_default(), class) {
        Some(hint) => error.hint(hint),
        None => error,
    };
    error.code(code)
}

/// What may be done about `code`.
pub fn class(code: &str, status: u16, operation: &str) -> Class {
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let creates = operation.starts_with("Create") || operation.starts_with("Run");
    if has(&[
        "Throttl",
        "RequestLimitExceeded",
        "SlowDown",
        "BandwidthLimitExceeded",
        "TooManyRequests",
        "RequestThrottled",
        "PriorRequestNotComplete",
        "ConcurrentModification",
        "OperationAborted",
        "ServiceUnavailable",
        "Unavailable",
        "InternalError",
        "InternalFailure",
        "InternalServer",
        "ServerException",
        "RequestTimeout",
        "InternalServiceError",
    ]) || status >= 500
        || status == 429
    {
        return Class::Passing;
    }
    if has(&["NotFound", "NoSuch", "NotAttached"]) || code == "Http404" {
        return Class::NotFound;
    }
    if has(&[
        "DependencyViolation",
        "DeleteConflict",
        "BucketNotEmpty",
        "HostedZoneNotEmpty",
        "InvalidDBInstanceState",
        "InvalidDBSubnetGroupState",
        "InvalidIPAddress.InUse",
        "IncorrectState",
        "IncorrectInstanceState",
        "AuthFailure.ServiceLinked",
    ]) {
        return Class::InUse;
    }
    if has(&["ResourceInUse"]) {
        return if creates { Class::Conflict } else { Class::InUse };
    }
    if has(&["AlreadyExist", "Duplicate", "AlreadyOwned", "AlreadyAssociated", "IdempotentParameterMismatch"]) {
        return Class::Conflict;
    }
    if has(&[
        "ExpiredToken",
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "AccessDenied",
        "UnauthorizedOperation",
        "AuthFailure",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "NotAuthorized",
        "OptInRequired",
        "MissingAuthenticationToken",
        "RequestExpired",
        "InvalidSignature",
        "InvalidToken",
        "IncompleteSignature",
    ]) || matches!(code, "Http401" | "Http403" | "Forbidden")
    {
        return Class::Denied;
    }
    if has(&[
        "Invalid",
        "Validation",
        "Malformed",
        "Missing",
        "LimitExceeded",
        "QuotaExceeded",
        "Unsupported",
        "BadRequest",
    ]) || (400..500).contains(&status)
    {
        return Class::Invalid;
    }
    Class::Failed
}

/// What to do about the usual ones.
fn hint(code: &str, call: &str, message: &str, class: Class) -> Option<String> {
    if code.contains("ExpiredToken") || code == "RequestExpired" {
        return Some(
            "the credentials have expired: get new ones (`aws sso login`), then run the same command again".into(),
        );
    }
    if matches!(code, "PermanentRedirect" | "IllegalLocationConstraintException" | "AuthorizationHeaderMalformed") {
        return Some("the bucket is in another region: set `region` to the one that the message names".into());
    }
    if code == "OptInRequired" {
        return Some(
            "the account has not enabled this region or service: enable it in the console, or set another region"
                .into(),
        );
    }
    if class == Class::Denied {
        if matches!(code, "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "AuthFailure")
        {
            return Some(
                "AWS does not know this access key: look at `AWS_ACCESS_KEY_ID` or `AWS_PROFILE`, and whether the region \
                 is enabled for the account"
                    .into(),
            );
        }
        if code.contains("SignatureDoesNotMatch") || message.contains("Signature") {
            return Some("the secret key is not that of the access key, or this machine's clock is wrong".into());
        }
        let action = call.to_lowercase();
        let service = action.split(' ').next().unwrap_or("aws");
        let operation = call.split(' ').nth(1).unwrap_or_default();
        return Some(format!("allow `{service}:{operation}` to the identity that `aws sts get-caller-identity` shows"));
    }
    let quota = quota(code)?;
    Some(format!("raise the quota {quota} (console: Service Quotas), or delete what is not needed, then run again"))
}

/// Which quota an error code is about: (name, service, code) in words.
fn quota(code: &str) -> Option<&'static str> {
    Some(match code {
        "VpcLimitExceeded" => "`VPCs per Region` (service `vpc`, code `L-F678F1CE`)",
        "AddressLimitExceeded" => "`EC2-VPC Elastic IPs` (service `ec2`, code `L-0263D0A3`)",
        "NatGatewayLimitExceeded" => "`NAT gateways per Availability Zone` (service `vpc`, code `L-FE5A380F`)",
        "InternetGatewayLimitExceeded" => "`Internet gateways per Region` (service `vpc`, code `L-A4707A72`)",
        "SecurityGroupLimitExceeded" => "`VPC security groups per Region` (service `vpc`, code `L-E79EC296`)",
        "RulesPerSecurityGroupLimitExceeded" => {
            "`Inbound or outbound rules per security group` (service `vpc`, code `L-0EA8095F`)"
        }
        "SubnetLimitExceeded" => "`Subnets per VPC` (service `vpc`, code `L-407747CB`)",
        "RouteTableLimitExceeded" => "`Route tables per VPC` (service `vpc`, code `L-589F43AA`)",
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "`Running On-Demand Standard instances` (service `ec2`, code `L-1216C47A`)"
        }
        "StorageQuotaExceeded" => "`Total storage for all DB instances` (service `rds`, code `L-7ADDB58A`)",
        "InstanceQuotaExceeded" => "`DB instances` (service `rds`, code `L-7B6409FD`)",
        "TooManyBuckets" => "`General purpose buckets` (service `s3`, code `L-DC2B2D3D`)",
        "TooManyHostedZones" => "`Hosted zones` (service `route53`, code `L-4EA4796A`)",
        "ResourceLimitExceededException" => "named in the message (service `eks`)",
        "LimitExceeded" | "LimitExceededException" => "named in the message",
        _ => return None,
    })
}

/// An error before any answer: no credentials, no connection.
fn unsent(call: &str, error: &(dyn StdError + 'static)) -> Error {
    let text = words(error);
    let cause = format!("{call}: {text}");
    if let Some(missing) = in_chain::<CredentialsError>(error) {
        let class =
            if matches!(missing, CredentialsError::ProviderTimedOut(_)) { Class::Passing } else { Class::Denied };
        return Error::new(class, "no AWS credentials")
            .because(cause)
            .code("NoCredentials")
            .hint("set `AWS_PROFILE` (after `aws sso login`), or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`");
    }
    let lower = text.to_lowercase();
    if ["certificate", "unknownissuer", "unknown issuer"].iter().any(|sign| lower.contains(sign)) {
        return Error::failed("the certificate of the AWS endpoint is not trusted")
            .because(cause)
            .code("UntrustedCertificate")
            .hint("behind a proxy that opens TLS, set `AWS_CA_BUNDLE` to the file with its certificate");
    }
    if ["dns error", "failed to lookup address", "name or service not known"].iter().any(|sign| lower.contains(sign)) {
        return Error::new(Class::Passing, "the name of the AWS endpoint cannot be resolved")
            .because(cause)
            .code("NameNotResolved")
            .hint("look at this machine's DNS, and whether the region exists");
    }
    Error::new(Class::Passing, "AWS cannot be reached").because(cause)
}

/// The first error of type `T` in the chain of sources.
fn in_chain<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The words of the whole chain, each once.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_class() {
        for (code, operation, wanted) in [
            ("Throttling", "DescribeVpcs", Class::Passing),
            ("RequestLimitExceeded", "CreateVpc", Class::Passing),
            ("ThrottlingException", "DescribeCluster", Class::Passing),
            ("InvalidVpcID.NotFound", "DescribeVpcs", Class::NotFound),
            ("NoSuchEntity", "GetRole", Class::NotFound),
            ("NatGatewayNotFound", "DeleteNatGateway", Class::NotFound),
            ("DBInstanceNotFound", "DescribeDBInstances", Class::NotFound),
            ("Gateway.NotAttached", "DetachInternetGateway", Class::NotFound),
            ("EntityAlreadyExists", "CreateRole", Class::Conflict),
            ("InvalidGroup.Duplicate", "CreateSecurityGroup", Class::Conflict),
            ("InvalidLaunchTemplateName.AlreadyExistsException", "CreateLaunchTemplate", Class::Conflict),
            ("ResourceInUseException", "CreateCluster", Class::Conflict),
            ("ResourceInUseException", "DeleteCluster", Class::InUse),
            ("DependencyViolation", "DeleteVpc", Class::InUse),
            ("HostedZoneNotEmpty", "DeleteHostedZone", Class::InUse),
            ("ExpiredToken", "GetCallerIdentity", Class::Denied),
            ("UnauthorizedOperation", "CreateVpc", Class::Denied),
            ("InvalidClientTokenId", "GetCallerIdentity", Class::Denied),
            ("InvalidParameterValue", "CreateVpc", Class::Invalid),
            ("VpcLimitExceeded", "CreateVpc", Class::Invalid),
        ] {
            assert_eq!(class(code, 400, operation), wanted, "{code}");
        }
        assert_eq!(class("Whatever", 503, "CreateVpc"), Class::Passing);
        assert_eq!(class("Http404", 404, "HeadBucket"), Class::NotFound);
    }

    #[test]
    fn a_refusal_has_the_words_of_the_cloud_and_a_hint() {
        let error =
            refused("EC2 CreateVpc", Some("VpcLimitExceeded"), Some("The maximum is reached."), Some("7f3a"), 400);
        assert_eq!(
            error.cause.as_deref(),
            Some("EC2 CreateVpc: VpcLimitExceeded: The maximum is reached. (request 7f3a)")
        );
        assert_eq!(error.code.as_deref(), Some("VpcLimitExceeded"));
        assert!(error.hint.unwrap().contains("L-F678F1CE"));
        let elsewhere = refused("S3 HeadBucket", Some("PermanentRedirect"), None, None, 301);
        assert!(elsewhere.hint.unwrap().contains("another region"));
        let denied = refused("EC2 CreateVpc", Some("UnauthorizedOperation"), None, None, 403);
        assert!(denied.hint.unwrap().contains("`ec2:CreateVpc`"));
    }

    #[test]
    fn a_call_is_named_by_the_type_of_its_error() {
        let name = std::any::type_name::<aws_sdk_ec2::operation::create_vpc::CreateVpcError>();
        assert_eq!(call(name), "EC2 CreateVpc");
        let name = std::any::type_name::<aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError>();
        assert_eq!(call(name), "STS GetCallerIdentity");
    }

    #[test]
    fn missing_credentials_and_untrusted_certificates_are_final() {
        let missing = CredentialsError::not_loaded("no providers in chain provided credentials");
        let error = unsent("STS GetCallerIdentity", &missing);
        assert_eq!(error.class, Class::Denied);
        assert!(error.hint.unwrap().contains("AWS_PROFILE"));
        let untrusted = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        assert_eq!(unsent("EC2 DescribeVpcs", &untrusted).class, Class::Failed);
        let refused = std::io::Error::other("connection refused");
        assert_eq!(unsent("EC2 DescribeVpcs", &refused).class, Class::Passing);
    }
}
