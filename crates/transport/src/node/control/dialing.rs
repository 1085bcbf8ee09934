//! Connections that we make.

use std::time::Instant;

use replink_frame::ReplicaId;
use replink_handshake::DialError;

use super::{Control, Refusal, RejectedBy, Turn};
use crate::driver::{Driver, Token};
use crate::exchange::DialFailure;
use crate::mesh::Mesh;
use crate::node::handshaking::{DialAttempt, Dialed};

impl<D: Driver> Control<D> {
    /// Carries out [`Action::Dial`](crate::mesh::Action::Dial).
    pub(super) fn dial(&mut self, peer: ReplicaId, lane: u16, turn: &mut Turn<'_, D>) {
        let deadline = turn.driver.now() + self.handshake_timeout();
        let addresses = self.peer_addresses(peer);
        let first = addresses.first().copied();
        match DialAttempt::begin(turn.driver, peer, lane, addresses, deadline) {
            Ok(attempt) => {
                let token = self.new_token();
                self.dialing.insert(token, attempt);
                self.watch_dialing(token, turn);
            }
            Err(failure) => self.dial_failed(peer, lane, first, &failure, turn),
        }
    }

    /// Watches the stream that the attempt has now.
    fn watch_dialing(&mut self, token: Token, turn: &mut Turn<'_, D>) {
        let Some(attempt) = self.dialing.get_mut(&token) else { return };
        let Some(stream) = attempt.stream() else { return };
        if let Err(source) = turn.driver.watch(token, stream) {
            let (peer, lane, address) = (attempt.peer(), attempt.lane(), attempt.address());
            let failure = match address {
                Some(address) => DialFailure::Connect { address, source },
                None => DialFailure::NoAddress,
            };
            self.dialing.remove(&token);
            self.dial_failed(peer, lane, address, &failure, turn);
        }
    }

    /// Goes on with an attempt, as far as it goes.
    pub(super) fn advance_dialing(&mut self, token: Token, turn: &mut Turn<'_, D>) {
        let Some(mut attempt) = self.dialing.remove(&token) else { return };
        match attempt.advance(turn.driver, &self.settings.endpoint) {
            Dialed::Waiting { new_stream } => {
                self.dialing.insert(token, attempt);
                if new_stream {
                    self.watch_dialing(token, turn);
                }
            }
            Dialed::Up(authenticated) => {
                if let Some(address) = attempt.address() {
                    self.hear_all();
                    self.establish(token, authenticated, address, turn);
                }
            }
            Dialed::Failed(failure) => {
                let (peer, lane, address) = (attempt.peer(), attempt.lane(), attempt.address());
                self.dial_failed(peer, lane, address, &failure, turn);
            }
        }
    }

    pub(super) fn expire_dials(&mut self, now: Instant, turn: &mut Turn<'_, D>) {
        let due = self.dialing.iter().filter(|(_, attempt)| attempt.due() <= now).map(|(&token, _)| token);
        let due: Vec<Token> = due.collect();
        for token in due {
            // It may be that only this address has had its time.
            self.advance_dialing(token, turn);
            if let Some(mut attempt) = self.dialing.remove(&token) {
                if attempt.deadline > now {
                    self.dialing.insert(token, attempt);
                    continue;
                }
                let (peer, lane, address) = (attempt.peer(), attempt.lane(), attempt.address());
                let failure = attempt.timed_out();
                if let Some(stream) = attempt.stream() {
                    turn.driver.unwatch(stream);
                }
                self.dial_failed(peer, lane, address, &failure, turn);
            }
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
            if let Some(stream) = attempt.stream().filter(|_| !stays) {
                turn.driver.unwatch(stream);
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
