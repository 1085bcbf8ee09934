//! The links of a shard.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::mesh::LinkId;
use crate::node::link::OwnedLink;

/// Each link is looked up for each of its frames. Its number is counted by this process and nobody else's
/// to choose, so there is no need of a hash that withstands choice.
pub(super) type Links<S> = HashMap<LinkId, OwnedLink<S>, BuildHasherDefault<CountedHasher>>;

/// Spreads numbers that are counted.
#[derive(Default)]
pub(super) struct CountedHasher(u64);

impl Hasher for CountedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio: the high bits, by which the map tells entries apart, differ as well.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
