//! TLS 1.3 of rustls.

use std::io;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use channel_binding::tls;
use replink_bench::Failure;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, ServerConfig, ServerConnection, SideData, StreamOwned,
};

use super::byte_stream::Protection;

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
    const NAME: &'static str = "rustls, TLS 1.3";

    type Dialer = StreamOwned<ClientConnection, TcpStream>;
    type Acceptor = StreamOwned<ServerConnection, TcpStream>;

    fn connect(&self, socket: TcpStream) -> Result<Self::Dialer, Failure> {
        let client = ClientConnection::new(Arc::clone(&self.client), tls::name()?)?;
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
