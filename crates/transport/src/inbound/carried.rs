//! An `Inbound` taken apart, to be put together in another process.

use replink_frame::{FrameError, GenericHeader, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{ControlMessage, Receiving};

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
    /// What came behind that, of the stream of frames.
    pub(crate) unread: Vec<u8>,
    /// On a sealed link: what came behind that, as records, whole or in part (S-2).
    pub(crate) ciphertext: Vec<u8>,
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
        let (opener, ciphertext) = self.records.map(|records| records.into_parts()).unzip();
        Ok(CarriedInbound {
            receiving: self.receiving.with_opener(opener),
            begun: self.begun,
            control,
            direct: direct.map(|body| (self.direct_header, body)),
            unread: self.ahead.unread().to_vec(),
            ciphertext: ciphertext.unwrap_or_default(),
        })
    }

    /// Goes on with what another [`Inbound`] of this link held. The body's header is checked against
    /// `frame_limit`, as if it had come just now, and what has arrived against the header. Only where the link
    /// is sealed there is ciphertext: the caller has checked that.
    pub(crate) fn resume(carried: CarriedInbound, frame_limit: u32) -> Result<Self, FrameError> {
        let CarriedInbound { receiving, begun, control, direct, unread, ciphertext } = carried;
        let mut inbound = Self::new(receiving, frame_limit);
        inbound.begun = begun;
        inbound.ready = control.map(Ready::Control);
        if let Some((header, mut body)) = direct {
            let (cluster, version) = (inbound.receiving.cluster(), inbound.receiving.peer().version);
            let checked = ReplicatedHeader::check(&header, cluster, frame_limit, version)?;
            let filled = body.len();
            if checked.body_len() < filled {
                let limit = u32::try_from(HEADER_SIZE + filled).unwrap_or(u32::MAX);
                return Err(FrameError::Size { found: header.size.get(), limit });
            }
            body.resize(checked.body_len(), 0);
            inbound.direct = Some(DirectBody { body, filled });
            inbound.direct_header = header;
        }
        inbound.ahead = ReadAhead::holding(&unread);
        if let Some(records) = &mut inbound.records {
            records.ciphertext = ReadAhead::holding(&ciphertext);
        }
        Ok(inbound)
    }
}
