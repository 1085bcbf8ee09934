use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use replink_frame::HEADER_SIZE;

/// Bodies up to this size, in bytes, are copied behind their header: a copy costs less than a
/// slice of a gathered write. Larger ones go out from where they are.
const COPY_MAX: usize = 4096;

/// Size of a staging chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;

/// The bytes that wait to be written: small frames copied one behind the other into a staging
/// chunk, large bodies by reference between the chunks.
pub(super) struct Segments {
    /// What comes before `staging`, in order; none is empty.
    sealed: VecDeque<Bytes>,
    /// Where frames are copied to; its first `staging_written` bytes are out.
    staging: BytesMut,
    staging_written: usize,
}

impl Segments {
    pub(super) fn new() -> Self {
        Self { sealed: VecDeque::new(), staging: BytesMut::new(), staging_written: 0 }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn of(bytes: Bytes) -> Self {
        let mut segments = Self::new();
        if !bytes.is_empty() {
            segments.sealed.push_back(bytes);
        }
        segments
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.staging_written == self.staging.len()
    }

    /// Returns the body if it was copied, and is needed no longer.
    pub(super) fn push(&mut self, header: &[u8; HEADER_SIZE], body: Bytes) -> Bytes {
        let copied = if body.len() <= COPY_MAX { body.len() } else { 0 };
        let needed = HEADER_SIZE + copied;
        if self.staging.capacity() - self.staging.len() < needed {
            self.seal_staging();
            if !self.staging.try_reclaim(CHUNK_SIZE) {
                self.staging = BytesMut::with_capacity(CHUNK_SIZE);
            }
        }
        self.staging.extend_from_slice(header);
        self.staging.extend_from_slice(&body[..copied]);
        if copied < body.len() {
            self.seal_staging();
            self.sealed.push_back(body);
            return Bytes::new();
        }
        body
    }

    fn seal_staging(&mut self) {
        let mut chunk = self.staging.split().freeze();
        chunk.advance(std::mem::take(&mut self.staging_written));
        if !chunk.is_empty() {
            self.sealed.push_back(chunk);
        }
    }

    /// What waits, in order; no part is empty.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let staged = &self.staging[self.staging_written..];
        let waiting = self.sealed.iter().map(|segment| &segment[..]).chain([staged]);
        waiting.filter(|segment| !segment.is_empty())
    }

    /// Puts all of `front` ahead of what waits here.
    pub(super) fn prepend(&mut self, mut front: Self) {
        front.seal_staging();
        while let Some(segment) = front.sealed.pop_back() {
            self.sealed.push_front(segment);
        }
    }

    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, segment) in slices.iter_mut().zip(self.iter()) {
            *slot = IoSlice::new(segment);
            count += 1;
        }
        count
    }

    pub(super) fn advance(&mut self, mut len: usize) {
        while let Some(segment) = self.sealed.front_mut() {
            if len < segment.len() {
                segment.advance(len);
                return;
            }
            len -= segment.len();
            self.sealed.pop_front();
        }
        assert!(len <= self.staging.len() - self.staging_written, "wrote more than was queued");
        self.staging_written += len;
        if self.staging_written == self.staging.len() {
            self.staging.clear();
            self.staging_written = 0;
        }
    }
}
