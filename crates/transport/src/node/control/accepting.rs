//! Connections that come in.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use replink_frame::Status;
use replink_handshake::{Rejection, Verified};

use super::visiting::{VISITORS_MAX, VISITORS_RETRY_MS};
use super::{Control, Refusal, RejectedBy, Turn, Warning};
use crate::driver::{Driver, Token};
use crate::exchange::{AcceptFailure, Declined};
use crate::mesh::Verdict;
use crate::node::handshaking::{Accepted, Accepting};

/// Connections that are accepted in one turn; then links have theirs. A turn of links may read many
/// megabytes, and the queue of the listener must not overflow meanwhile: whoever finds it full
/// tries again after a second. To accept this many and to close them takes a few milliseconds.
const ACCEPTS_MAX: usize = 256;

impl<D: Driver> Control<D> {
    /// Takes connections from the listener, as many as one turn allows.
    pub(super) fn accept(&mut self, turn: &mut Turn<'_, D>) {
        if !self.listener_ready || self.accept_pause.is_some_and(|until| turn.driver.now() < until) {
            return;
        }
        self.accept_pause = None;
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = &self.listener else { return };
            match turn.driver.accept(listener) {
                Ok((stream, address)) => {
                    self.accept_errors.succeeded();
                    self.shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
                    self.admit(stream, address, turn);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.listener_ready = false;
                    return;
                }
                Err(error) => {
                    self.shared.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
                    let pause = self.accept_errors.failed(&error);
                    if !pause.is_zero() {
                        self.accept_pause = Some(turn.driver.now() + pause);
                        self.warn(Warning::Accept { error: error.to_string() }, turn);
                        return;
                    }
                }
            }
        }
    }

    /// What is decided before a byte is read.
    fn admit(&mut self, stream: D::Stream, address: SocketAddr, turn: &mut Turn<'_, D>) {
        let now = turn.driver.now();
        let slot = match self.gate.admit(address.ip(), now) {
            Ok(slot) => slot,
            Err(refused) => {
                self.shared.counters.closed_unread.fetch_add(1, Ordering::Relaxed);
                return self.refuse_stranger(
                    refused.status(),
                    RejectedBy::Us,
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
        if let Err(error) = turn.driver.watch(token, &stream) {
            tracing::warn!(%address, "connection closed: {error}");
            return self.gate.release(slot);
        }
        self.slots.insert(slot.id(), token);
        let accepting = Accepting::new(stream, slot, address, &self.settings.endpoint);
        self.accepting.insert(token, accepting);
        // Its Hello may be here already.
        self.advance_accepting(token, turn);
    }

    /// Goes on with a handshake, as far as it goes.
    pub(super) fn advance_accepting(&mut self, token: Token, turn: &mut Turn<'_, D>) {
        let Some(mut accepting) = self.accepting.remove(&token) else { return };
        let now = turn.driver.now();
        loop {
            let gate = &self.gate;
            match accepting.advance(turn.driver, |slot| gate.availability(slot, now)) {
                Accepted::Waiting => {
                    self.accepting.insert(token, accepting);
                    return;
                }
                Accepted::Verified(verified) => {
                    let verdict = match self.judge(&verified, accepting.address, turn) {
                        Verdict::Probe if self.visitors.len() >= VISITORS_MAX => {
                            Verdict::Refuse { status: Status::BUSY, retry_after_ms: VISITORS_RETRY_MS }
                        }
                        verdict => verdict,
                    };
                    if let Verdict::Refuse { status, retry_after_ms } = verdict {
                        let rejected = verified.refuse(status, retry_after_ms);
                        let rejection = *rejected.rejection();
                        accepting.turn_away(rejected, now);
                        self.turned_away(token, &accepting, &rejection, turn);
                        continue;
                    }
                    let authenticated = verified.admit();
                    let address = accepting.address;
                    self.slots.remove(&accepting.slot.id());
                    self.gate.authenticated(accepting.slot, &authenticated, now);
                    return match verdict {
                        Verdict::Probe => self.welcome(token, authenticated, address, turn),
                        _ => self.establish(token, authenticated, address, turn),
                    };
                }
                Accepted::Unproved(authenticated) => {
                    let peer = *authenticated.peer();
                    let address = accepting.address;
                    self.slots.remove(&accepting.slot.id());
                    self.gate.release(accepting.slot);
                    // Without a handshake there is no late reject; a peer that may not stay finds its
                    // connection closed.
                    let verdict = self.mesh.judge(&peer, address, now);
                    if matches!(verdict, Verdict::Refuse { .. }) {
                        return turn.driver.unwatch(authenticated.link());
                    }
                    self.warn(Warning::Unauthenticated { peer: peer.replica, address }, turn);
                    return self.establish(token, authenticated, address, turn);
                }
                Accepted::Rejected(rejection) => self.turned_away(token, &accepting, &rejection, turn),
                Accepted::Failed(failure) => {
                    self.accept_failed(accepting.address, failure, turn);
                    return self.give_up(accepting, turn);
                }
                Accepted::Done => return self.give_up(accepting, turn),
            }
        }
    }

    fn judge(
        &mut self,
        verified: &Verified<D::Stream>,
        address: SocketAddr,
        turn: &mut Turn<'_, D>,
    ) -> Verdict {
        self.hear_all();
        self.mesh.judge(verified.peer(), address, turn.driver.now())
    }

    /// A connection came to nothing, and its peer is owed nothing.
    fn accept_failed(&mut self, address: SocketAddr, failure: AcceptFailure, turn: &mut Turn<'_, D>) {
        match failure {
            AcceptFailure::Rejected(rejection) => {
                let refusal = || Refusal::by_us(address, &rejection);
                self.refuse_stranger(rejection.status, RejectedBy::Us, refusal, turn);
            }
            AcceptFailure::RejectedByPeer(reject) => {
                let refusal = Refusal::by_peer(address, reject);
                if reject.authenticated {
                    self.refuse(refusal, turn); // no stranger's: no flood of theirs hides it
                } else {
                    self.refuse_stranger(reject.status, RejectedBy::Peer, || refusal, turn);
                }
            }
            AcceptFailure::Left(Declined { claimed: peer, flags }) => {
                self.shared.counters.broken.fetch_add(1, Ordering::Relaxed);
                if self.refusals.tell(turn.driver.now()) {
                    self.warn(Warning::Declined { peer, address, flags }, turn);
                }
            }
            AcceptFailure::Stream(error) => {
                self.shared.counters.broken.fetch_add(1, Ordering::Relaxed);
                if self.refusals.tell(turn.driver.now()) {
                    tracing::warn!(%address, "connection did not authenticate: {error}");
                }
            }
            AcceptFailure::Entropy(error) => tracing::error!(%address, "connection closed: {error}"),
        }
    }

    fn turned_away(
        &mut self,
        token: Token,
        accepting: &Accepting<D::Stream>,
        rejection: &Rejection,
        turn: &mut Turn<'_, D>,
    ) {
        if let Some(until) = accepting.leaves_until() {
            self.leaving.push_back((until, token));
        }
        let address = accepting.address;
        self.refuse_stranger(rejection.status, RejectedBy::Us, || Refusal::by_us(address, rejection), turn);
    }

    /// Somebody did not get in. In a flood not each of them is told of, but all are counted.
    fn refuse_stranger(
        &mut self,
        status: Status,
        by: RejectedBy,
        refusal: impl FnOnce() -> Refusal,
        turn: &mut Turn<'_, D>,
    ) {
        if self.refusals.tell(turn.driver.now()) {
            self.refuse(refusal(), turn);
        } else {
            self.shared.counters.count_handshake(status, by);
        }
    }

    pub(super) fn give_up(&mut self, mut accepting: Accepting<D::Stream>, turn: &mut Turn<'_, D>) {
        accepting.abandon(turn.driver);
        self.slots.remove(&accepting.slot.id());
        self.gate.release(accepting.slot);
    }

    /// Ends what has had its time.
    pub(super) fn expire(&mut self, now: Instant, turn: &mut Turn<'_, D>) {
        while let Some(&(until, token)) = self.leaving.front() {
            if until > now {
                break;
            }
            self.leaving.pop_front();
            self.advance_accepting(token, turn);
        }
        let expired: Vec<_> = self.gate.expired(now).collect();
        for slot in expired {
            // What has come by now still counts, and nothing is waited for.
            if let Some(&token) = self.slots.get(&slot) {
                self.advance_accepting(token, turn);
            }
        }
        self.expire_dials(now, turn);
    }
}
