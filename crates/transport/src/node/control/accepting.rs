//! Connections that come in.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use replink_frame::Status;
use replink_handshake::ChannelBinding;

use super::handshakes::{Caller, Handshake, Stage};
use super::refusals::{Attempt, From};
use super::visiting::{VISITORS_MAX, VISITORS_RETRY_MS};
use super::{Control, LISTENER, Refusal, RejectedBy, Turn, Warning};
use crate::driver::Driver;
use crate::exchange::{AcceptFailure, Accepted, Accepting, Declined, Leaving, Step, StreamError};
use crate::mesh::Verdict;

/// Connections that are accepted in one turn; then links have theirs. So many descriptors a stranger can have
/// us hold beside those that have a slot of the gate, however fast it connects; the system keeps the others
/// waiting. To accept this many and to close them takes less than a millisecond.
const ACCEPTS_MAX: usize = 64;

impl<D: Driver> Control<D> {
    /// Has connections accepted, as many as one turn allows.
    pub(super) fn accept(&mut self, turn: &mut Turn<'_, D>) {
        let paused = self.accept_pause.is_some_and(|until| turn.driver.now() < until);
        if self.listening.is_some() && !paused {
            self.accept_pause = None;
            turn.driver.accept(LISTENER, ACCEPTS_MAX);
        }
    }

    /// A connection has come in, or could not be accepted.
    pub(in crate::node) fn accepted(
        &mut self,
        result: io::Result<(D::Socket, SocketAddr)>,
        turn: &mut Turn<'_, D>,
    ) {
        match result {
            Ok((socket, address)) => {
                self.accept_errors.succeeded();
                self.shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
                self.admit(socket, address, turn);
            }
            Err(error) => {
                self.shared.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
                let pause = self.accept_errors.failed(&error);
                if !pause.is_zero() {
                    self.accept_pause = Some(turn.driver.now() + pause);
                    turn.driver.accept(LISTENER, 0);
                    self.warn(Warning::Accept { error: error.to_string() }, turn);
                }
            }
        }
    }

    /// What is decided before a byte is read.
    fn admit(&mut self, socket: D::Socket, address: SocketAddr, turn: &mut Turn<'_, D>) {
        let now = turn.driver.now();
        let slot = match self.gate.admit(address.ip(), now) {
            Ok(slot) => slot,
            Err(refused) => {
                self.shared.counters.closed_unread.fetch_add(1, Ordering::Relaxed);
                return self.refuse(
                    self.at(address),
                    (refused.status(), RejectedBy::Us),
                    || Refusal {
                        address,
                        peer: None,
                        status: refused.status(),
                        authenticated: false,
                        by: RejectedBy::Us,
                        explanation: refused.to_string(),
                    },
                    turn,
                );
            }
        };
        let token = self.new_token();
        let registration = match turn.driver.register(token, &socket) {
            Ok(registration) => Some(registration),
            Err(error) => {
                tracing::warn!(%address, "connection closed: {error}");
                return self.gate.release(slot);
            }
        };
        let deadline = slot.deadline();
        let mut exchange = Accepting::new(socket, &self.settings.endpoint, ChannelBinding::None, deadline);
        if self.gate.knows(address.ip()) {
            exchange = exchange.trying_keys(&self.version_one_keys);
        }
        let stage = Stage::Accepting { exchange, caller: Caller { slot, address } };
        self.go_on(token, Handshake { stage, registration, began: now }, turn);
    }

    /// The Hello is there. What is left of the handshake.
    pub(super) fn answer(
        &mut self,
        handshake: Handshake<D::Socket>,
        turn: &mut Turn<'_, D>,
    ) -> Option<Handshake<D::Socket>> {
        let Handshake { stage: Stage::Accepting { mut exchange, caller }, registration, began } = handshake
        else {
            return None; // only an acceptor answers
        };
        let now = turn.driver.now();
        match turn.driver.fresh() {
            Ok(fresh) => exchange.answer(self.gate.availability(&caller.slot, now), fresh, now),
            Err(error) => {
                self.gate.release(caller.slot);
                self.accept_failed(caller.address, error.into(), turn);
                return None;
            }
        }
        Some(Handshake { stage: Stage::Accepting { exchange, caller }, registration, began })
    }

    /// What has come of a connection that came in; a peer that is turned away is owed the reject still.
    pub(super) fn conclude_accepting(
        &mut self,
        token: crate::driver::Token,
        accepted: Accepted<D::Socket>,
        caller: Caller,
        began: Instant,
        turn: &mut Turn<'_, D>,
    ) -> Option<Stage<D::Socket>> {
        let (address, now) = (caller.address, turn.driver.now());
        match accepted {
            Accepted::Proved(verified) => {
                let verdict = match self.mesh.judge(verified.peer(), address, now) {
                    Verdict::Probe if self.visitors.len() >= VISITORS_MAX => {
                        Verdict::Refuse { status: Status::BUSY, retry_after_ms: VISITORS_RETRY_MS }
                    }
                    verdict => verdict,
                };
                if let Verdict::Refuse { status, retry_after_ms } = verdict {
                    let from = From::Replica(verified.peer().replica);
                    let rejected = verified.refuse(status, retry_after_ms);
                    let leaving = Leaving::new(rejected, caller.slot.deadline(), now);
                    return Some(self.turned_away(leaving, from, caller, turn));
                }
                let authenticated = verified.admit();
                self.gate.authenticated(caller.slot, &authenticated, now);
                match verdict {
                    Verdict::Probe => self.welcome(token, authenticated, address, turn),
                    _ => self.establish(token, authenticated, address, began, turn),
                }
            }
            Accepted::Unproved(authenticated) => {
                let peer = *authenticated.peer();
                self.gate.release(caller.slot);
                // Without a handshake there is no late reject; a peer that may not stay finds its
                // connection closed.
                if !matches!(self.mesh.judge(&peer, address, now), Verdict::Refuse { .. }) {
                    self.establish(token, authenticated, address, began, turn);
                }
            }
            Accepted::Rejected(leaving) => {
                return Some(self.turned_away(leaving, self.at(address), caller, turn));
            }
            Accepted::Failed(failure) => {
                self.gate.release(caller.slot);
                self.accept_failed(address, failure, turn);
            }
        }
        None
    }

    /// Somebody is turned away, and told.
    fn turned_away(
        &mut self,
        exchange: Leaving<D::Socket>,
        from: From,
        caller: Caller,
        turn: &mut Turn<'_, D>,
    ) -> Stage<D::Socket> {
        let rejection = *exchange.rejection();
        let refusal = || Refusal::by_us(caller.address, &rejection);
        self.refuse(from, (rejection.status, RejectedBy::Us), refusal, turn);
        Stage::Leaving { exchange, caller }
    }

    /// A connection came to nothing, and its peer is owed nothing.
    fn accept_failed(&mut self, address: SocketAddr, failure: AcceptFailure, turn: &mut Turn<'_, D>) {
        let (from, now) = (self.at(address), turn.driver.now());
        match failure {
            AcceptFailure::Rejected(rejection) => {
                let refusal = || Refusal::by_us(address, &rejection);
                self.refuse(from, (rejection.status, RejectedBy::Us), refusal, turn);
            }
            AcceptFailure::RejectedByPeer(reject) => {
                // One that has proved itself is no stranger: no flood of theirs hides it.
                let from = if reject.authenticated { From::Replica(reject.from) } else { from };
                let flags = self.settings.mesh.flags;
                let refusal = || Refusal::by_peer(address, reject, flags);
                self.refuse(from, (reject.status, RejectedBy::Peer), refusal, turn);
            }
            AcceptFailure::Left(Declined { claimed: peer, flags, .. }) => {
                self.shared.counters.broken.fetch_add(1, Ordering::Relaxed);
                if self.refusals.tell(from, Attempt::Declined, now) {
                    self.warn(Warning::Declined { peer, address, flags }, turn);
                }
            }
            AcceptFailure::Stream(error) => {
                self.shared.counters.broken.fetch_add(1, Ordering::Relaxed);
                if said_nothing(&error) {
                    tracing::debug!(%address, "connection did not authenticate: {error}");
                } else if self.refusals.tell(from, Attempt::Broken, now) {
                    tracing::warn!(%address, "connection did not authenticate: {error}");
                }
            }
            AcceptFailure::Entropy(error) => tracing::error!(%address, "connection closed: {error}"),
        }
    }
}

/// Whether somebody has connected and gone again: a port scan, or a load balancer that looks whether there is somebody,
/// every second. That is counted, and no news.
fn said_nothing(error: &StreamError) -> bool {
    match error {
        StreamError::Closed { step: Step::Hello, received } => *received == 0,
        StreamError::Io { step: Step::Hello, .. } => true,
        _ => false,
    }
}
