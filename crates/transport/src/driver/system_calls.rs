//! What drivers ask the system for, without ever waiting in it.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::net::{RecvAncillaryBuffer, RecvFlags, recv, recvmsg};
use socket2::SockRef;

use crate::link::SEND_AT_ONCE;
pub(super) use crate::link::refuse_own_end;
use crate::memory::{ReceiveMemory, SEND_MAX, SLICES_MAX, SendBatch};

/// Connections that may wait to be accepted; the system may allow fewer. The standard library asks
/// for 128, which a flood fills between two turns of a busy shard. Then a replica that connects
/// waits for a second or more, until its system tries again. With 1024 that still happened while a
/// busy machine did not let the shard run; all of these are accepted within half a second.
const BACKLOG: i32 = 4096;

/// Sets a listener up for many connections.
pub(super) fn prepare_listener(listener: &TcpListener) -> io::Result<()> {
    // What is accepted inherits it, and needs no call of its own.
    SockRef::from(listener).set_tcp_nodelay(true)?;
    // Again on a socket that listens already: only the length of the queue changes.
    SockRef::from(listener).listen(BACKLOG)
}

/// Accepts with one system call: in a flood most connections are closed right behind it.
#[cfg(target_os = "linux")]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, address) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    // A peer that is gone already may have no address.
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    let address = address.and_then(|address| SocketAddr::try_from(address).ok()).ok_or_else(gone)?;
    Ok((TcpStream::from(socket), address))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, address))
}

/// Receives at most `at_most` bytes, with one system call.
pub(super) fn receive(socket: &TcpStream, memory: &mut ReceiveMemory, at_most: usize) -> io::Result<usize> {
    let [first, second] = memory.slices();
    let in_first = first.len().min(at_most);
    let in_second = second.len().min(at_most - in_first);
    let (first, second) = (&mut first[..in_first], &mut second[..in_second]);
    // To receive nothing would look like the end of the stream.
    assert!(in_first + in_second > 0, "a receive has room for a byte at least");
    loop {
        let flags = RecvFlags::DONTWAIT;
        let received = if in_second == 0 {
            recv(socket, &mut *first, flags).map(|(received, _)| received)
        } else if in_first == 0 {
            recv(socket, &mut *second, flags).map(|(received, _)| received)
        } else {
            let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
            let mut control = RecvAncillaryBuffer::default();
            recvmsg(socket, &mut slices, &mut control, flags).map(|message| message.bytes)
        };
        match received {
            Err(rustix::io::Errno::INTR) => {}
            received => return Ok(received?),
        }
    }
}

/// Sends what comes first, with one system call.
pub(super) fn send(socket: &TcpStream, batch: &SendBatch) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    if let Some(only) = batch.only() {
        let only = &only[..only.len().min(SEND_MAX)];
        return unless_interrupted(|| socket.send_with_flags(only, SEND_AT_ONCE));
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = batch.slices(&mut slices, SEND_MAX);
    unless_interrupted(|| socket.send_vectored_with_flags(&slices[..count], SEND_AT_ONCE))
}

fn unless_interrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent,
        }
    }
}

/// How an attempt to connect has ended; `WouldBlock` while it is under way.
pub(super) fn connected(socket: &TcpStream) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => refuse_own_end(socket),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receives_what_it_is_asked_for_into_both_places_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = accept(&listener).unwrap();
        let mut memory = ReceiveMemory::in_two_places(4, 100);
        assert_eq!(receive(&socket, &mut memory, 50).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let sent = send(&peer, &bytes::Bytes::from_static(b"0123456789").into()).unwrap();
        assert_eq!(sent, 10);
        assert_eq!(receive(&socket, &mut memory, 7).unwrap(), 7);
        assert_eq!(memory.received(7).collect::<Vec<_>>(), [&b"0123"[..], b"456"]);
        assert_eq!(receive(&socket, &mut memory, 2).unwrap(), 2);
        assert_eq!(memory.received(2).next(), Some(&b"78"[..]));
        drop(peer);
        assert_eq!(receive(&socket, &mut ReceiveMemory::with_len(9), 9).unwrap(), 1);
        assert_eq!(receive(&socket, &mut ReceiveMemory::with_len(9), 9).unwrap(), 0);
    }
}
