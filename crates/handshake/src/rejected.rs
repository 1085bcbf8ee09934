use core::fmt;

use replink_frame::{Flags, HandshakeFrameError, ReplicaId, Status};

use crate::PeerReject;
use crate::policy::settings_of;

/// A handshake that this end, the acceptor, refused: the link to close, the reject still owed
/// to the peer, and why.
#[must_use = "the peer is still owed the reject frame"]
pub struct Rejected<L> {
    link: L,
    reply: [u8; 256],
    rejection: Rejection,
}

impl<L> Rejected<L> {
    pub(crate) fn new(link: L, reply: [u8; 256], rejection: Rejection) -> Self {
        Self { link, reply, rejection }
    }

    /// Why.
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// The link to send the 256-byte reject on and to close, and why.
    pub fn into_parts(self) -> (L, [u8; 256], Rejection) {
        (self.link, self.reply, self.rejection)
    }
}

impl<L> fmt::Debug for Rejected<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("rejection", &self.rejection).finish_non_exhaustive()
    }
}

/// A handshake that failed on the acceptor's side once its challenge was out.
#[must_use = "the peer may still be owed a reject frame"]
#[expect(clippy::large_enum_variant, reason = "boxing the frame would allocate for an unauthenticated peer")]
#[expect(clippy::exhaustive_enums, reason = "whoever gets one has to do what it owes, also if it is new")]
pub enum AcceptFailed<L> {
    /// This end refused the Finish: the peer is still owed the reject (H-9).
    Rejected(Rejected<L>),
    /// The dialer refused the challenge, and says why (D-12). It is owed nothing.
    RejectedByPeer {
        /// The link to close.
        link: L,
        /// What it says.
        reject: PeerReject,
    },
}

impl<L> From<Rejected<L>> for AcceptFailed<L> {
    fn from(rejected: Rejected<L>) -> Self {
        Self::Rejected(rejected)
    }
}

impl<L> fmt::Debug for AcceptFailed<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::RejectedByPeer { reject, .. } => {
                f.debug_struct("RejectedByPeer").field("reject", reject).finish_non_exhaustive()
            }
        }
    }
}

/// Why this end turned a peer away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rejection {
    /// The reason. A version 1 peer may have been told a coarser one (section 2.1).
    pub status: Status,
    /// The replica that the peer claimed to be; unproved unless the status says more.
    pub claimed: Option<ReplicaId>,
    /// Whether the reject carries a MAC, so that the peer can tell it is ours (H-7).
    pub authenticated: bool,
    /// What exactly was wrong with the frame, where it was the frame.
    pub frame_error: Option<HandshakeFrameError>,
    /// What this end requires and the peer did not offer, where it was that.
    pub missing: Flags,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.claimed {
            Some(replica) => write!(f, "turned away a peer that claims to be replica {replica}: ")?,
            None => f.write_str("turned away a peer: ")?,
        }
        match self.frame_error {
            Some(error) => write!(f, "{}: {error}", self.status),
            None if self.missing != Flags::NONE => write!(
                f,
                "{}: it does not offer what is required here; compare {} on both ends",
                self.status,
                settings_of(self.missing)
            ),
            // The flags were agreed on, and what is left is the lane.
            None if self.status == Status::POLICY_MISMATCH && self.authenticated => write!(
                f,
                "{}: there is no place for a link of its lane; compare cluster.link.lanes on both ends",
                self.status
            ),
            // Before there is a key to prove it with (H-12).
            None if self.status == Status::POLICY_MISMATCH => write!(
                f,
                "{}: it authenticates, and cluster.auth.enabled is false here; compare it on both ends",
                self.status
            ),
            None => write!(f, "{}: {}", self.status, self.status.advice()),
        }
    }
}

impl core::error::Error for Rejection {}
