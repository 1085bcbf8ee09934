//! Sockets on loopback, set as a link sets its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a call on a socket waits before the measurement fails.
pub const STALL_MAX: Duration = Duration::from_secs(10);

/// A listener on a port that the system chooses.
///
/// # Errors
///
/// What the system says.
pub fn listener() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// Sets a socket as links do: small writes go out at once, buffers are the system's. A call that waits for
/// longer than [`STALL_MAX`] fails.
///
/// # Errors
///
/// What the system says.
pub fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STALL_MAX))?;
    stream.set_write_timeout(Some(STALL_MAX))
}

/// Both ends of a new connection.
///
/// # Errors
///
/// What the system says.
pub fn connected_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = listener()?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let (theirs, _) = listener.accept()?;
    set_up(&ours)?;
    set_up(&theirs)?;
    Ok((ours, theirs))
}

/// Whoever waits in `accept` at this address is woken when the dialer is done, however it ends.
#[derive(Debug)]
pub struct Knock(pub SocketAddr);

impl Drop for Knock {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.0));
    }
}
