//! The acceptor's side of an exchange.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use replink_frame::{Flags, GenericHeader, ReplicaId, Status, Version};
use replink_handshake::{
    AcceptFailed, Authenticated, Availability, AwaitFinish, AwaitHello, ChannelBinding, Fresh, Local,
    Rejected, Roster, Verified, disabled,
};

use super::frames::{Cause, Incoming, Outgoing, write_then_read};
use super::{AcceptFailure, Declined, Exchange, Leaving, Step, StreamError, VersionOneKeys, Want};
use crate::Endpoint;
use crate::endpoint::Answering;

/// The answer to one connection that came in, before one deadline. Until the peer is proved it costs 256
/// bytes each way, and nothing is allocated but an ephemeral secret.
#[must_use = "an exchange does nothing by itself"]
pub struct Accepting<L> {
    state: State<L>,
    deadline: Instant,
    given_up: Option<L>,
    /// With which keys version 1 dialers are answered, and which one this one is (K-2).
    keys: Option<Arc<VersionOneKeys>>,
    key_index: usize,
    /// Where this node migrates (H-12): as whom it takes a Hello without a key.
    migrating: Option<(Local, Roster)>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a handshake lives in one place; boxing its states would allocate for an unauthenticated peer"
)]
enum State<L> {
    Hello {
        waiting: Hello<L>,
        incoming: Incoming,
    },
    /// The Hello is there.
    Answering {
        waiting: AwaitHello<L>,
        incoming: Incoming,
    },
    /// The challenge goes out, and the Finish comes.
    Finish {
        waiting: AwaitFinish<L>,
        outgoing: Outgoing,
        incoming: Incoming,
    },
    Over(Accepted<L>),
}

enum Hello<L> {
    Authenticated(AwaitHello<L>),
    /// H-12.
    Disabled(disabled::AwaitHello<L>),
}

/// What has come of a connection that came in.
#[must_use = "a peer that is turned away is still owed the reject"]
#[expect(clippy::large_enum_variant, reason = "boxing a reject would allocate for an unauthenticated peer")]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Accepted<L> {
    /// The peer has proved itself. [`Verified::admit`] takes it; who refuses it goes on with [`Leaving`].
    Proved(Verified<L>),
    /// The peer says who it is, and nobody asks for a proof (H-12).
    Unproved(Authenticated<L>),
    /// The peer is turned away, and is owed the reject.
    Rejected(Leaving<L>),
    /// There is no link, and the peer is owed nothing. Never [`AcceptFailure::Rejected`].
    Failed(AcceptFailure),
}

impl<L> Accepting<L> {
    /// Waits for a Hello on `link`. Everything ends at `deadline`.
    ///
    /// An endpoint without authentication (H-12) binds to nothing.
    pub fn new(link: L, endpoint: &Endpoint, binding: ChannelBinding, deadline: Instant) -> Self {
        let waiting = match endpoint.answering() {
            Answering::Authenticated(acceptor) => Hello::Authenticated(acceptor.begin(link, binding)),
            Answering::Disabled { local, roster } => Hello::Disabled(disabled::accept(link, local, *roster)),
        };
        let state = State::Hello { waiting, incoming: Incoming::new(Step::Hello) };
        let migrating = match endpoint.answering() {
            Answering::Authenticated(acceptor) if endpoint.is_migrating() => {
                Some((acceptor.config().local.clone(), acceptor.config().roster))
            }
            _ => None,
        };
        Self { state, deadline, given_up: None, keys: None, key_index: 0, migrating }
    }

    /// Answers a dialer of version 1, which names no key, with the one whose turn it is (K-2). For peers from an
    /// address of the roster; any other is answered with the first key.
    pub fn trying_keys(self, keys: &Arc<VersionOneKeys>) -> Self {
        Self { keys: Some(Arc::clone(keys)), ..self }
    }

    /// Answers the Hello, where that is [wanted](Want::Answer).
    pub fn answer(&mut self, availability: Availability, fresh: Fresh, now: Instant) {
        self.state = match self.take() {
            State::Answering { waiting, incoming: hello } => {
                let claimed = GenericHeader::view(hello.bytes()).replica;
                self.key_index = self.keys.as_ref().map_or(0, |keys| keys.index(claimed));
                match waiting.trying_key(self.key_index).receive(hello.bytes(), availability, fresh) {
                    Ok((waiting, challenge)) => State::Finish {
                        waiting,
                        outgoing: Outgoing::new(Step::Challenge, challenge.bytes()),
                        incoming: Incoming::new(Step::Finish),
                    },
                    Err(rejected) => self.turn_away(rejected, now),
                }
            }
            state => state,
        };
    }

    /// What has come of it. An exchange that is not done is given up as if its time were over.
    pub fn finish(mut self) -> Accepted<L> {
        self.take().lose(Cause::TimedOut).0
    }

    /// The state, to make the next one of it.
    fn take(&mut self) -> State<L> {
        let nothing = StreamError::TimedOut { step: Step::Hello, received: 0 };
        mem::replace(&mut self.state, State::Over(Accepted::Failed(nothing.into())))
    }

    /// The connection is of no use any more.
    fn lose(&mut self, cause: Cause) {
        let state = self.take();
        if let State::Finish { waiting, incoming, .. } = &state {
            // A dialer that does not hold the key says nothing in version 1: it leaves.
            if !matches!(cause, Cause::TimedOut) && incoming.received == 0 {
                self.try_next_key(waiting.claimed(), waiting.version());
            }
        }
        let (accepted, link) = state.lose(cause);
        self.state = State::Over(accepted);
        self.given_up = link.or(self.given_up.take());
    }

    fn turn_away(&self, rejected: Rejected<L>, now: Instant) -> State<L> {
        State::Over(Accepted::Rejected(Leaving::new(rejected, self.deadline, now)))
    }

    /// The Hello is whole.
    fn heard(&self, waiting: Hello<L>, incoming: Incoming, now: Instant) -> State<L> {
        let waiting = match (waiting, &self.migrating) {
            (Hello::Authenticated(waiting), Some((local, roster)))
                if disabled::is_hello(incoming.bytes()) =>
            {
                Hello::Disabled(disabled::accept(waiting.abandon(), local, *roster))
            }
            (waiting, _) => waiting,
        };
        match waiting {
            Hello::Authenticated(waiting) => State::Answering { waiting, incoming },
            Hello::Disabled(waiting) => match waiting.receive(incoming.bytes()) {
                Ok(unproved) => State::Over(Accepted::Unproved(unproved)),
                Err(rejected) => self.turn_away(rejected, now),
            },
        }
    }

    /// The key that had its turn did not fit, it seems.
    fn try_next_key(&self, claimed: ReplicaId, version: Version) {
        if let Some(keys) = self.keys.as_ref().filter(|_| version == Version::V1) {
            keys.failed(claimed, self.key_index);
        }
    }

    /// The Finish is whole.
    fn judge(&mut self, waiting: AwaitFinish<L>, finish: &Incoming, now: Instant) -> State<L> {
        let (claimed, version) = (waiting.claimed(), waiting.version());
        match waiting.receive(finish.bytes()) {
            Ok(verified) => State::Over(Accepted::Proved(verified)),
            Err(AcceptFailed::Rejected(rejected)) => {
                if rejected.rejection().status == Status::MAC_MISMATCH {
                    self.try_next_key(claimed, version);
                }
                self.turn_away(rejected, now) // H-9
            }
            Err(AcceptFailed::RejectedByPeer { link, reject }) => {
                self.given_up = Some(link); // D-12: it is owed nothing
                State::Over(Accepted::Failed(AcceptFailure::RejectedByPeer(reject)))
            }
        }
    }
}

impl<L> State<L> {
    /// What is left of it when the connection breaks.
    fn lose(self, cause: Cause) -> (Accepted<L>, Option<L>) {
        let (failure, link) = match self {
            Self::Hello { waiting, incoming } => (incoming.broken(cause).into(), waiting.abandon()),
            Self::Answering { waiting, incoming } => (incoming.broken(cause).into(), waiting.abandon()),
            Self::Finish { waiting, outgoing, .. } if !outgoing.is_out() => {
                (outgoing.broken(cause).into(), waiting.abandon())
            }
            Self::Finish { waiting, incoming, .. } => {
                let flags = waiting.declined();
                let left = matches!(cause, Cause::Closed) && incoming.received == 0 && flags != Flags::NONE;
                let failure = if left {
                    AcceptFailure::Left(Declined { claimed: waiting.claimed(), flags })
                } else {
                    incoming.broken(cause).into()
                };
                (failure, waiting.abandon())
            }
            Self::Over(accepted) => return (accepted, None),
        };
        (Accepted::Failed(failure), Some(link))
    }
}

impl<L> Hello<L> {
    fn link_mut(&mut self) -> &mut L {
        match self {
            Self::Authenticated(waiting) => waiting.link_mut(),
            Self::Disabled(waiting) => waiting.link_mut(),
        }
    }

    fn abandon(self) -> L {
        match self {
            Self::Authenticated(waiting) => waiting.abandon(),
            Self::Disabled(waiting) => waiting.abandon(),
        }
    }
}

impl<L> Exchange for Accepting<L> {
    type Link = L;

    fn want(&mut self) -> Want<'_, L> {
        match &mut self.state {
            State::Hello { waiting, incoming } => {
                Want::Read { link: waiting.link_mut(), at_most: incoming.missing() }
            }
            State::Answering { .. } => Want::Answer,
            State::Finish { waiting, outgoing, incoming } => {
                write_then_read(waiting.link_mut(), outgoing, incoming)
            }
            State::Over(_) => Want::Done,
        }
    }

    fn until(&self) -> Instant {
        self.deadline
    }

    fn written(&mut self, count: usize, now: Instant) {
        let State::Finish { outgoing, .. } = &mut self.state else { return };
        if outgoing.is_out() {
            return;
        }
        outgoing.advance(count);
        if count == 0 {
            self.lose(Cause::Closed);
        } else if !outgoing.is_out() {
            self.timed_out(now);
        }
    }

    fn received(&mut self, bytes: &[u8], now: Instant) {
        let incoming = match &mut self.state {
            State::Hello { incoming, .. } => incoming,
            State::Finish { outgoing, incoming, .. } if outgoing.is_out() => incoming,
            _ => return,
        };
        if bytes.is_empty() {
            return self.lose(Cause::Closed);
        }
        if !incoming.take(bytes) {
            return self.timed_out(now);
        }
        self.state = match self.take() {
            State::Hello { waiting, incoming } => self.heard(waiting, incoming, now),
            State::Finish { waiting, incoming, .. } => self.judge(waiting, &incoming, now),
            state => state,
        };
    }

    fn sending_ended(&mut self) {}

    fn failed(&mut self, error: io::Error, _: Instant) {
        self.lose(Cause::Failed(error));
    }

    fn timed_out(&mut self, now: Instant) {
        if now >= self.deadline {
            self.lose(Cause::TimedOut);
        }
    }

    fn link_mut(&mut self) -> Option<&mut L> {
        match &mut self.state {
            State::Hello { waiting, .. } => Some(waiting.link_mut()),
            State::Answering { waiting, .. } => Some(waiting.link_mut()),
            State::Finish { waiting, .. } => Some(waiting.link_mut()),
            State::Over(_) => None,
        }
    }

    fn take_given_up(&mut self) -> Option<L> {
        self.given_up.take()
    }
}

impl<L> fmt::Debug for Accepting<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Hello { .. } => "awaits the Hello",
            State::Answering { .. } => "has the Hello",
            State::Finish { .. } => "awaits the Finish",
            State::Over(_) => "is done",
        };
        f.debug_tuple("Accepting").field(&state).finish()
    }
}

impl<L> fmt::Debug for Accepted<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved(verified) => verified.fmt(f),
            Self::Unproved(unproved) => unproved.fmt(f),
            Self::Rejected(leaving) => leaving.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}
