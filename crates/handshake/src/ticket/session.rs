use replink_frame::{ClusterId, Flags, ReplicaId, Version};

use super::{IssueError, TicketError, side_of};
use crate::authenticated::Peer;
use crate::control::{ControlOpener, ControlSigner};
use crate::key_bytes::KeyBytes;
use crate::session::SendingControl;
use crate::{Local, Receiving, RecordOpener, RecordSealer, Roster, Sending};

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
    pub(super) records: Option<CarriedRecords>,
}

/// On sealed links: secret and number of each direction (S-4).
pub(super) struct CarriedRecords {
    pub(super) receiving: (KeyBytes, u64),
    pub(super) sending: (KeyBytes, u64),
}

impl Carried {
    pub(super) fn of((receiving, sending): (Receiving, Sending), local: &Local) -> Result<Self, IssueError> {
        let ((receiving, opener), (sending, sealer)) = (receiving.into_parts(), sending.into_parts());
        let peer = receiving.peer;
        let together = sending.peer == peer
            && sending.cluster == receiving.cluster
            && local.cluster == receiving.cluster
            && peer.replica != local.replica
            && peer.side == side_of(local, peer.replica);
        if !together {
            return Err(IssueError::Halves);
        }
        let records = match (opener, sealer) {
            (None, None) => None,
            (Some(opener), Some(sealer)) => Some(CarriedRecords {
                receiving: opener.into_state().ok_or(IssueError::Broken)?,
                sending: sealer.into_state(),
            }),
            _ => return Err(IssueError::Halves),
        };
        if records.is_some() != peer.flags.contains(Flags::SEALED) {
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
                records,
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
            return Ok((receiving, SendingControl { cluster, peer, signer: None }.with_sealer(None)));
        };
        let control_opener =
            ControlOpener::resume(control.receiving_key, peer.replica, control.receiving_counter);
        let signer = ControlSigner::resume(
            control.sending_key,
            local.replica,
            control.release,
            control.sending_counter,
        );
        let (opener, sealer) = match control.records {
            Some(CarriedRecords { receiving: (receiving, opened), sending: (sending, sealed) }) => {
                (Some(RecordOpener::resume(receiving, opened)), Some(RecordSealer::resume(sending, sealed)))
            }
            None => (None, None),
        };
        let receiving = Receiving::resume(cluster, peer, Some(control_opener), opener);
        Ok((receiving, SendingControl { cluster, peer, signer: Some(signer) }.with_sealer(sealer)))
    }
}
