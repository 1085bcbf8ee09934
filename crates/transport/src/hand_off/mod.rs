//! Authenticated links from one process to the next one of the same replica, for an upgrade that the
//! peers don't notice (`docs/hand-off.md`). Linux only.
//!
//! The two processes have a connected Unix stream socket between them. Over it the **predecessor** gives
//! each link's socket, what was received and not yet read, what waits to be sent, and a
//! [`Ticket`](crate::handshake::Ticket). The **successor** proves the ticket, with the cluster's key, for
//! the very socket that came with it; only then are there codecs for the link.
//!
//! A link always has one owner. When anything goes wrong with it, its connection is shut down, and the
//! peers make a new one.
//!
//! **The Unix socket must be private.** Session keys go over it. Both ends refuse a process of another
//! user, and that is all they can tell: keep its path in a directory that no other user can enter, or
//! inherit it.
//!
//! Every call blocks, until the deadline given to `begin` at most. The socket is made blocking and its
//! timeouts are set; use it for nothing else until the transfer is over.

mod channel;
mod error;
mod message;
mod predecessor;
mod proof;
mod socket;
mod state;
mod successor;

pub use error::{DescriptorError, HandOffError, RefusalCode, RefusedLink, StateError};
pub use predecessor::Predecessor;
pub use successor::{Successor, Taken};

/// What peers know the process by, to be taken over before any link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NodeState {
    /// The random number of the process. The successor builds its [`Endpoint`](crate::Endpoint) with it:
    /// towards the peers it *is* the process before it.
    pub incarnation: u64,
    /// The embedder's software release of the predecessor. The successor may have a newer one, which
    /// later handshakes tell; links taken over keep this one.
    pub release: u32,
}
