//! The frames of a handshake on their way: bytes that came so far, and bytes that are still to go.

use std::io;

use replink_frame::HEADER_SIZE;

use super::{Step, StreamError, Want};

/// Why a connection is of no use any more.
pub(super) enum Cause {
    TimedOut,
    Closed,
    Failed(io::Error),
}

/// One frame on its way in. No byte behind it is asked for: that is the codec's (section 6).
pub(super) struct Incoming {
    pub(super) step: Step,
    bytes: [u8; HEADER_SIZE],
    pub(super) received: usize,
}

/// One frame on its way out.
pub(super) struct Outgoing {
    pub(super) step: Step,
    bytes: [u8; HEADER_SIZE],
    written: usize,
}

impl Incoming {
    pub(super) fn new(step: Step) -> Self {
        Self { step, bytes: [0; HEADER_SIZE], received: 0 }
    }

    /// How many bytes are missing.
    pub(super) fn missing(&self) -> usize {
        HEADER_SIZE - self.received
    }

    /// Takes what came. Whether the frame is whole then.
    ///
    /// # Panics
    ///
    /// If there is more than was missing: what is behind the frame would be lost.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        assert!(bytes.len() <= self.missing(), "more was read than was wanted");
        self.bytes[self.received..][..bytes.len()].copy_from_slice(bytes);
        self.received += bytes.len();
        self.missing() == 0
    }

    /// What came so far; behind that are zeros.
    pub(super) fn bytes(&self) -> &[u8; HEADER_SIZE] {
        &self.bytes
    }

    /// The connection broke while this was awaited.
    pub(super) fn broken(&self, cause: Cause) -> StreamError {
        let Self { step, received, .. } = *self;
        match cause {
            Cause::TimedOut => StreamError::TimedOut { step, received },
            Cause::Closed => StreamError::Closed { step, received },
            Cause::Failed(source) => StreamError::Io { step, source },
        }
    }
}

impl Outgoing {
    pub(super) fn new(step: Step, bytes: &[u8; HEADER_SIZE]) -> Self {
        Self { step, bytes: *bytes, written: 0 }
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn is_out(&self) -> bool {
        self.written == HEADER_SIZE
    }

    /// So much more of it was written.
    ///
    /// # Panics
    ///
    /// If that is more than there was.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.rest().len(), "more was written than there is");
        self.written += count;
    }

    /// The connection broke while this was under way.
    pub(super) fn broken(&self, cause: Cause) -> StreamError {
        let step = self.step;
        match cause {
            Cause::TimedOut => StreamError::NotTaken { step },
            Cause::Closed => StreamError::Io { step, source: io::ErrorKind::WriteZero.into() },
            Cause::Failed(source) => StreamError::Io { step, source },
        }
    }
}

/// Our frame goes out, and then the peer's comes.
pub(super) fn write_then_read<'a, L>(
    link: &'a mut L,
    outgoing: &'a Outgoing,
    incoming: &Incoming,
) -> Want<'a, L> {
    if outgoing.is_out() {
        Want::Read { link, at_most: incoming.missing() }
    } else {
        Want::Write { link, bytes: outgoing.rest() }
    }
}
