//! An `Inbound` taken apart, to be put together in another process.

use bytes::BytesMut;
use replink_frame::{FrameError, GenericHeader, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{ControlMessage, Receiving};

use thiserror::Error;

use super::held::HeldFrames;
use super::read_ahead::ReadAhead;
use super::{DirectBody, Inbound, InboundError, Ready};

/// What an [`Inbound`] holds.
pub(crate) struct CarriedInbound {
    pub(crate) receiving: Receiving,
    /// Whether a frame has come.
    pub(crate) begun: bool,
    /// A control frame that was proved, and not yet given to the embedder.
    pub(crate) control: Option<ControlMessage>,
    /// A large body under way, or whole: its header, and what has arrived of it.
    pub(crate) direct: Option<(GenericHeader, BytesMut)>,
    /// What was received behind that.
    pub(crate) unread: BytesMut,
    /// On a sealed link: how many of these bytes are frames whose tag verified (S-2). There all bytes are
    /// in `unread`.
    pub(crate) proved_len: usize,
}

impl Inbound {
    /// Everything that is needed to go on elsewhere.
    pub(crate) fn carry(mut self) -> Result<CarriedInbound, InboundError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(mut held) = self.held.take() {
            held.abandon_batch();
            return Ok(self.carry_sealed(*held));
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
            proved_len: 0,
        })
    }

    fn carry_sealed(mut self, held: HeldFrames) -> CarriedInbound {
        let under_way =
            self.direct.as_ref().map(|direct| (&self.direct_header.bytes()[..], &direct.body[..]));
        let mut taken = BytesMut::new();
        let (mut control, mut yielded) = (None, 0);
        match self.ready.take() {
            Some(Ready::Control(ready)) => control = Some(ready),
            Some(Ready::Direct(body)) => {
                taken.extend_from_slice(self.direct_header.bytes());
                taken.extend_from_slice(&body);
            }
            // It is proved, and still lies in front of the held ones.
            Some(Ready::Ahead { size }) => yielded = size,
            None => {}
        }
        let unread = self.ahead.into_unread();
        taken.extend_from_slice(&unread[..yielded]);
        let (seal, bytes, proved_len) = held.into_bytes(&unread[yielded..], under_way);
        let proved_len = taken.len() + proved_len;
        taken.extend_from_slice(&bytes);
        self.receiving.put_seal(seal);
        let (receiving, begun) = (self.receiving, self.begun);
        CarriedInbound { receiving, begun, control, direct: None, unread: taken, proved_len }
    }

    /// Goes on with what another [`Inbound`] of this link held. The body's header is checked against
    /// `frame_limit`, as if it had come just now, and what has arrived against the header.
    pub(crate) fn resume(carried: CarriedInbound, frame_limit: u32) -> Result<Self, ResumeError> {
        let mut carried = carried;
        let seal = carried.receiving.take_seal();
        let mut inbound = Self::new(carried.receiving, frame_limit);
        inbound.begun = carried.begun;
        inbound.ready = carried.control.map(Ready::Control);
        match seal {
            Some(seal) if carried.direct.is_none() => {
                let held = HeldFrames::resume(seal, &carried.unread, carried.proved_len);
                inbound.held = Some(Box::new(held.ok_or(ResumeError::Proved)?));
            }
            None if carried.proved_len == 0 => {}
            _ => return Err(ResumeError::Proved),
        }
        if let Some((header, body)) = carried.direct {
            let checked = ReplicatedHeader::check(&header, inbound.receiving.cluster(), frame_limit)?;
            let missing = checked.body_len().checked_sub(body.len()).ok_or(FrameError::Size {
                found: header.size.get(),
                limit: u32::try_from(HEADER_SIZE + body.len()).unwrap_or(u32::MAX),
            })?;
            inbound.direct = Some(DirectBody { body, missing });
            inbound.direct_header = header;
        }
        inbound.ahead = ReadAhead::holding(&carried.unread);
        Ok(inbound)
    }
}

/// Why an [`Inbound`] can't go on with what another one held.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResumeError {
    /// The header of the body under way.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What is said to be proved is not whole frames, or not on a sealed link.
    #[error("what is said to be proved is not frames of a sealed link")]
    Proved,
}
