//! Closing batches (section 5).

use std::collections::VecDeque;

use bytes::BytesMut;
use replink_frame::{GenericHeader, HEADER_SIZE, SealFields};
use replink_handshake::{
    SEAL_BATCH_BYTES_MAX, SEAL_BATCH_FRAMES_MAX, SEAL_BODY_HASHED_MIN, Seal, seal_body_hash,
};

use super::Body;
use super::segments::COPY_MAX;

/// Frames that are queued on a sealed link, and that no tag proves yet.
#[derive(Default)]
pub(super) struct Unsealed {
    /// Body lengths, in order.
    frames: VecDeque<usize>,
    /// Their bytes, in order; the rest is in the staging chunk behind them.
    pub(super) parts: VecDeque<Part>,
}

/// Bytes of frames.
pub(super) enum Part {
    /// Small frames one behind the other, and headers of large ones. The first `sealed` bytes belong to
    /// frames that are sealed.
    Staged { bytes: BytesMut, sealed: usize },
    /// A large body; its header is the last of the chunk before.
    Body(Body),
}

impl Unsealed {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn add_frame(&mut self, body_len: usize) {
        self.frames.push_back(body_len);
    }

    /// Writes marks and tags into all headers. `staging` has the last frames, from `staging_from` on.
    pub(super) fn close(&mut self, staging: &mut BytesMut, staging_from: usize, seal: &mut Seal) {
        let offset = match self.parts.front() {
            Some(Part::Staged { sealed, .. }) => *sealed,
            _ => staging_from,
        };
        let mut cursor = Cursor { parts: &mut self.parts, staging, part: 0, offset, hashed: offset };
        while !self.frames.is_empty() {
            let count = next_batch(&self.frames);
            seal.begin();
            let mut closing_header = (0, 0);
            for (index, body_len) in self.frames.drain(..count).enumerate() {
                let mark = if index + 1 == count { SealFields::CLOSING } else { SealFields::OPEN };
                closing_header = cursor.frame(body_len, mark, seal);
            }
            cursor.hash_rest(seal);
            cursor.fields_at(closing_header).tag = seal.finish().bytes();
        }
    }
}

/// How many of these frames make one batch (S-1).
fn next_batch(frames: &VecDeque<usize>) -> usize {
    let (mut count, mut bytes) = (0, 0);
    for &body_len in frames {
        bytes += HEADER_SIZE + body_len;
        let full = count == SEAL_BATCH_FRAMES_MAX as usize || bytes > SEAL_BATCH_BYTES_MAX;
        if full && count > 0 {
            break;
        }
        count += 1;
    }
    count
}

/// Goes from frame to frame, and hashes what lies together as one long input.
struct Cursor<'a> {
    parts: &'a mut VecDeque<Part>,
    staging: &'a mut BytesMut,
    /// Where the next frame is: in this part, or in `staging` behind the last.
    part: usize,
    offset: usize,
    /// Up to where this part has gone into the batch.
    hashed: usize,
}

impl Cursor<'_> {
    /// Takes the next frame into the batch; where its header is.
    fn frame(&mut self, body_len: usize, mark: u8, seal: &mut Seal) -> (usize, usize) {
        if self.offset == self.chunk(self.part).len() && self.part < self.parts.len() {
            self.hash_rest(seal);
            self.next_part();
        }
        let header = (self.part, self.offset);
        self.fields_at(header).mark = mark;
        self.offset += HEADER_SIZE;
        if body_len < SEAL_BODY_HASHED_MIN {
            self.offset += body_len;
            return header;
        }
        self.hash_rest(seal);
        if body_len <= COPY_MAX {
            let (start, end) = (self.offset, self.offset + body_len);
            let hash = seal_body_hash(&self.chunk(self.part)[start..end]);
            seal.add(&hash);
            (self.offset, self.hashed) = (end, end);
        } else {
            self.next_part();
            if let Some(Part::Body(body)) = self.parts.get(self.part) {
                seal.add(&body.seal_hash());
            }
            self.next_part();
        }
        header
    }

    fn hash_rest(&mut self, seal: &mut Seal) {
        let (hashed, offset) = (self.hashed, self.offset);
        seal.add(&self.chunk(self.part)[hashed..offset]);
        self.hashed = offset;
    }

    fn next_part(&mut self) {
        self.part += 1;
        (self.offset, self.hashed) = (0, 0);
    }

    fn chunk(&mut self, part: usize) -> &mut BytesMut {
        match self.parts.get_mut(part) {
            Some(Part::Staged { bytes, .. }) => bytes,
            // Bodies are stepped over: their frames say where they are.
            Some(Part::Body(_)) | None => self.staging,
        }
    }

    fn fields_at(&mut self, (part, offset): (usize, usize)) -> &mut SealFields {
        let bytes = &mut self.chunk(part)[offset..offset + HEADER_SIZE];
        let header: &mut [u8; HEADER_SIZE] = bytes.try_into().expect("a header's bytes");
        SealFields::view_mut(GenericHeader::view_mut(header))
    }
}
