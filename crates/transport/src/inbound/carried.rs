//! An `Inbound` taken apart, to be put together in another process.

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
    pub(crate) direct: Option<(GenericHeader, Vec<u8>)>,
    /// What was received behind that.
    pub(crate) unread: Vec<u8>,
    /// On a sealed link: how many of these bytes are frames whose tag verified (S-2). There all bytes are
    /// in `unread`.
    pub(crate) proved_len: usize,
}

impl Inbound {
    /// Everything that is needed to go on elsewhere.
    ///
    /// # Panics
    ///
    /// If its memory is lent: what has come may lie there.
    pub(crate) fn carry(mut self) -> Result<CarriedInbound, InboundError> {
        assert!(self.lent.is_none(), "the memory is lent");
        self.settle();
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(mut held) = self.held.take() {
            held.abandon_batch();
            return Ok(self.carry_sealed(*held));
        }
        let mut direct = self.direct.map(|mut direct| {
            direct.body.truncate(direct.filled);
            direct.body
        });
        let control = match self.ready {
            Some(Ready::Control(control)) => Some(control),
            Some(Ready::Direct) => {
                direct = Some(self.direct_body);
                None
            }
            Some(Ready::Ahead { .. }) | None => None, // still unread
        };
        Ok(CarriedInbound {
            receiving: self.receiving.with_seal(None),
            begun: self.begun,
            control,
            direct: direct.map(|body| (self.direct_header, body)),
            unread: self.ahead.unread().to_vec(),
            proved_len: 0,
        })
    }

    fn carry_sealed(mut self, held: HeldFrames) -> CarriedInbound {
        let under_way =
            self.direct.as_ref().map(|direct| (&self.direct_header.bytes()[..], direct.arrived()));
        let mut taken = Vec::new();
        let (mut control, mut yielded) = (None, 0);
        match self.ready.take() {
            Some(Ready::Control(ready)) => control = Some(ready),
            Some(Ready::Direct) => {
                taken.extend_from_slice(self.direct_header.bytes());
                taken.extend_from_slice(&self.direct_body);
            }
            // It is proved, and still lies in front of the held ones.
            Some(Ready::Ahead { size }) => yielded = size,
            None => {}
        }
        let unread = self.ahead.unread();
        taken.extend_from_slice(&unread[..yielded]);
        let (seal, bytes, proved_len) = held.into_bytes(&unread[yielded..], under_way);
        let proved_len = taken.len() + proved_len;
        taken.extend_from_slice(&bytes);
        let (receiving, begun) = (self.receiving.with_seal(Some(seal)), self.begun);
        CarriedInbound { receiving, begun, control, direct: None, unread: taken, proved_len }
    }

    /// Goes on with what another [`Inbound`] of this link held. The body's header is checked against
    /// `frame_limit`, as if it had come just now, and what has arrived against the header.
    pub(crate) fn resume(carried: CarriedInbound, frame_limit: u32) -> Result<Self, ResumeError> {
        let mut inbound = Self::new(carried.receiving, frame_limit);
        inbound.begun = carried.begun;
        inbound.ready = carried.control.map(Ready::Control);
        match inbound.held.take() {
            Some(held) if carried.direct.is_none() => {
                let held = held.resume(&carried.unread, carried.proved_len);
                inbound.held = Some(Box::new(held.ok_or(ResumeError::Proved)?));
            }
            None if carried.proved_len == 0 => {}
            _ => return Err(ResumeError::Proved),
        }
        if let Some((header, body)) = carried.direct {
            let checked = ReplicatedHeader::check(&header, inbound.receiving.cluster(), frame_limit)?;
            let filled = body.len();
            if checked.body_len() < filled {
                let limit = u32::try_from(HEADER_SIZE + filled).unwrap_or(u32::MAX);
                return Err(FrameError::Size { found: header.size.get(), limit }.into());
            }
            let mut body = body;
            body.resize(checked.body_len(), 0);
            inbound.direct = Some(DirectBody { body, filled });
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
