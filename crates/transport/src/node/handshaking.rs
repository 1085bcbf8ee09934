//! Moves bytes between a [`Driver`] and the handshakes of [`exchange`](crate::exchange), and nothing else.
#![expect(
    clippy::large_enum_variant,
    reason = "a handshake lives in one place; boxing its states would allocate for an unauthenticated peer"
)]

use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::ReplicaId;
use replink_handshake::{
    Authenticated, Availability, ChannelBinding, DialTarget, Rejected, Rejection, Verified,
};

use crate::driver::{Driver, Stream, Token};
use crate::exchange::{self, AcceptFailure, DialFailure, Dialing, Exchange, Leaving, Want};
use crate::gate::Slot;
use crate::{Endpoint, EntropyError, GatherWrite};

/// What is read at once: a handshake frame, or what a peer that was turned away still sends.
const READ_MAX: usize = 4096;

/// Does what is wanted of a connection, until that has nothing more for now or something else is wanted.
fn drive<D: Driver>(driver: &mut D, exchange: &mut impl Exchange<Link = D::Stream>) {
    let mut buffer = [0; READ_MAX];
    loop {
        let result = match exchange.want() {
            Want::Write { link, bytes } => {
                let written = link.write_gathered(&[IoSlice::new(bytes)]);
                if matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                    driver.want_writable(link);
                }
                written.map(|count| exchange.written(count, driver.now()))
            }
            Want::Read { link, at_most } | Want::Discard { link, at_most } => {
                let room = &mut buffer[..at_most.min(READ_MAX)];
                driver.read(link, room).map(|count| exchange.received(&buffer[..count], driver.now()))
            }
            Want::EndSending { link } => {
                link.finish();
                exchange.sending_ended();
                Ok(())
            }
            Want::Connect { .. } | Want::Answer | Want::Done => return,
        };
        let now = driver.now();
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if now < exchange.until() {
                    return;
                }
                exchange.timed_out(now);
            }
            Err(error) => exchange.failed(error, now),
        }
        close_given_up(driver, exchange);
    }
}

/// A driver wants to know before a stream is dropped.
fn close_given_up<D: Driver>(driver: &mut D, exchange: &mut impl Exchange<Link = D::Stream>) {
    if let Some(stream) = exchange.take_given_up() {
        driver.unwatch(&stream);
    }
}

/// One attempt at a link.
pub(super) struct DialAttempt<S> {
    dialing: Dialing<S>,
    /// The connection that is being made.
    connecting: Option<S>,
}

impl<S: Stream> DialAttempt<S> {
    pub(super) fn new(
        endpoint: &Endpoint,
        target: DialTarget,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
        now: Instant,
    ) -> Self {
        Self { dialing: Dialing::new(endpoint, target, addresses, deadline, now), connecting: None }
    }

    pub(super) fn peer(&self) -> ReplicaId {
        self.dialing.target().peer
    }

    pub(super) fn lane(&self) -> u16 {
        self.dialing.target().lane
    }

    /// Where it was or is tried.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.dialing.address()
    }

    /// When to look at it again, whether anything has happened or not.
    pub(super) fn due(&self) -> Instant {
        self.dialing.until()
    }

    /// Begins to connect to the first address that can be tried. Whether there is none.
    pub(super) fn start<D: Driver<Stream = S>>(&mut self, token: Token, driver: &mut D) -> bool {
        while let (None, Want::Connect { address }) = (&self.connecting, self.dialing.want()) {
            let begun = driver.connect(address).and_then(|stream| {
                driver.watch(token, &stream)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => self.connecting = Some(stream),
                Err(error) => self.dialing.failed(error, driver.now()),
            }
        }
        matches!(self.dialing.want(), Want::Done)
    }

    /// As far as it goes now. Whether that is to its end.
    pub(super) fn advance<D: Driver<Stream = S>>(
        &mut self,
        token: Token,
        driver: &mut D,
    ) -> Result<bool, EntropyError> {
        loop {
            drive(driver, &mut self.dialing);
            if self.start(token, driver) {
                return Ok(true);
            }
            let Some(stream) = self.connecting.take() else { return Ok(false) };
            let (connected, now) = (driver.connected(&stream), driver.now());
            let under_way = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            match connected {
                Ok(()) => {
                    let fresh = driver.fresh().inspect_err(|_| driver.unwatch(&stream))?;
                    self.dialing.connected(stream, ChannelBinding::None, fresh, now);
                    close_given_up(driver, &mut self.dialing);
                }
                Err(error) if under_way(&error) && now < self.dialing.until() => {
                    self.connecting = Some(stream);
                    return Ok(false);
                }
                Err(error) => {
                    driver.unwatch(&stream);
                    if under_way(&error) {
                        self.dialing.timed_out(now);
                    } else {
                        self.dialing.failed(error, now);
                    }
                }
            }
        }
    }

    /// Ends it, whatever it is at.
    pub(super) fn abandon<D: Driver<Stream = S>>(&mut self, driver: &mut D) {
        if let Some(stream) = self.connecting.as_ref().or(self.dialing.link_mut().map(|stream| &*stream)) {
            driver.unwatch(stream);
        }
    }

    /// What has come of it.
    pub(super) fn finish(self) -> Result<Authenticated<S>, DialFailure> {
        self.dialing.finish()
    }
}

/// A connection that was accepted and has not authenticated: one slot of the gate, 256 bytes each
/// way, and nothing else.
pub(super) struct Accepting<S> {
    pub(super) slot: Slot,
    pub(super) address: SocketAddr,
    phase: Phase<S>,
}

enum Phase<S> {
    ShakingHands(exchange::Accepting<S>),
    Leaving(Leaving<S>),
    Over,
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
    /// There is no link.
    Failed(AcceptFailure),
    /// It was turned away, and had its time.
    Done,
}

impl<S: Stream> Accepting<S> {
    pub(super) fn new(stream: S, slot: Slot, address: SocketAddr, endpoint: &Endpoint) -> Self {
        let deadline = slot.deadline();
        let accepting = exchange::Accepting::new(stream, endpoint, ChannelBinding::None, deadline);
        Self { slot, address, phase: Phase::ShakingHands(accepting) }
    }

    /// As far as it goes now. `availability` is asked when the Hello is there.
    pub(super) fn advance<D: Driver<Stream = S>>(
        &mut self,
        driver: &mut D,
        availability: impl Fn(&Slot) -> Availability,
    ) -> Accepted<S> {
        match &mut self.phase {
            Phase::ShakingHands(accepting) => loop {
                drive(driver, accepting);
                match accepting.want() {
                    Want::Done => return self.finish(),
                    Want::Answer => {}
                    _ => return Accepted::Waiting,
                }
                match driver.fresh() {
                    Ok(fresh) => accepting.answer(availability(&self.slot), fresh, driver.now()),
                    Err(error) => return Accepted::Failed(error.into()),
                }
            },
            Phase::Leaving(leaving) => {
                drive(driver, leaving);
                if matches!(leaving.want(), Want::Done) { Accepted::Done } else { Accepted::Waiting }
            }
            Phase::Over => Accepted::Done,
        }
    }

    /// What has come of it.
    fn finish(&mut self) -> Accepted<S> {
        let Phase::ShakingHands(accepting) = mem::replace(&mut self.phase, Phase::Over) else {
            return Accepted::Done;
        };
        match accepting.finish() {
            exchange::Accepted::Proved(verified) => Accepted::Verified(verified),
            exchange::Accepted::Unproved(authenticated) => Accepted::Unproved(authenticated),
            exchange::Accepted::Failed(failure) => Accepted::Failed(failure),
            exchange::Accepted::Rejected(leaving) => {
                let rejection = *leaving.rejection();
                self.phase = Phase::Leaving(leaving);
                Accepted::Rejected(rejection)
            }
        }
    }

    /// A peer that has proved itself may not stay. The next step tells it.
    pub(super) fn turn_away(&mut self, rejected: Rejected<S>, now: Instant) {
        self.phase = Phase::Leaving(Leaving::new(rejected, self.slot.deadline(), now));
    }

    /// Until when a peer that was turned away is waited for.
    pub(super) fn leaves_until(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Leaving(leaving) => Some(leaving.until()),
            _ => None,
        }
    }

    /// Ends it, whatever it is at.
    pub(super) fn abandon<D: Driver<Stream = S>>(&mut self, driver: &mut D) {
        let stream = match &mut self.phase {
            Phase::ShakingHands(accepting) => accepting.link_mut(),
            Phase::Leaving(leaving) => leaving.link_mut(),
            Phase::Over => None,
        };
        if let Some(stream) = stream {
            driver.unwatch(stream);
        }
    }
}
