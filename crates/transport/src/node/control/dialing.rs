//! Connections that we make.

use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::ReplicaId;
use replink_handshake::{DialError, DialTarget};

use super::handshakes::{Handshake, Stage};
use super::{Control, Refusal, RejectedBy, Turn};
use crate::driver::{Driver, Token};
use crate::exchange::{DialFailure, Dialing};
use crate::mesh::Mesh;

impl<D: Driver> Control<D> {
    /// Carries out [`Action::Dial`](crate::mesh::Action::Dial).
    pub(super) fn dial(&mut self, peer: ReplicaId, lane: u16, turn: &mut Turn<'_, D>) {
        let now = turn.driver.now();
        let target = DialTarget::new(peer).lane(lane);
        let (addresses, deadline) = (self.peer_addresses(peer), now + self.handshake_timeout());
        let endpoint = &self.settings.endpoint;
        let dialing = Dialing::new(endpoint, target, addresses, deadline, now);
        let token = self.new_token();
        let stage = Stage::Dialing(dialing);
        self.go_on(token, Handshake { stage, registration: None, began: now }, turn);
    }

    /// What has come of an attempt.
    pub(super) fn conclude_dialing(
        &mut self,
        token: Token,
        dialing: Dialing<D::Socket>,
        began: Instant,
        turn: &mut Turn<'_, D>,
    ) {
        let (target, address) = (dialing.target(), dialing.address());
        match (dialing.finish(), address) {
            (Ok(authenticated), Some(address)) => {
                self.establish(token, authenticated, address, began, turn);
            }
            (Ok(_), None) => {} // a link without an address was not dialed
            (Err(failure), address) => self.dial_failed(target.peer, target.lane, address, &failure, turn),
        }
    }

    /// Drops the attempts that the mesh knows nothing of any more. If one went on, and the peer came
    /// back meanwhile, there would be two at once, and the link of one would take over from the
    /// other's.
    pub(super) fn drop_dials(&mut self, stays: impl Fn(&Mesh, ReplicaId, u16) -> bool) {
        let mesh = &self.mesh;
        let dropped = self.handshakes.take_all(|stage| match stage {
            Stage::Dialing(dialing) => !stays(mesh, dialing.target().peer, dialing.target().lane),
            Stage::Accepting { .. } | Stage::Leaving { .. } => false,
        });
        drop(dropped);
    }

    pub(super) fn dial_failed(
        &mut self,
        peer: ReplicaId,
        lane: u16,
        address: Option<SocketAddr>,
        failure: &DialFailure,
        turn: &mut Turn<'_, D>,
    ) {
        let error = match failure {
            DialFailure::Handshake(error) => Some(error),
            _ => None,
        };
        let refusal = error.zip(address).map(|(error, address)| match error {
            DialError::Rejected(reject) => Refusal::by_peer(address, *reject, self.settings.mesh.flags),
            error => Refusal {
                address,
                peer: Some(peer),
                status: error.status().unwrap_or_default(),
                authenticated: error.is_proved(),
                by: RejectedBy::Us,
                explanation: error.to_string(),
            },
        });
        if let Some(refusal) = &refusal {
            self.shared.counters.count_handshake(refusal.status, refusal.by);
        }
        let proved = refusal.as_ref().is_some_and(|refusal| refusal.authenticated);
        let why = (failure.reason(), failure.status(), proved);
        self.not_reached((peer, lane), address, why, failure.to_string(), refusal, turn);
        self.look_up(peer, turn.driver.now());
        self.mesh.dial_failed(peer, lane, error, turn.driver.now(), turn.driver.random());
    }
}
