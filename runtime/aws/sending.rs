//! The interceptor that every AWS client carries: it asks [`Wire`] before a request leaves, and tells it what came back.

use crate::wire::{Ticket, Wire};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
            dyn_dispatch_hint,
        },
        orchestrator::{HttpResponse, Metadata},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use std::{fmt, sync::Mutex};

/// What an operation's name begins with when it only reads.
const READING: [&str; 8] = ["Describe", "List", "Get", "Head", "Lookup", "Simulate", "AssumeRole", "Search"];

/// Whether `operation` could change something.
pub fn writes(operation: &str) -> bool {
    !READING.iter().any(|prefix| operation.starts_with(prefix))
}

/// The service's short name, as records and error messages carry it: `ec2`, `elbv2`, `route53`.
pub fn short(service: &str) -> String {
    match service {
        "Elastic Load Balancing" => "elb".to_owned(),
        "Elastic Load Balancing v2" => "elbv2".to_owned(),
        other => other.to_lowercase().replace(' ', ""),
    }
}

/// The interceptor; see the module.
#[derive(Clone)]
pub struct Sending(Wire);

impl Sending {
    /// An interceptor that asks `wire`.
    pub fn new(wire: Wire) -> Self {
        Self(wire)
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sending")
    }
}

/// The ticket of an attempt under way. One that is dropped without an answer (the call was cancelled) says so itself.
struct UnderWay(Mutex<Option<Ticket>>);

impl UnderWay {
    fn answered(&self, status: &str) {
        let ticket = self.0.lock().ok().and_then(|mut held| held.take());
        if let Some(ticket) = ticket {
            ticket.answered(status);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.answered("no reply");
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnderWay")
    }
}

impl Storable for UnderWay {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for Sending {
    fn name(&self) -> &'static str {
        "Sending"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, operation) = match cfg.load::<Metadata>() {
            Some(called) => (short(called.service()), called.name().to_owned()),
            // Unknown calls count as writes, so that a plan refuses them.
            None => ("aws".to_owned(), "Unknown".to_owned()),
        };
        let ticket = self.0.begin(&service, &operation, writes(&operation))?;
        cfg.interceptor_state().store_put(UnderWay(Mutex::new(Some(ticket))));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(under_way) = cfg.load::<UnderWay>() {
            under_way.answered(&context.response().map_or_else(|| "no reply".to_owned(), status));
        }
        Ok(())
    }
}

/// `200`, or the cloud's error code where the answer holds one.
fn status(response: &HttpResponse) -> String {
    let number = response.status().as_u16();
    if number < 400 {
        return number.to_string();
    }
    let named = response.headers().get("x-amzn-errortype").map(str::to_owned);
    let named = named.or_else(|| code_in(&String::from_utf8_lossy(response.body().bytes()?)));
    let named = named.as_deref().and_then(|code| code.split(':').next()).map(str::trim).filter(|code| !code.is_empty());
    named.map_or_else(|| number.to_string(), str::to_owned)
}

/// The error code in a body of XML (`<Code>`) or JSON (`__type`, `code`).
fn code_in(body: &str) -> Option<String> {
    if let Some((_, rest)) = body.split_once("<Code>") {
        return rest.split_once("</Code>").map(|(code, _)| code.to_owned());
    }
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    let code = json.get("__type").or_else(|| json.get("code"))?.as_str()?;
    // `com.amazonaws.servicequotas#NoSuchResourceException`
    Some(code.rsplit('#').next().unwrap_or(code).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_told_apart_by_name() {
        for read in
            ["DescribeVpcs", "GetCallerIdentity", "HeadBucket", "ListTagsForResource", "AssumeRoleWithWebIdentity"]
        {
            assert!(!writes(read), "{read}");
        }
        for write in
            ["CreateVpc", "PutObject", "AttachRolePolicy", "TagResource", "ChangeResourceRecordSets", "Unknown"]
        {
            assert!(writes(write), "{write}");
        }
    }

    #[test]
    fn services_have_short_names() {
        assert_eq!(short("EC2"), "ec2");
        assert_eq!(short("Route 53"), "route53");
        assert_eq!(short("Elastic Load Balancing v2"), "elbv2");
    }

    #[test]
    fn codes_are_found_in_any_body() {
        let xml = "<Response><Errors><Error><Code>VpcLimitExceeded</Code></Error></Errors></Response>";
        assert_eq!(code_in(xml).as_deref(), Some("VpcLimitExceeded"));
        let json = r#"{"__type":"com.amazonaws.servicequotas#NoSuchResourceException"}"#;
        assert_eq!(code_in(json).as_deref(), Some("NoSuchResourceException"));
        assert_eq!(code_in("gateway timeout"), None);
    }
}
