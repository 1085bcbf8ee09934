//! Handshakes over any stream, whatever drives them: readiness, completions, blocking calls, async code.
//!
//! A [`Dialing`] or an [`Accepting`] owns its connection, runs the handshake states over it and says what it
//! [wants](Exchange::want): connect, write these bytes, read so many. Whoever drives it does that, at once
//! or later, and tells what has come of it. Here both ends are driven over a pipe in memory:
//!
//! ```
//! # use std::{cell::RefCell, collections::VecDeque, error::Error, rc::Rc, sync::Arc};
//! # use std::time::{Duration, Instant};
//! # use replink_transport::handshake::{self, Availability, ChannelBinding, DialTarget, Fresh, Key, KeyRing};
//! # use replink_transport::handshake::{EphemeralSecret, Local, Nonce, Secret};
//! # use replink_transport::{Endpoint, EndpointSettings, frame::ReplicaId};
//! use replink_transport::exchange::{Accepted, Accepting, Dialing, Exchange, Want};
//! # struct Pipe { sending: Rc<RefCell<VecDeque<u8>>>, receiving: Rc<RefCell<VecDeque<u8>>> }
//! # impl Pipe {
//! #     fn pair() -> (Self, Self) {
//! #         let (there, back) = (Rc::default(), Rc::default());
//! #         (Self { sending: Rc::clone(&there), receiving: Rc::clone(&back) },
//! #          Self { sending: back, receiving: there })
//! #     }
//! #     fn write(&mut self, bytes: &[u8]) -> usize { self.sending.borrow_mut().extend(bytes); bytes.len() }
//! #     fn read(&mut self, at_most: usize) -> Vec<u8> {
//! #         let mut receiving = self.receiving.borrow_mut();
//! #         let count = at_most.min(receiving.len());
//! #         receiving.drain(..count).collect()
//! #     }
//! # }
//! # fn endpoint(replica: u8) -> Result<Endpoint, Box<dyn Error>> {
//! #     let (app, replica) = (handshake::App::default(), ReplicaId(replica));
//! #     let key = Key::derive(&app, &Secret::new(vec![7; 32])?);
//! #     let local = Local::new(app, handshake::cluster_id("orders"), replica);
//! #     let roster = (0..3).map(ReplicaId).collect();
//! #     Ok(Endpoint::new(EndpointSettings::new(local, Some(Arc::new(KeyRing::new(key, []))), roster))?)
//! # }
//! # fn fresh(byte: u8) -> Fresh { // a real one is random (H-2)
//! #     let ephemeral = EphemeralSecret::new([byte; 32]);
//! #     Fresh::new(Nonce::new([byte; 32]).expect("not zero"), ephemeral)
//! # }
//! /// Moves bytes until there is nothing to read, or something else is wanted.
//! fn drive(exchange: &mut impl Exchange<Link = Pipe>, now: Instant) {
//!     loop {
//!         match exchange.want() {
//!             Want::Write { link, bytes } => { let count = link.write(bytes); exchange.written(count, now); }
//!             Want::Read { link, at_most } => match link.read(at_most) {
//!                 bytes if bytes.is_empty() => return, // later
//!                 bytes => exchange.received(&bytes, now),
//!             },
//!             _ => return,
//!         }
//!     }
//! }
//! # fn main() -> Result<(), Box<dyn Error>> {
//! # let (dialer, acceptor) = (endpoint(0)?, endpoint(2)?);
//! # let (target, address) = (DialTarget::new(ReplicaId(2)), "192.0.2.1:7400".parse()?);
//! # let now = Instant::now();
//! # let deadline = now + Duration::from_secs(5);
//!
//! let (near, far) = Pipe::pair();
//! let mut dialing = Dialing::new(&dialer, target, vec![address], deadline, now);
//! let mut accepting = Accepting::new(far, &acceptor, ChannelBinding::None, deadline);
//! assert!(matches!(dialing.want(), Want::Connect { .. }));
//! dialing.connected(near, ChannelBinding::None, fresh(1), now);
//! drive(&mut dialing, now); // the Hello goes out
//! drive(&mut accepting, now); // and is there
//! assert!(matches!(accepting.want(), Want::Answer));
//! accepting.answer(Availability::Open, fresh(2), now);
//! drive(&mut accepting, now); // the challenge
//! drive(&mut dialing, now); // the Finish: the dialer is done
//! drive(&mut accepting, now);
//! let Accepted::Proved(verified) = accepting.finish() else { panic!("no proof") };
//! let accepted = verified.admit(); // or `refuse`, and then `Leaving`
//! assert_eq!(dialing.finish()?.peer().replica, ReplicaId(2));
//! assert_eq!(accepted.peer().replica, ReplicaId(0));
//! # Ok(())
//! # }
//! ```
//!
//! An exchange is pure: it knows no socket, no clock and no randomness. Time and [`Fresh`] are arguments, and
//! so is what the handshake is bound to ([`ChannelBinding`]).
//!
//! [`Fresh`]: replink_handshake::Fresh
//! [`ChannelBinding`]: replink_handshake::ChannelBinding

mod accepting;
mod dialing;
mod failure;
mod frames;
mod leaving;
mod route;
#[cfg(test)]
mod tests;
mod unreachable;
mod version_one_keys;

pub use accepting::{Accepted, Accepting};
pub use dialing::Dialing;
pub use failure::{AcceptFailure, Declined, DialFailure, EntropyError, Step, StreamError};
pub use leaving::{LINGER_BYTES_MAX, LINGER_TIME_MAX, Leaving};
pub use unreachable::UnreachableReason;
pub use version_one_keys::VersionOneKeys;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// What an exchange wants done. One thing at a time; what it is does not change until the exchange is told
/// something.
#[must_use = "the exchange waits until this is done"]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Want<'a, L> {
    /// A connection to this address. Tell [`Dialing::connected`]; or [`Exchange::failed`], also where it turns
    /// out that it leads to ourselves.
    Connect {
        /// Where to.
        address: SocketAddr,
    },
    /// These bytes written, or the first of them. Tell [`Exchange::written`].
    Write {
        /// Where to.
        link: &'a mut L,
        /// Never empty.
        bytes: &'a [u8],
    },
    /// Bytes read, and none behind them. Tell [`Exchange::received`].
    Read {
        /// Where from.
        link: &'a mut L,
        /// What is missing of one frame: 1 to 256.
        at_most: usize,
    },
    /// Our direction ended (`shutdown` of a socket for writing). Tell [`Exchange::sending_ended`].
    EndSending {
        /// Whose.
        link: &'a mut L,
    },
    /// Bytes read and thrown away. Tell [`Exchange::received`].
    Discard {
        /// Where from.
        link: &'a mut L,
        /// Never 0.
        at_most: usize,
    },
    /// Whether there is room for a link, and randomness for our side: the Hello is there. Tell
    /// [`Accepting::answer`].
    Answer,
    /// Nothing more: `finish` says what has come of it.
    Done,
}

/// What [`Dialing`], [`Accepting`] and [`Leaving`] have in common, so that one loop drives all of them.
///
/// What has ended is told with the time at which that was seen. Where nothing has ended at the time
/// [`until`](Exchange::until), that is told with [`timed_out`](Exchange::timed_out). What is told and does not
/// fit what is wanted changes nothing: an operation may end after the exchange has lost interest in it.
pub trait Exchange {
    /// The connection.
    type Link;

    /// What to do next.
    fn want(&mut self) -> Want<'_, Self::Link>;

    /// Until when what is wanted may take.
    fn until(&self) -> Instant;

    /// So many bytes of a [`Want::Write`] were written; 0 is a failure.
    ///
    /// # Panics
    ///
    /// If there are fewer: that is the driver's mistake.
    fn written(&mut self, count: usize, now: Instant);

    /// These bytes were read for a [`Want::Read`] or [`Want::Discard`]. None are the end of the stream.
    ///
    /// # Panics
    ///
    /// If they are more than a [`Want::Read`] asked for: that is the driver's mistake, and the bytes behind the
    /// frame would be lost.
    fn received(&mut self, bytes: &[u8], now: Instant);

    /// The direction of a [`Want::EndSending`] is ended, or can't be any more.
    fn sending_ended(&mut self);

    /// What is wanted has failed. Not for [`WouldBlock`](io::ErrorKind::WouldBlock) and
    /// [`Interrupted`](io::ErrorKind::Interrupted), after which it can be tried again.
    fn failed(&mut self, error: io::Error, now: Instant);

    /// The time is over; changes nothing before [`until`](Exchange::until).
    fn timed_out(&mut self, now: Instant);

    /// The connection, if there is one: to be watched, or looked at.
    fn link_mut(&mut self) -> Option<&mut Self::Link>;

    /// A connection that is of no use any more, for drivers that have something to do before it is dropped.
    /// It is dropped when the next one takes its place.
    fn take_given_up(&mut self) -> Option<Self::Link>;
}

impl<L> fmt::Debug for Want<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address } => write!(f, "Connect({address})"),
            Self::Write { bytes, .. } => write!(f, "Write({})", bytes.len()),
            Self::Read { at_most, .. } => write!(f, "Read({at_most})"),
            Self::EndSending { .. } => f.write_str("EndSending"),
            Self::Discard { at_most, .. } => write!(f, "Discard({at_most})"),
            Self::Answer => f.write_str("Answer"),
            Self::Done => f.write_str("Done"),
        }
    }
}
