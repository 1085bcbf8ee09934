use replink_frame::{ClusterId, Flags, ReplicaId, Version};

use super::{IssueError, TicketError, side_of};
use crate::authenticated::Peer;
use crate::control::{ControlOpener, ControlSigner};
use crate::key_bytes::KeyBytes;
use crate::session::SendingControl;
use crate::{Local, Receiving, Roster, Seal, Sending};

/// What a ticket carries of a session.
pub(super) struct Carried {
    pub(super) cluster: ClusterId,
    pub(super) local: ReplicaId,
    /// The incarnation that peers know this replica by.
    pub(super) incarnation: u64,
    pub(super) peer: Peer,
    pub(super) control: Option<CarriedControl>,
}

/// On version 2 links (H-13).
pub(super) struct CarriedControl {
    pub(super) receiving_key: KeyBytes,
    pub(super) receiving_counter: u64,
    pub(super) sending_key: KeyBytes,
    pub(super) sending_counter: u64,
    /// This replica's release, as the handshake told the peer.
    pub(super) release: u32,
    pub(super) seals: Option<CarriedSeals>,
}

/// On sealed links (section 5).
pub(super) struct CarriedSeals {
    pub(super) receiving_key: KeyBytes,
    pub(super) receiving_batches: u64,
    pub(super) sending_key: KeyBytes,
    pub(super) sending_batches: u64,
}

impl Carried {
    pub(super) fn of((receiving, sending): (Receiving, Sending), local: &Local) -> Result<Self, IssueError> {
        let ((receiving, opening), (sending, sealing)) = (receiving.into_parts(), sending.into_parts());
        let peer = receiving.peer;
        let together = sending.peer == peer
            && sending.cluster == receiving.cluster
            && local.cluster == receiving.cluster
            && peer.replica != local.replica
            && peer.side == side_of(local, peer.replica);
        if !together {
            return Err(IssueError::Halves);
        }
        if peer.flags.contains(Flags::ENCRYPTED) {
            return Err(IssueError::Features);
        }
        let seals = match (opening, sealing) {
            (None, None) => None,
            (Some(opening), Some(sealing)) => Some(CarriedSeals {
                receiving_key: KeyBytes::new(opening.key()),
                receiving_batches: opening.batches(),
                sending_key: KeyBytes::new(sealing.key()),
                sending_batches: sealing.batches(),
            }),
            _ => return Err(IssueError::Halves),
        };
        if seals.is_some() != peer.flags.contains(Flags::SEALED) {
            return Err(IssueError::Halves);
        }
        let control = match (receiving.opener, sending.signer) {
            (None, None) => None,
            (Some(opener), Some(signer)) => Some(CarriedControl {
                receiving_key: KeyBytes::new(opener.key()),
                receiving_counter: opener.last_counter(),
                sending_key: KeyBytes::new(signer.key()),
                sending_counter: signer.last_counter(),
                release: signer.release(),
                seals,
            }),
            _ => return Err(IssueError::Halves),
        };
        let (cluster, incarnation) = (local.cluster, local.incarnation);
        Ok(Self { cluster, local: local.replica, incarnation, peer, control })
    }

    /// The halves again. The caller has proved the ticket; nothing else may call this.
    pub(super) fn open(self, local: &Local, roster: &Roster) -> Result<(Receiving, Sending), TicketError> {
        let Self { cluster, peer, .. } = self;
        if cluster != local.cluster {
            return Err(TicketError::Cluster { expected: local.cluster, found: cluster });
        }
        if self.local != local.replica {
            return Err(TicketError::Replica { expected: local.replica, found: self.local });
        }
        if self.incarnation != local.incarnation {
            return Err(TicketError::Incarnation);
        }
        if !roster.contains(peer.replica) {
            return Err(TicketError::Roster(peer.replica));
        }
        debug_assert_eq!(self.control.is_some(), peer.version == Version::V2);
        let Some(control) = self.control else {
            let receiving = Receiving::resume(cluster, peer, None, None);
            return Ok((receiving, SendingControl { cluster, peer, signer: None }.with_seal(None)));
        };
        let opener = ControlOpener::resume(control.receiving_key, peer.replica, control.receiving_counter);
        let signer = ControlSigner::resume(
            control.sending_key,
            local.replica,
            control.release,
            control.sending_counter,
        );
        let (opening, sealing) = match control.seals {
            Some(seals) => (
                Some(Seal::resume(seals.receiving_key, seals.receiving_batches)),
                Some(Seal::resume(seals.sending_key, seals.sending_batches)),
            ),
            None => (None, None),
        };
        let receiving = Receiving::resume(cluster, peer, Some(opener), opening);
        Ok((receiving, SendingControl { cluster, peer, signer: Some(signer) }.with_seal(sealing)))
    }
}
