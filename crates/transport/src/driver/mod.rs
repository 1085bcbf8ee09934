//! What moves the bytes of a node's shards: operations with completions.
//!
//! A shard begins operations on what it has registered (accept, connect, receive, send) and
//! takes what has come of them from [`Driver::next`]. Memory goes with an operation and comes back with
//! its completion, so it makes no difference to a shard whether the system carries operations out by
//! itself (`io_uring`), or is asked when it is ready (`epoll`).
//!
//! [`SystemDriver`] is the operating system's: Linux's `io_uring`, or [`poll`] where that is not to be had. A
//! simulated one runs whole clusters on a virtual network and clock, with the very code that runs in
//! production.

mod accept_errors;
mod active;
mod busy_poll;
mod completed;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub mod io_uring;
pub mod poll;
mod system;
mod system_calls;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use replink_handshake::Fresh;

pub use accept_errors::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, AcceptErrors, PEER_ERRORS_MAX, is_the_peers};
pub use system::SystemDriver;

use crate::memory::{Block, ReceiveMemory, SendBatch};
use crate::{EntropyError, GatherWrite};

/// Names what is registered, in what a driver reports. Chosen by the shard; never the same twice at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a number, and nothing else")]
pub struct Token(pub u64);

/// Wakes a shard up from any thread. Cheap enough to be called for every message.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A receive of at most so many bytes is a short one: those of handshakes are, which do not wait for a shard to
/// have looked through what has come on its links.
pub const SHORT_RECEIVE_MAX: usize = 256;

/// What one shard's bytes are moved with. Belongs to the shard's thread.
///
/// Each registered connection has at most one receive and one send under way.
pub trait Driver: Send + 'static {
    /// A connection. Never blocks.
    type Socket: Socket;
    /// Where connections come in.
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

    /// Registers a listener. Connections are accepted once [`Driver::accept`] says how many.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn listen(&mut self, token: Token, listener: &Self::Listener) -> io::Result<Registration>;

    /// From here on at most `at_most` connections are accepted, until this is called again: each
    /// [`Completion::Accepted`] counts one, failures too. The system keeps all others waiting. What was accepted
    /// before and has not been taken by [`Driver::next`] counts as well: a shard that does not look holds no
    /// more than it has asked for.
    fn accept(&mut self, token: Token, at_most: usize);

    /// Begins to connect: from `source`, an address of this machine, or from whichever the system chooses. [`Completion::Connected`] brings the socket, which is registered under this token
    /// already; dropping the registration before that gives the attempt up.
    ///
    /// # Errors
    ///
    /// What the system says at once.
    fn connect(
        &mut self,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Registration>;

    /// Registers a connection.
    ///
    /// # Errors
    ///
    /// What the system says, for instance that too many are registered.
    fn register(&mut self, token: Token, socket: &Self::Socket) -> io::Result<Registration>;

    /// Begins to receive at most `at_most` bytes, which is not zero: into `memory`, or where there is none into
    /// a [`Block`] of the driver's own, which no idle connection has. Whether a receive is a
    /// [short](SHORT_RECEIVE_MAX) one is by `at_most`, however much comes. Which memory it was comes with the
    /// completion: [`ReceiveMemory::into_block`] gives nothing where the driver had to make memory that is none of
    /// its blocks.
    fn receive(&mut self, token: Token, memory: Option<ReceiveMemory>, at_most: usize);

    /// Begins to send what is in `batch`, which is not empty: as much of it as the system takes at once.
    fn send(&mut self, token: Token, batch: SendBatch);

    /// A block that came with [`Completion::Received`] and is not needed any more.
    fn recycle(&mut self, block: Block);

    /// Waits until there is a completion, the waker is called or `timeout` is over. `None` waits without end.
    /// Adds to `arrived` the connections on which something has come since the wait before, and is not taken yet: it
    /// came at that time, whenever the shard gets to look at it. What the shard does not take is not named again.
    ///
    /// # Errors
    ///
    /// What the system says; being interrupted is none.
    fn wait(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()>;

    /// The next thing that has come to an end, but for what was received in more than
    /// [`SHORT_RECEIVE_MAX`] bytes; `None` when there is nothing more for now. What is not taken is there after
    /// the next [`Driver::wait`], which does not wait then.
    fn next(&mut self) -> Option<Completion<Self::Socket>>;

    /// The same for what was received in more bytes: one connection after the other has its turn. A driver may
    /// receive only now, so that one block of memory, still in the processor's cache, serves many connections.
    fn next_received(&mut self) -> Option<Completion<Self::Socket>>;

    /// Unregisters what goes elsewhere, and ends first what is under way for it.
    fn release(&mut self, registration: Registration) -> Released;

    /// Whether something is to be done that the next [`Driver::wait`] begins with, or is there for
    /// [`Driver::next`]: an outer event loop must not wait then.
    fn is_busy(&self) -> bool;
}

/// What has come to an end.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Completion<S> {
    /// A connection came in, or could not be accepted.
    Accepted {
        /// The listener's.
        token: Token,
        /// The connection, and where it comes from.
        result: io::Result<(S, SocketAddr)>,
    },
    /// A connection was made, or not.
    Connected {
        /// Whose.
        token: Token,
        /// The connection.
        result: io::Result<S>,
    },
    /// Something was received.
    Received {
        /// From whom.
        token: Token,
        /// Where it was received to.
        memory: ReceiveMemory,
        /// How many bytes; 0 is the end of the stream. After that, and after an error, there is no more.
        result: io::Result<usize>,
    },
    /// Something was sent.
    Sent {
        /// To whom.
        token: Token,
        /// What it was taken from, as it was.
        batch: SendBatch,
        /// How many bytes were taken, at least one.
        result: io::Result<usize>,
    },
}

impl<S> Completion<S> {
    /// Whose it is.
    pub fn token(&self) -> Token {
        match self {
            Self::Accepted { token, .. }
            | Self::Connected { token, .. }
            | Self::Received { token, .. }
            | Self::Sent { token, .. } => *token,
        }
    }
}

/// What was under way when something was released.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "drivers make it")]
pub struct Released {
    /// The memory of a receive, and how many bytes had come.
    pub received: Option<(ReceiveMemory, usize)>,
    /// The batch of a send, and how many bytes of it were taken: 0 where the system had not begun, after which all
    /// of it is still to be sent; an error where that is not known.
    pub sent: Option<(SendBatch, io::Result<usize>)>,
}

/// One connection of a [`Driver`]. Written to from any thread; never blocks.
pub trait Socket: GatherWrite + Send + Sync + 'static {
    /// Where the other end is.
    fn peer_address(&self) -> SocketAddr;

    /// Has the system find out whether the peer's machine is there while nothing is sent, and end the connection
    /// within half a minute where it is not.
    fn keep_alive(&self);

    /// For how long the peer's machine has owed an answer to what was sent. `None` where it owes none, or the
    /// system can't say. A machine that answers with a window that is shut owes none.
    fn unacknowledged_for(&self) -> Option<Duration>;

    /// Ends the direction to the peer; what it still sends can be received.
    fn finish(&self);

    /// Ends both directions at once.
    fn shutdown(&self);
}

/// What is registered with a driver, until this is dropped.
pub struct Registration {
    token: Token,
    departures: Option<Arc<Departures>>,
}

impl Registration {
    /// For drivers: a registration that tells `departures` when it is dropped.
    pub fn new(token: Token, departures: &Arc<Departures>) -> Self {
        Self { token, departures: Some(Arc::clone(departures)) }
    }

    /// Under which token.
    pub fn token(&self) -> Token {
        self.token
    }

    /// For drivers, in [`Driver::release`]: whose it is. Nobody else is told.
    pub fn into_token(mut self) -> Token {
        self.departures = None;
        self.token
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(departures) = &self.departures {
            departures.push(self.token);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.token.0).finish()
    }
}

/// For drivers: what was registered and is not any more. Looked at before each wait, each registration, and each
/// [`Driver::next`] and [`Driver::next_received`]; only then what is under way ends, and a socket that nobody else
/// holds closes.
#[derive(Default)]
pub struct Departures {
    any: AtomicBool,
    tokens: Mutex<Vec<Token>>,
}

impl Departures {
    fn push(&self, token: Token) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token);
        self.any.store(true, Ordering::Release);
    }

    /// Whether there are some.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes them.
    pub fn take(&self) -> Vec<Token> {
        // Most often there are none, and then looking is cheaper than taking.
        if !self.any() || !self.any.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departures").finish_non_exhaustive()
    }
}
