use replink_frame::HEADER_SIZE;

use super::DIRECT_BODY_MIN;
use crate::memory::{BLOCK_SIZE, Block, Piece};

/// Room that a receive finds at least behind what is unread, in bytes. A frame that waits here
/// for its rest always fits: it is smaller than a direct body.
const ROOM_MIN: usize = BLOCK_SIZE / 4;
const _: () = assert!(HEADER_SIZE + DIRECT_BODY_MIN <= ROOM_MIN);

/// Bytes that have come and are not yet handed up: `bytes[start..end]`.
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
        if unread.is_empty() {
            return Self::default();
        }
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

    /// The memory, where nothing lies in it and it is a block.
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

    /// Where exactly `len` bytes go, at most as many as a record has (S-3). It takes no more memory than what
    /// comes makes necessary: a link on which little comes has little.
    pub(super) fn room_for(&mut self, len: usize) -> &mut [u8] {
        let unread = self.end - self.start;
        if self.bytes.len() - self.end < len {
            let needed = unread + len;
            if needed <= self.bytes.len() {
                self.move_to_front();
            } else {
                let mut grown = vec![0; needed.next_power_of_two()];
                grown[..unread].copy_from_slice(self.unread());
                (self.bytes, self.start, self.end) = (grown, 0, unread);
            }
        }
        &mut self.bytes[self.end..][..len]
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
        self.move_to_front();
    }

    fn move_to_front(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
}
