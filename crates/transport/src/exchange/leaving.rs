//! Turning a peer away, so that it gets to know why.

use std::fmt;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use replink_handshake::{Rejected, Rejection};

use super::frames::Outgoing;
use super::{Exchange, Step, Want};

/// What a refused peer may still send us, in bytes. It is more than a connection has on its way in the time
/// that the reject takes: a first flight of TCP, or what the socket's buffer holds. A replica that speaks our
/// protocol has nothing on its way at all, because it waits for our answer. Only one that takes us for an end
/// without authentication (H-12) has, and whoever is no replica; the latter must not have us read for nothing.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;

/// How long a refused peer is listened to.
pub const LINGER_TIME_MAX: Duration = Duration::from_millis(500);

/// The end of a connection whose peer is turned away: the reject that it is owed (H-7, H-9), then the end of
/// our direction, and then, for a while, what it has still under way is read and dropped. Closing with unread
/// bytes would reset the connection, and the reset may overtake the reject.
#[must_use = "the peer is still owed the reject"]
pub struct Leaving<L> {
    state: State<L>,
    rejection: Rejection,
    until: Instant,
    given_up: Option<L>,
}

#[expect(clippy::large_enum_variant, reason = "boxing the frame would allocate for an unauthenticated peer")]
enum State<L> {
    Telling { link: L, outgoing: Outgoing },
    Ending { link: L },
    Discarding { link: L, discarded: usize },
    Over,
}

impl<L> Leaving<L> {
    /// Turns a peer away, until `deadline` at the latest.
    pub fn new(rejected: Rejected<L>, deadline: Instant, now: Instant) -> Self {
        let (link, reply, rejection) = rejected.into_parts();
        let outgoing = Outgoing::new(Step::Challenge, &reply); // H-7: a reject is a challenge
        let state = State::Telling { link, outgoing };
        Self { state, rejection, until: deadline.min(now + LINGER_TIME_MAX), given_up: None }
    }

    /// Why it is turned away.
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// Why it is turned away. What is not done yet, is not done.
    pub fn finish(self) -> Rejection {
        self.rejection
    }

    /// Whether the peer takes it is its own affair: however it goes, this is over.
    fn end(&mut self) {
        self.given_up = match mem::replace(&mut self.state, State::Over) {
            State::Telling { link, .. } | State::Ending { link } | State::Discarding { link, .. } => {
                Some(link)
            }
            State::Over => return,
        };
    }
}

impl<L> Exchange for Leaving<L> {
    type Link = L;

    fn want(&mut self) -> Want<'_, L> {
        match &mut self.state {
            State::Telling { link, outgoing } => Want::Write { link, bytes: outgoing.rest() },
            State::Ending { link } => Want::EndSending { link },
            State::Discarding { link, discarded } => {
                Want::Discard { link, at_most: LINGER_BYTES_MAX - *discarded }
            }
            State::Over => Want::Done,
        }
    }

    fn until(&self) -> Instant {
        self.until
    }

    fn written(&mut self, count: usize, now: Instant) {
        let State::Telling { outgoing, .. } = &mut self.state else { return };
        outgoing.advance(count);
        if outgoing.is_out() {
            self.state = match mem::replace(&mut self.state, State::Over) {
                State::Telling { link, .. } => State::Ending { link },
                other => other,
            };
        } else if count == 0 {
            self.end();
        } else {
            self.timed_out(now);
        }
    }

    fn received(&mut self, bytes: &[u8], now: Instant) {
        let State::Discarding { discarded, .. } = &mut self.state else { return };
        *discarded = discarded.saturating_add(bytes.len());
        if bytes.is_empty() || *discarded >= LINGER_BYTES_MAX {
            self.end();
        } else {
            self.timed_out(now);
        }
    }

    fn sending_ended(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Over) {
            State::Ending { link } => State::Discarding { link, discarded: 0 },
            other => other,
        };
    }

    fn failed(&mut self, _: io::Error, _: Instant) {
        self.end();
    }

    fn timed_out(&mut self, now: Instant) {
        if now >= self.until {
            self.end();
        }
    }

    fn link_mut(&mut self) -> Option<&mut L> {
        match &mut self.state {
            State::Telling { link, .. } | State::Ending { link } | State::Discarding { link, .. } => {
                Some(link)
            }
            State::Over => None,
        }
    }

    fn take_given_up(&mut self) -> Option<L> {
        self.given_up.take()
    }
}

impl<L> fmt::Debug for Leaving<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").field("rejection", &self.rejection).finish_non_exhaustive()
    }
}
