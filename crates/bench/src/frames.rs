//! The frames that contenders carry.

use bytes::Bytes;
use replink_transport::frame::{ClusterId, Command, GenericHeader, HEADER_SIZE};

use crate::Failure;

/// Frames of one size, numbered: the body is made once, each frame has a header of its own.
#[derive(Clone, Debug)]
pub struct Frames {
    header: GenericHeader,
    body: Bytes,
    next: u32,
    headers: Vec<GenericHeader>,
}

/// Most headers that are made before.
const AT_ONCE: usize = 64;

impl Frames {
    /// Frames of `size` bytes in all, at least a header's.
    pub fn new(cluster: ClusterId, size: usize) -> Self {
        let body = vec![7; size.saturating_sub(HEADER_SIZE)];
        let header = GenericHeader::new(cluster, Command::PREPARE, body.len());
        Self { header, body: Bytes::from(body), next: 0, headers: Vec::new() }
    }

    /// The header of the next frame.
    #[inline]
    pub fn header(&mut self) -> GenericHeader {
        self.header.view = self.next.into();
        self.header
    }

    /// The body of every frame; clones share it.
    #[inline]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Bytes of a frame.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.body.len()
    }

    /// The frame is on its way.
    #[inline]
    pub fn advance(&mut self) {
        self.advance_by(1);
    }

    /// The next frames, at most `bytes` of them in all but at least one, headers made before: as an embedder has
    /// them that takes what it sends from elsewhere.
    pub fn upcoming(&mut self, bytes: usize) -> impl Iterator<Item = (&GenericHeader, Bytes)> {
        let count = (bytes / self.size()).clamp(1, AT_ONCE);
        self.headers.resize(count, self.header);
        for (header, number) in self.headers.iter_mut().zip(self.next..) {
            header.view = number.into();
        }
        self.headers.iter().map(|header| (header, self.body.clone()))
    }

    /// So many of them are on their way.
    pub fn advance_by(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count);
    }
}

/// What the receiver looks at: that each frame is the one behind the last.
#[derive(Clone, Copy, Default, Debug)]
pub struct Order {
    next: u32,
}

impl Order {
    /// Looks at a header, and returns the size of its frame in bytes.
    ///
    /// # Errors
    ///
    /// When another frame was to come.
    #[inline]
    pub fn check(&mut self, header: &GenericHeader) -> Result<u64, Failure> {
        let number = header.view.get();
        if header.command != Command::PREPARE || number != self.next {
            return Err(format!("frame {number} came where {} was to come", self.next).into());
        }
        self.next = self.next.wrapping_add(1);
        Ok(u64::from(header.size.get()))
    }
}
