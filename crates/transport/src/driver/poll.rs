//! The portable driver: readiness from the operating system (`epoll`, `kqueue`).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use replink_handshake::Fresh;
use socket2::SockRef;

use super::busy_poll::BusyPoll;
use super::{Driver, Readiness, Reception, Stream, Token, Waker};
use crate::entropy::Jitter;
use crate::{EntropyError, Inbound, Link, fresh};

/// The waker's own token; no other is so high.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// Connections that may wait to be accepted; the system may allow fewer. The standard library asks
/// for 128, which a flood fills between two turns of a busy shard. Then a replica that connects
/// waits for a second or more, until its system tries again. With 1024 that still happened while a
/// busy machine did not let the shard run; all of these are accepted within half a second.
const BACKLOG: i32 = 4096;

/// What is taken from the system at once.
const EVENTS_MAX: usize = 1024;

/// Waits with the operating system's poller, and reads and writes with plain system calls.
pub struct PollDriver {
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    busy_poll: BusyPoll,
    jitter: Jitter,
}

impl PollDriver {
    /// A driver that watches nothing yet. It looks for `busy_poll` before it sleeps.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn new(busy_poll: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let busy_poll = BusyPoll::new(busy_poll);
        Ok(Self { poll, events: Events::with_capacity(EVENTS_MAX), waker, busy_poll, jitter: Jitter::new() })
    }

    /// Waits for events, after having looked for some.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.busy_poll.is_off() || timeout == Some(Duration::ZERO) {
            return self.poll.poll(&mut self.events, timeout);
        }
        let began = Instant::now();
        let (poll, events) = (&mut self.poll, &mut self.events);
        let mut looked = Ok(());
        let found = self.busy_poll.look(began, timeout, || {
            looked = poll.poll(events, Some(Duration::ZERO));
            looked.is_err() || !events.is_empty()
        });
        looked?;
        if !found {
            self.poll.poll(&mut self.events, timeout)?;
        }
        self.busy_poll.learn((!self.events.is_empty()).then(|| began.elapsed()));
        Ok(())
    }

    fn register(&self, token: Token, fd: RawFd, interest: Interest) -> io::Result<()> {
        let token = usize::try_from(token.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.poll.registry().register(&mut SourceFd(&fd), mio::Token(token), interest)
    }
}

impl Driver for PollDriver {
    type Stream = Link;
    type Listener = TcpListener;

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            // Fails only where the counter of wake-ups is full, and then one is under way.
            let _ = waker.wake();
        })
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&mut self) -> u64 {
        self.jitter.next()
    }

    fn fresh(&mut self) -> Result<Fresh, EntropyError> {
        fresh()
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        match self.poll(timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        ready.extend(self.events.iter().filter(|event| event.token() != WAKER).map(|event| Readiness {
            token: Token(event.token().0 as u64),
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_write_closed() || event.is_error(),
            ended: event.is_read_closed() || event.is_error(),
        }));
        Ok(())
    }

    fn watch(&mut self, token: Token, stream: &Link) -> io::Result<()> {
        self.register(token, stream.as_fd().as_raw_fd(), Interest::READABLE | Interest::WRITABLE)
    }

    fn unwatch(&mut self, stream: &Link) {
        // Fails only where it is not watched, which is what is wanted.
        let _ = self.poll.registry().deregister(&mut SourceFd(&stream.as_fd().as_raw_fd()));
    }

    fn watch_listener(&mut self, token: Token, listener: &TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        prepare_listener(listener)?;
        self.register(token, listener.as_raw_fd(), Interest::READABLE)
    }

    fn unwatch_listener(&mut self, listener: &TcpListener) {
        // As above.
        let _ = self.poll.registry().deregister(&mut SourceFd(&listener.as_raw_fd()));
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<(Link, SocketAddr)> {
        let (stream, address) = accept(listener)?;
        Ok((Link::accepted(stream, address), address))
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Link> {
        Link::begin_connect(address)
    }

    fn connected(&mut self, link: &Link) -> io::Result<()> {
        if let Some(error) = link.stream().take_error()? {
            return Err(error);
        }
        match link.stream().peer_addr() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, link: &Link, buffer: &mut [u8]) -> io::Result<usize> {
        link.read(buffer)
    }

    fn receive(&mut self, link: &Link, inbound: &mut Inbound) -> io::Result<Reception> {
        inbound.receive_from(link)
    }
}

/// Sets a listener up for many connections.
pub(super) fn prepare_listener(listener: &TcpListener) -> io::Result<()> {
    // What is accepted inherits it, and needs no call of its own.
    SockRef::from(listener).set_tcp_nodelay(true)?;
    // Again on a socket that listens already: only the length of the queue changes.
    SockRef::from(listener).listen(BACKLOG)
}

/// Accepts with one system call: in a flood most connections are closed right behind it.
#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, address) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    // A peer that is gone already may have no address.
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    let address = address.and_then(|address| SocketAddr::try_from(address).ok()).ok_or_else(gone)?;
    Ok((TcpStream::from(socket), address))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, address))
}

/// Readable when there is something to report.
impl AsRawFd for PollDriver {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Stream for Link {
    fn peer_address(&self) -> SocketAddr {
        Link::peer_address(self)
    }

    fn set_user_timeout(&self, timeout: Duration) {
        // Without it a peer that vanished is noticed later, by its silence.
        let _ = Link::set_user_timeout(self, timeout);
    }

    fn finish(&self) {
        let _ = self.stream().shutdown(std::net::Shutdown::Write);
    }

    fn shutdown(&self) {
        Link::shutdown(self);
    }
}

impl fmt::Debug for PollDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollDriver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A read that got all bytes does not find the end behind them; so the event has to tell of it.
    #[test]
    fn an_end_that_came_with_bytes_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        let link = Link::accepted(stream, address);
        let mut driver = PollDriver::new(Duration::ZERO).unwrap();
        peer.write_all(b"last words").unwrap();
        driver.watch(Token(7), &link).unwrap();
        let mut wait_for = |found: &dyn Fn(&Readiness) -> bool| {
            let mut ready = Vec::new();
            while !ready.iter().any(found) {
                driver.wait(Some(Duration::from_secs(10)), &mut ready).unwrap();
            }
        };
        wait_for(&|readiness| readiness.readable && !readiness.ended);
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for(&|readiness| readiness.readable && readiness.ended);
        let mut buffer = [0; 100];
        assert_eq!(link.read(&mut buffer).unwrap(), 10);
        assert_eq!(link.read(&mut buffer).unwrap(), 0);
        // And once more where it was there before anybody watched.
        driver.unwatch(&link);
        driver.watch(Token(8), &link).unwrap();
        let mut ready = Vec::new();
        driver.wait(Some(Duration::from_secs(10)), &mut ready).unwrap();
        assert!(ready.iter().any(|readiness| readiness.token == Token(8) && readiness.ended));
    }

    #[test]
    fn what_is_accepted_does_not_block_and_does_not_wait_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut driver = PollDriver::new(Duration::ZERO).unwrap();
        driver.watch_listener(Token(0), &listener).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        driver.wait(None, &mut Vec::new()).unwrap();
        let (link, address) = driver.accept(&listener).unwrap();
        assert_eq!(address, peer.local_addr().unwrap());
        assert!(link.stream().nodelay().unwrap());
        assert_eq!(link.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(driver.accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
