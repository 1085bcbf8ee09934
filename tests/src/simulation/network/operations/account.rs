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

/// Batches up to this long are looked at as a whole.
const WHOLE: usize = 16 * 1024;

/// Of a longer one every so manieth byte is looked at besides its ends: to look at all would take most of a run's time.
const STRIDE: usize = 61;

/// A hash of what a batch says, to see whether it stays as it is.
pub(super) fn hash(batch: &SendBatch) -> u64 {
    let len = batch.len();
    let mut hash = len as u64;
    let mut mix = |value: u64| hash = (hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for piece in batch.iter() {
        mix(piece.len() as u64);
        if len <= WHOLE {
            for &byte in piece {
                mix(byte.into());
            }
        } else {
            let ends = piece.iter().take(STRIDE).chain(piece.iter().rev().take(STRIDE));
            for &byte in ends.chain(piece.iter().step_by(STRIDE)) {
                mix(byte.into());
            }
        }
    }
    hash
}
