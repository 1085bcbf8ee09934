//! The dialer's side of a handshake.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::{ReplicaId, Status};
use replink_handshake::{
    Authenticated, AwaitChallenge, ChannelBinding, DialError, DialFailed, DialTarget, disabled,
};

use super::frames::{Incoming, Outgoing};
use crate::Endpoint;
use crate::driver::{Driver, Stream};
use crate::endpoint::Dialing;
use crate::exchange::{DialFailure, Step, StreamError};

/// One attempt at a link: one address after the other, one key after the other, all of it before
/// one deadline.
pub(in crate::node) struct DialAttempt<S> {
    target: DialTarget,
    addresses: Vec<SocketAddr>,
    next: usize,
    pub(in crate::node) deadline: Instant,
    /// Until when the connection must be made; then the next address has its turn.
    connect_until: Instant,
    state: DialState<S>,
}

enum DialState<S> {
    Connecting(S),
    Challenge {
        state: AwaitChallenge<S>,
        incoming: Incoming,
        outgoing: Outgoing,
    },
    /// The last frame of ours has to go out before anything else.
    Finishing {
        authenticated: Authenticated<S>,
        outgoing: Outgoing,
    },
    /// The peer does not suit us. It is told why (D-12); then this is over.
    Refusing {
        stream: S,
        outgoing: Outgoing,
        error: DialError,
    },
    Over,
}

/// What became of an attempt.
pub(in crate::node) enum Dialed<S> {
    /// More has to come. After this the stream is to be watched anew if `new_stream`.
    Waiting { new_stream: bool },
    /// The peer has proved itself.
    Up(Authenticated<S>),
    /// There is no link.
    Failed(DialFailure),
}

impl<S: Stream> DialAttempt<S> {
    /// Begins with the first address.
    pub(in crate::node) fn begin<D: Driver<Stream = S>>(
        driver: &mut D,
        peer: ReplicaId,
        lane: u16,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Self, DialFailure> {
        let target = DialTarget::new(peer).lane(lane);
        let mut attempt =
            Self { target, addresses, next: 0, deadline, connect_until: deadline, state: DialState::Over };
        attempt.connect_next(driver, DialFailure::NoAddress)?;
        Ok(attempt)
    }

    pub(in crate::node) fn peer(&self) -> ReplicaId {
        self.target.peer
    }

    pub(in crate::node) fn lane(&self) -> u16 {
        self.target.lane
    }

    /// Where it was or is tried.
    pub(in crate::node) fn address(&self) -> Option<SocketAddr> {
        self.next.checked_sub(1).and_then(|index| self.addresses.get(index)).copied()
    }

    /// When to look at it again, whether anything has happened or not.
    pub(in crate::node) fn due(&self) -> Instant {
        match self.state {
            DialState::Connecting(_) => self.connect_until.min(self.deadline),
            _ => self.deadline,
        }
    }

    pub(in crate::node) fn stream(&mut self) -> Option<&S> {
        match &mut self.state {
            DialState::Connecting(stream) | DialState::Refusing { stream, .. } => Some(stream),
            DialState::Challenge { state, .. } => Some(state.link_mut()),
            DialState::Finishing { authenticated, .. } => Some(authenticated.link()),
            DialState::Over => None,
        }
    }

    /// Connects to the next address that can be tried; `failure` is why the last one failed.
    fn connect_next<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        failure: DialFailure,
    ) -> Result<(), DialFailure> {
        let mut failure = failure;
        while let Some(&address) = self.addresses.get(self.next) {
            // One that swallows everything leaves the others their share of the time.
            let untried = u32::try_from(self.addresses.len() - self.next).unwrap_or(u32::MAX);
            self.next += 1;
            let now = driver.now();
            let left = self.deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(DialFailure::Connect { address, source: io::ErrorKind::TimedOut.into() });
            }
            self.connect_until = now + left / untried;
            match driver.connect(address) {
                Ok(stream) => {
                    self.state = DialState::Connecting(stream);
                    return Ok(());
                }
                Err(source) => failure = DialFailure::Connect { address, source },
            }
        }
        Err(failure)
    }

    /// As far as it goes now.
    pub(in crate::node) fn advance<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        endpoint: &Endpoint,
    ) -> Dialed<S> {
        let mut new_stream = false;
        loop {
            let step = match mem::replace(&mut self.state, DialState::Over) {
                DialState::Connecting(stream) => self.connected(driver, endpoint, stream, &mut new_stream),
                DialState::Challenge { state, incoming, outgoing } => {
                    self.challenged(driver, endpoint, state, incoming, outgoing, &mut new_stream)
                }
                DialState::Finishing { authenticated, mut outgoing } => {
                    match outgoing.write(driver, authenticated.link()) {
                        Ok(true) => return Dialed::Up(authenticated),
                        Ok(false) => {
                            self.state = DialState::Finishing { authenticated, outgoing };
                            Ok(false)
                        }
                        Err(error) => {
                            driver.unwatch(authenticated.link());
                            Err(error.into())
                        }
                    }
                }
                DialState::Refusing { stream, mut outgoing, error } => {
                    // Whether the peer takes it is its own affair.
                    if outgoing.write(driver, &stream).is_ok_and(|out| !out) {
                        self.state = DialState::Refusing { stream, outgoing, error };
                        Ok(false)
                    } else {
                        driver.unwatch(&stream);
                        Err(error.into())
                    }
                }
                DialState::Over => Err(DialFailure::NoAddress),
            };
            match step {
                Ok(true) => {}
                Ok(false) => return Dialed::Waiting { new_stream },
                Err(failure) => return Dialed::Failed(failure),
            }
        }
    }

    /// `Ok` with whether there may be more to do at once.
    fn connected<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        endpoint: &Endpoint,
        stream: S,
        new_stream: &mut bool,
    ) -> Result<bool, DialFailure> {
        let address = stream.peer_address();
        let failed = match driver.connected(&stream) {
            Ok(()) => {
                self.state = begin(driver, endpoint, self.target, stream)?;
                return Ok(true);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if driver.now() < self.connect_until {
                    self.state = DialState::Connecting(stream);
                    return Ok(false);
                }
                io::ErrorKind::TimedOut.into()
            }
            Err(error) => error,
        };
        driver.unwatch(&stream);
        drop(stream);
        self.connect_next(driver, DialFailure::Connect { address, source: failed })?;
        *new_stream = true;
        Ok(true)
    }

    fn challenged<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        endpoint: &Endpoint,
        mut state: AwaitChallenge<S>,
        mut incoming: Incoming,
        mut outgoing: Outgoing,
        new_stream: &mut bool,
    ) -> Result<bool, DialFailure> {
        let stream = state.link_mut();
        let read = outgoing.write(driver, stream).and_then(|_| incoming.read(driver, stream));
        let frame = match read {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.state = DialState::Challenge { state, incoming, outgoing };
                return Ok(false);
            }
            Err(error) => {
                driver.unwatch(stream);
                return Err(error.into());
            }
        };
        match state.receive(&frame) {
            Ok((authenticated, finish)) => {
                let outgoing = Outgoing::new(Step::Finish, finish.bytes());
                self.state = DialState::Finishing { authenticated, outgoing };
                Ok(true)
            }
            Err(DialFailed { link, reply: Some(reply), error }) => {
                let outgoing = Outgoing::new(Step::Finish, &reply);
                self.state = DialState::Refusing { stream: link, outgoing, error };
                Ok(true)
            }
            Err(failed) => {
                driver.unwatch(&failed.link);
                drop(failed.link);
                let unknown = matches!(&failed.error, DialError::Rejected(reject) if reject.status == Status::UNKNOWN_KEY);
                if !unknown || self.target.key_index + 1 >= endpoint.key_count(self.target.peer) {
                    return Err(failed.error.into());
                }
                // K-2: the next key, over a new connection to the same address.
                self.target.key_index += 1;
                self.next = self.next.saturating_sub(1);
                self.connect_next(driver, failed.error.into())?;
                *new_stream = true;
                Ok(true)
            }
        }
    }

    /// What is missing when the time is up.
    pub(in crate::node) fn timed_out(&self) -> DialFailure {
        match &self.state {
            DialState::Challenge { incoming, .. } => {
                StreamError::TimedOut { step: incoming.step, received: incoming.received }.into()
            }
            DialState::Finishing { outgoing, .. } => StreamError::NotTaken { step: outgoing.step }.into(),
            DialState::Refusing { error, .. } => error.clone().into(),
            DialState::Connecting(stream) => DialFailure::Connect {
                address: stream.peer_address(),
                source: io::ErrorKind::TimedOut.into(),
            },
            DialState::Over => DialFailure::NoAddress,
        }
    }
}

/// Sends the Hello on a stream that is connected.
fn begin<D: Driver>(
    driver: &mut D,
    endpoint: &Endpoint,
    target: DialTarget,
    stream: D::Stream,
) -> Result<DialState<D::Stream>, DialFailure> {
    match endpoint.dialing() {
        Dialing::Authenticated(dialer) => {
            let fresh = driver.fresh().inspect_err(|_| driver.unwatch(&stream))?;
            let (state, hello) =
                dialer.begin(stream, target, ChannelBinding::None, fresh).map_err(|failed| {
                    driver.unwatch(&failed.link);
                    failed.error
                })?;
            let outgoing = Outgoing::new(Step::Hello, hello.bytes());
            Ok(DialState::Challenge { state, incoming: Incoming::new(Step::Challenge), outgoing })
        }
        Dialing::Disabled { local } => {
            let (authenticated, hello) = disabled::dial(stream, local, target.peer).map_err(|failed| {
                driver.unwatch(&failed.link);
                failed.error
            })?;
            let outgoing = Outgoing::new(Step::Hello, hello.bytes());
            Ok(DialState::Finishing { authenticated, outgoing })
        }
    }
}
