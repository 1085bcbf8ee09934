//! TLS 1.3 of rustls.

use std::net::TcpStream;
use std::sync::Arc;

use channel_binding::tls;
use replink_bench::{Contender, Failure, Flow, Handshakes, RoundTrips, Window};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::byte_stream::{self, Protection};

/// rustls with ring, over blocking sockets. The server alone proves itself, with a certificate of ECDSA
/// P-256; mutual TLS takes longer.
#[derive(Clone)]
pub(crate) struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new() -> Result<Self, Failure> {
        let identity = tls::Identity::generate()?;
        Ok(Self { client: tls::client(&[&identity])?, server: identity.server() })
    }
}

impl Protection for Tls {
    type Dialer = StreamOwned<ClientConnection, TcpStream>;
    type Acceptor = StreamOwned<ServerConnection, TcpStream>;

    fn connect(&self, socket: TcpStream) -> Result<Self::Dialer, Failure> {
        let client = ClientConnection::new(Arc::clone(&self.client), tls::name()?)?;
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    fn accept(&self, socket: TcpStream) -> Result<Self::Acceptor, Failure> {
        let server = ServerConnection::new(Arc::clone(&self.server))?;
        let mut stream = StreamOwned::new(server, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

impl Contender for Tls {
    fn name(&self) -> String {
        "rustls, TLS 1.3".to_owned()
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        byte_stream::throughput(self, size, window)
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        byte_stream::round_trip(self, size, window)
    }

    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure> {
        byte_stream::handshakes(self, window)
    }
}
