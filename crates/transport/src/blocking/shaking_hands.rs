//! Whole handshake frames over a socket, within one deadline.

use std::io;
use std::time::{Duration, Instant};

use crate::Link;
use crate::exchange::{Step, StreamError};
use replink_frame::HEADER_SIZE;

/// A socket from a runtime may be set not to block. Waiting on it would then spin, and sending
/// fail where it should wait.
pub(super) fn make_blocking(link: &Link, step: Step) -> Result<(), StreamError> {
    link.stream().set_nonblocking(false).map_err(|source| StreamError::Io { step, source })
}

/// How much longer than the deadline a read may wait. For less than that the socket's timeout is not set
/// anew, which would be a system call for each frame.
const SLACK: Duration = Duration::from_millis(10);

/// Reads and writes handshake frames on one link until a deadline.
pub(super) struct FrameIo {
    deadline: Instant,
    /// What the socket's timeout for reads is set to.
    read_timeout: Option<Duration>,
    /// Whether one for writes is set.
    write_timeout: bool,
}

impl FrameIo {
    /// For a link that has no timeouts.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, read_timeout: None, write_timeout: false }
    }

    /// Reads exactly one handshake frame (section 6: what is behind it stays in the socket).
    pub(super) fn read(&mut self, link: &Link, step: Step) -> Result<[u8; HEADER_SIZE], StreamError> {
        let mut frame = [0; HEADER_SIZE];
        let mut received = 0;
        let failed = |source| StreamError::Io { step, source };
        while received < HEADER_SIZE {
            let Some(left) = time_left(self.deadline) else {
                return Err(StreamError::TimedOut { step, received });
            };
            if self.read_timeout.is_none_or(|timeout| timeout > left + SLACK) {
                link.stream().set_read_timeout(Some(left)).map_err(failed)?;
                self.read_timeout = Some(left);
            }
            match link.read(&mut frame[received..]) {
                Ok(0) => return Err(StreamError::Closed { step, received }),
                Ok(count) => received += count,
                Err(error) if is_retry(&error) => {} // the deadline decides
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(frame)
    }

    /// Writes one handshake frame.
    pub(super) fn write(
        &mut self,
        link: &Link,
        step: Step,
        frame: &[u8; HEADER_SIZE],
    ) -> Result<(), StreamError> {
        let mut written = 0;
        let failed = |source| StreamError::Io { step, source };
        while written < HEADER_SIZE {
            let Some(left) = time_left(self.deadline) else {
                return Err(StreamError::NotTaken { step });
            };
            let rest = &frame[written..];
            // So small a frame finds room at once, and needs no timeout.
            let result = match link.write_at_once(rest) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.stream().set_write_timeout(Some(left)).map_err(failed)?;
                    self.write_timeout = true;
                    link.write(rest)
                }
                result => result,
            };
            match result {
                Ok(count) => written += count,
                Err(error) if is_retry(&error) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(())
    }

    /// Takes the timeouts off again.
    pub(super) fn finish(self, link: &Link, step: Step) -> Result<(), StreamError> {
        let failed = |source| StreamError::Io { step, source };
        if self.read_timeout.is_some() {
            link.stream().set_read_timeout(None).map_err(failed)?;
        }
        if self.write_timeout {
            link.stream().set_write_timeout(None).map_err(failed)?;
        }
        Ok(())
    }
}

/// What a refused peer may still have under way to us, in bytes and time: someone who takes us
/// for an end without authentication may be in the middle of a large body, and reads our reject
/// only after it.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
const LINGER_TIME_MAX: Duration = Duration::from_millis(500);

/// Closes after a reject so that the peer gets to read it: closing with unread bytes in the
/// socket would reset the connection, and the reset may overtake the reject.
pub(super) fn close_after_reject(link: &Link, deadline: Instant) {
    let deadline = deadline.min(Instant::now() + LINGER_TIME_MAX);
    let _ = link.stream().shutdown(std::net::Shutdown::Write);
    let mut scratch = [0; 16 * 1024];
    let mut discarded = 0;
    while discarded < LINGER_BYTES_MAX {
        let Some(left) = time_left(deadline) else { return };
        if link.stream().set_read_timeout(Some(left)).is_err() {
            return;
        }
        match link.read(&mut scratch) {
            Ok(0) => return,
            Ok(count) => discarded += count,
            Err(error) if is_retry(&error) => {}
            Err(_) => return,
        }
    }
}

/// `None` once the deadline passed; never zero, which a socket would take for "no timeout".
fn time_left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// The timeout of a read or write is `WouldBlock`. `TimedOut` is the kernel giving the whole
/// connection up.
fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
