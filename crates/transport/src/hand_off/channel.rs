//! Bytes and descriptors over the Unix socket, up to a deadline.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg, sockopt,
};
use rustix::process::geteuid;

use super::{DescriptorError, HandOffError};

/// Descriptors that one receive has room for: enough to tell one from more. Further ones the kernel
/// closes, and says so.
const DESCRIPTORS_ROOM: usize = 2;

pub(super) struct Channel<'a> {
    stream: &'a UnixStream,
    deadline: Instant,
}

/// What came along with some bytes.
#[derive(Default)]
pub(super) struct Descriptors {
    first: Option<OwnedFd>,
    count: usize,
}

impl Descriptors {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn single(self) -> Result<OwnedFd, DescriptorError> {
        match (self.first, self.count) {
            (Some(descriptor), 1) => Ok(descriptor),
            (_, found) => Err(DescriptorError::Count { found }),
        }
    }

    fn add(&mut self, descriptor: OwnedFd) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(descriptor);
        }
    }
}

impl<'a> Channel<'a> {
    /// Refuses a process of another user.
    pub(super) fn new(stream: &'a UnixStream, deadline: Instant) -> Result<Self, HandOffError> {
        let failed = |error: Errno| HandOffError::Channel(error.into());
        let found = sockopt::socket_peercred(stream).map_err(failed)?.uid.as_raw();
        let expected = geteuid().as_raw();
        if found != expected {
            return Err(HandOffError::User { expected, found });
        }
        stream.set_nonblocking(false).map_err(HandOffError::Channel)?;
        Ok(Self { stream, deadline })
    }

    /// Sends all of `bytes`; `descriptor` goes with the first of them.
    pub(super) fn send(
        &self,
        mut bytes: &[u8],
        mut descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), HandOffError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.remaining()?)).map_err(HandOffError::Channel)?;
            let sent = match descriptor {
                Some(descriptor) => self.send_with(bytes, descriptor),
                None => send(self.stream, bytes, SendFlags::NOSIGNAL),
            };
            match sent {
                Ok(sent) => {
                    descriptor = None;
                    bytes = bytes.get(sent..).unwrap_or_default();
                }
                Err(error) => Self::check(error)?,
            }
        }
        Ok(())
    }

    fn send_with(&self, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        let has_room = control.push(SendAncillaryMessage::ScmRights(&descriptors));
        assert!(has_room, "there is room for one descriptor");
        sendmsg(self.stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    }

    /// Fills `buffer`. Descriptors that come along are closed by the kernel.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<(), HandOffError> {
        self.fill(buffer, |rest| recv(self.stream, rest, RecvFlags::empty()).map(|(_, received)| received))
    }

    /// Fills `buffer`, and returns the descriptors that came along.
    pub(super) fn receive_with(&self, buffer: &mut [u8]) -> Result<Descriptors, HandOffError> {
        let mut descriptors = Descriptors::default();
        self.fill(buffer, |rest| {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_ROOM))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(self.stream, &mut [IoSliceMut::new(rest)], &mut control, flags)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(arrived) = message {
                    arrived.for_each(|descriptor| descriptors.add(descriptor));
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                descriptors.count += 1; // at least
            }
            Ok(received.bytes)
        })?;
        Ok(descriptors)
    }

    fn fill(
        &self,
        mut buffer: &mut [u8],
        mut receive: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), HandOffError> {
        while !buffer.is_empty() {
            self.stream.set_read_timeout(Some(self.remaining()?)).map_err(HandOffError::Channel)?;
            match receive(buffer) {
                Ok(0) => return Err(HandOffError::Closed),
                Ok(received) => buffer = buffer.get_mut(received..).unwrap_or_default(),
                Err(error) => Self::check(error)?,
            }
        }
        Ok(())
    }

    /// Passes what is to be tried again, while there is time.
    fn check(error: Errno) -> Result<(), HandOffError> {
        match error {
            Errno::INTR | Errno::AGAIN => Ok(()),
            Errno::PIPE | Errno::CONNRESET => Err(HandOffError::Closed),
            error => Err(HandOffError::Channel(io::Error::from(error))),
        }
    }

    fn remaining(&self) -> Result<Duration, HandOffError> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() { Err(HandOffError::TimedOut) } else { Ok(remaining) }
    }
}
