use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};
use replink_frame::HEADER_SIZE;
use replink_handshake::Seal;

use super::Body;
use super::sealing::{Part, Unsealed};

/// Bodies up to this size, in bytes, are copied behind their header: a copy costs less than a
/// slice of a gathered write. Larger ones go out from where they are.
pub(super) const COPY_MAX: usize = 1024;

/// Size of a staging chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;

/// The bytes that wait to be written: small frames copied one behind the other into a staging
/// chunk, large bodies by reference between the chunks.
///
/// On a sealed link frames are written to once more after they were queued, when their batch is
/// closed ([`Segments::seal`]); before that none of their bytes goes out.
pub(super) struct Segments {
    /// What comes first, in order; none is empty.
    ready: VecDeque<Bytes>,
    /// On a sealed link: what comes behind that and is not sealed. The last of it is in `staging`.
    unsealed: Option<Box<Unsealed>>,
    /// Where frames are copied to; its first `staging_written` bytes are out.
    staging: BytesMut,
    /// The end of the chunk before, empty: by it the chunk is used again.
    last_chunk: BytesMut,
    staging_written: usize,
    /// How much of `staging` is sealed, on a sealed link.
    staging_sealed: usize,
}

impl Segments {
    pub(super) fn new(sealed: bool) -> Self {
        Self {
            ready: VecDeque::new(),
            unsealed: sealed.then(Box::default),
            staging: BytesMut::new(),
            last_chunk: BytesMut::new(),
            staging_written: 0,
            staging_sealed: 0,
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn of(bytes: Bytes, sealed: bool) -> Self {
        let mut segments = Self::new(sealed);
        if !bytes.is_empty() {
            segments.ready.push_back(bytes);
        }
        segments
    }

    /// An empty one of the same kind.
    pub(super) fn another(&self) -> Self {
        Self::new(self.unsealed.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.staging_written == self.staging.len()
            && self.unsealed.as_ref().is_none_or(|unsealed| unsealed.is_empty())
    }

    /// Returns the body if it was copied, and is needed no longer.
    pub(super) fn push(&mut self, header: &[u8; HEADER_SIZE], body: Body) -> Body {
        let copied = if body.len() <= COPY_MAX { body.len() } else { 0 };
        let needed = HEADER_SIZE + copied;
        if self.staging.capacity() - self.staging.len() < needed {
            self.set_staging_aside();
            self.find_chunk();
        }
        // In halves, which need no call: a header that was just made is so read as it was written.
        let (first, second) = header.split_at(HEADER_SIZE / 2);
        self.staging.extend_from_slice(first);
        self.staging.extend_from_slice(second);
        if copied > 0 {
            self.staging.extend_from_slice(&body[..copied]);
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
            None => self.ready.push_back(body.into_bytes()),
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
        unsealed.close(&mut self.staging, self.staging_sealed, seal);
        self.staging_sealed = self.staging.len();
        while let Some(part) = unsealed.parts.pop_front() {
            let bytes = match part {
                Part::Staged { bytes, .. } => bytes.freeze(),
                Part::Body(body) => body.into_bytes(),
            };
            if !bytes.is_empty() {
                self.ready.push_back(bytes);
            }
        }
    }

    /// Whether there is anything that [`Segments::seal`] has yet to close.
    pub(super) fn is_sealed(&self) -> bool {
        self.unsealed.as_ref().is_none_or(|unsealed| unsealed.is_empty())
    }

    /// Has the next frame go to the memory of this chunk or of the one before, if nothing of it waits any
    /// more: a queue that is never empty allocates nothing either.
    fn find_chunk(&mut self) {
        if self.staging.try_reclaim(CHUNK_SIZE) {
            return;
        }
        mem::swap(&mut self.staging, &mut self.last_chunk);
        if !self.staging.try_reclaim(CHUNK_SIZE) {
            self.staging = BytesMut::with_capacity(CHUNK_SIZE);
        }
    }

    /// Has the next frame go to a chunk of its own.
    fn set_staging_aside(&mut self) {
        let written = mem::take(&mut self.staging_written);
        // What is out was sealed.
        let sealed = mem::take(&mut self.staging_sealed).saturating_sub(written);
        let mut bytes = self.staging.split();
        bytes.advance(written);
        if bytes.is_empty() {
            return;
        }
        match &mut self.unsealed {
            Some(unsealed) if !unsealed.is_empty() => {
                unsealed.parts.push_back(Part::Staged { bytes, sealed });
            }
            _ => self.ready.push_back(bytes.freeze()),
        }
    }

    /// What waits, in order; no part is empty. On a sealed link all of it is sealed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        debug_assert!(self.is_sealed(), "nothing goes out before its batch is closed");
        let staged = &self.staging[self.staging_written..];
        let waiting = self.ready.iter().map(|segment| &segment[..]).chain([staged]);
        waiting.filter(|segment| !segment.is_empty())
    }

    /// Puts all of `front`, which is sealed on a sealed link, ahead of what waits here.
    pub(super) fn prepend(&mut self, mut front: Self) {
        debug_assert!(front.is_sealed(), "what was taken to be written is sealed");
        front.set_staging_aside();
        while let Some(segment) = front.ready.pop_back() {
            self.ready.push_front(segment);
        }
    }

    /// All that waits, where it lies together: small frames only, as most often.
    pub(super) fn only(&self) -> Option<&[u8]> {
        debug_assert!(self.is_sealed(), "nothing goes out before its batch is closed");
        self.ready.is_empty().then(|| &self.staging[self.staging_written..])
    }

    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, segment) in slices.iter_mut().zip(self.iter()) {
            *slot = IoSlice::new(segment);
            count += 1;
        }
        count
    }

    /// The bytes of the first `count` slices, to be held beside these.
    #[cfg(target_os = "linux")]
    pub(super) fn share(&mut self, count: usize) -> Vec<Bytes> {
        self.set_staging_aside();
        self.ready.iter().take(count).cloned().collect()
    }

    pub(super) fn advance(&mut self, mut len: usize) {
        while let Some(segment) = self.ready.front_mut() {
            if len < segment.len() {
                segment.advance(len);
                return;
            }
            len -= segment.len();
            self.ready.pop_front();
        }
        assert!(len <= self.staging.len() - self.staging_written, "wrote more than was queued");
        self.staging_written += len;
        if self.staging_written == self.staging.len() {
            self.staging.clear();
            (self.staging_written, self.staging_sealed) = (0, 0);
        }
    }
}
