use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read};
#[cfg(any(feature = "node", feature = "blocking"))]
use std::net::{IpAddr, SocketAddrV6};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "node", feature = "blocking"))]
use socket2::{Domain, Protocol, Socket, Type};
use socket2::{SockRef, TcpKeepalive};

use crate::GatherWrite;

/// A connected TCP socket between two replicas: plain, and dup-able.
///
/// A `Link` alone carries no frames. It goes into a handshake, comes back as
/// [`Authenticated<Link>`](replink_handshake::Authenticated), and only that opens into the
/// codecs that read and write frames.
pub struct Link {
    /// Shared with the operations that a driver has under way on it.
    stream: Arc<TcpStream>,
    peer_address: SocketAddr,
    /// Whether reads and writes return at once, whatever the mode of the socket: a node's do.
    dont_wait: bool,
}

impl Link {
    /// Takes a connected stream over and sets it up for small frames (no Nagle delay).
    ///
    /// # Errors
    ///
    /// What the socket says; for instance that the peer is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let peer_address = stream.peer_addr()?;
        Self::connected(stream, peer_address)
    }

    /// As [`Link::new`], with a stream that is known to lead to `peer_address`.
    pub(crate) fn connected(stream: TcpStream, peer_address: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: Arc::new(stream), peer_address, dont_wait: false })
    }

    /// A second handle to the same socket (`dup`, close-on-exec).
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: Arc::new(self.stream.try_clone()?), ..*self })
    }

    /// Has the system ask the peer's machine whether it is there while nothing is sent (TCP keepalive), and end
    /// the connection within 19 seconds where it is not. Of a machine that vanishes while something is on its way
    /// [`Link::unacknowledged_for`] knows.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub fn keep_alive(&self) -> io::Result<()> {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(3))
            .with_retries(3);
        SockRef::from(&*self.stream).set_tcp_keepalive(&keepalive)
    }

    /// For how long the peer's machine has owed an answer to what was sent. `None` where it owes none, or the
    /// system can't say (only Linux does). A peer that reads slowly, or not at all, owes none: its machine
    /// answers that its window is shut. So this is no `TCP_USER_TIMEOUT`, which ends such a connection.
    pub fn unacknowledged_for(&self) -> Option<Duration> {
        crate::sys::unacknowledged_for(&self.stream)
    }

    /// Where the peer is.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// The underlying stream, for options that this type has no name for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Ends both directions, for every handle to this socket. Already ended is fine.
    pub fn shutdown(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub(crate) fn send_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(&*self.stream).send_vectored_with_flags(slices, NO_SIGNAL | self.wait_flag())
    }

    /// One read into the places that [`Inbound::room`](crate::Inbound::room) gives, the first one first. Returns
    /// the bytes received, to be told to [`Inbound::received`](crate::Inbound::received); 0 is the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// What the socket says; a read that was interrupted is made again. With
    /// [`io::ErrorKind::ResourceBusy`], this end's mistake: there is no room, for frames that have come wait to
    /// be taken.
    pub fn receive(&self, [first, second]: [&mut [u8]; 2]) -> io::Result<usize> {
        let mut places = [IoSliceMut::new(first), IoSliceMut::new(second)];
        if places.iter().all(|place| place.is_empty()) {
            // A read without room gives 0, which would pass for the end of the stream.
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "frames received before wait to be taken",
            ));
        }
        loop {
            match (&*self.stream).read_vectored(&mut places) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(crate) fn wait_flag(&self) -> libc::c_int {
        if self.dont_wait { libc::MSG_DONTWAIT } else { 0 }
    }
}

/// What a thread of its own does.
#[cfg(feature = "blocking")]
impl Link {
    /// Connects from `source`, within `timeout`.
    pub(crate) fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let socket = new_socket(address, source)?;
        socket.connect_timeout(&address.into(), timeout)?;
        let stream = TcpStream::from(socket);
        refuse_own_end(&stream)?;
        Self::connected(stream, address)
    }

    /// The same, whose reads and writes wait: a node's do not, and those of a runtime's sockets don't either.
    pub(crate) fn waiting(self) -> io::Result<Self> {
        self.stream.set_nonblocking(false)?;
        Ok(Self { dont_wait: false, ..self })
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self.stream, bytes)
    }

    /// Writes what there is room for, and does not wait for more.
    pub(crate) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&*self.stream).send_with_flags(bytes, NO_SIGNAL | libc::MSG_DONTWAIT)
    }
}

/// What a driver does.
#[cfg(feature = "node")]
impl Link {
    /// Takes a connection over that was accepted from `peer_address`, and is set up already. It
    /// does not block.
    pub(crate) fn accepted(stream: TcpStream, peer_address: SocketAddr) -> Self {
        Self { stream: Arc::new(stream), peer_address, dont_wait: true }
    }

    /// Begins to connect from `source`, without blocking then or later.
    pub(crate) fn begin_connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = new_socket(address, source)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Self::accepted(socket.into(), address))
    }

    /// A socket that has yet to connect to `address`, which is somebody else's to do.
    #[cfg(all(feature = "io-uring", target_os = "linux"))]
    pub(crate) fn unconnected(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        Ok(Self::accepted(new_socket(address, source)?.into(), address))
    }

    /// What an operation under way holds, so that the descriptor stays this socket's.
    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// The same, whose reads and writes return at once.
    #[cfg(all(feature = "hand-off", target_os = "linux"))]
    pub(crate) fn without_waiting(self) -> Self {
        Self { dont_wait: true, ..self }
    }
}

/// Fails for a socket that is connected to itself. TCP allows that: who dials a port of his own host that
/// nobody listens on, may be given that very port to dial from, and meets himself.
#[cfg(any(feature = "node", feature = "blocking"))]
pub(crate) fn refuse_own_end(socket: &TcpStream) -> io::Result<()> {
    if !is_own_end(socket.local_addr()?, socket.peer_addr()?) {
        return Ok(());
    }
    // Else its port would be taken for a minute (TIME_WAIT), and could not be listened on.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    Err(io::ErrorKind::ConnectionRefused.into())
}

#[cfg(any(feature = "node", feature = "blocking"))]
fn is_own_end(own: SocketAddr, peer: SocketAddr) -> bool {
    own.port() == peer.port() && own.ip() == peer.ip()
}

/// A socket to connect to `address` with, from `source` and any port of it that is free.
#[cfg(any(feature = "node", feature = "blocking"))]
fn new_socket(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&bound_to(source, address)?.into())?;
    }
    Ok(socket)
}

/// Where a socket to `address` is bound whose own address is `source`.
#[cfg(any(feature = "node", feature = "blocking"))]
fn bound_to(source: IpAddr, address: SocketAddr) -> io::Result<SocketAddr> {
    match (source, address) {
        (IpAddr::V4(_), SocketAddr::V4(_)) => Ok(SocketAddr::new(source, 0)),
        // A socket to an IPv4 address in the clothes of IPv6 wants its own address in them too.
        (IpAddr::V4(source), SocketAddr::V6(address)) if address.ip().to_ipv4_mapped().is_some() => {
            Ok(SocketAddr::new(source.to_ipv6_mapped().into(), 0))
        }
        // An address within a link belongs to an interface: to the one that the peer is behind.
        (IpAddr::V6(source), SocketAddr::V6(address)) => {
            let scope = if source.is_unicast_link_local() { address.scope_id() } else { 0 };
            Ok(SocketAddrV6::new(source, 0, 0, scope).into())
        }
        _ => Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("cluster.source is {source}, which is not of the same family"),
        )),
    }
}

/// A connection that is being made is no failure.
#[cfg(feature = "node")]
fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}

/// A peer that is gone is an error and no signal: SIGPIPE would end a process that has its default
/// action back, as commands often do. The standard library's gathered write has no such flag.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
/// There the standard library sets the option `SO_NOSIGPIPE` on every socket.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: libc::c_int = 0;

/// Flags of a send that does not wait.
#[cfg(feature = "node")]
pub(crate) const SEND_AT_ONCE: libc::c_int = NO_SIGNAL | libc::MSG_DONTWAIT;

impl GatherWrite for Link {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_gathered(slices)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.peer_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_its_own_where_host_and_port_are_the_same() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = address("127.0.0.1:7101");
        assert!(is_own_end(own, own));
        assert!(!is_own_end(own, address("127.0.0.1:7102")));
        assert!(!is_own_end(own, address("127.0.0.2:7101")));
        assert!(is_own_end(address("[::1]:7101"), address("[::1]:7101")));
    }

    /// Connected to itself for certain: bound to the very address that it connects to.
    #[test]
    fn who_meets_himself_is_refused_and_leaves_his_port_free() {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        let stream = TcpStream::from(socket);
        assert_eq!(refuse_own_end(&stream).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop(stream);
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&own).expect("nothing of it is left, so nothing has to be reused");
    }
}
