//! Memory of large bodies that nobody took, for those that come next.

use std::mem;

/// Most bytes that are kept: as many as the bodies of a sealed batch have (S-1).
const SPARE_MAX: usize = 1024 * 1024;

/// Memory that waits for a body. Without seals it is that of one body, and none while another one is under
/// way: so nothing is added to what a link may hold.
pub(super) struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    buffers_max: usize,
}

impl Spare {
    pub(super) fn new(sealed: bool) -> Self {
        Self { buffers: Vec::new(), bytes: 0, buffers_max: if sealed { usize::MAX } else { 1 } }
    }

    /// Memory for a body of `len` bytes, a length that was checked; all of it is initialized. It is never
    /// more than twice as large: a body that somebody keeps does not keep much else.
    pub(super) fn room_for(&mut self, len: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&buffer.capacity());
        let Some(index) = self.buffers.iter().position(fits) else {
            self.clear();
            return vec![0; len];
        };
        let mut room = self.buffers.swap_remove(index);
        self.bytes -= room.capacity();
        room.resize(len, 0);
        room
    }

    /// Nobody needs `buffer` any more. Those that were kept longest make room for it.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        let len = buffer.capacity();
        if len == 0 || len > SPARE_MAX {
            return;
        }
        while self.bytes + len > SPARE_MAX || self.buffers.len() == self.buffers_max {
            self.bytes -= self.buffers.remove(0).capacity();
        }
        self.bytes += len;
        self.buffers.push(buffer);
    }

    pub(super) fn clear(&mut self) {
        self.bytes = 0;
        drop(mem::take(&mut self.buffers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_used_again_and_what_does_not_goes() {
        let mut spare = Spare::new(false);
        let kept = vec![1; 100_000];
        let address = kept.as_ptr();
        spare.keep(kept);
        let again = spare.room_for(90_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 90_000));
        spare.keep(again);
        assert_eq!(spare.room_for(100_001).capacity(), 100_001);
        assert_eq!((spare.buffers.len(), spare.bytes), (0, 0));
        for len in [50_000, SPARE_MAX + 1, 0, 40_000] {
            spare.keep(vec![0; len]);
        }
        assert_eq!((spare.buffers.len(), spare.bytes), (1, 40_000));
    }

    #[test]
    fn no_body_gets_memory_that_is_much_too_large() {
        let mut spare = Spare::new(false);
        spare.keep(vec![0; SPARE_MAX]);
        assert_eq!(spare.room_for(16 * 1024).capacity(), 16 * 1024);
        spare.keep(vec![0; 32 * 1024]);
        assert_eq!(spare.room_for(16 * 1024).capacity(), 32 * 1024);
    }

    #[test]
    fn no_more_is_kept_than_a_batch_has() {
        let mut spare = Spare::new(true);
        for _ in 0..20 {
            spare.keep(vec![0; 200_000]);
        }
        assert_eq!((spare.buffers.len(), spare.bytes), (5, 1_000_000));
        spare.keep(vec![0; SPARE_MAX]);
        assert_eq!((spare.buffers.len(), spare.bytes), (1, SPARE_MAX));
    }
}
