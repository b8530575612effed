//! The certificate authority of a world: made once, kept in the world's folder, so that a
//! kubeconfig written by one process is still good for the next.

use std::{path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::{self, pki_types::PrivateKeyDer};

use super::KubeError;

/// A certificate authority and the server configuration that it vouches for.
pub struct Authority {
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// What the listener presents: a fresh leaf for 127.0.0.1 and localhost.
    pub server: Arc<rustls::ServerConfig>,
}

fn tls<E: std::fmt::Display>(error: E) -> KubeError {
    KubeError::Tls(error.to_string())
}

/// Parameters of the authority's certificate; the same every time, so that a certificate signed
/// after a restart chains to the one that was handed out before.
fn ca_params() -> Result<CertificateParams, KubeError> {
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(tls)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "sandbox kubernetes");
    Ok(params)
}

/// Opens the authority kept in `dir`, or makes one (and keeps it when there is a folder).
///
/// # Errors
/// When the folder cannot be written or its files are damaged.
pub fn open(dir: Option<&Path>) -> Result<Authority, KubeError> {
    let kept = dir.map(|d| (d.join("ca.crt"), d.join("ca.key")));
    let (ca_pem, key) = match &kept {
        Some((crt, key)) if crt.exists() && key.exists() => {
            let pem = std::fs::read_to_string(crt).map_err(|e| super::world::io(crt, e))?;
            let key = std::fs::read_to_string(key).map_err(|e| super::world::io(key, e))?;
            (pem, KeyPair::from_pem(&key).map_err(tls)?)
        }
        _ => {
            let key = KeyPair::generate().map_err(tls)?;
            let pem = ca_params()?.self_signed(&key).map_err(tls)?.pem();
            if let Some((crt, key_file)) = &kept {
                super::world::write_private(key_file, key.serialize_pem().as_bytes())?;
                super::world::write_private(crt, pem.as_bytes())?;
            }
            (pem, key)
        }
    };
    let server = server_config(&Issuer::new(ca_params()?, key))?;
    Ok(Authority { ca_pem, server })
}

fn server_config(issuer: &Issuer<'_, KeyPair>) -> Result<Arc<rustls::ServerConfig>, KubeError> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).map_err(tls)?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(tls)?;
    let cert = leaf.signed_by(&key, issuer).map_err(tls)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(tls)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .map_err(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::open;

    #[test]
    fn the_authority_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(Some(dir.path())).unwrap().ca_pem;
        assert_eq!(first, open(Some(dir.path())).unwrap().ca_pem);
        assert_ne!(first, open(None).unwrap().ca_pem);
    }
}
