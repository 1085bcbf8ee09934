use replink_frame::{GenericHeader, HEADER_SIZE};
use replink_handshake::SEAL_BATCH_BYTES_MAX;

use super::DIRECT_BODY_MIN;
use crate::memory::{BLOCK_SIZE, Block, Piece};

/// Room that a receive finds at least behind what is unread, in bytes. A frame that waits here
/// for its rest always fits: it is smaller than a direct body.
const ROOM_MIN: usize = BLOCK_SIZE / 4;
const _: () = assert!(HEADER_SIZE + DIRECT_BODY_MIN <= ROOM_MIN);

/// Size of the read-ahead of a sealed link on which large batches come.
pub(crate) const HELD_SIZE: usize = BLOCK_SIZE + SEAL_BATCH_BYTES_MAX;

/// Bytes received and not yet handed up: `bytes[start..end]`.
///
/// Frames are lent in place. As long as nothing lies here there is no memory here either, unless whoever
/// moves the bytes leaves it.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// All of it is initialized.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadAhead {
    #[cfg(all(feature = "hand-off", target_os = "linux"))]
    /// One that has `unread` already, whose length the caller has bounded.
    pub(super) fn holding(unread: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(BLOCK_SIZE.max(unread.len()));
        bytes.extend_from_slice(unread);
        bytes.resize(bytes.capacity(), 0);
        Self { bytes, start: 0, end: unread.len() }
    }

    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end);
        if self.is_empty() {
            // Back to the front: a link of small frames stays within a few cache lines.
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where at most `at_most` bytes may be received to.
    pub(super) fn room(&mut self, at_most: usize) -> &mut [u8] {
        if at_most > 0 {
            self.make_room();
        }
        let limit = self.bytes.len().min(self.end.saturating_add(at_most));
        &mut self.bytes[self.end..limit]
    }

    /// So many bytes were put there.
    pub(super) fn received(&mut self, len: usize) {
        assert!(len <= self.bytes.len() - self.end, "more was received than there was room for");
        self.end += len;
    }

    /// Where the next bytes go.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Gives its memory away, to be taken back with more bytes behind what it has. What is unread can't be
    /// looked at meanwhile.
    pub(super) fn lend(&mut self, at_most: usize) -> Piece {
        let room = self.room(at_most).len();
        Piece { bytes: std::mem::take(&mut self.bytes), filled: self.end, limit: self.end + room }
    }

    /// Whether there is no memory here.
    pub(super) fn is_absent(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes memory that was lent, or that is somebody else's and empty.
    pub(super) fn take_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// The memory, where nothing lies in it. What is larger than a block is of use to this link only, and
    /// stays until the link is quiet.
    pub(super) fn give_up(&mut self) -> Option<Block> {
        if self.bytes.len() != BLOCK_SIZE || !self.is_empty() {
            return None;
        }
        Block::from_bytes(std::mem::take(&mut self.bytes))
    }

    /// Lets the memory go, if nothing lies in it.
    pub(super) fn relax(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// The header that comes first, to be changed.
    pub(super) fn first_header_mut(&mut self) -> &mut GenericHeader {
        let header = self.bytes[self.start..self.end].first_chunk_mut().expect("a whole frame comes first");
        GenericHeader::view_mut(header)
    }

    /// Nothing of what is unread can be handed up before more has come: makes sure that there is room.
    /// A batch and what is behind it has room in [`HELD_SIZE`] bytes (S-1).
    pub(super) fn grow_for_held(&mut self) {
        let unread = self.end - self.start;
        // Where nothing waits, there is nothing to make room for: whoever receives next brings memory.
        if unread > 0 && unread + ROOM_MIN > self.bytes.len() && self.bytes.len() < HELD_SIZE {
            let mut grown = vec![0; HELD_SIZE];
            grown[..unread].copy_from_slice(self.unread());
            (self.bytes, self.start, self.end) = (grown, 0, unread);
        }
    }

    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; BLOCK_SIZE];
        }
        let unread = self.end - self.start;
        let room = self.bytes.len() - self.end;
        if room >= ROOM_MIN || unread + ROOM_MIN > self.bytes.len() {
            return; // there is room, or the caller has yet to take what is here
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, unread);
    }
}
