use std::mem;

use bytes::{Bytes, BytesMut};
use replink_frame::HEADER_SIZE;

use crate::memory::SendBatch;

/// Bodies up to this size, in bytes, are copied behind their header: a copy costs less than a
/// slice of a gathered write. Larger ones go out from where they are.
const COPY_MAX: usize = 1024;

/// Size of a staging chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;

/// Frames that wait to be written: small ones copied one behind the other into a staging
/// chunk, large bodies by reference between the chunks.
#[derive(Default)]
pub(super) struct Segments {
    batch: SendBatch,
    /// The end of the chunk before, empty: by it the chunk is used again.
    last_chunk: BytesMut,
}

impl Segments {
    #[cfg(all(feature = "hand-off", target_os = "linux"))]
    pub(super) fn of(bytes: Bytes) -> Self {
        Self { batch: bytes.into(), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Returns the body if it was copied, and is needed no longer.
    pub(super) fn push(&mut self, header: &[u8; HEADER_SIZE], body: Bytes) -> Bytes {
        let copied = if body.len() <= COPY_MAX { body.len() } else { 0 };
        let needed = HEADER_SIZE + copied;
        let staging = &self.batch.staging;
        if staging.capacity() - staging.len() < needed {
            self.batch.set_staging_aside();
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
        if copied == body.len() {
            return body;
        }
        self.batch.set_staging_aside();
        self.batch.ready.push_back(body);
        Bytes::new()
    }

    /// What waits.
    pub(super) fn batch(&self) -> &SendBatch {
        &self.batch
    }

    /// The same, for whoever takes its first bytes.
    pub(super) fn batch_mut(&mut self) -> &mut SendBatch {
        &mut self.batch
    }

    /// The same, given away; [`Segments::put_first`] brings back what is left of it.
    pub(super) fn take_batch(&mut self) -> SendBatch {
        mem::take(&mut self.batch)
    }

    /// Puts `front` ahead of what waits here.
    pub(super) fn put_first(&mut self, mut front: SendBatch) {
        if self.is_empty() && self.batch.staging.capacity() == 0 {
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

    /// Lets its memory go, if nothing lies in it.
    pub(super) fn relax(&mut self) {
        if self.is_empty() {
            *self = Self::default();
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
}
