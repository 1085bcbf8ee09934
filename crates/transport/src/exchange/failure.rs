//! Why a handshake made no link.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use replink_frame::{Flags, ReplicaId};
use replink_handshake::{DialError, PeerReject, Rejection, settings_of};
use thiserror::Error;

/// The frame that a handshake was about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Step {
    /// `ReplicaHello`.
    Hello,
    /// `ReplicaChallenge`.
    Challenge,
    /// `ReplicaFinish`.
    Finish,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "hello",
            Self::Challenge => "challenge",
            Self::Finish => "finish",
        })
    }
}

/// The stream failed within a handshake.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The deadline passed. The peer is slow, silent, or the network is.
    #[error("timed out after {received} of 256 bytes of the peer's {step}; is it a replica at all?")]
    TimedOut {
        /// The frame under way.
        step: Step,
        /// Its bytes that came.
        received: usize,
    },
    /// The peer closed the connection.
    #[error("peer closed the connection after {received} of 256 bytes of its {step}; its log says why")]
    Closed {
        /// The frame under way.
        step: Step,
        /// Its bytes that came.
        received: usize,
    },
    /// The peer did not take our frame before the deadline.
    #[error("timed out sending our {step}; the peer does not read")]
    NotTaken {
        /// The frame under way.
        step: Step,
    },
    /// The socket failed, for instance with a reset.
    #[error("connection failed at the {step}: {source}")]
    Io {
        /// The frame under way.
        step: Step,
        /// What the socket says.
        source: io::Error,
    },
}

/// Why dialing did not make a link. The connection, if there was one, is closed.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum DialFailure {
    /// Nobody answers there.
    #[error("can't connect to {address}: {source}")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The peer has no address.
    #[error("replica has no address to connect to")]
    NoAddress,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] DialError),
    /// The connection ended or stalled.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The operating system failed us.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Why a connection did not become a link, on the accepting side. The connection is closed.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum AcceptFailure {
    /// We turned the peer away, and told it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The peer turned us away when it had read our challenge (D-12).
    #[error("{0}")]
    RejectedByPeer(PeerReject),
    /// The peer left without a word when it had read our challenge, which declines something it offered. Most
    /// likely it requires that, and is of a release that does not say so (D-12).
    #[error("{0}")]
    Left(Declined),
    /// The connection ended or stalled.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The operating system failed us.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// What we declined of a peer that left then. Nothing of it is proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Declined {
    /// Whom the peer claims to be.
    pub claimed: ReplicaId,
    /// What it offered, and we did not select.
    pub flags: Flags,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claimed, flags } = self;
        write!(
            f,
            "most likely policy_mismatch: a peer that claims to be replica {claimed} offered {flags}, which is not \
             supported here, and left without a word after our challenge; compare {} on both ends",
            settings_of(*flags)
        )
    }
}

/// The operating system gave no randomness; without it there is no handshake (H-2).
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("the operating system gives no randomness ({})", self.cause())]
pub struct EntropyError {
    code: Option<i32>,
}

impl EntropyError {
    /// `code` is the system's number for the error, where it has one.
    pub fn new(code: Option<i32>) -> Self {
        Self { code }
    }

    fn cause(self) -> io::Error {
        self.code.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
    }
}
