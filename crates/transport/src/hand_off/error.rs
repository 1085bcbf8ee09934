use std::fmt;
use std::io;

use replink_frame::FrameError;
use replink_handshake::{IssueError, TicketError};
use thiserror::Error;

use crate::{EntropyError, InboundError};

/// What went wrong between the two processes, or with one link.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum HandOffError {
    /// The Unix socket failed. The transfer is over.
    #[error("the socket between the two processes failed: {0}")]
    Channel(#[source] io::Error),
    /// The other process closed the Unix socket before the transfer was complete. The transfer is over.
    #[error("the other process ended the transfer before it was complete")]
    Closed,
    /// The deadline passed. The transfer is over.
    #[error("the transfer took too long")]
    TimedOut,
    /// The other process belongs to another user. Nothing was sent.
    #[error(
        "the other process runs as user {found}, this one as {expected}; no link is handed to another user"
    )]
    User {
        /// This process's effective user.
        expected: u32,
        /// The other's.
        found: u32,
    },
    /// The other process speaks another version of the hand-off. Nothing was handed off.
    #[error("the other process speaks hand-off version {found}, this release version {known}", known = super::message::VERSION)]
    Version {
        /// Its version.
        found: u8,
    },
    /// The other process did not send what a hand-off has at this place. The transfer is over.
    #[error("the other process does not follow the hand-off's format: {what}")]
    Format {
        /// What is wrong.
        what: &'static str,
    },
    /// An earlier error ended the transfer.
    #[error("the transfer is over since an earlier error")]
    Over,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The link's own socket failed. The link is closed; the transfer goes on.
    #[error("the link's connection failed: {0}")]
    Link(#[source] io::Error),
    /// What the peer sent on the link has ended it already. The link is closed; the transfer goes on.
    #[error("the link has ended: {0}")]
    Inbound(#[from] InboundError),
    /// There is no ticket for the link. The link is closed; the transfer goes on.
    #[error(transparent)]
    Ticket(#[from] IssueError),
    /// The successor does not take it. A link is closed; the transfer goes on.
    #[error("the other process refused it: {0}")]
    Refused(RefusalCode),
}

/// Why the successor does not take a link or a listener, as the predecessor is told. Total: a number
/// that this release does not know is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct RefusalCode(pub u8);

impl RefusalCode {
    /// The descriptor that came along is not what it must be.
    pub const DESCRIPTOR: Self = Self(1);
    /// The state that came along is malformed, or beyond the successor's limits.
    pub const STATE: Self = Self(2);
    /// The ticket is not good, or not within the successor's configuration.
    pub const TICKET: Self = Self(3);
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DESCRIPTOR => f.write_str("the descriptor is not of the right kind"),
            Self::STATE => f.write_str("the state is malformed, or beyond its limits"),
            Self::TICKET => f.write_str("the ticket is not good there"),
            Self(code) => write!(f, "reason {code}, which this release does not know"),
        }
    }
}

impl fmt::Debug for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefusalCode({}: {self})", self.0)
    }
}

/// Why this process did not take a link or a listener. The predecessor was told, and closes the link.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum RefusedLink {
    /// No, or no usable, descriptor.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// What came along with the ticket.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
}

impl RefusedLink {
    pub(super) fn refusal(&self) -> RefusalCode {
        match self {
            Self::Descriptor(_) => RefusalCode::DESCRIPTOR,
            Self::State(_) => RefusalCode::STATE,
            Self::Ticket(_) => RefusalCode::TICKET,
        }
    }
}

/// A descriptor that can't be a link or a listener.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Not exactly one came.
    #[error("{found} descriptors came where one was expected")]
    Count {
        /// How many came; beyond a few the number is a lower bound.
        found: usize,
    },
    /// It is something else.
    #[error("the descriptor is not {expected}")]
    Kind {
        /// What it was to be.
        expected: &'static str,
    },
    /// The socket has failed, or it can't be looked at.
    #[error("the socket that came is of no use: {0}")]
    Io(#[from] io::Error),
}

/// State that no link can have here.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StateError {
    /// The parts do not fit together.
    #[error("the link's state is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// It is larger than this process's configuration allows.
    #[error("the link's state has {found} {what}; this node's configuration allows {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// That many.
        found: u64,
        /// At most.
        limit: u64,
    },
    /// The frame that has come in part is none that this node would take.
    #[error("the frame under way is none for this link: {0}")]
    Frame(#[from] FrameError),
}
