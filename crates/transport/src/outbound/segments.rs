use std::mem;

use bytes::{Buf, BytesMut};
use replink_frame::HEADER_SIZE;
use replink_handshake::Seal;

use super::Body;
use super::sealing::{Part, Unsealed};
use crate::memory::SendBatch;

/// Bodies up to this size, in bytes, are copied behind their header: a copy costs less than a
/// slice of a gathered write. Larger ones go out from where they are.
pub(super) const COPY_MAX: usize = 1024;

/// Size of a staging chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;

/// Frames that wait to be written: small ones copied one behind the other into a staging
/// chunk, large bodies by reference between the chunks.
///
/// On a sealed link frames are written to once more after they were queued, when their batch is
/// closed ([`Segments::seal`]); before that none of their bytes goes out.
pub(super) struct Segments {
    /// What is ready to be written. On a sealed link the last of what is not lies in its staging chunk.
    batch: SendBatch,
    /// On a sealed link: what comes behind what is ready and is not sealed.
    unsealed: Option<Box<Unsealed>>,
    /// The end of the chunk before, empty: by it the chunk is used again.
    last_chunk: BytesMut,
    /// How much of the staging chunk is sealed, on a sealed link.
    staging_sealed: usize,
}

impl Segments {
    pub(super) fn new(sealed: bool) -> Self {
        Self {
            batch: SendBatch::default(),
            unsealed: sealed.then(Box::default),
            last_chunk: BytesMut::new(),
            staging_sealed: 0,
        }
    }

    #[cfg(all(feature = "hand-off", target_os = "linux"))]
    pub(super) fn of(bytes: bytes::Bytes, sealed: bool) -> Self {
        Self { batch: bytes.into(), ..Self::new(sealed) }
    }

    /// An empty one of the same kind.
    pub(super) fn another(&self) -> Self {
        Self::new(self.unsealed.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.is_sealed()
    }

    /// Returns the body if it was copied, and is needed no longer.
    pub(super) fn push(&mut self, header: &[u8; HEADER_SIZE], body: Body) -> Body {
        let copied = if body.len() <= COPY_MAX { body.len() } else { 0 };
        let needed = HEADER_SIZE + copied;
        let staging = &self.batch.staging;
        if staging.capacity() - staging.len() < needed {
            self.set_staging_aside();
            self.find_chunk();
        }
        let staging = &mut self.batch.staging;
        // In halves, which need no call: a header that was just made is so read as it was written.
        let (first, second) = header.split_at(HEADER_SIZE / 2);
        staging.extend_from_slice(first);
        staging.extend_from_slice(second);
        if copied > 0 {
            staging.extend_from_slice(&body[..copied]);
        }
        if let Some(unsealed) = &mut self.unsealed {
            unsealed.add_frame(body.len());
        }
        if copied == body.len() {
            return body;
        }
        self.set_staging_aside();
        match &mut self.unsealed {
            Some(unsealed) => unsealed.parts.push_back(Part::Body(body)),
            None => self.batch.ready.push_back(body.into_bytes()),
        }
        Body::default()
    }

    /// Closes the batches of all that is not sealed yet (S-1). What was taken to be written at once is
    /// so closed before its first byte goes out.
    pub(super) fn seal(&mut self, seal: &mut Seal) {
        let Some(unsealed) = &mut self.unsealed else { return };
        if unsealed.is_empty() {
            return;
        }
        unsealed.close(&mut self.batch.staging, self.staging_sealed, seal);
        self.staging_sealed = self.batch.staging.len();
        while let Some(part) = unsealed.parts.pop_front() {
            let bytes = match part {
                Part::Staged { bytes, .. } => bytes.freeze(),
                Part::Body(body) => body.into_bytes(),
            };
            if !bytes.is_empty() {
                self.batch.ready.push_back(bytes);
            }
        }
    }

    /// Whether there is nothing that [`Segments::seal`] has yet to close.
    fn is_sealed(&self) -> bool {
        self.unsealed.as_ref().is_none_or(|unsealed| unsealed.is_empty())
    }

    /// What waits. On a sealed link all of it is sealed.
    pub(super) fn batch(&self) -> &SendBatch {
        debug_assert!(self.is_sealed(), "nothing goes out before its batch is closed");
        &self.batch
    }

    /// The same, given away; [`Segments::put_first`] brings back what is left of it.
    pub(super) fn take_batch(&mut self) -> SendBatch {
        debug_assert!(self.is_sealed(), "nothing goes out before its batch is closed");
        self.staging_sealed = 0;
        mem::take(&mut self.batch)
    }

    /// Puts `front`, which is sealed on a sealed link, ahead of what waits here.
    pub(super) fn put_first(&mut self, mut front: SendBatch) {
        if self.is_empty() && self.batch.staging.capacity() == 0 {
            self.staging_sealed = front.staging.len();
            self.batch = front; // with its memory
            return;
        }
        if front.is_empty() {
            if self.last_chunk.capacity() == 0 {
                self.last_chunk = front.staging;
            }
            return;
        }
        front.set_staging_aside();
        while let Some(piece) = front.ready.pop_back() {
            self.batch.ready.push_front(piece);
        }
    }

    /// The first `len` bytes are written.
    pub(super) fn advance(&mut self, len: usize) {
        self.batch.advance(len);
        if self.batch.staging.is_empty() {
            self.staging_sealed = 0;
        }
    }

    /// Lets its memory go, if nothing lies in it.
    pub(super) fn relax(&mut self) {
        if self.is_empty() {
            *self = self.another();
        }
    }

    /// Has the next frame go to the memory of this chunk or of the one before, if nothing of it waits any
    /// more: a queue that is never empty allocates nothing either.
    fn find_chunk(&mut self) {
        if self.batch.staging.try_reclaim(CHUNK_SIZE) {
            return;
        }
        mem::swap(&mut self.batch.staging, &mut self.last_chunk);
        if !self.batch.staging.try_reclaim(CHUNK_SIZE) {
            self.batch.staging = BytesMut::with_capacity(CHUNK_SIZE);
        }
    }

    /// Has the next frame go to a chunk of its own.
    fn set_staging_aside(&mut self) {
        match &mut self.unsealed {
            Some(unsealed) if !unsealed.is_empty() => {
                let written = mem::take(&mut self.batch.staged_from);
                // What is out was sealed.
                let sealed = mem::take(&mut self.staging_sealed).saturating_sub(written);
                let mut bytes = self.batch.staging.split();
                bytes.advance(written);
                if !bytes.is_empty() {
                    unsealed.parts.push_back(Part::Staged { bytes, sealed });
                }
            }
            _ => {
                self.staging_sealed = 0;
                self.batch.set_staging_aside();
            }
        }
    }
}
