//! Receiving on a sealed link: nothing is delivered before the tag of its batch verified (S-2).

use replink_frame::{CommandClass, FrameError, GenericHeader, HEADER_SIZE, ReplicatedHeader, SealFields};

use super::held::{Held, HeldFrames};
use super::{DIRECT_BODY_MIN, DirectBody, Inbound, InboundError, Ready};

/// Control frames have no body (section 4).
const CONTROL_SIZE: u32 = 256;

impl Inbound {
    /// As [`Inbound::step`], for a link whose frames are sealed.
    pub(super) fn step_sealed(&mut self, held: &mut HeldFrames) -> Result<Option<Ready>, InboundError> {
        loop {
            if let Some(frame) = held.pop_proved() {
                return self.deliver(held, frame).map(Some);
            }
            if let Some(direct) = self.direct.take_if(|direct| direct.missing() == 0) {
                let header = self.direct_header;
                held.finish_direct(header, direct.body)?;
            } else if let Some(direct) = &self.direct {
                held.hash_direct(direct.arrived(), false);
                return Ok(None);
            } else if !self.scan(held)? {
                self.ahead.grow_for_held();
                return Ok(None);
            }
        }
    }

    /// Looks at the next frame. Whether it was taken, or has begun a body of its own; else more has to
    /// come.
    fn scan(&mut self, held: &mut HeldFrames) -> Result<bool, InboundError> {
        let unread = self.ahead.unread();
        let Some((header, behind)) = unread[held.scanned()..].split_first_chunk::<HEADER_SIZE>() else {
            return Ok(false);
        };
        let header = GenericHeader::view(header);
        let first = !std::mem::replace(&mut self.begun, true);
        let body_len = match header.command.class() {
            CommandClass::Handshake => return Err(self.handshake_frame(header, first)),
            CommandClass::Control => {
                let found = header.size.get();
                if found as usize != HEADER_SIZE {
                    return Err(FrameError::Size { found, limit: CONTROL_SIZE }.into());
                }
                0
            }
            // F-1, F-3, before a byte of body gets memory.
            _ => {
                ReplicatedHeader::check_sealed(header, self.receiving.cluster(), self.frame_limit)?.body_len()
            }
        };
        let size = HEADER_SIZE + body_len;
        held.check(SealFields::view(header), size)?;
        if behind.len() >= body_len {
            held.add(unread, size)?;
            return Ok(true);
        }
        if body_len < DIRECT_BODY_MIN {
            return Ok(false);
        }
        self.direct_header = *header;
        self.direct = Some(DirectBody::begun(self.spare.room_for(body_len), behind));
        held.begin_direct(unread, size, HEADER_SIZE + behind.len());
        Ok(true)
    }

    /// A frame is proved: as its sender's embedder made it (S-2).
    fn deliver(&mut self, held: &mut HeldFrames, frame: Held) -> Result<Ready, InboundError> {
        match frame {
            Held::Direct(direct) => {
                self.ahead.consume(direct.skipped);
                let (header, body) = held.take_apart(direct);
                self.direct_header = header;
                clear(&mut self.direct_header);
                self.direct_body = body;
                Ok(Ready::Direct)
            }
            Held::Ahead { size } => {
                let header = self.ahead.first_header_mut();
                clear(header);
                if header.command.class() != CommandClass::Control {
                    return Ok(Ready::Ahead { size });
                }
                let control = self.receiving.open_control(header)?;
                self.ahead.consume(HEADER_SIZE);
                Ok(Ready::Control(control))
            }
        }
    }
}

pub(super) fn clear(header: &mut GenericHeader) {
    *SealFields::view_mut(header) = SealFields { mark: 0, zero: 0, tag: [0; 16] };
}
