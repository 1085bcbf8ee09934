//! What the embedder and the log are told.

use std::net::SocketAddr;

use replink_frame::{ReplicaId, Status};
use replink_handshake::PeerReject;

use super::refusals::{Attempt, From};
use super::unreachable::{Told, Why};
use super::{Control, Event, Refusal, RejectedBy, Turn, Warning};
use crate::driver::Driver;
use crate::exchange::UnreachableReason;
use crate::mesh::{DownReason, LinkId};
use crate::node::event::Unreachable;

impl<D: Driver> Control<D> {
    pub(super) fn warn(&self, warning: Warning, turn: &mut Turn<'_, D>) {
        tracing::warn!(replica = %self.shared.replica, kind = warning.kind(), "{warning}");
        turn.events.push_back(Event::Warning(warning));
    }

    /// Somebody who connected did not get in. In a flood not each of them is told of, but all are counted.
    pub(super) fn refuse(
        &mut self,
        from: From,
        (status, by): (Status, RejectedBy),
        refusal: impl FnOnce() -> Refusal,
        turn: &mut Turn<'_, D>,
    ) {
        self.shared.counters.count_handshake(status, by);
        if self.refusals.tell(from, Attempt::Rejected(status, by), turn.driver.now()) {
            self.tell_refusal(refusal(), turn);
        }
    }

    /// Who has not proved anything is who is at this address.
    pub(super) fn at(&self, address: SocketAddr) -> From {
        let address = address.ip();
        if self.gate.knows(address) { From::Roster(address) } else { From::Stranger(address) }
    }

    /// Somebody was turned away.
    pub(super) fn tell_refusal(&self, refusal: Refusal, turn: &mut Turn<'_, D>) {
        tracing::warn!(
            replica = %self.shared.replica,
            address = %refusal.address,
            peer = refusal.peer.map(|peer| peer.0),
            status = %refusal.status,
            authenticated = refusal.authenticated,
            by = refusal.by.as_str(),
            "rejected: {}",
            refusal.explanation
        );
        turn.events.push_back(Event::Rejected(refusal));
    }

    /// An acceptor has refused our Finish after all (H-9): the attempt came to nothing, although there seemed to be
    /// a link.
    pub(super) fn rejected_late(&mut self, link: LinkId, reject: PeerReject, turn: &mut Turn<'_, D>) {
        let Some(known) = self.links.get(&link) else { return };
        let (peer, address) = (*known.shared.peer(), known.shared.address);
        self.shared.counters.count_handshake(reject.status, RejectedBy::Peer);
        // The flags had been agreed on.
        let refusal = Refusal {
            explanation: DownReason::Rejected(reject).to_string(),
            ..Refusal::by_peer(address, reject, self.settings.mesh.flags)
        };
        let why = (UnreachableReason::Rejected, Some(reject.status), reject.authenticated);
        let explanation = refusal.explanation.clone();
        self.not_reached((peer.replica, peer.lane), Some(address), why, explanation, Some(refusal), turn);
    }

    /// An attempt to reach a peer has come to nothing. Not each is told of, but all are counted.
    pub(super) fn not_reached(
        &mut self,
        (peer, lane): (ReplicaId, u16),
        address: Option<SocketAddr>,
        why: Why,
        explanation: String,
        refusal: Option<Refusal>,
        turn: &mut Turn<'_, D>,
    ) {
        let (reason, status, _) = why;
        self.shared.counters.dial_failures.count((peer, reason));
        let told = self.unreachable.failed(peer, lane, why, turn.driver.now());
        let Some(Told { since, attempts }) = told else { return };
        if let Some(refusal) = refusal {
            self.tell_refusal(refusal, turn); // which says it in the log as well
        } else {
            tracing::warn!(
                replica = %self.shared.replica,
                %peer,
                lane,
                address = address.map(tracing::field::display),
                reason = reason.name(),
                since = since.as_secs(),
                attempts,
                "can't reach replica {peer}: {explanation}; {}",
                reason.advice()
            );
        }
        let unreachable = Unreachable { peer, lane, address, reason, status, since, attempts, explanation };
        turn.events.push_back(Event::Unreachable(unreachable));
    }
}
