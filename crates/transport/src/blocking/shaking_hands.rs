//! Moves the bytes of a handshake over a socket that blocks.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::Link;
use crate::exchange::{Exchange, Step, StreamError, Want};

/// A socket from a runtime may be set not to block. Waiting on it would then spin, and sending
/// fail where it should wait.
pub(super) fn make_blocking(link: &Link, step: Step) -> Result<(), StreamError> {
    link.stream().set_nonblocking(false).map_err(|source| StreamError::Io { step, source })
}

/// How much longer than it may a read can wait. For less than that the socket's timeout is not set
/// anew, which would be a system call for each frame.
const SLACK: Duration = Duration::from_millis(10);

/// What is read at once: a handshake frame, or what a peer that was turned away still sends.
const READ_MAX: usize = 16 * 1024;

/// The timeouts that one socket has for the time of its handshake.
#[derive(Default)]
pub(super) struct Timeouts {
    /// What is set for reads.
    read: Option<Duration>,
    /// Whether there is one for writes.
    write: bool,
}

impl Timeouts {
    /// Does what is wanted of the connection, until something else is.
    pub(super) fn drive(&mut self, exchange: &mut impl Exchange<Link = Link>) {
        let mut buffer = [0; READ_MAX];
        loop {
            let (until, now) = (exchange.until(), Instant::now());
            let left = until.saturating_duration_since(now);
            let result = match exchange.want() {
                Want::Connect { .. } | Want::Answer | Want::Done => return,
                Want::EndSending { link } => {
                    let _ = link.stream().shutdown(Shutdown::Write);
                    exchange.sending_ended();
                    continue;
                }
                // The socket would take a timeout of zero for none.
                _ if left.is_zero() => Err(io::ErrorKind::WouldBlock.into()),
                Want::Write { link, bytes } => self.write(link, bytes, left).map(|count| (true, count)),
                Want::Read { link, at_most } | Want::Discard { link, at_most } => {
                    self.read(link, &mut buffer[..at_most.min(READ_MAX)], left).map(|count| (false, count))
                }
            };
            let now = Instant::now();
            match result {
                Ok((true, count)) => exchange.written(count, now),
                Ok((false, count)) => exchange.received(&buffer[..count], now),
                // The timeout of a read or write is `WouldBlock`. `TimedOut` is the kernel giving the
                // whole connection up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => exchange.timed_out(now),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => exchange.failed(error, now),
            }
        }
    }

    fn read(&mut self, link: &Link, buffer: &mut [u8], left: Duration) -> io::Result<usize> {
        if self.read.is_none_or(|timeout| timeout > left + SLACK) {
            link.stream().set_read_timeout(Some(left))?;
            self.read = Some(left);
        }
        link.read(buffer)
    }

    fn write(&mut self, link: &Link, bytes: &[u8], left: Duration) -> io::Result<usize> {
        // So small a frame finds room at once, and needs no timeout.
        match link.write_at_once(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                link.stream().set_write_timeout(Some(left))?;
                self.write = true;
                link.write(bytes)
            }
            result => result,
        }
    }

    /// Takes the timeouts off a link that is up.
    pub(super) fn take_off(self, link: &Link) -> Result<(), StreamError> {
        let failed = |source| StreamError::Io { step: Step::Finish, source };
        if self.read.is_some() {
            link.stream().set_read_timeout(None).map_err(failed)?;
        }
        if self.write {
            link.stream().set_write_timeout(None).map_err(failed)?;
        }
        Ok(())
    }
}
