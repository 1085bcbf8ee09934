//! Memory of a large body that nobody took, for the one that comes next.

use std::mem;

/// Most bytes that are kept.
const SPARE_MAX: usize = 1024 * 1024;

/// Memory that waits for a body: that of one, and none while another one is under way. So nothing is added to
/// what a link may hold.
#[derive(Default)]
pub(super) struct Spare(Vec<u8>);

impl Spare {
    /// Memory for a body of `len` bytes, a length that was checked; all of it is initialized. It is never
    /// more than twice as large: a body that somebody keeps does not keep much else.
    pub(super) fn room_for(&mut self, len: usize) -> Vec<u8> {
        let mut room = mem::take(&mut self.0);
        if !(len..=len.saturating_mul(2)).contains(&room.capacity()) {
            return vec![0; len];
        }
        room.resize(len, 0);
        room
    }

    /// Nobody needs `buffer` any more.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        if (1..=SPARE_MAX).contains(&buffer.capacity()) {
            self.0 = buffer;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_used_again_and_what_does_not_goes() {
        let mut spare = Spare::default();
        let kept = vec![1; 100_000];
        let address = kept.as_ptr();
        spare.keep(kept);
        let again = spare.room_for(90_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 90_000));
        spare.keep(again);
        assert_eq!(spare.room_for(100_001).capacity(), 100_001);
        assert_eq!(spare.0.capacity(), 0);
        for len in [50_000, SPARE_MAX + 1, 0, 40_000, SPARE_MAX + 1] {
            spare.keep(vec![0; len]);
        }
        assert_eq!(spare.0.capacity(), 40_000);
    }

    #[test]
    fn no_body_gets_memory_that_is_much_too_large() {
        let mut spare = Spare::default();
        spare.keep(vec![0; SPARE_MAX]);
        assert_eq!(spare.room_for(16 * 1024).capacity(), 16 * 1024);
        spare.keep(vec![0; 32 * 1024]);
        assert_eq!(spare.room_for(16 * 1024).capacity(), 32 * 1024);
    }
}
