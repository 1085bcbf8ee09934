//! Certificates made at start, and configurations that take TLS 1.3 only.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Failure;

/// The name in all certificates of this example.
pub const NAME: &str = "localhost";

/// [`NAME`], as who connects expects it.
///
/// # Errors
///
/// None: it is a name.
pub fn name() -> Result<ServerName<'static>, Failure> {
    Ok(ServerName::try_from(NAME)?)
}

/// A self-signed certificate for [`NAME`], and what serves it.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        Ok(Self { certificate, server: Arc::new(server) })
    }

    /// For who accepts.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

/// For who connects: takes these certificates and no other.
///
/// # Errors
///
/// When a certificate can't be trusted in.
pub fn client(trusted: &[&Identity]) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    for identity in trusted {
        roots.add(identity.certificate.clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(client))
}
