//! TLS 1.3 of rustls.

use std::io;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use replink_bench::Failure;
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection,
    SideData, StreamOwned,
};

use super::byte_stream::Protection;

/// The name in the certificate.
const NAME: &str = "localhost";

/// rustls over blocking sockets. The server alone proves itself, with a certificate of ECDSA P-256; mutual TLS
/// takes longer.
#[derive(Clone)]
pub(crate) struct Tls {
    name: &'static str,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// What rustls has where nobody chose: ring, and AES-256-GCM.
    pub(crate) fn with_ring() -> Result<Self, Failure> {
        Self::new("rustls, TLS 1.3", ring::default_provider())
    }

    /// The fastest that it has: AWS-LC, and AES-128-GCM.
    pub(crate) fn at_its_best() -> Result<Self, Failure> {
        let cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() };
        Self::new("rustls, aws-lc-rs, AES-128", provider)
    }

    fn new(name: &'static str, provider: CryptoProvider) -> Result<Self, Failure> {
        let provider = Arc::new(provider);
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())?;
        Ok(Self { name, client: Arc::new(client), server: Arc::new(server) })
    }
}

impl Protection for Tls {
    type Dialer = StreamOwned<ClientConnection, TcpStream>;
    type Acceptor = StreamOwned<ServerConnection, TcpStream>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn connect(&self, socket: TcpStream) -> Result<Self::Dialer, Failure> {
        let client = ClientConnection::new(Arc::clone(&self.client), ServerName::try_from(NAME)?)?;
        Ok(shake_hands(client, socket)?)
    }

    fn accept(&self, socket: TcpStream) -> Result<Self::Acceptor, Failure> {
        let server = ServerConnection::new(Arc::clone(&self.server))?;
        Ok(shake_hands(server, socket)?)
    }
}

fn shake_hands<C, S>(connection: C, socket: TcpStream) -> io::Result<StreamOwned<C, TcpStream>>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>>,
    S: SideData,
{
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}
