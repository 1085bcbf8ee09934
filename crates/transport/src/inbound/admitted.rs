use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use replink_frame::{GenericHeader, HEADER_SIZE};

use super::read_ahead::Lent;
use super::spare::Spare;

/// A frame from an authenticated peer, lent by [`Inbound`](super::Inbound) until the next call.
///
/// The header is a view of the bytes where they were received. The body can be looked at in
/// place, or taken out as [`Bytes`] without a copy.
pub struct Admitted<'a>(Place<'a>);

enum Place<'a> {
    /// Header and body in the read-ahead.
    Ahead(Lent<'a>),
    /// A large body in memory of its own.
    Direct(LentBody<'a>),
}

/// A large body that is lent. What nobody takes is used for the next one.
struct LentBody<'a> {
    header: &'a GenericHeader,
    body: BytesMut,
    spare: &'a mut Spare,
}

impl Drop for LentBody<'_> {
    fn drop(&mut self) {
        self.spare.keep(std::mem::take(&mut self.body));
    }
}

impl<'a> Admitted<'a> {
    /// `frame` is a whole frame whose header has been checked.
    pub(crate) fn ahead(frame: Lent<'a>) -> Self {
        Self(Place::Ahead(frame))
    }

    /// `spare` gets the body's memory, unless somebody takes it.
    pub(super) fn direct(header: &'a GenericHeader, body: BytesMut, spare: &'a mut Spare) -> Self {
        Self(Place::Direct(LentBody { header, body, spare }))
    }

    /// The header, as the embedder at the other end sent it.
    pub fn header(&self) -> &GenericHeader {
        match &self.0 {
            Place::Ahead(frame) => split(frame.bytes()).0,
            Place::Direct(lent) => lent.header,
        }
    }

    /// The body, in place.
    pub fn body(&self) -> &[u8] {
        match &self.0 {
            Place::Ahead(frame) => split(frame.bytes()).1,
            Place::Direct(lent) => &lent.body,
        }
    }

    /// The body, to keep, without a copy.
    ///
    /// A small body keeps the read-ahead buffer that it was received into alive; an embedder that
    /// keeps few small bodies for long should copy them.
    pub fn into_body(self) -> Bytes {
        match self.0 {
            // No body keeps no buffer alive, and needs none.
            Place::Ahead(frame) if frame.bytes().len() == HEADER_SIZE => Bytes::new(),
            Place::Ahead(frame) => {
                let mut bytes = frame.take();
                bytes.advance(HEADER_SIZE);
                bytes
            }
            Place::Direct(mut lent) => std::mem::take(&mut lent.body).freeze(),
        }
    }

    /// The whole frame, to keep: a copy of the header, and the body without one.
    pub fn into_owned(self) -> OwnedFrame {
        OwnedFrame { header: *self.header(), body: self.into_body() }
    }
}

fn split(frame: &[u8]) -> (&GenericHeader, &[u8]) {
    // Only frames of at least a header are lent.
    let (header, body) = frame.split_at(HEADER_SIZE);
    let header: &[u8; HEADER_SIZE] = header.try_into().expect("split at the header's size");
    (GenericHeader::view(header), body)
}

impl fmt::Debug for Admitted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("header", self.header()).finish_non_exhaustive()
    }
}

/// A frame from an authenticated peer, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedFrame {
    /// As the embedder at the other end sent it.
    pub header: GenericHeader,
    /// `header.size - 256` bytes.
    pub body: Bytes,
}
