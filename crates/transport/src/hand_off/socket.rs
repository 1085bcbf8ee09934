//! Descriptors that came from another process, and the name of a link's socket.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};

use super::DescriptorError;
use crate::Link;

const ADDRESS_LEN: usize = 23;

/// Bytes of [`name`].
const NAME_LEN: usize = 2 * ADDRESS_LEN + 8;

/// Names this socket and, until the system is started anew, no other: the kernel's cookie for it, which
/// every duplicate of the descriptor has too, and both addresses.
pub(super) fn name(link: &Link) -> io::Result<[u8; NAME_LEN]> {
    let cookie = sockopt::socket_cookie(link)?;
    let mut bytes = [0; NAME_LEN];
    let (addresses, rest) = bytes.split_at_mut(2 * ADDRESS_LEN);
    let (local, peer) = addresses.split_at_mut(ADDRESS_LEN);
    local.copy_from_slice(&address(link.stream().local_addr()?));
    peer.copy_from_slice(&address(link.stream().peer_addr()?));
    rest.copy_from_slice(&cookie.to_le_bytes());
    Ok(bytes)
}

/// Family (4 or 6), address (an IPv4 one before 12 zeros), port, scope.
fn address(address: SocketAddr) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[0] = 6;
            bytes[1..17].copy_from_slice(&ip.octets());
        }
    }
    bytes[17..19].copy_from_slice(&address.port().to_le_bytes());
    if let SocketAddr::V6(address) = address {
        bytes[19..].copy_from_slice(&address.scope_id().to_le_bytes());
    }
    bytes
}

/// A connected TCP socket.
pub(super) fn link(descriptor: OwnedFd) -> Result<Link, DescriptorError> {
    let expected = "a connected TCP socket";
    check_tcp(&descriptor, expected)?;
    if is_listening(&descriptor)? {
        return Err(DescriptorError::Kind { expected });
    }
    Ok(Link::new(TcpStream::from(descriptor))?)
}

/// A listening TCP socket.
pub(super) fn listener(descriptor: OwnedFd) -> Result<TcpListener, DescriptorError> {
    let expected = "a listening TCP socket";
    check_tcp(&descriptor, expected)?;
    if is_listening(&descriptor)? {
        Ok(TcpListener::from(descriptor))
    } else {
        Err(DescriptorError::Kind { expected })
    }
}

/// What has no such options is no socket at all.
fn check_tcp(descriptor: &OwnedFd, expected: &'static str) -> Result<(), DescriptorError> {
    let wrong = DescriptorError::Kind { expected };
    let properties = (
        sockopt::socket_domain(descriptor),
        sockopt::socket_type(descriptor),
        sockopt::socket_protocol(descriptor),
    );
    match properties {
        (Ok(AddressFamily::INET | AddressFamily::INET6), Ok(SocketType::STREAM), Ok(Some(ipproto::TCP))) => {
            Ok(())
        }
        _ => Err(wrong),
    }
}

fn is_listening(descriptor: &OwnedFd) -> Result<bool, DescriptorError> {
    Ok(sockopt::socket_acceptconn(descriptor).map_err(io::Error::from)?)
}
