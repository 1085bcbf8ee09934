use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};

/// Most bytes that one write should take: the receiver goes on while the next ones are written. A quarter of it
/// costs an `io_uring` more rounds than it wins.
pub const SEND_MAX: usize = 1024 * 1024;

/// Most slices that go into one gathered write: 128 frames with bodies of their own, so that also those of a few
/// KiB fill a write.
pub const SLICES_MAX: usize = 256;

/// Bytes to send, in order: small ones lie together in a staging chunk, large ones are where they were.
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
}

impl SendBatch {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.staged_from == self.staging.len()
    }

    /// The bytes, piece by piece; no piece is empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let staged = &self.staging[self.staged_from..];
        self.ready.iter().map(|piece| &piece[..]).chain([staged]).filter(|piece| !piece.is_empty())
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

    /// All that there is, where it lies together: small frames only, as most often.
    pub fn only(&self) -> Option<&[u8]> {
        self.ready.is_empty().then(|| &self.staging[self.staged_from..])
    }

    /// The first `count` pieces, to be held for longer than this batch is lent: what a system sends without
    /// copying it has to stay as it is.
    pub fn share(&mut self, count: usize) -> Vec<Bytes> {
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
        assert!(len <= self.staging.len() - self.staged_from, "more was sent than there was");
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
