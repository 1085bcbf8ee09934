use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use replink_transport::handshake::ChannelBinding;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::link::Stream;
use crate::{Failure, tls};

/// The label that RFC 9266 gives to channel bindings (`tls-exporter`); its context is empty.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// One end of a TLS session over a blocking socket. All that it does ends at its deadline.
#[derive(Debug)]
pub struct TlsStream {
    session: Connection,
    socket: UntilDeadline,
}

impl TlsStream {
    /// The end that connected.
    ///
    /// # Errors
    ///
    /// When the TLS handshake fails or takes too long.
    pub fn connect(socket: TcpStream, config: Arc<ClientConfig>, deadline: Instant) -> Result<Self, Failure> {
        Self::shake_hands(ClientConnection::new(config, tls::name()?)?.into(), socket, deadline)
    }

    /// The end that accepted.
    ///
    /// # Errors
    ///
    /// When the TLS handshake fails or takes too long.
    pub fn accept(socket: TcpStream, config: Arc<ServerConfig>, deadline: Instant) -> Result<Self, Failure> {
        Self::shake_hands(ServerConnection::new(config)?.into(), socket, deadline)
    }

    fn shake_hands(session: Connection, socket: TcpStream, deadline: Instant) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        let mut stream = Self { session, socket: UntilDeadline { socket, deadline } };
        while stream.session.is_handshaking() {
            stream.session.complete_io(&mut stream.socket)?;
        }
        Ok(stream)
    }

    /// What to bind the replica handshake to: the exporter value of this very session, which both of its
    /// ends have and nobody else. It is a secret.
    ///
    /// # Errors
    ///
    /// None once the TLS handshake is done.
    pub fn binding(&self) -> Result<ChannelBinding, Failure> {
        let value = self.session.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[]))?;
        Ok(ChannelBinding::TlsExporter(value))
    }

    /// Ends the session and the connection, so that the peer sees an end and not a cut.
    pub fn close(mut self) {
        self.end_sending();
    }
}

impl Stream for TlsStream {
    fn deadline(&self) -> Instant {
        self.socket.deadline
    }

    fn set_deadline(&mut self, deadline: Instant) {
        self.socket.deadline = deadline;
    }

    fn end_sending(&mut self) {
        self.session.send_close_notify();
        let _ = self.flush();
        let _ = self.socket.socket.shutdown(Shutdown::Write);
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.session.complete_io(&mut self.socket)?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

/// A socket whose every operation has what is left of the time.
#[derive(Debug)]
struct UntilDeadline {
    socket: TcpStream,
    deadline: Instant,
}

impl UntilDeadline {
    fn left(&self) -> io::Result<Option<std::time::Duration>> {
        let left = self.deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.map(Some).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

impl Read for UntilDeadline {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for UntilDeadline {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
