//! What travels with a ticket: the bytes on their way in and out. Integers are little-endian.

use replink_frame::{Flags, GenericHeader, GoodbyeReason, HEADER_SIZE, ReplicatedHeader, Version};
use replink_handshake::ControlMessage;

use super::StateError;
use crate::inbound::CarriedInbound;
use crate::memory::BLOCK_SIZE;
use crate::outbound::{CarriedOutbound, SEALED_MAX};
use crate::{Endpoint, OutboundLimits};

const FIXED_LEN: usize = 40;

/// Bytes of a [`StateHead`].
pub(super) const STATE_HEAD_LEN: usize = FIXED_LEN + HEADER_SIZE;

/// Bytes that say how large one waiting frame is.
pub(super) const FRAME_SIZE_LEN: usize = 4;

/// How much of what there is, and what has no bytes of its own.
pub(super) struct StateHead {
    pub(super) begun: bool,
    pub(super) control: Option<ControlMessage>,
    /// The header of the body under way, and how many bytes of it are here.
    pub(super) direct: Option<(GenericHeader, u32)>,
    pub(super) unread_len: u32,
    /// On sealed links.
    pub(super) ciphertext: Option<CiphertextLens>,
    pub(super) frame_count: u32,
    pub(super) unwritten_len: u64,
}

/// Bytes of records (section 5).
#[derive(Clone, Copy)]
pub(super) struct CiphertextLens {
    /// That have come and are not opened.
    pub(super) unopened: u32,
    /// That were sealed and are not written.
    pub(super) unwritten: u32,
}

impl StateHead {
    pub(super) fn of(inbound: &CarriedInbound, outbound: &CarriedOutbound) -> Result<Self, StateError> {
        let len = |len: usize| u32::try_from(len).map_err(|_| malformed("a length above 32 bits"));
        let direct = match &inbound.direct {
            Some((header, body)) => Some((*header, len(body.len())?)),
            None => None,
        };
        Ok(Self {
            begun: inbound.begun,
            control: inbound.control,
            direct,
            unread_len: len(inbound.unread.len())?,
            ciphertext: if inbound.receiving.peer().flags.contains(Flags::SEALED) {
                let (unopened, unwritten) = (len(inbound.ciphertext.len())?, len(outbound.ciphertext.len())?);
                Some(CiphertextLens { unopened, unwritten })
            } else {
                None
            },
            frame_count: len(outbound.frame_sizes.len())?,
            unwritten_len: outbound.frame_sizes.iter().map(|&size| u64::from(size)).sum(),
        })
    }

    pub(super) fn write(&self) -> [u8; STATE_HEAD_LEN] {
        let (control, value) = match self.control {
            None => (0, 0),
            Some(ControlMessage::Ping { counter }) => (1, counter),
            Some(ControlMessage::Pong { echo }) => (2, echo),
            Some(ControlMessage::Goodbye(reason)) => (3, u64::from(reason.0)),
        };
        let direct_len = self.direct.as_ref().map_or(0, |(_, len)| *len);
        let mut bytes = [0; STATE_HEAD_LEN];
        let (direct, sealed) = (self.direct.is_some(), self.ciphertext.is_some());
        let ciphertext = self.ciphertext_lens();
        bytes[..4].copy_from_slice(&[self.begun.into(), control, direct.into(), sealed.into()]);
        bytes[4..8].copy_from_slice(&self.unread_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&value.to_le_bytes());
        bytes[16..20].copy_from_slice(&direct_len.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.frame_count.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.unwritten_len.to_le_bytes());
        bytes[32..36].copy_from_slice(&ciphertext.unopened.to_le_bytes());
        bytes[36..40].copy_from_slice(&ciphertext.unwritten.to_le_bytes());
        if let Some((header, _)) = &self.direct {
            bytes[FIXED_LEN..].copy_from_slice(header.bytes());
        }
        bytes
    }

    /// Zeros on links that are not sealed.
    pub(super) fn ciphertext_lens(&self) -> CiphertextLens {
        self.ciphertext.unwrap_or(CiphertextLens { unopened: 0, unwritten: 0 })
    }

    /// Checks that the fields are possible. Their sizes are checked by [`StateHead::check`].
    pub(super) fn read(bytes: &[u8; STATE_HEAD_LEN]) -> Result<Self, StateError> {
        let mut rest = &bytes[..];
        let [begun, control, direct, sealed] = field(&mut rest)?;
        let unread_len = u32::from_le_bytes(field(&mut rest)?);
        let value = u64::from_le_bytes(field(&mut rest)?);
        let direct_len = u32::from_le_bytes(field(&mut rest)?);
        let frame_count = u32::from_le_bytes(field(&mut rest)?);
        let unwritten_len = u64::from_le_bytes(field(&mut rest)?);
        let unopened = u32::from_le_bytes(field(&mut rest)?);
        let unwritten = u32::from_le_bytes(field(&mut rest)?);
        let header: [u8; HEADER_SIZE] = field(&mut rest)?;
        if begun > 1 {
            return Err(malformed("a mark that is neither set nor not"));
        }
        let ciphertext = match (sealed, unopened, unwritten) {
            (1, ..) => Some(CiphertextLens { unopened, unwritten }),
            (0, 0, 0) => None,
            _ => return Err(malformed("records of a link that is not sealed")),
        };
        let control = match (control, u8::try_from(value)) {
            (0, Ok(0)) => None,
            (1, _) => Some(ControlMessage::Ping { counter: value }),
            (2, _) => Some(ControlMessage::Pong { echo: value }),
            (3, Ok(reason)) => Some(ControlMessage::Goodbye(GoodbyeReason(reason))),
            _ => return Err(malformed("a control frame of unknown kind")),
        };
        let direct = match direct {
            0 if direct_len == 0 && header == [0; HEADER_SIZE] => None,
            1 => Some((*GenericHeader::view(&header), direct_len)),
            _ => return Err(malformed("a body without its header, or the reverse")),
        };
        Ok(Self { begun: begun == 1, control, direct, unread_len, ciphertext, frame_count, unwritten_len })
    }

    /// Checks that this node has room for it, before anything is allocated. `len` is the number of bytes
    /// that follow.
    pub(super) fn check(&self, endpoint: &Endpoint, len: u64) -> Result<(), StateError> {
        let limits: OutboundLimits = endpoint.outbound_limits();
        let ciphertext = self.ciphertext_lens();
        at_most("bytes that are not read", self.unread_len.into(), BLOCK_SIZE as u64)?;
        at_most("bytes that are not opened", ciphertext.unopened.into(), BLOCK_SIZE as u64)?;
        at_most("sealed bytes that wait", ciphertext.unwritten.into(), SEALED_MAX as u64)?;
        at_most("frames that wait", self.frame_count.into(), limits.held_frames_max())?;
        at_most("bytes that wait", self.unwritten_len, limits.held_bytes_max())?;
        let mut expected = u64::from(self.unread_len)
            .saturating_add(ciphertext.unopened.into())
            .saturating_add(ciphertext.unwritten.into())
            .saturating_add(u64::from(self.frame_count) * FRAME_SIZE_LEN as u64)
            .saturating_add(self.unwritten_len);
        if let Some((header, len)) = &self.direct {
            // Its reserved bytes are checked once the ticket has told the link's version.
            let (cluster, version) = (endpoint.local().cluster, Version::V1);
            let header = ReplicatedHeader::check(header, cluster, limits.frame_size, version)?;
            at_most("bytes of a body", u64::from(*len), header.body_len() as u64)?;
            expected = expected.saturating_add(u64::from(*len));
        }
        if expected == len { Ok(()) } else { Err(malformed("the lengths do not add up")) }
    }

    /// Reads the sizes of the waiting frames.
    pub(super) fn frame_sizes(&self, bytes: &[u8]) -> Result<Vec<u32>, StateError> {
        let mut sizes = Vec::with_capacity(bytes.len() / FRAME_SIZE_LEN);
        let (mut rest, mut total) = (bytes, 0u64);
        while !rest.is_empty() {
            let size = u32::from_le_bytes(field(&mut rest)?);
            // Only the first can have been written, or sealed, in part.
            if size == 0 || (!sizes.is_empty() && (size as usize) < HEADER_SIZE) {
                return Err(malformed("a waiting frame that is smaller than a header"));
            }
            total = total.saturating_add(size.into());
            sizes.push(size);
        }
        if total != self.unwritten_len {
            return Err(malformed("the sizes of the waiting frames do not add up"));
        }
        Ok(sizes)
    }
}

fn field<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], StateError> {
    let (field, behind) = rest.split_first_chunk().ok_or(malformed("too short"))?;
    *rest = behind;
    Ok(*field)
}

fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), StateError> {
    if found <= limit { Ok(()) } else { Err(StateError::Limit { what, found, limit }) }
}

pub(super) fn malformed(what: &'static str) -> StateError {
    StateError::Malformed { what }
}
