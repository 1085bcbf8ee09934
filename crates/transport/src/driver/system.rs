//! The operating system's driver: which of them, is known when the process runs.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use replink_handshake::Fresh;

#[cfg(all(feature = "io-uring", target_os = "linux"))]
use super::io_uring::IoUringDriver;
use super::poll::PollDriver;
use super::{Completion, Driver, Registration, Released, Socket, Token, Waker};
use crate::config::DriverChoice as Choice;
use crate::memory::{Block, ReceiveMemory, SendBatch};
use crate::{EntropyError, Link};

/// Calls the same on whichever driver it is.
macro_rules! either {
    ($self:expr, $driver:ident => $call:expr) => {
        match $self {
            Self::Poll($driver) => $call,
            #[cfg(all(feature = "io-uring", target_os = "linux"))]
            Self::IoUring($driver) => $call,
        }
    };
}

/// What a node runs on, as `cluster.link.driver` says.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one for each shard")]
pub enum SystemDriver {
    /// Readiness, from `epoll` or `kqueue`.
    Poll(PollDriver),
    /// Completions, from Linux's `io_uring`.
    #[cfg(all(feature = "io-uring", target_os = "linux"))]
    IoUring(Box<IoUringDriver>),
}

impl SystemDriver {
    /// `count` drivers of one kind, one for each shard. Where [`Auto`](Choice::Auto) finds
    /// no `io_uring`, the log says why, once.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors; for [`IoUring`](Choice::IoUring) also why there is none.
    pub fn choose(choice: Choice, busy_poll: Duration, count: usize) -> io::Result<Vec<Self>> {
        let poll = || (0..count).map(|_| Ok(Self::Poll(PollDriver::new(busy_poll)?))).collect();
        match choice {
            Choice::Poll => poll(),
            Choice::Auto => Self::io_uring(busy_poll, count).or_else(|error| {
                tracing::info!("io_uring can't be used here, so the driver is poll: {error}");
                poll()
            }),
            Choice::IoUring => {
                let explain = |error: io::Error| {
                    let advice = "set cluster.link.driver to \"auto\" or \"poll\"";
                    io::Error::new(error.kind(), format!("io_uring can't be used here: {error}; {advice}"))
                };
                Self::io_uring(busy_poll, count).map_err(explain)
            }
        }
    }

    #[cfg(all(feature = "io-uring", target_os = "linux"))]
    fn io_uring(busy_poll: Duration, count: usize) -> io::Result<Vec<Self>> {
        (0..count).map(|_| Ok(Self::IoUring(Box::new(IoUringDriver::new(busy_poll)?)))).collect()
    }

    #[cfg(not(all(feature = "io-uring", target_os = "linux")))]
    fn io_uring(_: Duration, _: usize) -> io::Result<Vec<Self>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is Linux's, and a feature of the build"))
    }

    /// Blocks that are in its hands.
    #[cfg(test)]
    pub(super) fn blocks_held(&self) -> usize {
        either!(self, driver => driver.blocks_held())
    }

    /// Connections that it has accepted and nobody has taken.
    #[cfg(test)]
    pub(super) fn accepted_and_not_taken(&self) -> usize {
        either!(self, driver => driver.accepted_and_not_taken())
    }

    /// Its name in `cluster.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Poll(_) => "poll",
            #[cfg(all(feature = "io-uring", target_os = "linux"))]
            Self::IoUring(_) => "io_uring",
        }
    }
}

impl Driver for SystemDriver {
    type Socket = Link;
    type Listener = TcpListener;

    fn waker(&self) -> Waker {
        either!(self, driver => driver.waker())
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&mut self) -> u64 {
        either!(self, driver => driver.random())
    }

    fn fresh(&mut self) -> Result<Fresh, EntropyError> {
        either!(self, driver => driver.fresh())
    }

    fn listen(&mut self, token: Token, listener: &TcpListener) -> io::Result<Registration> {
        either!(self, driver => driver.listen(token, listener))
    }

    fn accept(&mut self, token: Token, at_most: usize) {
        either!(self, driver => driver.accept(token, at_most));
    }

    fn connect(
        &mut self,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Registration> {
        either!(self, driver => driver.connect(token, address, source))
    }

    fn register(&mut self, token: Token, socket: &Link) -> io::Result<Registration> {
        either!(self, driver => driver.register(token, socket))
    }

    fn receive(&mut self, token: Token, memory: Option<ReceiveMemory>, at_most: usize) {
        either!(self, driver => driver.receive(token, memory, at_most));
    }

    fn send(&mut self, token: Token, batch: SendBatch) {
        either!(self, driver => driver.send(token, batch));
    }

    fn recycle(&mut self, block: Block) {
        either!(self, driver => driver.recycle(block));
    }

    fn wait(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        either!(self, driver => driver.wait(timeout, arrived))
    }

    fn next(&mut self) -> Option<Completion<Link>> {
        either!(self, driver => driver.next())
    }

    fn next_received(&mut self) -> Option<Completion<Link>> {
        either!(self, driver => driver.next_received())
    }

    fn release(&mut self, registration: Registration) -> Released {
        either!(self, driver => driver.release(registration))
    }

    fn is_busy(&self) -> bool {
        either!(self, driver => driver.is_busy())
    }
}

/// Readable when there is something to do.
impl AsRawFd for SystemDriver {
    fn as_raw_fd(&self) -> RawFd {
        either!(self, driver => driver.as_raw_fd())
    }
}

impl Socket for Link {
    fn peer_address(&self) -> SocketAddr {
        Link::peer_address(self)
    }

    fn keep_alive(&self) {
        // Only a socket that is at its end has no such option.
        let _ = Link::keep_alive(self);
    }

    fn unacknowledged_for(&self) -> Option<Duration> {
        Link::unacknowledged_for(self)
    }

    fn finish(&self) {
        let _ = self.stream().shutdown(std::net::Shutdown::Write);
    }

    fn shutdown(&self) {
        Link::shutdown(self);
    }
}
