use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::BLOCK_SIZE;

/// Most bytes that one write should take: the receiver goes on while the next ones are written. A quarter of it
/// costs an `io_uring` more rounds than it wins.
pub const SEND_MAX: usize = 1024 * 1024;

/// Most slices that go into one gathered write: 128 frames with bodies of their own, so that also those of a few
/// KiB fill a write.
pub const SLICES_MAX: usize = 256;

/// Bytes to send, in order: small ones lie together in a staging chunk, large ones are where they were. On a
/// sealed link they are records, in memory of the link's own.
///
/// A codec lends it ([`Outbound::lend`](crate::Outbound::lend)) and takes it back together with how many
/// bytes were sent. It stays as it is until then: nothing is added and nothing moves.
#[derive(Default)]
pub struct SendBatch {
    /// What comes first; none is empty.
    pub(crate) ready: VecDeque<Bytes>,
    /// What comes behind that, from `staged_from` on.
    pub(crate) staging: BytesMut,
    pub(crate) staged_from: usize,
    /// On a sealed link all that there is. On others, which are many and moved often, it takes no room.
    pub(crate) records: Option<Box<Records>>,
}

/// Records one behind the other, in memory that the next ones are sealed into: `bytes[from..to]`.
#[derive(Default)]
pub(crate) struct Records {
    /// All of it is initialized.
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Records {
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// The first `len` bytes of what waits are sent.
    pub(crate) fn advance(&mut self, len: usize) {
        assert!(len <= self.waiting().len(), "more was sent than there was");
        self.from += len;
    }

    /// Nothing waits any more, and the next ones go to where these were.
    pub(crate) fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    /// Where the next `len` bytes go. What is there already may be moved.
    pub(crate) fn add(&mut self, len: usize) -> &mut [u8] {
        let needed = self.to + len;
        if needed > self.bytes.len() {
            // No more than is needed, but for small records, which grow.
            let len = if needed < BLOCK_SIZE { needed.next_power_of_two() } else { needed };
            self.bytes.reserve_exact(len - self.bytes.len());
            self.bytes.resize(len, 0);
        }
        let room = &mut self.bytes[self.to..needed];
        self.to = needed;
        room
    }
}

impl SendBatch {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let has_records = self.records.as_ref().is_some_and(|records| !records.is_empty());
        self.ready.is_empty() && self.staged_from == self.staging.len() && !has_records
    }

    /// The bytes, piece by piece; no piece is empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let staged = &self.staging[self.staged_from..];
        let last = [staged, self.records.as_ref().map_or(&[], |records| records.waiting())];
        self.ready.iter().map(|piece| &piece[..]).chain(last).filter(|piece| !piece.is_empty())
    }

    /// The first `len` bytes, piece by piece.
    pub(crate) fn first(&self, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = len;
        self.iter().map_while(move |piece| {
            let first = &piece[..piece.len().min(left)];
            left -= first.len();
            (!first.is_empty()).then_some(first)
        })
    }

    /// Fills `slices` with what comes first, at most `at_most` bytes of it, and returns how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], at_most: usize) -> usize {
        let (mut count, mut left) = (0, at_most);
        for (slot, piece) in slices.iter_mut().zip(self.iter()) {
            if left == 0 {
                break;
            }
            let piece = &piece[..piece.len().min(left)];
            left -= piece.len();
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// All that there is, where it lies together: small frames only, as most often, or records.
    pub fn only(&self) -> Option<&[u8]> {
        if !self.ready.is_empty() {
            return None;
        }
        let staged = &self.staging[self.staged_from..];
        match &self.records {
            None => Some(staged),
            Some(records) => staged.is_empty().then(|| records.waiting()),
        }
    }

    /// Whether its bytes may be held for longer than it is lent ([`SendBatch::share`]). Records may not: the
    /// next ones are sealed into their memory (S-4).
    pub fn can_be_shared(&self) -> bool {
        self.records.is_none()
    }

    /// The first `count` pieces, to be held for longer than this batch is lent: what a system sends without
    /// copying it has to stay as it is.
    ///
    /// # Panics
    ///
    /// If it [can't be shared](SendBatch::can_be_shared).
    pub fn share(&mut self, count: usize) -> Vec<Bytes> {
        assert!(self.can_be_shared(), "the memory of records is used again");
        self.set_staging_aside();
        self.ready.iter().take(count).cloned().collect()
    }

    /// The first `len` bytes are sent.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn advance(&mut self, mut len: usize) {
        while let Some(piece) = self.ready.front_mut() {
            if len < piece.len() {
                piece.advance(len);
                return;
            }
            len -= piece.len();
            self.ready.pop_front();
        }
        let staged = self.staging.len() - self.staged_from;
        if len > staged {
            // Where there are records there is nothing else.
            return self.records.as_mut().expect("more was sent than there was").advance(len);
        }
        self.staged_from += len;
        if self.staged_from == self.staging.len() {
            self.staging.clear();
            self.staged_from = 0;
        }
    }

    /// Has what is staged be pieces like the others, and the chunk take what comes next.
    pub(crate) fn set_staging_aside(&mut self) {
        let sent = mem::take(&mut self.staged_from);
        let mut bytes = self.staging.split();
        bytes.advance(sent);
        if !bytes.is_empty() {
            self.ready.push_back(bytes.freeze());
        }
    }
}

impl From<Bytes> for SendBatch {
    fn from(bytes: Bytes) -> Self {
        let mut batch = Self::default();
        if !bytes.is_empty() {
            batch.ready.push_back(bytes);
        }
        batch
    }
}

impl fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}
