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

/// Frames of one size behind each other, for who writes many of them at once: the memory goes away with a write and
/// comes back.
pub(crate) struct Batch {
    frames: Frames,
}

impl Batch {
    /// Frames of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { frames: Frames::new(ClusterId([1; 16]), size) }
    }

    /// Room for frames of `bytes` in all, at least one; the bodies are there.
    pub(crate) fn room(&self, bytes: usize) -> Vec<u8> {
        let size = self.frames.size();
        vec![7; (bytes / size).max(1) * size]
    }

    /// The next frames.
    pub(crate) fn fill(&mut self, room: &mut [u8]) {
        for frame in room.chunks_exact_mut(self.frames.size()) {
            frame[..HEADER_SIZE].copy_from_slice(self.frames.header().bytes());
            self.frames.advance();
        }
    }
}

/// Finds the frames in a stream of bytes that comes in any pieces, and looks at their headers.
#[derive(Default)]
pub(crate) struct Walk {
    order: Order,
    /// The beginning of a header that has not come whole.
    begun: Vec<u8>,
    /// Bytes that the frame has, and those that have not come.
    size: u64,
    missing: usize,
}

impl Walk {
    /// The next bytes; `whole` learns the size of each frame that ends in them.
    pub(crate) fn take(&mut self, bytes: &[u8], mut whole: impl FnMut(u64)) -> Result<(), Failure> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if self.missing == 0 {
                bytes = self.begin(bytes)?;
                // What is not begun yet has no size.
                if !self.begun.is_empty() {
                    return Ok(());
                }
            }
            let count = self.missing.min(bytes.len());
            bytes = &bytes[count..];
            self.missing -= count;
            if self.missing == 0 {
                whole(self.size);
            }
        }
        Ok(())
    }

    /// A header, as far as it is there; returns what is behind it.
    fn begin<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        if self.begun.is_empty()
            && let Some((header, behind)) = bytes.split_first_chunk::<HEADER_SIZE>()
        {
            self.look(header)?;
            return Ok(behind);
        }
        let (part, behind) = bytes.split_at((HEADER_SIZE - self.begun.len()).min(bytes.len()));
        self.begun.extend_from_slice(part);
        let whole: Option<[u8; HEADER_SIZE]> = self.begun.first_chunk().copied();
        if let Some(header) = whole {
            self.begun.clear();
            self.look(&header)?;
        }
        Ok(behind)
    }

    fn look(&mut self, header: &[u8; HEADER_SIZE]) -> Result<(), Failure> {
        self.size = self.order.check(GenericHeader::view(header))?;
        self.missing = usize::try_from(self.size)?.saturating_sub(HEADER_SIZE);
        Ok(())
    }
}
