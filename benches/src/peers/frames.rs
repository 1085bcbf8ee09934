//! The frames that peers carry: the same as links do, as one piece of memory.

use bytes::{Bytes, BytesMut};
use replink_bench::{Failure, Frames, Order};
use replink_transport::frame::{ClusterId, GenericHeader, HEADER_SIZE};

/// Frames of one size in one piece, numbered. The memory is made once and each header written in place: a
/// user has the frame already, and the peer is not charged for making it.
pub(crate) struct Numbered {
    frames: Frames,
    whole: Bytes,
    prefix: usize,
}

impl Numbered {
    /// Frames of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self::behind(&[], size)
    }

    /// The same behind a length of four bytes, for byte streams.
    pub(crate) fn with_length(size: usize) -> Result<Self, Failure> {
        Ok(Self::behind(&u32::try_from(size)?.to_be_bytes(), size))
    }

    fn behind(prefix: &[u8], size: usize) -> Self {
        let frames = Frames::new(ClusterId([1; 16]), size);
        let mut whole = BytesMut::from(prefix);
        whole.extend_from_slice(&[0; HEADER_SIZE]);
        whole.extend_from_slice(&frames.body());
        Self { frames, whole: whole.freeze(), prefix: prefix.len() }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> &Bytes {
        let whole = std::mem::take(&mut self.whole);
        let mut own = whole.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        own[self.prefix..][..HEADER_SIZE].copy_from_slice(self.frames.header().bytes());
        self.frames.advance();
        self.whole = own.freeze();
        &self.whole
    }
}

/// What the receiver does: looks at the frame's header, and returns the frame's size.
pub(crate) fn look(order: &mut Order, frame: &[u8]) -> Result<u64, Failure> {
    let header = frame.first_chunk::<HEADER_SIZE>().ok_or("a frame without a header")?;
    let size = order.check(GenericHeader::view(header))?;
    if size == frame.len() as u64 { Ok(size) } else { Err("a frame of another size".into()) }
}
