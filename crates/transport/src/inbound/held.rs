//! Frames that wait for the tag of their batch (section 5).

use std::collections::VecDeque;

use replink_frame::{GenericHeader, HEADER_SIZE, SealFields};
use replink_handshake::{
    SEAL_BATCH_BYTES_MAX, SEAL_BATCH_FRAMES_MAX, SEAL_BODY_HASHED_MIN, Seal, SealBodyHasher, seal_body_hash,
};
use thiserror::Error;

/// Bytes that are hashed at once while more of a batch comes: long enough to be fast, short enough to
/// be still in the cache.
const RUN_MAX: usize = 64 * 1024;

/// Why a batch does not prove its frames. The link ends, and nothing of the batch is delivered (S-3).
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SealError {
    /// The tag does not verify.
    #[error("broken seal: frames were changed, repeated, left out or put in by someone on the way")]
    Tag,
    /// The seal's bytes are not those of a seal.
    #[error("broken seal: its bytes in the header are not those of a seal")]
    Fields,
    /// More than a batch may hold (S-1).
    #[error("broken seal: a batch beyond its limits of 1024 frames and 1 MiB")]
    Batch,
}

/// The frames of a sealed link, from the first one that was not delivered on.
///
/// Those that came whole lie in the read-ahead, one behind the other. Of a large body that did not, what
/// had come lies there too, without being used again.
pub(super) struct HeldFrames {
    seal: Seal,
    frames: VecDeque<Held>,
    /// How many of them, from the first one on, are proved.
    proved: usize,
    /// Whether a batch was proved since it was last asked.
    life: bool,
    /// Bytes of the read-ahead that belong to them.
    scanned: usize,
    /// How many of those have gone into the batch, or into an earlier one.
    hashed: usize,
    /// Whether a batch is under way.
    open: bool,
    batch_frames: u32,
    batch_bytes: usize,
    /// Bytes of the read-ahead that belong to the body under way.
    direct_skipped: usize,
    direct_hasher: SealBodyHasher,
    /// Taken apart, and used again: nothing is allocated for each.
    #[expect(clippy::vec_box, reason = "a frame in the read-ahead takes no more room for the sake of these")]
    spare: Vec<Box<HeldDirect>>,
    /// How much of the body under way went into it.
    direct_hashed: usize,
}

pub(super) enum Held {
    /// In the read-ahead.
    Ahead { size: usize },
    /// With a body of its own.
    Direct(Box<HeldDirect>),
}

pub(super) struct HeldDirect {
    /// Bytes of it that lie in the read-ahead as well.
    pub(super) skipped: usize,
    pub(super) header: GenericHeader,
    pub(super) body: Vec<u8>,
}

impl HeldFrames {
    pub(super) fn new(seal: Seal) -> Self {
        Self {
            seal,
            frames: VecDeque::new(),
            proved: 0,
            life: false,
            scanned: 0,
            hashed: 0,
            open: false,
            batch_frames: 0,
            batch_bytes: 0,
            direct_skipped: 0,
            direct_hasher: SealBodyHasher::default(),
            spare: Vec::new(),
            direct_hashed: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Lets the memory go that no frame needs.
    pub(super) fn relax(&mut self) {
        self.spare = Vec::new();
        self.frames.shrink_to_fit();
    }

    /// Whether a batch was proved since the last call.
    pub(super) fn take_life(&mut self) -> bool {
        std::mem::take(&mut self.life)
    }

    /// Where in the read-ahead the next frame begins.
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }

    /// The size of the next frame to deliver, if it is proved and lies in the read-ahead.
    #[inline]
    pub(super) fn pop_proved_ahead(&mut self) -> Option<usize> {
        match self.frames.front() {
            Some(&Held::Ahead { size }) if self.proved > 0 => {
                self.frames.pop_front();
                self.proved -= 1;
                self.scanned -= size;
                self.hashed -= size;
                Some(size)
            }
            _ => None,
        }
    }

    /// The next frame to deliver, if it is proved.
    pub(super) fn pop_proved(&mut self) -> Option<Held> {
        self.proved = self.proved.checked_sub(1)?;
        let held = self.frames.pop_front()?;
        let bytes = match &held {
            Held::Ahead { size } => *size,
            Held::Direct(direct) => direct.skipped,
        };
        self.scanned -= bytes;
        self.hashed -= bytes;
        Some(held)
    }

    /// Header and body of a frame that is delivered.
    pub(super) fn take_apart(&mut self, mut held: Box<HeldDirect>) -> (GenericHeader, Vec<u8>) {
        let parts = (held.header, std::mem::take(&mut held.body));
        self.spare.push(held);
        parts
    }

    /// Whether one more frame of `size` bytes may be in the batch (S-1).
    pub(super) fn check(&self, fields: &SealFields, size: usize) -> Result<(), SealError> {
        if !fields.are_possible() {
            return Err(SealError::Fields); // S-3
        }
        let bytes = self.batch_bytes.saturating_add(size);
        let single = self.batch_frames == 0 && fields.mark == SealFields::CLOSING;
        let fits = self.batch_frames < SEAL_BATCH_FRAMES_MAX && (single || bytes <= SEAL_BATCH_BYTES_MAX);
        if fits { Ok(()) } else { Err(SealError::Batch) }
    }

    /// Takes the next frame of the read-ahead, which is there as a whole.
    pub(super) fn add(&mut self, unread: &[u8], size: usize) -> Result<(), SealError> {
        let end = self.scanned + size;
        let frame = &unread[self.scanned..end];
        let fields = *fields_of(frame);
        self.frames.push_back(Held::Ahead { size });
        self.count(size);
        let body = &frame[HEADER_SIZE..];
        let closing = fields.mark == SealFields::CLOSING;
        if closing || body.len() >= SEAL_BODY_HASHED_MIN {
            self.hash_header(unread, &fields);
            if body.len() < SEAL_BODY_HASHED_MIN {
                self.seal.add(body);
            } else {
                self.seal.add(&seal_body_hash(body));
            }
            self.hashed = end;
        }
        self.scanned = end;
        if closing {
            return self.close(&fields);
        }
        if self.scanned - self.hashed >= RUN_MAX {
            let run = &unread[self.hashed..self.scanned];
            self.begin();
            self.seal.add(run);
            self.hashed = self.scanned;
        }
        Ok(())
    }

    /// Takes the header of the next frame, whose body has a buffer of its own. `skipped` bytes of the
    /// frame are in the read-ahead.
    pub(super) fn begin_direct(&mut self, unread: &[u8], size: usize, skipped: usize) {
        let fields = *fields_of(&unread[self.scanned..]);
        self.count(size);
        self.hash_header(unread, &fields);
        self.scanned += skipped;
        self.hashed = self.scanned;
        self.direct_skipped = skipped;
    }

    /// The body is there as a whole.
    pub(super) fn finish_direct(&mut self, header: GenericHeader, body: Vec<u8>) -> Result<(), SealError> {
        let fields = *SealFields::view(&header);
        self.hash_direct(&body, true);
        let hash = self.direct_hasher.finish();
        self.direct_hashed = 0;
        self.seal.add(&hash);
        let skipped = std::mem::take(&mut self.direct_skipped);
        let held = HeldDirect { skipped, header, body };
        let held = match self.spare.pop() {
            Some(mut spare) => {
                *spare = held;
                spare
            }
            None => Box::new(held),
        };
        self.frames.push_back(Held::Direct(held));
        if fields.mark == SealFields::CLOSING { self.close(&fields) } else { Ok(()) }
    }

    /// Everything up to and with the header at `scanned` goes into the batch, its tag as zeros.
    fn hash_header(&mut self, unread: &[u8], fields: &SealFields) {
        self.begin();
        let header_end = self.scanned + HEADER_SIZE;
        if fields.mark == SealFields::OPEN {
            self.seal.add(&unread[self.hashed..header_end]); // has no tag
            return;
        }
        self.seal.add(&unread[self.hashed..self.scanned]);
        let mut header = *header_of(&unread[self.scanned..]);
        SealFields::view_mut(&mut header).tag = [0; 16];
        self.seal.add(header.bytes());
    }

    /// Takes what has come of the body under way, in pieces that are still in the cache.
    pub(super) fn hash_direct(&mut self, body: &[u8], to_the_end: bool) {
        let new = &body[self.direct_hashed..];
        if to_the_end || new.len() >= RUN_MAX {
            self.direct_hasher.add(new);
            self.direct_hashed = body.len();
        }
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            self.seal.begin();
        }
    }

    fn count(&mut self, size: usize) {
        self.batch_frames += 1;
        self.batch_bytes += size;
    }

    /// S-2: only now is anything of the batch proved.
    fn close(&mut self, fields: &SealFields) -> Result<(), SealError> {
        self.open = false;
        if !self.seal.finish().matches(&fields.tag) {
            return Err(SealError::Tag); // S-3
        }
        self.proved = self.frames.len();
        self.life = true; // C-1
        (self.batch_frames, self.batch_bytes) = (0, 0);
        Ok(())
    }
}

fn header_of(frame: &[u8]) -> &GenericHeader {
    let header = frame.first_chunk().expect("only frames with a whole header are looked at");
    GenericHeader::view(header)
}

fn fields_of(frame: &[u8]) -> &SealFields {
    SealFields::view(header_of(frame))
}

#[cfg(all(feature = "hand-off", target_os = "linux"))]
mod carried {
    use replink_handshake::Seal;

    use super::{Held, HeldFrames, header_of};
    use replink_frame::HEADER_SIZE;

    impl HeldFrames {
        /// Gives the batch under way up; whoever goes on begins it again.
        pub(in crate::inbound) fn abandon_batch(&mut self) {
            if std::mem::take(&mut self.open) {
                self.seal.abandon();
            }
        }

        /// All bytes in the order in which they came, and how many of them are proved. `direct` is the
        /// body under way, with its header.
        pub(in crate::inbound) fn into_bytes(
            self,
            unread: &[u8],
            direct: Option<(&[u8], &[u8])>,
        ) -> (Seal, Vec<u8>, usize) {
            let mut bytes = Vec::with_capacity(unread.len());
            let (mut offset, mut proved_len) = (0, 0);
            for (index, held) in self.frames.iter().enumerate() {
                match held {
                    Held::Ahead { size } => {
                        bytes.extend_from_slice(&unread[offset..offset + size]);
                        offset += size;
                    }
                    Held::Direct(held) => {
                        bytes.extend_from_slice(held.header.bytes());
                        bytes.extend_from_slice(&held.body);
                        offset += held.skipped;
                    }
                }
                if index < self.proved {
                    proved_len = bytes.len();
                }
            }
            if let Some((header, body)) = direct {
                bytes.extend_from_slice(header);
                bytes.extend_from_slice(body);
                offset += self.direct_skipped;
            }
            bytes.extend_from_slice(&unread[offset..]);
            (self.seal, bytes, proved_len)
        }

        /// Goes on with frames that were proved elsewhere: the first `proved_len` bytes. `None` if that
        /// is not a number of whole frames.
        pub(in crate::inbound) fn resume(self, unread: &[u8], proved_len: usize) -> Option<Self> {
            let mut held = self;
            while held.scanned < proved_len {
                let frame =
                    unread.get(held.scanned..proved_len).filter(|frame| frame.len() >= HEADER_SIZE)?;
                let size = header_of(frame).size.get() as usize;
                if size < HEADER_SIZE || size > frame.len() {
                    return None;
                }
                held.frames.push_back(Held::Ahead { size });
                held.scanned += size;
            }
            held.hashed = held.scanned;
            held.proved = held.frames.len();
            Some(held)
        }
    }
}
