use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A connected TCP socket between two replicas: plain, and dup-able.
///
/// A `Link` alone carries no frames. It goes into a handshake, comes back as
/// [`Authenticated<Link>`](replink_handshake::Authenticated), and only that opens into the
/// codecs that read and write frames.
pub struct Link {
    stream: TcpStream,
    peer_address: SocketAddr,
}

impl Link {
    /// Takes a connected stream over and sets it up for small frames (no Nagle delay).
    ///
    /// # Errors
    ///
    /// What the socket says; for instance that the peer is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let peer_address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, peer_address })
    }

    /// Takes a connection over that was accepted from `peer_address`, and is set up already.
    pub(crate) fn accepted(stream: TcpStream, peer_address: SocketAddr) -> Self {
        Self { stream, peer_address }
    }

    /// Begins to connect, without blocking then or later.
    pub(crate) fn begin_connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { stream: socket.into(), peer_address: address })
    }

    /// A second handle to the same socket (`dup`, close-on-exec).
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, peer_address: self.peer_address })
    }

    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up
    /// (`TCP_USER_TIMEOUT`), so that a peer that vanished is noticed although we only send.
    /// Where the system has no such option, this does nothing.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        SockRef::from(&self.stream).set_tcp_user_timeout(Some(timeout))?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = timeout;
        Ok(())
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
        SockRef::from(&self.stream).send_vectored_with_flags(slices, NO_SIGNAL)
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.stream).write(bytes)
    }
}

/// A connection that is being made is no failure.
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
