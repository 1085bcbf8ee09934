//! What moves the bytes of a [node](crate::node)'s shards.
//!
//! A shard does its work through a [`Driver`]: it waits for readiness, accepts, connects, asks for
//! the time and for randomness there and nowhere else. [`SystemDriver`] is the operating system's:
//! Linux's `io_uring`, or [`poll`] where that is not to be had. A simulated one runs whole clusters on
//! a virtual network and clock, with the very code that runs in production.

mod accept_errors;
mod busy_poll;
#[cfg(target_os = "linux")]
pub mod io_uring;
pub mod poll;
pub mod seam;
mod system;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_handshake::Fresh;

pub use accept_errors::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, AcceptErrors, PEER_ERRORS_MAX, is_the_peers};
pub use system::SystemDriver;

use crate::{EntropyError, Flushed, GatherWrite, Inbound, SharedOutbound};

/// Names what a driver watches, in what it reports ready.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// Something is ready. Reported once each time that it *becomes* ready (edge-triggered), perhaps
/// without cause: whoever is told tries until [`WouldBlock`](io::ErrorKind::WouldBlock), or until what was
/// received is known to be all ([`Reception::drained`]).
///
/// A driver of completions reports what has come to an end: a try then gives its result, and the next
/// one begins another operation and gives `WouldBlock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// What.
    pub token: Token,
    /// There is something to read or accept, or the peer has ended its direction.
    pub readable: bool,
    /// There is room to write, the connection is made, or it has failed.
    pub writable: bool,
    /// The peer has ended its direction, or the connection has failed. Behind the last byte that comes the
    /// end, which is not reported once more.
    pub ended: bool,
}

impl Readiness {
    /// Something to read or accept.
    pub fn readable(token: Token) -> Self {
        Self { token, readable: true, writable: false, ended: false }
    }

    /// Room to write, or the connection is made.
    pub fn writable(token: Token) -> Self {
        Self { token, readable: false, writable: true, ended: false }
    }
}

/// What a read into a codec has given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reception {
    /// Bytes received; 0 is the end of the stream.
    pub bytes: usize,
    /// Whether that was all there was: more is reported as [`Readiness`]. Another read, which would find
    /// nothing, can be saved; but for the end of the stream, which may have come before.
    pub drained: bool,
}

/// Wakes a shard up from any thread. Cheap enough to be called for every message.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What one shard's bytes are moved with. Belongs to the shard's thread.
pub trait Driver: Send + 'static {
    /// A connection, made or being made. Never blocks.
    type Stream: Stream;
    /// Where connections come in. Never blocks.
    type Listener: Send + 'static;

    /// Ends a [`Driver::wait`] that is under way or comes next.
    fn waker(&self) -> Waker;

    /// The time.
    fn now(&self) -> Instant;

    /// A number from anywhere in `u64`, each as likely; it is no secret.
    fn random(&mut self) -> u64;

    /// Randomness for one side of one handshake (H-2).
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    fn fresh(&mut self) -> Result<Fresh, EntropyError>;

    /// Waits until something is ready, the waker is called or `timeout` is over, and adds to
    /// `ready` what is. `None` waits without end.
    ///
    /// # Errors
    ///
    /// What the system says; being interrupted is none.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()>;

    /// Reports from here on when `stream` becomes ready, at once if it is.
    ///
    /// # Errors
    ///
    /// What the system says, for instance that too many are watched.
    fn watch(&mut self, token: Token, stream: &Self::Stream) -> io::Result<()>;

    /// Reports nothing more about `stream`. Has to be called before a stream that is watched is
    /// dropped: a driver may be reading from it.
    fn unwatch(&mut self, stream: &Self::Stream);

    /// As [`Driver::unwatch`], for a link that goes elsewhere: whatever the driver has under way for it
    /// ends first. What was received is in `inbound` then, what was not written is in `outbound`.
    fn release(
        &mut self,
        stream: &Self::Stream,
        inbound: &mut Inbound,
        outbound: &SharedOutbound<Self::Stream>,
    ) {
        let _ = (inbound, outbound);
        self.unwatch(stream);
    }

    /// Reports from here on when `listener` becomes ready, at once if it is.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn watch_listener(&mut self, token: Token, listener: &Self::Listener) -> io::Result<()>;

    /// Reports nothing more about `listener`.
    fn unwatch_listener(&mut self, listener: &Self::Listener);

    /// Takes the next connection.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none; else what the system says.
    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// A stream that connects to `address`, once it is watched. It becomes writable when that has
    /// succeeded or failed.
    ///
    /// # Errors
    ///
    /// What the system says at once.
    fn connect(&mut self, address: SocketAddr) -> io::Result<Self::Stream>;

    /// How the attempt to connect has ended.
    ///
    /// # Errors
    ///
    /// Why it failed; `WouldBlock` while it is under way.
    fn connected(&mut self, stream: &Self::Stream) -> io::Result<()>;

    /// Reads into `buffer`, which is empty in no call, and no longer than in the call before as long as
    /// that gave nothing. 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing; else what the system says.
    fn read(&mut self, stream: &Self::Stream, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads into a codec, as [`Inbound::read_from`] does. From then on until it has succeeded, the
    /// codec belongs to the driver: its memory may be under way.
    ///
    /// # Errors
    ///
    /// As [`Inbound::read_from`].
    fn receive(&mut self, stream: &Self::Stream, inbound: &mut Inbound) -> io::Result<Reception>;

    /// Writes what waits in `outbound`, whose bytes go to `stream`: now, or as an operation that is under
    /// way then ([`Flushed::Elsewhere`]). The stream becomes writable when that has ended, and this is to
    /// be called again.
    ///
    /// # Errors
    ///
    /// As [`SharedOutbound::flush`].
    fn flush(
        &mut self,
        stream: &Self::Stream,
        outbound: &SharedOutbound<Self::Stream>,
    ) -> io::Result<Flushed> {
        let _ = stream;
        outbound.flush()
    }

    /// A write to `stream` would have blocked: reports when it becomes writable. Nothing needs to be done
    /// where that is reported anyway.
    fn want_writable(&mut self, stream: &Self::Stream) {
        let _ = stream;
    }

    /// Whether a stream that was blocked is reported as writable although [`Driver::want_writable`] was
    /// not called. Where it is not, [`Driver::flush`] has to be called.
    fn reports_writable(&self) -> bool {
        true
    }

    /// Whether something is to be done that the next [`Driver::wait`] begins with.
    fn has_unsubmitted(&self) -> bool {
        false
    }
}

/// One connection of a [`Driver`]. Written to from any thread, read by one; never blocks.
pub trait Stream: GatherWrite + Send + Sync + 'static {
    /// Where the other end is.
    fn peer_address(&self) -> SocketAddr;

    /// The handshake has succeeded: bytes that are not acknowledged for this long end the
    /// connection, where the system can do that.
    fn set_user_timeout(&self, timeout: Duration);

    /// Ends the direction to the peer; what it still sends can be read.
    fn finish(&self);

    /// Ends both directions at once.
    fn shutdown(&self);
}
