//! Seals of frames (section 5): one tag proves a batch of what went out together.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use blake3::{Hash, Hasher};
use zeroize::Zeroize;

use crate::key_bytes::{KeyBytes, wipe_stack};

/// Most frames in one batch (S-1).
pub const SEAL_BATCH_FRAMES_MAX: u32 = 1024;

/// Most bytes of frames in one batch, unless it is a single frame (S-1).
pub const SEAL_BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Bodies below this many bytes go into the tag as they are, larger ones as their hash.
pub const SEAL_BODY_HASHED_MIN: usize = 1024;

/// One direction's seal: its key, how many batches went before, and the batch that is under way. It has
/// exactly one owner, and goes with the link. Wiped when dropped, silent in `Debug`.
pub struct Seal {
    key: KeyBytes,
    /// Has the key as well, and stays where it is. There is one for all batches: wiping it is dearer than a small batch.
    hasher: Box<Hasher>,
    /// The first `gathered_len` bytes are of the batch, and not hashed yet.
    gathered: Box<[u8]>,
    gathered_len: usize,
    batches: u64,
}

/// Bytes that are hashed at once: with as many, BLAKE3 uses the widest instructions there are. Only while
/// all that came before is a multiple of it: the 8 bytes of `seq` alone, which come first, would have it
/// hash in halves of halves. So what is hashed is gathered here, which costs a copy and saves three
/// quarters of the time for small frames.
const GATHERED_MAX: usize = 16 * 1024;

impl Seal {
    pub(crate) fn new(key: KeyBytes) -> Self {
        Self::resume(key, 0)
    }

    pub(crate) fn resume(key: KeyBytes, batches: u64) -> Self {
        // It is made on the stack, and what it does not use yet is what was there before.
        wipe_stack();
        let hasher = keyed(&key);
        wipe_stack();
        Self { key, hasher, gathered: vec![0; GATHERED_MAX].into(), gathered_len: 0, batches }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Batches that were begun so far.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Begins the next batch. Both ends must count the same batches, so whoever begins one finishes it.
    pub fn begin(&mut self) {
        self.hasher.reset();
        self.gathered_len = 0;
        self.add(&self.batches.to_le_bytes());
        self.batches += 1; // at one a nanosecond this lasts for 584 years
    }

    /// The next bytes of the batch's items, as many at once as there are: long inputs are hashed several
    /// times faster than short ones.
    pub fn add(&mut self, bytes: &[u8]) {
        let room = &mut self.gathered[self.gathered_len..];
        if bytes.len() < room.len() {
            room[..bytes.len()].copy_from_slice(bytes);
            self.gathered_len += bytes.len();
            return;
        }
        let (filling, rest) = bytes.split_at(room.len());
        room.copy_from_slice(filling);
        self.hasher.update(&self.gathered);
        let mut whole = rest.chunks_exact(GATHERED_MAX);
        for chunk in &mut whole {
            self.hasher.update(chunk);
        }
        let rest = whole.remainder();
        self.gathered[..rest.len()].copy_from_slice(rest);
        self.gathered_len = rest.len();
    }

    /// The tag over all that was added to the batch.
    pub fn finish(&mut self) -> SealTag {
        self.hasher.update(&self.gathered[..self.gathered_len]);
        self.gathered_len = 0;
        SealTag(self.hasher.finalize())
    }

    /// Takes the last [`Seal::begin`] back: its batch was not finished, and is begun anew by whoever goes
    /// on, over the same bytes.
    pub fn abandon(&mut self) {
        self.batches = self.batches.saturating_sub(1);
    }
}

/// In a frame of its own, on the part of the stack that was wiped.
#[inline(never)]
fn keyed(key: &[u8; 32]) -> Box<Hasher> {
    Box::new(Hasher::new_keyed(key))
}

impl Drop for Seal {
    fn drop(&mut self) {
        self.hasher.zeroize();
        // What batches have left there, of a thread that ends the link as well.
        wipe_stack();
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("batches", &self.batches).finish_non_exhaustive()
    }
}

/// The tag of a batch.
pub struct SealTag(Hash);

impl SealTag {
    /// The 16 bytes that go over the wire.
    pub fn bytes(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        tag.copy_from_slice(&self.0.as_bytes()[..16]);
        tag
    }

    /// Whether `received` is this tag. Takes the same time wherever the difference is (H-3).
    pub fn matches(&self, received: &[u8; 16]) -> bool {
        let widen = |tag: &[u8; 16]| {
            let mut wide = [0; 32];
            wide[..16].copy_from_slice(tag);
            Hash::from_bytes(wide)
        };
        // `blake3::Hash` compares in constant time.
        widen(&self.bytes()) == widen(received)
    }
}

impl fmt::Debug for SealTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealTag(redacted)")
    }
}

/// `hash(body)`: what a large body goes into a tag as. The same for every link that it goes to (S-4).
pub fn seal_body_hash(body: &[u8]) -> [u8; 32] {
    blake3::hash(body).into()
}

/// [`seal_body_hash`] of a body that comes in pieces; large ones are hashed faster.
#[derive(Default)]
pub struct SealBodyHasher(Hasher);

impl SealBodyHasher {
    /// The next bytes of the body.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them; from here on it is of the next body.
    pub fn finish(&mut self) -> [u8; 32] {
        let hash = self.0.finalize().into();
        self.0.reset();
        hash
    }
}

impl fmt::Debug for SealBodyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealBodyHasher")
    }
}
