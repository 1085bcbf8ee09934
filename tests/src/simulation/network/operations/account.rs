//! What drivers and shards owe each other.

use replink_transport::memory::SendBatch;

/// Receives and sends of one driver: each comes back once, or is dropped with what it was on.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) begun: u64,
    pub(super) taken: u64,
    pub(super) released: u64,
    pub(super) dropped: u64,
}

impl Account {
    pub(super) fn check(&self, under_way: usize) {
        let left = self.begun - self.taken - self.released - self.dropped;
        assert!(
            left == under_way as u64,
            "memory is lost or was given back twice: {self:?}, {under_way} under way"
        );
    }
}

/// Batches up to this long are looked at as a whole; of a longer one, the beginning and the end of each piece. To look
/// at all of it would take most of a run's time.
const WHOLE: usize = 16 * 1024;

/// Bytes at either end of a piece of a longer batch.
const ENDS: usize = 256;

/// A hash of what a batch says, to see whether it stays as it is.
pub(super) fn hash(batch: &SendBatch) -> u64 {
    let len = batch.len();
    let mut hash = len as u64;
    let mut mix = |bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks();
        let rest = rest.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        for word in words.iter().map(|&word| u64::from_le_bytes(word)).chain([rest, bytes.len() as u64]) {
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    };
    for piece in batch.iter() {
        if len <= WHOLE || piece.len() <= 2 * ENDS {
            mix(piece);
        } else {
            mix(&piece[..ENDS]);
            mix(&piece[piece.len() - ENDS..]);
        }
    }
    hash
}
