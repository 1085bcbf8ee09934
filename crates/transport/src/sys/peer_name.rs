use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use socket2::{SockAddr, SockAddrStorage};

/// Where the peer of a connection is, or was: unlike `getpeername` this knows it also of a connection that
/// was reset, as `accept` does.
pub(crate) fn peer_name(stream: &TcpStream) -> io::Result<SocketAddr> {
    // The kernel wants no more room than it fills.
    let name = name_of::<libc::sockaddr_in6>(stream).or_else(|_| name_of::<libc::sockaddr_in>(stream))?;
    name.as_socket().ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

/// The peer's address, if it has the size of a `T`.
fn name_of<T>(stream: &TcpStream) -> io::Result<SockAddr> {
    let get = |storage: *mut SockAddrStorage, len: *mut libc::socklen_t| {
        let size = libc::socklen_t::try_from(size_of::<T>()).expect("addresses are small");
        // SAFETY: `len` is ours to write. `storage` has room for every kind of address, and the kernel fills
        // at most `size` bytes of it. Both outlive the call.
        let got = unsafe {
            *len = size;
            libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERNAME, storage.cast(), len)
        };
        if got == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: a successful call has made an address of the length that it says.
    let ((), address) = unsafe { SockAddr::try_init(get) }?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn a_connection_that_was_reset_still_has_a_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = peer.local_addr().unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(peer_name(&accepted).unwrap(), address);
        SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        accepted.read(&mut [0]).unwrap_err();
        assert!(accepted.peer_addr().is_err());
        assert_eq!(peer_name(&accepted).unwrap(), address);
    }
}
