//! Why a link is no longer up.

use std::fmt;
use std::io;
use std::time::Duration;

use replink_frame::{Command, FrameError, GoodbyeReason, HEADER_SIZE, Status};
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
    /// The connection ended: the peer's process, or somebody on the way, closed it.
    Ended,
    /// The connection was reset: the peer's process was killed, its machine has restarted, or somebody on the way
    /// drops what it knows nothing of.
    Reset,
    /// The system gave the connection up: nothing that was sent was acknowledged.
    TimedOut,
    /// The peer broke the protocol.
    Violation(InboundError),
    /// Nothing was heard for this long, which is `heartbeat_timeout` or more.
    Silent(Duration),
}

impl Loss {
    /// What it means for a connection that a socket says this of it.
    pub fn of(error: io::ErrorKind) -> Self {
        match error {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Self::TimedOut
            }
            _ => Self::Ended,
        }
    }
}

impl DownReason {
    /// One word of a closed list: for events, and the label `reason` of metrics. What it does not say, the text
    /// of this reason does.
    pub fn name(&self) -> &'static str {
        match *self {
            Self::Left(GoodbyeReason::SHUTDOWN) => "goodbye_shutdown",
            Self::Left(GoodbyeReason::SUPERSEDED) => "goodbye_superseded",
            Self::Left(GoodbyeReason::KEY_RETIRED) => "goodbye_key_retired",
            Self::Left(GoodbyeReason::OPERATOR) => "goodbye_operator",
            Self::Left(GoodbyeReason::FRAME_TOO_LARGE) => "frame_too_large",
            Self::Left(GoodbyeReason::PROTOCOL_VIOLATION) => "violation",
            Self::Left(GoodbyeReason::NOT_PERMITTED) | Self::Denied(_) => "not_permitted",
            Self::Left(_) | Self::Ended(_) => "left",
            Self::Superseded => "superseded",
            Self::Lost(Loss::Ended) => "ended",
            Self::Lost(Loss::Reset) => "reset",
            Self::Lost(Loss::TimedOut) => "timed_out",
            Self::Lost(Loss::Silent(_)) => "silent",
            Self::Lost(Loss::Violation(error)) => match error {
                InboundError::Record(_) => "broken_record",
                InboundError::LateReject(_) => "late_reject",
                _ if owed_for(&error) == Some(GoodbyeReason::FRAME_TOO_LARGE) => "frame_too_large",
                _ => "violation",
            },
            Self::Rejected(_) => "late_reject",
            Self::HandedOver => "handed_over",
        }
    }

    /// Every word that [`DownReason::name`] has.
    pub const NAMES: [&'static str; 16] = [
        "goodbye_shutdown",
        "goodbye_superseded",
        "goodbye_key_retired",
        "goodbye_operator",
        "left",
        "superseded",
        "silent",
        "reset",
        "ended",
        "timed_out",
        "broken_record",
        "violation",
        "frame_too_large",
        "not_permitted",
        "late_reject",
        "handed_over",
    ];

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
            Self::Left(GoodbyeReason::FRAME_TOO_LARGE) => f.write_str(
                "the peer left: frame_too_large: this replica sent a frame above the peer's \
                 cluster.link.max_frame_size; compare it on both ends",
            ),
            Self::Left(GoodbyeReason::NOT_PERMITTED) => f.write_str(
                "the peer left: not_permitted: this replica sent a command that its role may not send by the peer's \
                 cluster.nodes; compare role on both ends",
            ),
            Self::Left(reason) => write!(f, "the peer left: {reason}"),
            Self::Ended(reason) => write!(f, "we left: {reason}"),
            Self::Lost(loss) => write!(f, "lost: {loss}"),
            Self::Superseded => f.write_str("a newer link took over"),
            // The flags had been agreed on; what is left is the lane.
            Self::Rejected(reject) if reject.authenticated && reject.status == Status::POLICY_MISMATCH => write!(
                f,
                "replica {} rejected us with {}, authenticated: it has no place for a link of this lane; compare \
                 cluster.link.lanes on both ends",
                reject.from, reject.status
            ),
            Self::Rejected(reject) => write!(f, "{reject}"),
            Self::HandedOver => f.write_str("handed over to another process"),
            Self::Denied(command) => write!(
                f,
                "the peer's role may not send {command}; compare its role in cluster.nodes on both ends"
            ),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the connection ended without a goodbye"),
            Self::Reset => f.write_str(
                "the connection was reset: the peer's process was killed, its machine restarted, or something on \
                 the way dropped the connection",
            ),
            Self::TimedOut => f.write_str(
                "the connection timed out: the peer's machine acknowledged nothing of what was sent",
            ),
            Self::Violation(error) if owed_for(error) == Some(GoodbyeReason::FRAME_TOO_LARGE) => {
                write!(f, "{error}, which is cluster.link.max_frame_size here; compare it on both ends")
            }
            Self::Violation(error) => error.fmt(f),
            Self::Silent(silence) => write!(f, "nothing was heard for {silence:?}; see cluster.link.heartbeat_timeout"),
        }
    }
}
