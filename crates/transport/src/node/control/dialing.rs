//! Connections that we make.

use std::time::Instant;

use replink_frame::ReplicaId;
use replink_handshake::{DialError, DialTarget};

use super::{Control, Refusal, RejectedBy, Turn};
use crate::driver::{Driver, Stream, Token};
use crate::exchange::DialFailure;
use crate::mesh::Mesh;
use crate::node::handshaking::DialAttempt;

impl<D: Driver> Control<D> {
    /// Carries out [`Action::Dial`](crate::mesh::Action::Dial).
    pub(super) fn dial(&mut self, peer: ReplicaId, lane: u16, turn: &mut Turn<'_, D>) {
        let now = turn.driver.now();
        let target = DialTarget { lane, ..DialTarget::new(peer) };
        let (addresses, deadline) = (self.peer_addresses(peer), now + self.handshake_timeout());
        let mut attempt = DialAttempt::new(&self.settings.endpoint, target, addresses, deadline, now);
        let token = self.new_token();
        if attempt.start(token, turn.driver) {
            self.dialed(token, attempt, turn);
        } else {
            self.dialing.insert(token, attempt);
        }
    }

    /// Goes on with an attempt, as far as it goes.
    pub(super) fn advance_dialing(&mut self, token: Token, turn: &mut Turn<'_, D>) {
        let Some(mut attempt) = self.dialing.remove(&token) else { return };
        match attempt.advance(token, turn.driver) {
            Ok(true) => self.dialed(token, attempt, turn),
            Ok(false) => {
                self.dialing.insert(token, attempt);
            }
            Err(error) => {
                let (peer, lane, address) = (attempt.peer(), attempt.lane(), attempt.address());
                self.dial_failed(peer, lane, address, &error.into(), turn);
            }
        }
    }

    /// An attempt is at its end.
    fn dialed(&mut self, token: Token, attempt: DialAttempt<D::Stream>, turn: &mut Turn<'_, D>) {
        let (peer, lane, address) = (attempt.peer(), attempt.lane(), attempt.address());
        match attempt.finish() {
            Ok(authenticated) => {
                let address = authenticated.link().peer_address();
                self.hear_all();
                self.establish(token, authenticated, address, turn);
            }
            Err(failure) => self.dial_failed(peer, lane, address, &failure, turn),
        }
    }

    /// Goes on with what has had its time: the attempt, or only one of its addresses.
    pub(super) fn expire_dials(&mut self, now: Instant, turn: &mut Turn<'_, D>) {
        let due = self.dialing.iter().filter(|(_, attempt)| attempt.due() <= now).map(|(&token, _)| token);
        let due: Vec<Token> = due.collect();
        for token in due {
            self.advance_dialing(token, turn);
        }
    }

    /// Drops the attempts that the mesh knows nothing of any more. If one went on, and the peer came
    /// back meanwhile, there would be two at once, and the link of one would take over from the
    /// other's.
    pub(super) fn drop_dials(
        &mut self,
        turn: &mut Turn<'_, D>,
        stays: impl Fn(&Mesh, ReplicaId, u16) -> bool,
    ) {
        let mesh = &self.mesh;
        self.dialing.retain(|_, attempt| {
            let stays = stays(mesh, attempt.peer(), attempt.lane());
            if !stays {
                attempt.abandon(turn.driver);
            }
            stays
        });
    }

    fn dial_failed(
        &mut self,
        peer: ReplicaId,
        lane: u16,
        address: Option<std::net::SocketAddr>,
        failure: &DialFailure,
        turn: &mut Turn<'_, D>,
    ) {
        let error = match failure {
            DialFailure::Handshake(error) => Some(error),
            _ => None,
        };
        match (error, address) {
            (Some(DialError::Rejected(reject)), Some(address)) => {
                self.refuse(Refusal::by_peer(address, *reject), turn);
            }
            (Some(error), Some(address)) => {
                let refusal = Refusal {
                    address,
                    peer: Some(peer),
                    status: error.status().unwrap_or_default(),
                    authenticated: error.is_proved(),
                    by: RejectedBy::Us,
                    explanation: error.to_string(),
                };
                self.refuse(refusal, turn);
            }
            _ => tracing::debug!(%peer, lane, "no link: {failure}; trying on"),
        }
        self.mesh.dial_failed(peer, lane, address, error, turn.driver.now(), turn.driver.random());
    }
}
