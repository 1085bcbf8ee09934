//! The operating system's driver: which of them, is known when the process runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use replink_handshake::Fresh;

#[cfg(target_os = "linux")]
use super::io_uring::IoUringDriver;
use super::poll::PollDriver;
use super::{Driver, Readiness, Reception, Token, Waker};
use crate::config::DriverChoice as Choice;
use crate::{EntropyError, Flushed, Inbound, Link, SharedOutbound};

/// What a node runs on, as `cluster.link.driver` says.
#[derive(Debug)]
#[non_exhaustive]
pub enum SystemDriver {
    /// Readiness, from `epoll` or `kqueue`.
    Poll(PollDriver),
    /// Completions, from Linux's `io_uring`.
    #[cfg(target_os = "linux")]
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

    #[cfg(target_os = "linux")]
    fn io_uring(busy_poll: Duration, count: usize) -> io::Result<Vec<Self>> {
        (0..count).map(|_| Ok(Self::IoUring(Box::new(IoUringDriver::new(busy_poll)?)))).collect()
    }

    #[cfg(not(target_os = "linux"))]
    fn io_uring(_: Duration, _: usize) -> io::Result<Vec<Self>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is Linux's"))
    }

    /// Its name in `cluster.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Poll(_) => "poll",
            #[cfg(target_os = "linux")]
            Self::IoUring(_) => "io_uring",
        }
    }
}

/// Calls the same on whichever driver it is.
macro_rules! either {
    ($self:expr, $driver:ident => $call:expr) => {
        match $self {
            Self::Poll($driver) => $call,
            #[cfg(target_os = "linux")]
            Self::IoUring($driver) => $call,
        }
    };
}

impl Driver for SystemDriver {
    type Stream = Link;
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

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        either!(self, driver => driver.wait(timeout, ready))
    }

    fn watch(&mut self, token: Token, stream: &Link) -> io::Result<()> {
        either!(self, driver => driver.watch(token, stream))
    }

    fn unwatch(&mut self, stream: &Link) {
        either!(self, driver => driver.unwatch(stream));
    }

    fn release(&mut self, stream: &Link, inbound: &mut Inbound, outbound: &SharedOutbound<Link>) {
        either!(self, driver => driver.release(stream, inbound, outbound));
    }

    fn watch_listener(&mut self, token: Token, listener: &TcpListener) -> io::Result<()> {
        either!(self, driver => driver.watch_listener(token, listener))
    }

    fn unwatch_listener(&mut self, listener: &TcpListener) {
        either!(self, driver => driver.unwatch_listener(listener));
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<(Link, SocketAddr)> {
        either!(self, driver => driver.accept(listener))
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Link> {
        either!(self, driver => driver.connect(address))
    }

    fn connected(&mut self, stream: &Link) -> io::Result<()> {
        either!(self, driver => driver.connected(stream))
    }

    fn read(&mut self, stream: &Link, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, driver => driver.read(stream, buffer))
    }

    fn receive(&mut self, stream: &Link, inbound: &mut Inbound) -> io::Result<Reception> {
        either!(self, driver => driver.receive(stream, inbound))
    }

    fn flush(&mut self, stream: &Link, outbound: &SharedOutbound<Link>) -> io::Result<Flushed> {
        either!(self, driver => driver.flush(stream, outbound))
    }

    fn want_writable(&mut self, stream: &Link) {
        either!(self, driver => driver.want_writable(stream));
    }

    fn reports_writable(&self) -> bool {
        either!(self, driver => driver.reports_writable())
    }

    fn has_unsubmitted(&self) -> bool {
        either!(self, driver => driver.has_unsubmitted())
    }
}

/// Readable when there is something to report.
impl AsRawFd for SystemDriver {
    fn as_raw_fd(&self) -> RawFd {
        either!(self, driver => driver.as_raw_fd())
    }
}
