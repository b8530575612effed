//! How requests get to AWS: TLS with the certificates that this machine trusts, timeouts, and the proxy of the company.

use crate::{
    error::{Error, Result},
    wire::{call_timeout, is_on_this_machine},
};
use aws_smithy_http_client::{
    Builder as HttpBuilder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::timeout::TimeoutConfig;
use std::time::Duration;

/// Seconds until a connection must stand.
const CONNECT_TIMEOUT_S: u64 = 5;
/// Seconds until a call must be answered.
const ATTEMPT_TIMEOUT_S: u64 = 60;
/// Variable that names a file of certificates to trust besides the system's, as for the `aws` command.
const CA_BUNDLE_VARIABLE: &str = "AWS_CA_BUNDLE";

/// Which proxies requests go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxies {
    /// Those that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name.
    OfTheEnvironment,
    /// None: an emulator on this machine.
    None,
}

impl Proxies {
    /// Those on the way to `endpoint`, or to AWS itself.
    pub(super) fn to(endpoint: Option<&str>) -> Self {
        if endpoint.is_some_and(is_on_this_machine) { Self::None } else { Self::OfTheEnvironment }
    }
}

/// When an attempt is given up.
pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
        .operation_attempt_timeout(call_timeout(ATTEMPT_TIMEOUT_S))
        .build()
}

/// HTTP without TLS.
pub(super) fn plain() -> SharedHttpClient {
    HttpBuilder::new().build_http()
}

/// HTTPS, by the system's certificates and those of [`CA_BUNDLE_VARIABLE`].
///
/// # Errors
/// When the bundle cannot be read.
pub(super) fn secure(proxies: Proxies) -> Result<SharedHttpClient> {
    let mut trusted = TrustStore::default();
    if let Some(path) = std::env::var_os(CA_BUNDLE_VARIABLE).filter(|path| !path.is_empty()) {
        let pem = std::fs::read(&path).map_err(|mistake| {
            let path = path.to_string_lossy();
            Error::usage(format!("cannot read `{path}`, which `{CA_BUNDLE_VARIABLE}` names"))
                .because(mistake.to_string())
        })?;
        trusted = trusted.with_pem_certificate(pem);
    }
    let context = TlsContext::builder()
        .with_trust_store(trusted)
        .build()
        .map_err(|mistake| Error::failed("cannot set up TLS for AWS").because(mistake.to_string()))?;
    let proxy = match proxies {
        Proxies::OfTheEnvironment => ProxyConfig::from_env(),
        Proxies::None => ProxyConfig::disabled(),
    };
    let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S)).build();
    let connector = Connector::builder()
        .proxy_config(proxy)
        .connector_settings(settings)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build();
    let connector = SharedHttpConnector::new(connector);
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_on_this_machine_are_reached_without_a_proxy() {
        assert_eq!(Proxies::to(None), Proxies::OfTheEnvironment);
        assert_eq!(Proxies::to(Some("https://aws.example.com")), Proxies::OfTheEnvironment);
        assert_eq!(Proxies::to(Some("http://127.0.0.1:5000")), Proxies::None);
        assert_eq!(Proxies::to(Some("http://localhost:5000")), Proxies::None);
    }
}
