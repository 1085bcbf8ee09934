use std::fmt;

use bytes::Bytes;
use replink_frame::GenericHeader;

/// A frame from an authenticated peer, lent by [`Inbound`](super::Inbound) until the next call.
///
/// Header and body are views of the bytes where they were received. Nothing happens when this is dropped, or
/// is not: the codec goes on behind the frame either way.
pub struct Admitted<'a> {
    header: &'a GenericHeader,
    body: LentBody<'a>,
}

enum LentBody<'a> {
    /// Among other frames.
    Ahead(&'a [u8]),
    /// In memory of its own.
    Direct(&'a mut Vec<u8>),
}

impl<'a> Admitted<'a> {
    #[inline]
    pub(super) fn ahead(header: &'a GenericHeader, body: &'a [u8]) -> Self {
        Self { header, body: LentBody::Ahead(body) }
    }

    pub(super) fn direct(header: &'a GenericHeader, body: &'a mut Vec<u8>) -> Self {
        Self { header, body: LentBody::Direct(body) }
    }

    /// The header, as the embedder at the other end sent it.
    #[inline]
    pub fn header(&self) -> &GenericHeader {
        self.header
    }

    /// The body, in place.
    #[inline]
    pub fn body(&self) -> &[u8] {
        match &self.body {
            LentBody::Ahead(body) => body,
            LentBody::Direct(body) => body,
        }
    }

    /// The body, to keep: what is kept takes no more memory than twice the body. A small one is copied out of
    /// the memory that it shares with others; a large one has memory of its own, and is not.
    pub fn into_body(self) -> Bytes {
        match self.body {
            LentBody::Ahead(body) => Bytes::copy_from_slice(body),
            LentBody::Direct(body) => std::mem::take(body).into(),
        }
    }

    /// The whole frame, to keep, as [`Admitted::into_body`].
    pub fn into_owned(self) -> OwnedFrame {
        OwnedFrame { header: *self.header, body: self.into_body() }
    }
}

impl fmt::Debug for Admitted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("header", self.header()).finish_non_exhaustive()
    }
}

/// A frame from an authenticated peer, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OwnedFrame {
    /// As the embedder at the other end sent it.
    pub header: GenericHeader,
    /// `header.size - 256` bytes.
    pub body: Bytes,
}

impl OwnedFrame {
    /// These two.
    pub fn new(header: GenericHeader, body: Bytes) -> Self {
        Self { header, body }
    }
}
