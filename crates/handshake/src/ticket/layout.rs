//! The bytes of a ticket (`docs/hand-off.md`). Integers are little-endian.

use alloc::vec::Vec;

use replink_frame::{ClusterId, Flags, KeyId, ReplicaId, Version};
use zeroize::Zeroizing;

use super::TicketError;
use super::session::{Carried, CarriedControl, CarriedRecords};
use crate::authenticated::{Authentication, Peer, Side};
use crate::key_bytes::KeyBytes;

/// The first one, which carried seals, is refused.
const FORMAT: u8 = 2;
const STATE_LEN: usize = 224;
const MAC_LEN: usize = 32;

/// Bytes of every ticket.
pub const TICKET_LEN: usize = STATE_LEN + MAC_LEN;

/// Far above what a link ever counts, and far below where counting overflows.
const COUNTER_MAX: u64 = u64::MAX / 2;

/// All but the MAC, with room for it.
pub(super) fn write(carried: &Carried) -> Zeroizing<Vec<u8>> {
    let Carried { cluster, local, incarnation, peer, control } = carried;
    let mut bytes = Zeroizing::new(Vec::with_capacity(TICKET_LEN)); // no copy of a key stays behind
    let mut put = |field: &[u8]| bytes.extend_from_slice(field);
    let (authentication, key_id) = match peer.authentication {
        Authentication::Disabled => (0, KeyId([0; 8])),
        Authentication::PreSharedKey(id) => (1, id),
    };
    let side = match peer.side {
        Side::Dialer => 1,
        Side::Acceptor => 2,
    };
    put(&[FORMAT, side, peer.version.wire(), authentication]); // 0
    put(&cluster.0); // 4
    put(&[local.0, peer.replica.0]); // 20
    put(&peer.lane.to_le_bytes()); // 22
    put(&peer.flags.0.to_le_bytes()); // 24
    put(&[0; 2]); // 26
    put(&peer.release.to_le_bytes()); // 28
    put(&peer.incarnation.to_le_bytes()); // 32
    put(&key_id.0); // 40
    put(&control.as_ref().map_or(0, |control| control.release).to_le_bytes()); // 48
    put(&[0; 4]); // 52
    put(&incarnation.to_le_bytes()); // 56
    match control {
        Some(control) => {
            put(&control.receiving_counter.to_le_bytes()); // 64
            put(&control.sending_counter.to_le_bytes()); // 72
            put(&control.receiving_key[..]); // 80
            put(&control.sending_key[..]); // 112
        }
        None => put(&[0; 80]),
    }
    match control.as_ref().and_then(|control| control.records.as_ref()) {
        Some(CarriedRecords { receiving: (receiving, opened), sending: (sending, sealed) }) => {
            put(&opened.to_le_bytes()); // 144
            put(&sealed.to_le_bytes()); // 152
            put(&receiving[..]); // 160
            put(&sending[..]); // 192
        }
        None => put(&[0; 80]),
    }
    debug_assert_eq!(bytes.len(), STATE_LEN);
    bytes
}

/// A ticket as it was read: nothing in it is proved yet.
pub(super) struct Sealed<'a> {
    pub(super) carried: Carried,
    /// What the MAC covers of it.
    pub(super) state: &'a [u8; STATE_LEN],
    pub(super) mac: &'a [u8; MAC_LEN],
}

impl<'a> Sealed<'a> {
    pub(super) fn read(ticket: &'a [u8]) -> Result<Self, TicketError> {
        let length = TicketError::Length { found: ticket.len() };
        let (state, mac) = ticket.split_first_chunk::<STATE_LEN>().ok_or(length)?;
        let mac = mac.try_into().map_err(|_| length)?;
        Ok(Self { carried: read_state(state)?, state, mac })
    }
}

fn read_state(state: &[u8; STATE_LEN]) -> Result<Carried, TicketError> {
    let mut fields = Fields { state, offset: 0 };
    let [format, side, version, authentication] = *fields.take()?;
    if format != FORMAT {
        return Err(TicketError::Format { found: format });
    }
    let cluster = ClusterId(*fields.take()?);
    let [local, replica] = (*fields.take()?).map(ReplicaId);
    let lane = u16::from_le_bytes(*fields.take()?);
    let flags = Flags(u16::from_le_bytes(*fields.take()?));
    fields.zeros::<2>()?;
    let release = u32::from_le_bytes(*fields.take()?);
    let incarnation = u64::from_le_bytes(*fields.take()?);
    let key_id = KeyId(*fields.take()?);
    let local_release = u32::from_le_bytes(*fields.take()?);
    fields.zeros::<4>()?;
    let local_incarnation = u64::from_le_bytes(*fields.take()?);

    let wrong = |offset| TicketError::Field { offset };
    let side = match side {
        1 if local < replica => Side::Dialer, // H-1
        2 if local > replica => Side::Acceptor,
        _ => return Err(wrong(1)),
    };
    let version = Version::from_wire(version).ok_or(wrong(2))?;
    let authentication = match authentication {
        0 if version == Version::V1 && key_id.0 == [0; 8] => Authentication::Disabled, // H-12
        1 => Authentication::PreSharedKey(key_id),
        _ => return Err(wrong(3)),
    };
    let sealed = flags.contains(Flags::SEALED);
    if sealed && version == Version::V1 {
        return Err(wrong(24)); // H-13
    }
    let control = if version == Version::V2 {
        let receiving_counter = fields.counter()?;
        let sending_counter = fields.counter()?;
        let receiving_key = KeyBytes::new(fields.take()?);
        let sending_key = KeyBytes::new(fields.take()?);
        let release = local_release;
        let records = if sealed {
            let (opened, sealed) = (fields.counter()?, fields.counter()?);
            let receiving = (KeyBytes::new(fields.take()?), opened);
            Some(CarriedRecords { receiving, sending: (KeyBytes::new(fields.take()?), sealed) })
        } else {
            fields.zeros::<80>()?;
            None
        };
        Some(CarriedControl {
            receiving_key,
            receiving_counter,
            sending_key,
            sending_counter,
            release,
            records,
        })
    } else if local_release == 0 {
        fields.zeros::<160>()?; // H-13
        None
    } else {
        return Err(wrong(48));
    };
    let peer = Peer { replica, side, version, authentication, flags, release, incarnation, lane };
    Ok(Carried { cluster, local, incarnation: local_incarnation, peer, control })
}

/// Takes field after field.
struct Fields<'a> {
    state: &'a [u8; STATE_LEN],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], TicketError> {
        let at_end = TicketError::Field { offset: self.offset };
        let field = self.state.get(self.offset..).and_then(<[u8]>::first_chunk).ok_or(at_end)?;
        self.offset += N;
        Ok(field)
    }

    fn zeros<const N: usize>(&mut self) -> Result<(), TicketError> {
        let offset = self.offset;
        match self.take::<N>()?.iter().position(|&byte| byte != 0) {
            Some(found) => Err(TicketError::Field { offset: offset + found }),
            None => Ok(()),
        }
    }

    fn counter(&mut self) -> Result<u64, TicketError> {
        let offset = self.offset;
        let counter = u64::from_le_bytes(*self.take()?);
        if counter <= COUNTER_MAX { Ok(counter) } else { Err(TicketError::Field { offset }) }
    }
}
