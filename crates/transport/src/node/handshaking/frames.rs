//! Whole handshake frames over a stream that does not block.

use std::io;

use replink_frame::HEADER_SIZE;

use crate::GatherWrite;
use crate::driver::Driver;
use crate::exchange::{Step, StreamError};

/// One frame on its way in. Exactly its bytes are read: what is behind stays in the socket
/// (section 6).
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

    /// The frame, once it is whole.
    pub(super) fn read<D: Driver>(
        &mut self,
        driver: &mut D,
        stream: &D::Stream,
    ) -> Result<Option<[u8; HEADER_SIZE]>, StreamError> {
        let step = self.step;
        while self.received < HEADER_SIZE {
            match driver.read(stream, &mut self.bytes[self.received..]) {
                Ok(0) => return Err(StreamError::Closed { step, received: self.received }),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(StreamError::Io { step, source }),
            }
        }
        Ok(Some(self.bytes))
    }
}

impl Outgoing {
    pub(super) fn new(step: Step, bytes: &[u8; HEADER_SIZE]) -> Self {
        Self { step, bytes: *bytes, written: 0 }
    }

    /// Nothing to send.
    pub(super) fn none() -> Self {
        Self { step: Step::Hello, bytes: [0; HEADER_SIZE], written: HEADER_SIZE }
    }

    /// Whether it is out.
    pub(super) fn is_out(&self) -> bool {
        self.written == HEADER_SIZE
    }

    /// Writes what is left of it. Whether it is out then.
    pub(super) fn write<D: Driver>(
        &mut self,
        driver: &mut D,
        stream: &D::Stream,
    ) -> Result<bool, StreamError> {
        let step = self.step;
        while self.written < HEADER_SIZE {
            match stream.write_gathered(&[io::IoSlice::new(&self.bytes[self.written..])]) {
                Ok(0) => return Err(StreamError::Io { step, source: io::ErrorKind::WriteZero.into() }),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    driver.want_writable(stream);
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(StreamError::Io { step, source }),
            }
        }
        Ok(true)
    }
}
