//! Handshakes on streams that do not block, a step whenever the stream is ready.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::{HEADER_SIZE, ReplicaId, Status};
use replink_handshake::{
    Authenticated, Availability, AwaitChallenge, AwaitFinish, AwaitHello, ChannelBinding, DialError,
    DialTarget, Rejected, Rejection, Verified, disabled,
};

use crate::blocking::{DialFailure, Step, StreamError};
use crate::driver::{Driver, Stream};
use crate::endpoint::{Answering, Dialing};
use crate::gate::Slot;
use crate::{Endpoint, EntropyError};

/// One frame on its way in. Exactly its bytes are read: what is behind stays in the socket
/// (section 6).
struct Incoming {
    step: Step,
    bytes: [u8; HEADER_SIZE],
    received: usize,
}

/// One frame on its way out.
struct Outgoing {
    step: Step,
    bytes: [u8; HEADER_SIZE],
    written: usize,
}

impl Incoming {
    fn new(step: Step) -> Self {
        Self { step, bytes: [0; HEADER_SIZE], received: 0 }
    }

    /// The frame, once it is whole.
    fn read(&mut self, stream: &impl Stream) -> Result<Option<[u8; HEADER_SIZE]>, StreamError> {
        let step = self.step;
        while self.received < HEADER_SIZE {
            match stream.read(&mut self.bytes[self.received..]) {
                Ok(0) => return Err(StreamError::Closed { step, received: self.received }),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(StreamError::Io { step, source }),
            }
        }
        Ok(Some(self.bytes))
    }
}

impl Outgoing {
    fn new(step: Step, bytes: &[u8; HEADER_SIZE]) -> Self {
        Self { step, bytes: *bytes, written: 0 }
    }

    /// Nothing to send.
    fn none() -> Self {
        Self { step: Step::Hello, bytes: [0; HEADER_SIZE], written: HEADER_SIZE }
    }

    /// Whether it is out.
    fn write(&mut self, stream: &impl Stream) -> Result<bool, StreamError> {
        let step = self.step;
        while self.written < HEADER_SIZE {
            match stream.write_gathered(&[io::IoSlice::new(&self.bytes[self.written..])]) {
                Ok(0) => return Err(StreamError::Io { step, source: io::ErrorKind::WriteZero.into() }),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(StreamError::Io { step, source }),
            }
        }
        Ok(true)
    }
}

/// A connection that was accepted and has not authenticated: one slot of the gate, 256 bytes each
/// way, and nothing else.
pub(super) struct Accepting<S> {
    pub(super) slot: Slot,
    pub(super) address: SocketAddr,
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

/// What became of a connection that was accepted.
pub(super) enum Accepted<S> {
    /// More has to come.
    Waiting,
    /// The peer has proved itself; whether it may stay is to be said.
    Verified(Verified<S>),
    /// Without authentication (H-12): the peer says who it is.
    Unproved(Authenticated<S>),
    /// It is turned away. The connection stays until the peer has had time to read why.
    Rejected(Rejection),
    /// The stream failed.
    Broken(StreamError),
    /// The system gave no randomness.
    Entropy(EntropyError),
    /// It was turned away, and had its time.
    Done,
}

/// What a refused peer may still have under way to us, in bytes and in time.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
pub(super) const LINGER_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(500);

/// What is dropped of it in one turn.
const LINGER_READS_MAX: usize = 16;

impl<S: Stream> Accepting<S> {
    pub(super) fn new(stream: S, slot: Slot, address: SocketAddr, endpoint: &Endpoint) -> Self {
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
    pub(super) fn advance<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        availability: impl Fn(&Slot) -> Availability,
    ) -> Accepted<S> {
        loop {
            match mem::replace(&mut self.state, AcceptState::Over) {
                AcceptState::Hello(mut hello) => {
                    let read = match &mut hello {
                        Hello::Authenticated(state) => self.incoming.read(state.link_mut()),
                        Hello::Disabled(state) => self.incoming.read(state.link_mut()),
                    };
                    let frame = match read {
                        Ok(Some(frame)) => frame,
                        Ok(None) => {
                            self.state = AcceptState::Hello(hello);
                            return Accepted::Waiting;
                        }
                        Err(error) => return Accepted::Broken(error),
                    };
                    let state = match hello {
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
                        Err(error) => return Accepted::Entropy(error),
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
                    let read = self.outgoing.write(stream).and_then(|_| self.incoming.read(stream));
                    match read {
                        Ok(Some(frame)) => {
                            return match state.receive(&frame) {
                                Ok(verified) => Accepted::Verified(verified),
                                Err(rejected) => self.turn_away(rejected, driver.now()),
                            };
                        }
                        Ok(None) => {
                            self.state = AcceptState::Finish(state);
                            return Accepted::Waiting;
                        }
                        Err(error) => return Accepted::Broken(error),
                    }
                }
                AcceptState::Leaving { stream, until, dropped } => {
                    return self.linger(stream, until, dropped, driver.now());
                }
                AcceptState::Over => return Accepted::Done,
            }
        }
    }

    /// Sends the reject that is owed, and stays until the peer can have read it.
    pub(super) fn turn_away(&mut self, rejected: Rejected<S>, now: Instant) -> Accepted<S> {
        let (stream, reply, rejection) = rejected.into_parts();
        self.outgoing = Outgoing::new(Step::Challenge, &reply);
        self.state = AcceptState::Leaving { stream, until: now + LINGER_TIME_MAX, dropped: 0 };
        Accepted::Rejected(rejection)
    }

    /// Until when a peer that was turned away is waited for.
    pub(super) fn leaves_until(&self) -> Option<Instant> {
        match &self.state {
            AcceptState::Leaving { until, .. } => Some(*until),
            _ => None,
        }
    }

    fn linger(&mut self, stream: S, until: Instant, dropped: usize, now: Instant) -> Accepted<S> {
        let mut dropped = dropped;
        let mut scratch = [0; 16 * 1024];
        let was_out = self.outgoing.written == HEADER_SIZE;
        match self.outgoing.write(&stream) {
            Ok(out) => {
                if out && !was_out {
                    stream.finish();
                }
            }
            Err(_) => return Accepted::Done,
        }
        for _ in 0..LINGER_READS_MAX {
            if now >= until || dropped > LINGER_BYTES_MAX {
                return Accepted::Done;
            }
            match stream.read(&mut scratch) {
                Ok(0) => return Accepted::Done,
                Ok(count) => dropped += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Accepted::Done,
            }
        }
        self.state = AcceptState::Leaving { stream, until, dropped };
        Accepted::Waiting
    }

    /// The stream, to be watched.
    pub(super) fn stream(&mut self) -> Option<&S> {
        match &mut self.state {
            AcceptState::Hello(Hello::Authenticated(state)) => Some(state.link_mut()),
            AcceptState::Hello(Hello::Disabled(state)) => Some(state.link_mut()),
            AcceptState::Finish(state) => Some(state.link_mut()),
            AcceptState::Leaving { stream, .. } => Some(stream),
            AcceptState::Over => None,
        }
    }

    /// What is missing when the time is up.
    pub(super) fn timed_out(&self) -> StreamError {
        StreamError::TimedOut { step: self.incoming.step, received: self.incoming.received }
    }
}

/// One attempt at a link: one address after the other, one key after the other, all of it before
/// one deadline.
pub(super) struct DialAttempt<S> {
    target: DialTarget,
    addresses: Vec<SocketAddr>,
    next: usize,
    pub(super) deadline: Instant,
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
    Over,
}

/// What became of an attempt.
pub(super) enum Dialed<S> {
    /// More has to come. After this the stream is to be watched anew if `new_stream`.
    Waiting { new_stream: bool },
    /// The peer has proved itself.
    Up(Authenticated<S>),
    /// There is no link.
    Failed(DialFailure),
}

impl<S: Stream> DialAttempt<S> {
    /// Begins with the first address.
    pub(super) fn begin<D: Driver<Stream = S>>(
        driver: &mut D,
        peer: ReplicaId,
        lane: u16,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Self, DialFailure> {
        let target = DialTarget { lane, ..DialTarget::new(peer) };
        let mut attempt =
            Self { target, addresses, next: 0, deadline, connect_until: deadline, state: DialState::Over };
        attempt.connect_next(driver, DialFailure::NoAddress)?;
        Ok(attempt)
    }

    pub(super) fn peer(&self) -> ReplicaId {
        self.target.peer
    }

    pub(super) fn lane(&self) -> u16 {
        self.target.lane
    }

    /// Where it was or is tried.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.next.checked_sub(1).and_then(|index| self.addresses.get(index)).copied()
    }

    /// When to look at it again, whether anything has happened or not.
    pub(super) fn due(&self) -> Instant {
        match self.state {
            DialState::Connecting(_) => self.connect_until.min(self.deadline),
            _ => self.deadline,
        }
    }

    pub(super) fn stream(&mut self) -> Option<&S> {
        match &mut self.state {
            DialState::Connecting(stream) => Some(stream),
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
    pub(super) fn advance<D: Driver<Stream = S>>(
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
                    match outgoing.write(authenticated.link()) {
                        Ok(true) => return Dialed::Up(authenticated),
                        Ok(false) => {
                            self.state = DialState::Finishing { authenticated, outgoing };
                            Ok(false)
                        }
                        Err(error) => Err(error.into()),
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
        let failed = match stream.connected() {
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
        outgoing.write(stream)?;
        let Some(frame) = incoming.read(stream)? else {
            self.state = DialState::Challenge { state, incoming, outgoing };
            return Ok(false);
        };
        match state.receive(&frame) {
            Ok((authenticated, finish)) => {
                let outgoing = Outgoing::new(Step::Finish, finish.bytes());
                self.state = DialState::Finishing { authenticated, outgoing };
                Ok(true)
            }
            Err(failed) => {
                driver.unwatch(&failed.link);
                drop(failed.link);
                let unknown = matches!(&failed.error, DialError::Rejected(reject) if reject.status == Status::UNKNOWN_KEY);
                if !unknown || self.target.key_index + 1 >= endpoint.key_count() {
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
    pub(super) fn timed_out(&self) -> DialFailure {
        match &self.state {
            DialState::Challenge { incoming, .. } => {
                StreamError::TimedOut { step: incoming.step, received: incoming.received }.into()
            }
            DialState::Finishing { outgoing, .. } => StreamError::NotTaken { step: outgoing.step }.into(),
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
            let fresh = driver.fresh()?;
            let (state, hello) =
                dialer.begin(stream, target, ChannelBinding::None, fresh).map_err(|failed| failed.error)?;
            let outgoing = Outgoing::new(Step::Hello, hello.bytes());
            Ok(DialState::Challenge { state, incoming: Incoming::new(Step::Challenge), outgoing })
        }
        Dialing::Disabled { local } => {
            let (authenticated, hello) =
                disabled::dial(stream, local, target.peer).map_err(|failed| failed.error)?;
            let outgoing = Outgoing::new(Step::Hello, hello.bytes());
            Ok(DialState::Finishing { authenticated, outgoing })
        }
    }
}
