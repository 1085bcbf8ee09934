//! Why a link is no longer up.

use std::fmt;
use std::time::Duration;

use replink_frame::{Command, FrameError, GoodbyeReason, HEADER_SIZE};
use replink_handshake::PeerReject;

use crate::InboundError;

/// Why a link is no longer up (section 4: a peer has *left*, or it was *lost*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer said goodbye.
    Left(GoodbyeReason),
    /// We said goodbye.
    Ended(GoodbyeReason),
    /// Nobody said goodbye.
    Lost(Loss),
    /// A newer link of the same peer took over.
    Superseded,
    /// The acceptor refused our Finish after all (H-9).
    Rejected(PeerReject),
    /// The peer sent what its role may not.
    Denied(Command),
    /// Another process has the link now; the peer does not notice.
    HandedOver,
}

/// How a link was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Loss {
    /// The connection ended.
    Closed,
    /// The peer broke the protocol.
    Violation(InboundError),
    /// Nothing was heard for this long, which is `heartbeat_timeout` or more.
    Silent(Duration),
}

impl DownReason {
    /// What the peer is told before the link ends, where it is at fault (C-3); `None` where it is not, or has
    /// refused us.
    pub fn owed(&self) -> Option<GoodbyeReason> {
        match self {
            Self::Lost(Loss::Violation(error)) => owed_for(error),
            Self::Denied(_) => Some(GoodbyeReason::NOT_PERMITTED),
            _ => None,
        }
    }
}

/// What a peer is told that has sent such a thing (C-3); `None` if it was a refusal, after which it listens to
/// nothing.
pub(crate) fn owed_for(error: &InboundError) -> Option<GoodbyeReason> {
    match *error {
        InboundError::LateReject(_) => None, // H-9
        InboundError::Frame(FrameError::Size { found, limit })
            if found > limit && limit as usize > HEADER_SIZE =>
        {
            Some(GoodbyeReason::FRAME_TOO_LARGE)
        }
        _ => Some(GoodbyeReason::PROTOCOL_VIOLATION),
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(reason) => write!(f, "the peer left: {reason}"),
            Self::Ended(reason) => write!(f, "we left: {reason}"),
            Self::Lost(Loss::Closed) => f.write_str("lost: the connection ended without a goodbye"),
            Self::Lost(Loss::Violation(error)) => write!(f, "lost: {error}"),
            Self::Lost(Loss::Silent(silence)) => write!(f, "lost: nothing was heard for {silence:?}"),
            Self::Superseded => f.write_str("a newer link took over"),
            Self::Rejected(reject) => write!(f, "{reject}"),
            Self::HandedOver => f.write_str("handed over to another process"),
            Self::Denied(command) => write!(f, "the peer's role may not send {command}"),
        }
    }
}
