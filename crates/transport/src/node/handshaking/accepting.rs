//! The acceptor's side of a handshake.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use replink_frame::{Flags, ReplicaId};
use replink_handshake::{
    AcceptFailed, Authenticated, Availability, AwaitFinish, AwaitHello, ChannelBinding, PeerReject, Rejected,
    Rejection, Verified, disabled,
};

use super::frames::{Incoming, Outgoing};
use crate::driver::{Driver, Stream};
use crate::endpoint::Answering;
use crate::exchange::{Step, StreamError};
use crate::gate::Slot;
use crate::{Endpoint, EntropyError};

/// A connection that was accepted and has not authenticated: one slot of the gate, 256 bytes each
/// way, and nothing else.
pub(in crate::node) struct Accepting<S> {
    pub(in crate::node) slot: Slot,
    pub(in crate::node) address: SocketAddr,
    state: AcceptState<S>,
    incoming: Incoming,
    outgoing: Outgoing,
}

enum AcceptState<S> {
    Hello(Hello<S>),
    Finish(AwaitFinish<S>),
    /// Turned away. What the peer still has under way is read and dropped: closing with unread
    /// bytes would reset the connection, and the reset may overtake the reject.
    Leaving {
        stream: S,
        until: Instant,
        dropped: usize,
    },
    Over,
}

enum Hello<S> {
    Authenticated(AwaitHello<S>),
    Disabled(disabled::AwaitHello<S>),
}

impl<S> Hello<S> {
    fn stream(&mut self) -> &S {
        match self {
            Self::Authenticated(state) => state.link_mut(),
            Self::Disabled(state) => state.link_mut(),
        }
    }
}

/// What became of a connection that was accepted.
pub(in crate::node) enum Accepted<S> {
    /// More has to come.
    Waiting,
    /// The peer has proved itself; whether it may stay is to be said.
    Verified(Verified<S>),
    /// Without authentication (H-12): the peer says who it is.
    Unproved(Authenticated<S>),
    /// It is turned away. The connection stays until the peer has had time to read why.
    Rejected(Rejection),
    /// The peer turned us away when it had read our challenge (D-12). It is owed nothing.
    RejectedByPeer(PeerReject),
    /// The stream failed.
    Broken(StreamError),
    /// The peer left without a word when it had read our challenge, which declines what it offered.
    Left(Declined),
    /// The system gave no randomness.
    Entropy(EntropyError),
    /// It was turned away, and had its time.
    Done,
}

/// What we declined of a peer that left then. Nothing of it is proved.
pub(in crate::node) struct Declined {
    /// Whom the peer claims to be.
    pub(in crate::node) claimed: ReplicaId,
    pub(in crate::node) flags: Flags,
}

/// What a refused peer may still have under way to us, in bytes and in time.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
pub(in crate::node) const LINGER_TIME_MAX: Duration = Duration::from_millis(500);

/// What is dropped of it in one turn.
const LINGER_READS_MAX: usize = 16;

impl<S: Stream> Accepting<S> {
    pub(in crate::node) fn new(stream: S, slot: Slot, address: SocketAddr, endpoint: &Endpoint) -> Self {
        let hello = match endpoint.answering() {
            Answering::Authenticated(acceptor) => {
                Hello::Authenticated(acceptor.begin(stream, ChannelBinding::None))
            }
            Answering::Disabled { local, roster } => {
                Hello::Disabled(disabled::accept(stream, local, *roster))
            }
        };
        Self {
            slot,
            address,
            state: AcceptState::Hello(hello),
            incoming: Incoming::new(Step::Hello),
            outgoing: Outgoing::none(),
        }
    }

    /// As far as it goes now. `availability` is asked when the Hello is there.
    pub(in crate::node) fn advance<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        availability: impl Fn(&Slot) -> Availability,
    ) -> Accepted<S> {
        loop {
            match mem::replace(&mut self.state, AcceptState::Over) {
                AcceptState::Hello(mut hello) => {
                    let frame = match self.incoming.read(driver, hello.stream()) {
                        Ok(Some(frame)) => frame,
                        Ok(None) => {
                            self.state = AcceptState::Hello(hello);
                            return Accepted::Waiting;
                        }
                        Err(error) => {
                            driver.unwatch(hello.stream());
                            return Accepted::Broken(error);
                        }
                    };
                    let mut state = match hello {
                        Hello::Authenticated(state) => state,
                        Hello::Disabled(state) => {
                            return match state.receive(&frame) {
                                Ok(authenticated) => Accepted::Unproved(authenticated),
                                Err(rejected) => self.turn_away(rejected, driver.now()),
                            };
                        }
                    };
                    let fresh = match driver.fresh() {
                        Ok(fresh) => fresh,
                        Err(error) => {
                            driver.unwatch(state.link_mut());
                            return Accepted::Entropy(error);
                        }
                    };
                    match state.receive(&frame, availability(&self.slot), fresh) {
                        Ok((state, challenge)) => {
                            self.outgoing = Outgoing::new(Step::Challenge, challenge.bytes());
                            self.incoming = Incoming::new(Step::Finish);
                            self.state = AcceptState::Finish(state);
                        }
                        Err(rejected) => return self.turn_away(rejected, driver.now()),
                    }
                }
                AcceptState::Finish(mut state) => {
                    let stream = state.link_mut();
                    let read =
                        self.outgoing.write(driver, stream).and_then(|_| self.incoming.read(driver, stream));
                    match read {
                        Ok(Some(frame)) => {
                            return match state.receive(&frame) {
                                Ok(verified) => Accepted::Verified(verified),
                                Err(AcceptFailed::Rejected(rejected)) => {
                                    self.turn_away(rejected, driver.now())
                                }
                                Err(AcceptFailed::RejectedByPeer { link, reject }) => {
                                    driver.unwatch(&link);
                                    Accepted::RejectedByPeer(reject)
                                }
                            };
                        }
                        Ok(None) => {
                            self.state = AcceptState::Finish(state);
                            return Accepted::Waiting;
                        }
                        Err(error) => {
                            driver.unwatch(state.link_mut());
                            let (claimed, flags) = (state.claimed(), state.declined());
                            return match error {
                                StreamError::Closed { received: 0, .. } if flags != Flags::NONE => {
                                    Accepted::Left(Declined { claimed, flags })
                                }
                                error => Accepted::Broken(error),
                            };
                        }
                    }
                }
                AcceptState::Leaving { stream, until, dropped } => {
                    return self.linger(driver, stream, until, dropped);
                }
                AcceptState::Over => return Accepted::Done,
            }
        }
    }

    /// Sends the reject that is owed, and stays until the peer can have read it.
    pub(in crate::node) fn turn_away(&mut self, rejected: Rejected<S>, now: Instant) -> Accepted<S> {
        let (stream, reply, rejection) = rejected.into_parts();
        self.outgoing = Outgoing::new(Step::Challenge, &reply);
        self.state = AcceptState::Leaving { stream, until: now + LINGER_TIME_MAX, dropped: 0 };
        Accepted::Rejected(rejection)
    }

    /// Until when a peer that was turned away is waited for.
    pub(in crate::node) fn leaves_until(&self) -> Option<Instant> {
        match &self.state {
            AcceptState::Leaving { until, .. } => Some(*until),
            _ => None,
        }
    }

    fn linger<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        stream: S,
        until: Instant,
        mut dropped: usize,
    ) -> Accepted<S> {
        if self.wants_to_linger(driver, &stream, until, &mut dropped) {
            self.state = AcceptState::Leaving { stream, until, dropped };
            return Accepted::Waiting;
        }
        driver.unwatch(&stream);
        Accepted::Done
    }

    /// Sends what is owed and drops what has come. Whether the peer still has time.
    fn wants_to_linger<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        stream: &S,
        until: Instant,
        dropped: &mut usize,
    ) -> bool {
        let now = driver.now();
        let mut scratch = [0; 16 * 1024];
        let was_out = self.outgoing.is_out();
        match self.outgoing.write(driver, stream) {
            Ok(true) if !was_out => stream.finish(),
            Ok(_) => {}
            Err(_) => return false,
        }
        for _ in 0..LINGER_READS_MAX {
            if now >= until || *dropped > LINGER_BYTES_MAX {
                return false;
            }
            match driver.read(stream, &mut scratch) {
                Ok(0) => return false,
                Ok(count) => *dropped += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }

    /// The stream, to be watched.
    pub(in crate::node) fn stream(&mut self) -> Option<&S> {
        match &mut self.state {
            AcceptState::Hello(hello) => Some(hello.stream()),
            AcceptState::Finish(state) => Some(state.link_mut()),
            AcceptState::Leaving { stream, .. } => Some(stream),
            AcceptState::Over => None,
        }
    }

    /// What is missing when the time is up.
    pub(in crate::node) fn timed_out(&self) -> StreamError {
        StreamError::TimedOut { step: self.incoming.step, received: self.incoming.received }
    }
}
