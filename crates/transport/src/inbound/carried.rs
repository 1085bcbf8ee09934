//! An `Inbound` taken apart, to be put together in another process.

use bytes::BytesMut;
use replink_frame::{FrameError, GenericHeader, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{Control, Receiving};

use super::read_ahead::ReadAhead;
use super::{DirectBody, Inbound, InboundError, Ready};

/// What an [`Inbound`] holds.
pub(crate) struct CarriedInbound {
    pub(crate) receiving: Receiving,
    /// Whether a frame has come.
    pub(crate) begun: bool,
    /// A control frame that was proved, and not yet given to the embedder.
    pub(crate) control: Option<Control>,
    /// A large body under way, or whole: its header, and what has arrived of it.
    pub(crate) direct: Option<(GenericHeader, BytesMut)>,
    /// What was received behind that.
    pub(crate) unread: BytesMut,
}

impl Inbound {
    /// Everything that is needed to go on elsewhere.
    pub(crate) fn carry(self) -> Result<CarriedInbound, InboundError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut direct = self.direct.map(|direct| direct.body);
        let control = match self.ready {
            Some(Ready::Control(control)) => Some(control),
            Some(Ready::Direct(body)) => {
                direct = Some(body);
                None
            }
            Some(Ready::Ahead { .. }) | None => None, // still unread
        };
        Ok(CarriedInbound {
            receiving: self.receiving,
            begun: self.begun,
            control,
            direct: direct.map(|body| (self.direct_header, body)),
            unread: self.ahead.into_unread(),
        })
    }

    /// Goes on with what another [`Inbound`] of this link held. The body's header is checked against
    /// `frame_limit`, as if it had come just now, and what has arrived against the header.
    pub(crate) fn resume(carried: CarriedInbound, frame_limit: u32) -> Result<Self, FrameError> {
        let mut inbound = Self::new(carried.receiving, frame_limit);
        inbound.begun = carried.begun;
        inbound.ready = carried.control.map(Ready::Control);
        if let Some((header, body)) = carried.direct {
            let checked = ReplicatedHeader::check(&header, inbound.receiving.cluster(), frame_limit)?;
            let missing = checked.body_len().checked_sub(body.len()).ok_or(FrameError::Size {
                found: header.size.get(),
                limit: u32::try_from(HEADER_SIZE + body.len()).unwrap_or(u32::MAX),
            })?;
            inbound.direct = Some(DirectBody { body, missing });
            inbound.direct_header = header;
        }
        let mut ahead = ReadAhead::new();
        let taken = ahead.push(&carried.unread);
        assert_eq!(taken, carried.unread.len(), "the caller bounds the unread bytes by READ_AHEAD_SIZE");
        inbound.ahead = ahead;
        Ok(inbound)
    }
}
