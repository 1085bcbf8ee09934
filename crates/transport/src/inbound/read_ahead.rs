use bytes::{Buf, Bytes, BytesMut};
use replink_frame::{GenericHeader, HEADER_SIZE};
use replink_handshake::SEAL_BATCH_BYTES_MAX;

use super::{DIRECT_BODY_MIN, READ_AHEAD_SIZE};
use crate::sys::Target;

/// Room that a receive finds at least behind what is unread, in bytes. A frame that waits here
/// for its rest always fits: it is smaller than a direct body.
const ROOM_MIN: usize = READ_AHEAD_SIZE / 4;
const _: () = assert!(HEADER_SIZE + DIRECT_BODY_MIN <= ROOM_MIN);

/// Size of the read-ahead of a sealed link on which large batches come.
pub(crate) const HELD_SIZE: usize = READ_AHEAD_SIZE + SEAL_BATCH_BYTES_MAX;

/// Bytes received and not yet handed up: `buffer[start..]`.
///
/// Frames are lent in place, or taken out as `Bytes` without a copy. The memory is used again
/// as soon as nobody holds a part of it.
pub(crate) struct ReadAhead {
    buffer: BytesMut,
    start: usize,
    /// How large the buffer is meant to be.
    size: usize,
}

impl ReadAhead {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::with_capacity(READ_AHEAD_SIZE), start: 0, size: READ_AHEAD_SIZE }
    }

    /// One that has `unread` already, whose length the caller has bounded. It is meant to be no larger
    /// than any other: what it holds beyond that goes, and a link that moves often does not grow.
    #[cfg(target_os = "linux")]
    pub(crate) fn holding(unread: &[u8]) -> Self {
        let mut buffer = BytesMut::with_capacity(READ_AHEAD_SIZE.max(unread.len()));
        buffer.extend_from_slice(unread);
        Self { buffer, start: 0, size: READ_AHEAD_SIZE }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn into_unread(mut self) -> BytesMut {
        self.skip_consumed();
        self.buffer
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.buffer.len());
        if self.is_empty() {
            // Back to the front: a link of small frames stays within a few cache lines.
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Takes as many bytes as there is room for, and says how many that were.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        self.make_room();
        let taken = bytes.len().min(self.room());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Where a receive may put what it gets.
    pub(crate) fn target(&mut self) -> Target<'_> {
        self.make_room();
        Target { limit: self.room(), buffer: &mut self.buffer }
    }

    /// Gives its buffer away, to be taken back with more bytes behind what it has. What is unread can't be
    /// looked at meanwhile.
    #[cfg(target_os = "linux")]
    pub(crate) fn lend_buffer(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn take_back(&mut self, buffer: BytesMut) {
        self.buffer = buffer;
    }

    /// Lends the first `size` unread bytes. They are consumed when the loan ends.
    pub(crate) fn lend(&mut self, size: usize) -> Lent<'_> {
        debug_assert!(size <= self.unread().len());
        Lent { from: self, size }
    }

    /// The header that comes first, to be changed.
    pub(crate) fn first_header_mut(&mut self) -> &mut GenericHeader {
        let header = self.buffer[self.start..].first_chunk_mut().expect("a whole frame comes first");
        GenericHeader::view_mut(header)
    }

    /// Nothing of what is unread can be handed up before more has come: makes sure that there is room.
    /// A batch and what is behind it has room in [`HELD_SIZE`] bytes (S-1).
    pub(crate) fn grow_for_held(&mut self) {
        if self.unread().len() > self.size - ROOM_MIN {
            self.size = self.size.max(HELD_SIZE);
        }
    }

    fn room(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }

    fn make_room(&mut self) {
        let unread = self.unread().len();
        if self.room() >= ROOM_MIN || unread > self.size - ROOM_MIN {
            return; // there is room, or the caller has yet to take what is here
        }
        self.skip_consumed();
        // The unread bytes move to the front of the same memory; if someone holds frames of it,
        // to the front of new memory.
        if !self.buffer.try_reclaim(self.size - unread) {
            let mut fresh = BytesMut::with_capacity(self.size);
            fresh.extend_from_slice(&self.buffer);
            self.buffer = fresh;
        }
    }

    fn skip_consumed(&mut self) {
        self.buffer.advance(self.start);
        self.start = 0;
    }
}

/// The bytes of one frame, lent.
pub(crate) struct Lent<'a> {
    from: &'a mut ReadAhead,
    size: usize,
}

impl Lent<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.from.unread()[..self.size]
    }

    /// Takes the bytes out, without a copy.
    pub(crate) fn take(mut self) -> Bytes {
        self.from.skip_consumed();
        let size = core::mem::take(&mut self.size);
        self.from.buffer.split_to(size).freeze()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.from.consume(self.size);
    }
}
