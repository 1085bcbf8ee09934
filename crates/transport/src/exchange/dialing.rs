//! The dialer's side of an exchange.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::Status;
use replink_handshake::{
    Authenticated, Authentication, AwaitChallenge, ChannelBinding, DialError, DialFailed, DialTarget, Fresh,
    Local, disabled,
};

use super::frames::{Cause, Incoming, Outgoing, write_then_read};
use super::route::Route;
use super::{DialFailure, Exchange, Step, Want};
use crate::Endpoint;
use crate::endpoint::Dialing as Role;

/// One attempt at a link, before one deadline: one address of the peer after the other, and at each one key
/// after the other (K-2).
///
/// **An address that is of no use gives way to the next**, whatever it did before a proof: refuse, swallow
/// everything, close, answer something that is no challenge or that does not verify, or say nothing. Each
/// gets its equal share of the time that is left. An answer with a MAC that verifies is a proof, a reject as
/// well as a challenge: then the peer is found, and what it says counts.
#[must_use = "an attempt does nothing by itself"]
pub struct Dialing<L> {
    role: Role,
    /// With the first key to try at each address.
    target: DialTarget,
    key_index: usize,
    key_count: usize,
    /// Where this node migrates (H-12): as whom it dials without its key, and whether it is time to.
    migrating: Option<Local>,
    without_key: bool,
    route: Route,
    state: State<L>,
    failure: DialFailure,
    /// The address that `failure` is about.
    failed_at: Option<SocketAddr>,
    given_up: Option<L>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a handshake lives in one place; boxing its states would allocate for an unauthenticated peer"
)]
enum State<L> {
    /// A connection is to be made.
    Connecting,
    /// The Hello goes out, and the answer comes.
    Asking {
        waiting: AwaitChallenge<L>,
        outgoing: Outgoing,
        incoming: Incoming,
    },
    /// The peer is proved, or nobody asks for a proof (H-12). Our last frame has to go out before anything else.
    Finishing {
        authenticated: Authenticated<L>,
        outgoing: Outgoing,
    },
    /// The peer is proved and does not suit us. It is told why (D-12).
    Refusing {
        link: L,
        outgoing: Outgoing,
        error: DialError,
    },
    Up(Authenticated<L>),
    Over,
}

impl<L> Dialing<L> {
    /// Begins with the first of these addresses, which are the same peer's. Everything ends at `deadline`.
    pub fn new(
        endpoint: &Endpoint,
        target: DialTarget,
        addresses: Vec<SocketAddr>,
        deadline: Instant,
        now: Instant,
    ) -> Self {
        let mut dialing = Self {
            role: endpoint.dialing().clone(),
            target,
            key_index: target.key_index,
            key_count: endpoint.key_count(target.peer),
            // Lanes take a key: there is one link without (H-13).
            migrating: (endpoint.is_migrating() && target.lane == 0).then(|| endpoint.local().clone()),
            without_key: false,
            route: Route::new(addresses, deadline),
            state: State::Over,
            failure: DialFailure::NoAddress,
            failed_at: None,
            given_up: None,
        };
        dialing.go_on(now);
        dialing
    }

    /// Begins on a connection that is there. There is no other one: the first failure ends it.
    pub fn on(
        link: L,
        endpoint: &Endpoint,
        target: DialTarget,
        binding: ChannelBinding,
        deadline: Instant,
        fresh: Fresh,
    ) -> Self {
        let mut dialing = Self::new(endpoint, target, Vec::new(), deadline, deadline);
        dialing.state = State::Connecting;
        dialing.connected(link, binding, fresh, deadline);
        dialing
    }

    /// The connection of a [`Want::Connect`] is made; what the handshake on it is bound to is its own.
    ///
    /// An endpoint without authentication (H-12) binds to nothing.
    pub fn connected(&mut self, link: L, binding: ChannelBinding, fresh: Fresh, now: Instant) {
        let State::Connecting = self.state else {
            self.given_up = Some(link);
            return;
        };
        let target = self.target.key_index(self.key_index);
        let without_key = self.migrating.as_ref().filter(|_| self.without_key);
        let begun = match (&self.role, without_key) {
            (Role::Authenticated(dialer), None) => {
                dialer.begin(link, target, binding, fresh).map(|(waiting, hello)| {
                    let outgoing = Outgoing::new(Step::Hello, hello.bytes());
                    State::Asking { waiting, outgoing, incoming: Incoming::new(Step::Challenge) }
                })
            }
            (Role::Disabled { local }, _) | (_, Some(local)) => {
                disabled::dial(link, local, target.peer).map(|(unproved, hello)| {
                    let outgoing = Outgoing::new(Step::Hello, hello.bytes());
                    State::Finishing { authenticated: unproved, outgoing }
                })
            }
        };
        match begun {
            Ok(state) => self.state = state,
            // Nothing was sent: it is our own mistake.
            Err(failed) => self.judge(failed, now),
        }
    }

    /// The address that is tried; once it is over, the one that came of it.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.state {
            State::Over => self.failed_at,
            _ => self.route.address(),
        }
    }

    /// Whom it is for.
    pub fn target(&self) -> DialTarget {
        self.target
    }

    /// What has come of it: the link, or the failure that tells the most. An attempt that is not done is given
    /// up as if its time were over.
    ///
    /// # Errors
    ///
    /// [`DialFailure`]. Among those of several addresses an answer tells more than a broken connection, and that
    /// more than none; among equals it is the last.
    pub fn finish(mut self) -> Result<Authenticated<L>, DialFailure> {
        match mem::replace(&mut self.state, State::Over) {
            State::Up(authenticated) => Ok(authenticated),
            state => {
                if let Some(lost) = state.lose(Cause::TimedOut, self.route.address()) {
                    self.settle(lost);
                }
                Err(self.failure)
            }
        }
    }

    /// An answer that is no link.
    fn judge(&mut self, failed: DialFailed<L>, now: Instant) {
        let DialFailed { link, reply, error } = failed;
        if let Some(reply) = reply {
            let outgoing = Outgoing::new(Step::Finish, &reply); // D-12: in the place of the Finish
            self.state = State::Refusing { link, outgoing, error };
            return;
        }
        self.given_up = Some(link);
        let unknown_key =
            matches!(&error, DialError::Rejected(reject) if reject.status == Status::UNKNOWN_KEY);
        if unknown_key && self.key_index + 1 < self.key_count && self.route.address().is_some() {
            // K-2: the next key, over a new connection to the same address.
            self.key_index += 1;
            self.state = State::Connecting;
            return;
        }
        if self.goes_without_key(&error) {
            self.without_key = true;
            self.state = State::Connecting;
            return;
        }
        let ours = error.status().is_none();
        let proved = matches!(&error, DialError::Rejected(reject) if reject.authenticated);
        if ours || proved {
            self.end(error.into());
        } else {
            self.note(error.into());
            self.go_on(now);
        }
    }

    /// Whether the next connection, to the same address, is made without a key: this node migrates, and there is one
    /// that authenticates nobody (H-12). Who has proved that it holds the key is none.
    fn goes_without_key(&self, error: &DialError) -> bool {
        let DialError::Rejected(reject) = error else { return false };
        let has_none = matches!(reject.status, Status::POLICY_MISMATCH | Status::AUTH_REQUIRED);
        let migrates = self.migrating.is_some() && !self.without_key;
        migrates && has_none && !reject.authenticated && self.route.address().is_some()
    }

    /// The connection is of no use any more, or there is none.
    fn lose(&mut self, cause: Cause, now: Instant) {
        if matches!(self.state, State::Up(_) | State::Over) {
            return; // a link that is up is its owner's
        }
        let state = mem::replace(&mut self.state, State::Over);
        let Some(lost) = state.lose(cause, self.route.address()) else { return };
        if !self.settle(lost) {
            self.go_on(now);
        }
    }

    /// Keeps what came of a connection. Whether that is final: there was a proof.
    fn settle(&mut self, lost: Lost<L>) -> bool {
        let Lost { link, failure, proved } = lost;
        self.given_up = link.or(self.given_up.take());
        if proved {
            self.end(failure);
        } else {
            self.note(failure);
        }
        proved
    }

    /// The next address has its turn.
    fn go_on(&mut self, now: Instant) {
        self.key_index = self.target.key_index;
        self.without_key = false;
        let Some(address) = self.route.go_on(now) else {
            self.state = State::Over;
            return;
        };
        self.state = State::Connecting;
        if now >= self.route.deadline() {
            self.note(DialFailure::Connect { address, source: io::ErrorKind::TimedOut.into() });
            self.state = State::Over;
        }
    }

    /// There was a proof, or it is our own mistake: nobody else is asked.
    fn end(&mut self, failure: DialFailure) {
        (self.failure, self.failed_at) = (failure, self.route.address());
        self.state = State::Over;
    }

    /// Keeps what tells the most.
    fn note(&mut self, failure: DialFailure) {
        if telling(&failure) >= telling(&self.failure) {
            (self.failure, self.failed_at) = (failure, self.route.address());
        }
    }
}

/// How much a failure says of the peer that was looked for.
fn telling(failure: &DialFailure) -> u8 {
    match failure {
        DialFailure::NoAddress => 0,
        DialFailure::Connect { .. } => 1,
        DialFailure::Stream(_) => 2,
        DialFailure::Handshake(DialError::Rejected(_)) => 4,
        DialFailure::Handshake(_) | DialFailure::Entropy(_) => 3,
    }
}

/// A connection that made no link.
struct Lost<L> {
    link: Option<L>,
    failure: DialFailure,
    /// Whether the peer is proved.
    proved: bool,
}

impl<L> State<L> {
    /// What is left of it when the connection breaks; nothing once it is done.
    fn lose(self, cause: Cause, address: Option<SocketAddr>) -> Option<Lost<L>> {
        Some(match self {
            Self::Connecting => {
                let source = match cause {
                    Cause::TimedOut => io::ErrorKind::TimedOut.into(),
                    Cause::Closed => io::ErrorKind::UnexpectedEof.into(),
                    Cause::Failed(source) => source,
                };
                let failure = DialFailure::Connect { address: address?, source };
                Lost { link: None, failure, proved: false }
            }
            Self::Asking { waiting, outgoing, incoming } => {
                let broken = if outgoing.is_out() { incoming.broken(cause) } else { outgoing.broken(cause) };
                Lost { link: Some(waiting.abandon()), failure: broken.into(), proved: false }
            }
            Self::Finishing { authenticated, outgoing } => {
                let proved = is_proved(&authenticated);
                let (link, _) = authenticated.into_parts();
                Lost { link: Some(link), failure: outgoing.broken(cause).into(), proved }
            }
            // Whether the peer takes the reject is its own affair.
            Self::Refusing { link, error, .. } => {
                Lost { link: Some(link), failure: error.into(), proved: true }
            }
            // A link that is up is nobody's here any more.
            Self::Up(_) | Self::Over => return None,
        })
    }
}

/// Where nobody asks for a proof there is none (H-12).
fn is_proved<L>(authenticated: &Authenticated<L>) -> bool {
    authenticated.peer().authentication != Authentication::Disabled
}

impl<L> Exchange for Dialing<L> {
    type Link = L;

    fn want(&mut self) -> Want<'_, L> {
        match &mut self.state {
            State::Connecting => match self.route.address() {
                Some(address) => Want::Connect { address },
                None => Want::Done,
            },
            State::Asking { waiting, outgoing, incoming } => {
                write_then_read(waiting.link_mut(), outgoing, incoming)
            }
            State::Finishing { authenticated, outgoing } => {
                Want::Write { link: authenticated.link_mut(), bytes: outgoing.rest() }
            }
            State::Refusing { link, outgoing, .. } => Want::Write { link, bytes: outgoing.rest() },
            State::Up(_) | State::Over => Want::Done,
        }
    }

    fn until(&self) -> Instant {
        match &self.state {
            State::Finishing { authenticated, .. } if is_proved(authenticated) => self.route.deadline(),
            State::Refusing { .. } | State::Up(_) | State::Over => self.route.deadline(),
            State::Connecting | State::Asking { .. } | State::Finishing { .. } => self.route.until(),
        }
    }

    fn written(&mut self, count: usize, now: Instant) {
        let (State::Asking { outgoing, .. }
        | State::Finishing { outgoing, .. }
        | State::Refusing { outgoing, .. }) = &mut self.state
        else {
            return;
        };
        if outgoing.is_out() {
            return;
        }
        outgoing.advance(count);
        if !outgoing.is_out() {
            return if count == 0 { self.lose(Cause::Closed, now) } else { self.timed_out(now) };
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Finishing { authenticated, .. } => self.state = State::Up(authenticated),
            State::Refusing { link, error, .. } => {
                self.given_up = Some(link);
                self.end(error.into());
            }
            asking => self.state = asking,
        }
    }

    fn received(&mut self, bytes: &[u8], now: Instant) {
        let State::Asking { outgoing, incoming, .. } = &mut self.state else { return };
        if !outgoing.is_out() {
            return;
        }
        if bytes.is_empty() {
            return self.lose(Cause::Closed, now);
        }
        if !incoming.take(bytes) {
            return self.timed_out(now);
        }
        let State::Asking { waiting, incoming, .. } = mem::replace(&mut self.state, State::Over) else {
            return;
        };
        match waiting.receive(incoming.bytes()) {
            Ok((authenticated, finish)) => {
                let outgoing = Outgoing::new(Step::Finish, finish.bytes());
                self.state = State::Finishing { authenticated, outgoing };
            }
            Err(failed) => self.judge(failed, now),
        }
    }

    fn sending_ended(&mut self) {}

    fn failed(&mut self, error: io::Error, now: Instant) {
        self.lose(Cause::Failed(error), now);
    }

    fn timed_out(&mut self, now: Instant) {
        if now >= self.until() {
            self.lose(Cause::TimedOut, now);
        }
    }

    fn link_mut(&mut self) -> Option<&mut L> {
        match &mut self.state {
            State::Asking { waiting, .. } => Some(waiting.link_mut()),
            State::Finishing { authenticated, .. } | State::Up(authenticated) => {
                Some(authenticated.link_mut())
            }
            State::Refusing { link, .. } => Some(link),
            State::Connecting | State::Over => None,
        }
    }

    fn take_given_up(&mut self) -> Option<L> {
        self.given_up.take()
    }
}

impl<L> fmt::Debug for Dialing<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialing")
            .field("target", &self.target)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
