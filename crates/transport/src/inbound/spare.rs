//! Memory of large bodies that nobody took, for those that come next.

use bytes::BytesMut;

/// Most bytes that are kept: as many as the bodies of a sealed batch have (S-1).
const SPARE_MAX: usize = 1024 * 1024;

/// Memory that waits for a body. Without seals it is that of one body, and none while another one is under
/// way: so nothing is added to what a link may hold.
pub(super) struct Spare {
    buffers: Vec<BytesMut>,
    bytes: usize,
    buffers_max: usize,
}

impl Spare {
    pub(super) fn new(sealed: bool) -> Self {
        Self { buffers: Vec::new(), bytes: 0, buffers_max: if sealed { usize::MAX } else { 1 } }
    }

    /// Memory for a body of `len` bytes, a length that was checked.
    pub(super) fn room_for(&mut self, len: usize) -> BytesMut {
        let Some(index) = self.buffers.iter().position(|buffer| buffer.capacity() >= len) else {
            self.buffers.clear();
            self.bytes = 0;
            return BytesMut::with_capacity(len);
        };
        let mut room = self.buffers.swap_remove(index);
        self.bytes -= room.capacity();
        room.clear();
        room
    }

    /// Nobody needs `buffer` any more. Those that were kept longest make room for it.
    pub(super) fn keep(&mut self, buffer: BytesMut) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_used_again_and_what_does_not_goes() {
        let mut spare = Spare::new(false);
        let kept = BytesMut::with_capacity(100_000);
        let address = kept.as_ptr();
        spare.keep(kept);
        let mut again = spare.room_for(90_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        again.resize(90_000, 1);
        spare.keep(again);
        assert_eq!(spare.room_for(100_001).capacity(), 100_001);
        assert_eq!((spare.buffers.len(), spare.bytes), (0, 0));
        for len in [50_000, SPARE_MAX + 1, 0, 40_000] {
            spare.keep(BytesMut::with_capacity(len));
        }
        assert_eq!((spare.buffers.len(), spare.bytes), (1, 40_000));
    }

    #[test]
    fn no_more_is_kept_than_a_batch_has() {
        let mut spare = Spare::new(true);
        for _ in 0..20 {
            spare.keep(BytesMut::with_capacity(200_000));
        }
        assert_eq!((spare.buffers.len(), spare.bytes), (5, 1_000_000));
        spare.keep(BytesMut::with_capacity(SPARE_MAX));
        assert_eq!((spare.buffers.len(), spare.bytes), (1, SPARE_MAX));
    }
}
